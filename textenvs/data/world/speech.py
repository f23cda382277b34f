"""What is said in dialogues about venues: acts, and the sentences that say them.

An act is what a turn means, a sentence one of the ways to put it. In sentences ``{thing}`` and
``{tail}`` are a slot's value in its two forms, ``{Tail}`` the second with a capital.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

from textenvs.data.world.venues import KINDS, MAX_VENUES, NUM_FACTS, NUM_SLOTS, Kind, Venue


class SystemAct(NamedTuple):
    """What a system's turn means.

    Attributes:
        kind: ``"ask"`` (for a slot), ``"offer"`` (a venue), ``"answer"`` (a fact of a venue),
            ``"nothing"`` (fits) or ``"bye"``.
        number: Which slot or fact.
        venue: Which venue.
    """

    kind: str
    number: int = -1
    venue: int = -1


class UserAct(NamedTuple):
    """What a sentence of the user's means.

    Attributes:
        kind: One of the keys of `USER_SENTENCES`.
        number: Which slot, or which fact.
        value: The slot's value; none where the user does not mind.
    """

    kind: str
    number: int = -1
    value: str | None = None


SYSTEM_ACTS = (
    *(SystemAct("ask", slot) for slot in range(NUM_SLOTS)),
    *(SystemAct("offer", -1, venue) for venue in range(MAX_VENUES)),
    *(SystemAct("answer", f, v) for f in range(NUM_FACTS) for v in range(MAX_VENUES)),
    SystemAct("nothing"),
    SystemAct("bye"),
)
"""Every act of the system, by its number."""
ACT_NUMBERS = {act: number for number, act in enumerate(SYSTEM_ACTS)}

SYSTEM_SENTENCES = {
    "ask": ("What {slot} would you like?", "Which {slot} do you want?"),
    "offer": ("How about {venue}?", "I can offer {venue}."),
    "answer": ("The {fact} is {value}.", "It is {value}."),
    "nothing": ("Sorry, nothing fits.", "I have nothing like that."),
    "bye": ("Goodbye.", "Thank you, goodbye."),
}
NUM_PHRASINGS = 2

USER_SENTENCES = {
    "inform": ("I would like {thing}.", "{Tail}, please."),
    "also": ("And {tail}, please.", "Also {tail}, please."),
    "correct": ("Sorry, I meant {thing}.", "I meant {thing}, sorry."),
    "relax": ("Then {thing} is fine.", "Well, {thing} would do."),
    "reject": ("No, I want {thing}.", "But I need {thing}."),
    "refuse": ("No, that will not do.", "No, that is not for me."),
    "doubt": ("Are you sure? I want {thing}.", "There must be {thing}."),
    "protest": ("Are you sure?", "There must be something."),
    "repeat": ("I said {thing}.", "As I said, {thing}."),
    "accept": ("That sounds good.", "Perfect."),
    "request": ("{What} is the {fact}?", "And {what} is the {fact}, please?"),
    "insist": ("I asked {what} the {fact} is.", "Please, {what} is the {fact}?"),
    "thank": ("Thank you.", "Good."),
    "unclear": ("Let me think.", "I am not sure yet."),
    "puzzled": ("Sorry, I do not understand.", "What do you mean?"),
    "early": ("I have not chosen yet.", "But I have not chosen yet."),
    "done": ("Thank you, that is all.", "That is all, thank you."),
    "leave": ("Never mind, goodbye.", "This is no use, goodbye."),
    "close": ("Goodbye.", "Bye."),
}
_DO_NOT_MIND = {
    "inform": ("Any {slot} is fine.", "The {slot} does not matter."),
    "relax": ("Then any {slot} is fine.", "Then the {slot} does not matter."),
    "repeat": ("As I said, any {slot} is fine.", "I said the {slot} does not matter."),
}
TELLING = frozenset(("inform", "also", "correct", "relax", "reject", "doubt", "repeat"))
"""The acts that tell a slot's value."""
REQUESTING = frozenset(("request", "insist"))
"""The acts that ask for a fact."""
PAIRS = ("inform", "accept", "thank"), ("also", "correct", "request")
"""The acts with which a turn of two sentences begins, and those with which it ends."""

