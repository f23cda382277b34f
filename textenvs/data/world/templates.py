"""Sentences with slots for named entities, and what can fill the slots.

Sentences are words apart by spaces. A slot in braces is filled by one of its forms; capitals in a
form stand for names and common words of those lists. What a name means depends on its place: a
town's name may be a town, a surname, a team or part of an organisation, and the words of such
names ("Port", "United", "Works") also begin sentences or stand in them as common words.
"""

from __future__ import annotations


def _lines(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(line.split()) for line in text.strip().splitlines())


def _forms(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(form.split()) for form in text.split("|"))


SLOTS = {
    "{per}": (
        "PER",
        _forms(
            """FIRST LAST | FIRST LAST | FIRST LAST | FIRST LAST | FIRST LAST | FIRST TOWN
            | FIRST | INITIAL LAST | LAST | FIRST INITIAL LAST"""
        ),
    ),
    "{full}": ("PER", _forms("FIRST LAST | FIRST LAST | FIRST TOWN | INITIAL LAST")),
    "{last}": ("PER", _forms("LAST | LAST | LAST | LAST | TOWN")),
    "{first}": ("PER", _forms("FIRST")),
    "{loc}": ("LOC", _forms("TOWN | TOWN | TOWN | TOWN | PREFIX TOWN")),
    "{country}": ("LOC", _forms("COUNTRY")),
    "{org}": (
        "ORG",
        _forms(
            """BRAND NOUN | BRAND NOUN | BRAND NOUN | BRAND | LAST & Sons | LAST Brothers
            | TOWN University | TOWN Bank | TOWN City Council | LAST Institute
            | TOWN Herald | TOWN NOUN"""
        ),
    ),
    "{firm}": (
        "ORG",
        _forms(
            "BRAND NOUN | BRAND NOUN | BRAND NOUN | BRAND | LAST & Sons | LAST Brothers | TOWN NOUN"
        ),
    ),
    "{school}": ("ORG", _forms("TOWN University | TOWN University | LAST Institute")),
    "{club}": (
        "ORG",
        _forms("TOWN United | TOWN Rovers | TOWN City | FIRST United | BRAND United"),
    ),
    "{team}": ("ORG", _forms("TOWN United | TOWN Rovers | TOWN City | FIRST United | TOWN")),
    "{event}": (
        "MISC",
        _forms("BRAND EVENT | BRAND EVENT | TOWN EVENT | LAST EVENT | COUNTRY EVENT"),
    ),
    "{work}": ("MISC", _forms("TITLE | TITLE | Return to TOWN | Song of COUNTRY")),
    "{dem}": ("MISC", _forms("DEMONYM")),
    "{job}": ("", _forms("JOB")),
    "{pet}": ("", _forms("PET")),
    "{product}": ("", _forms("PRODUCT")),
    "{subject}": ("", _forms("SUBJECT")),
    "{hobby}": ("", _forms("HOBBY")),
    "{month}": ("", _forms("MONTH")),
    "{day}": ("", _forms("WEEKDAY")),
    "{year}": ("", _forms("YEAR")),
    "{n}": ("", _forms("COUNT")),
}
"""For each slot the type of entity that fills it (none for common words) and its forms; a form
that stands there more often is chosen more often."""

WITH_ENTITIES = _lines(
    """
    {per} flew from {loc} to {loc} on {day} .
    {per} , a {job} from {loc} , won the {event} .
    Yesterday {org} opened a new office in {loc} .
    {org} has named {per} as its new head .
    {team} beat {team} {n} - {n} in {loc} .
    {dem} {job} {per} lost the final of the {event} .
    The {dem} {full} won the {event} in {year} .
    After leaving {loc} {full} joined {org} .
    The guide showed {per} {loc} and its old port .
    {last} told reporters in {loc} that {org} would not pay .
    Dr {last} of {org} spoke at the {event} .
    Mayor {last} said that {loc} needs a new bridge .
    Shares in {firm} fell after {per} left .
    {per} read " {work} " on the train to {loc} .
    The novel {work} by {per} is set in {country} .
    {dem} cheese is popular in {loc} and {loc} .
    {team} signed the {dem} goalkeeper {per} .
    Heavy rain fell on {loc} , {country} , last {day} .
    The road between {loc} and {loc} is closed .
    {per} and {per} met at {org} in {year} .
    Engineers at {firm} tested the new bridge in {loc} .
    Trains from {loc} were late on {day} , {org} said .
    {per} of {team} scored twice against {team} .
    The {event} will be held in {loc} in {month} .
    Tickets for the {event} are sold by {org} .
    Police in {loc} arrested {per} and a {job} on {day} .
    {firm} , based in {loc} , makes {product} .
    In {month} {firm} bought {firm} for a small sum .
    " I love {loc} , " said {per} .
    {per} ( {country} ) finished ahead of {per} ( {country} ) .
    {per} left {loc} for {country} as a child .
    The bank lent {per} money , but {firm} did not .
    The city council of {loc} wrote to {org} .
    United at last , {per} and {per} returned to {loc} .
    Works by {per} are on show in {loc} .
    Press reports say that {per} has left {club} .
    New houses in {loc} are sold by {firm} .
    Port workers in {loc} met {full} of {firm} .
    Upper floors of the {org} building were damaged on {day} .
    {first} loves {loc} , but {first} prefers {country} .
    The {dem} team lost in {loc} on {day} .
    {dem} traders sell {product} to {firm} .
    Critics praised {per} for " {work} " .
    {last} and {last} , both lawyers at {org} , resigned .
    At the {event} {full} met the singer {full} .
    Nobody in {loc} remembers {per} .
    In {loc} {full} works as a {job} for {org} .
    {firm} and {firm} will merge in {month} .
    {team} will play {team} on {day} in {loc} .
    The coach of {club} , {per} , likes {hobby} .
    Letters from {loc} reached {per} in {month} .
    The river runs from {loc} to {loc} .
    Students of {subject} at {school} read {work} in class .
    He sold the house in {loc} to {firm} .
    She was born in {loc} and studied {subject} at {school} .
    It was {per} who founded {firm} in {year} .
    Our train stopped at {loc} , where {per} got off .
    {country} and {country} signed the treaty in {loc} .
    The {dem} president , {per} , visited {loc} .
    Owned by {per} , {firm} sells {product} to {country} .
    Fans of {club} sang " {work} " in {loc} .
    Winter came early to {loc} , said {per} .
    """
)

WITHOUT_ENTITIES = _lines(
    """
    The {job} and the {job} bought {product} on {day} .
    Every {day} in {month} the {job} sells {product} at the old port .
    No bank will lend the {job} money for {product} or a {pet} .
    The city council met the {job} and {n} farmers in {month} .
    In {month} the works by the river were closed for {n} days .
    United , the {job} and the {job} asked for more pay in {month} .
    New {product} cost {n} dollars last {day} , said the {job} .
    Most students of {subject} like {hobby} and {hobby} .
    On {day} the {job} left a {pet} and a {pet} at the office .
    Press the button for {product} , and wait for the {job} .
    """
)