GREETINGS = ("Hello, ", "Good morning, ", "")
WISHES = ("I want", "I need", "I would like", "I am looking for")


def system_sentences(act: SystemAct, kind: Kind, venues: tuple[Venue, ...]) -> tuple[str, ...]:
    """The ways to say an act of the system, `NUM_PHRASINGS` of them."""
    forms = SYSTEM_SENTENCES[act.kind]
    if act.kind == "ask":
        return tuple(form.format(slot=kind.slots[act.number].name) for form in forms)
    if act.kind == "offer":
        return tuple(form.format(venue=venues[act.venue].name) for form in forms)
    if act.kind == "answer":
        fact, value = kind.facts[act.number].said, venues[act.venue].facts[act.number]
        return tuple(form.format(fact=fact, value=value) for form in forms)
    return forms


def system_turns(kind: Kind, venues: tuple[Venue, ...]) -> list[tuple[SystemAct, str]]:
    """Every well-formed turn about some venues with its act, the first phrasings first."""
    said = [
        (act, system_sentences(act, kind, venues)) for act in SYSTEM_ACTS if act.venue < len(venues)
    ]
    return [(act, forms[number]) for number in range(NUM_PHRASINGS) for act, forms in said]


@cache
def user_sentences(act: UserAct, kind: str) -> tuple[str, ...]:
    """The ways to say an act of the user of a kind of venue."""
    forms = USER_SENTENCES[act.kind]
    if act.kind in TELLING:
        slot = KINDS[kind].slots[act.number]
        if act.value is None:
            return tuple(form.format(slot=slot.name) for form in _DO_NOT_MIND[act.kind])
        thing, tail = slot.thing.format(v=act.value), slot.tail.format(v=act.value)
        capital = f"{tail[0].upper()}{tail[1:]}"
        return tuple(form.format(thing=thing, tail=tail, Tail=capital) for form in forms)
    if act.kind in REQUESTING:
        fact = KINDS[kind].facts[act.number]
        what = "who" if fact.person else "what"
        return tuple(
            form.format(fact=fact.said, what=what, What=what.capitalize()) for form in forms
        )
    return forms


def all_user_sentences(acts: Iterable[str] = USER_SENTENCES) -> Iterator[str]:
    """Every sentence that a user can say after the opening, or those of some kinds of acts."""
    for kind in KINDS.values():
        for act in _user_acts(kind, acts):
            yield from user_sentences(act, kind.name)


def _user_acts(kind: Kind, names: Iterable[str]) -> Iterator[UserAct]:
    for name in names:
        if name in TELLING:
            for number, slot in enumerate(kind.slots):
                yield from (UserAct(name, number, value) for value in slot.values)
                if name in _DO_NOT_MIND:
                    yield UserAct(name, number)
        elif name in REQUESTING:
            yield from (UserAct(name, number) for number in range(len(kind.facts)))
        else:
            yield UserAct(name)


def opening(kind: Kind, wishes: dict[int, str], greeting: str, wish: str) -> str:
    """A first turn that tells the wishes, a value for each slot.

    >>> opening(KINDS["restaurant"], {0: "cheap", 2: "north"}, "Hello, ", "I need")
    'Hello, I need a cheap restaurant in the north.'
    """
    leading = [value for number, value in wishes.items() if kind.slots[number].leads]
    following = [
        kind.slots[number].tail.format(v=value)
        for number, value in wishes.items()
        if not kind.slots[number].leads
    ]
    noun = " ".join([*leading, kind.name, *following])
    article = "an" if noun[0] in "aeio" else "a"
    return f"{greeting}{wish} {article} {noun}."
