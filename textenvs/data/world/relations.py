"""What passages state and questions ask: relations between entities, each in several phrasings.

In a phrasing, ``{s}`` stands for the subject, ``{v}`` for its value and ``{w}`` for a second value
(a year). Statements that begin with ``{s}`` may have a pronoun there, and two of them about one
subject may be joined by "and". Every statement of a relation implies all of its questions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Relation:
    """A relation, the ways to state it and the ways to ask for each of its parts.

    Attributes:
        subject: The kind of its subject: ``"person"``, ``"firm"`` or ``"event"``.
        values: The kinds of ``{v}`` and, where there is one, of ``{w}``.
        topic: Two relations of one topic are kept out of the same passage, as one could seem to
            answer a question about the other.
        statements: Sentences without their full stop.
        about: For each part that is asked for (``"s"``, ``"v"``, ``"w"``), the questions.
    """

    subject: str
    values: tuple[str, ...]
    topic: str
    statements: tuple[str, ...]
    about: dict[str, tuple[str, ...]]

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """The parts that are asked for."""
        return tuple(self.about)

    @cached_property
    def leading(self) -> tuple[str, ...]:
        """The statements that begin with the subject."""
        return tuple(text for text in self.statements if text.startswith("{s} "))


def _relation(subject: str, values: str, topic: str, statements: str, **about: str) -> Relation:
    """A relation from text: kinds apart by spaces, phrasings by ``|``."""

    def phrasings(text: str) -> tuple[str, ...]:
        return tuple(" ".join(part.split()) for part in text.split("|"))

    return Relation(
        subject=subject,
        values=tuple(values.split()),
        topic=topic,
        statements=phrasings(statements),
        about={part: phrasings(text) for part, text in about.items()},
    )


RELATIONS = (
    _relation(
        "person",
        "place",
        "birth",
        """{s} was born in {v} | {s} comes from {v} | {s} is a native of {v}
        | The birthplace of {s} is {v} | {s} was born in the town of {v}""",
        v="""Where was {s} born? | In which town was {s} born? | What is the birthplace of {s}?
        | Where does {s} come from?""",
        s="""Who was born in {v}? | Who comes from {v}? | Who is a native of {v}?
        | Whose birthplace is {v}?""",
    ),
    _relation(
        "person",
        "place year",
        "birth",
        """{s} was born in {v} in {w} | In {w}, {s} was born in {v} | {s}, born in {w}, is from {v}
        | {s} was born in {w} in {v}""",
        v="""Where was {s} born? | In which town was {s} born? | What is the birthplace of {s}?
        | Where is {s} from?""",
        w="""When was {s} born? | In which year was {s} born? | What is the year of birth of {s}?
        | In what year was {s} born?""",
        s="""Who was born in {v}? | Who was born in {w}? | Who is from {v}?
        | Whose birthplace is {v}?""",
    ),
    _relation(
        "person",
        "place",
        "home",
        """{s} lives in {v} | {s} has a home in {v} | {s} now lives in {v}
        | The home of {s} is in {v} | {s} has settled in {v}""",
        v="""Where does {s} live? | In which town does {s} live? | Where is the home of {s}?
        | Which town is home to {s}?""",
        s="""Who lives in {v}? | Who has a home in {v}? | Whose home is in {v}?
        | Who has settled in {v}?""",
    ),
    _relation(
        "person",
        "place year",
        "home",
        """{s} moved to {v} in {w} | In {w}, {s} moved to {v} | {s} settled in {v} in {w}
        | In {w}, {s} went to live in {v}""",
        v="""Where did {s} move in {w}? | Which town did {s} move to? | Where did {s} settle?
        | To which town did {s} move?""",
        w="""When did {s} move to {v}? | In which year did {s} move to {v}? | When did {s} move?
        | In which year did {s} settle in {v}?""",
        s="""Who moved to {v}? | Who settled in {v}? | Who moved in {w}?
        | Who went to live in {v}?""",
    ),
    _relation(
        "person",
        "job",
        "job",
        """{s} works as {v} | {s} is {v} | {s} is {v} by trade | {s} earns a living as {v}
        | By profession, {s} is {v}""",
        v="""What does {s} work as? | What is the job of {s}? | What does {s} do for a living?
        | What is the profession of {s}?""",
        s="""Who works as {v}? | Who is {v}? | Who is {v} by trade?
        | Who earns a living as {v}?""",
    ),
    _relation(
        "person",
        "firm",
        "employer",
        """{s} works for {v} | {s} is employed by {v} | {s} has a job at {v}
        | The employer of {s} is {v} | {s} is on the staff of {v}""",
        v="""Who does {s} work for? | Which firm does {s} work for? | Which firm employs {s}?
        | Where does {s} have a job?""",
        s="""Who works for {v}? | Who is employed by {v}? | Who has a job at {v}?
        | Who is on the staff of {v}?""",
    ),
    _relation(
        "person",
        "firm year",
        "employer",
        """{s} joined {v} in {w} | In {w}, {s} joined {v} | {s} has worked for {v} since {w}
        | Since {w}, {s} has been with {v}""",
        v="""Which firm did {s} join? | Which firm did {s} join in {w}?
        | Who has {s} worked for since {w}? | What did {s} join in {w}?""",
        w="""When did {s} join {v}? | In which year did {s} join {v}?
        | Since when has {s} worked for {v}? | When did {s} start at {v}?""",
        s="""Who joined {v}? | Who joined {v} in {w}? | Who has worked for {v} since {w}?
        | Who started at {v} in {w}?""",
    ),
    _relation(
        "person",
        "hobby",
        "hobby",
        """{s} likes {v} | {s} is fond of {v} | {s} enjoys {v} | At weekends, {s} enjoys {v}
        | The favourite pastime of {s} is {v}""",
        v="""What does {s} like? | What is {s} fond of? | What does {s} enjoy?
        | Which pastime does {s} like?""",
        s="Who likes {v}? | Who is fond of {v}? | Who enjoys {v}? | Who has a liking for {v}?",
    ),
    _relation(
        "person",
        "subject",
        "study",
        """{s} studied {v} | {s} has a degree in {v} | {s} took a degree in {v}
        | {s} went to college to study {v}""",
        v="""What did {s} study? | Which subject did {s} study? | What has {s} studied?
        | At college, what did {s} study?""",
        s="""Who studied {v}? | Who went to college to study {v}? | Who has studied {v}?
        | Which person studied {v}?""",
    ),
    _relation(
        "person",
        "pet",
        "pet",
        "{s} has {v} | {s} keeps {v} | {s} owns {v} | {s} looks after {v} | The pet of {s} is {v}",
        v="""Which pet does {s} have? | What pet does {s} keep? | Which animal does {s} keep?
        | Which animal does {s} look after?""",
        s="Who has {v}? | Who keeps {v}? | Who looks after {v}? | Whose pet is {v}?",
    ),
    _relation(
        "person",
        "instrument",
        "music",
        """{s} plays {v} | {s} plays {v} in a band | {s} has played {v} for years
        | The instrument of {s} is {v} | {s} plays {v} very well""",
        v="""What does {s} play? | Which instrument does {s} play? | What can {s} play?
        | What is the instrument of {s}?""",
        s="Who plays {v}? | Who can play {v}? | Whose instrument is {v}? | Which person plays {v}?",
    ),
    _relation(
        "firm",
        "person",
        "founder",
        """{s} was founded by {v} | {v} founded {s} | {v} is the founder of {s}
        | {v} started {s} | {s} was started by {v}""",
        v="""Who founded {s}? | Who is the founder of {s}? | Who started {s}?
        | By whom was {s} founded?""",
        s="""What did {v} found? | Which firm did {v} found? | Which firm did {v} start?
        | Which firm was founded by {v}?""",
    ),
    _relation(
        "firm",
        "person year",
        "founder",
        """{s} was founded by {v} in {w} | {v} founded {s} in {w} | In {w}, {v} started {s}
        | In {w}, {s} was founded by {v}""",
        v="""Who founded {s}? | Who founded {s} in {w}? | Who started {s}?
        | By whom was {s} founded?""",
        w="""When was {s} founded? | In which year was {s} founded? | When did {v} found {s}?
        | When was {s} started?""",
        s="""What did {v} found in {w}? | Which firm did {v} found? | Which firm did {v} start?
        | Which firm was founded in {w}?""",
    ),
    _relation(
        "firm",
        "person",
        "head",
        """{v} runs {s} | {v} is the head of {s} | {s} is run by {v} | {s} is led by {v}
        | The head of {s} is {v}""",
        v="""Who runs {s}? | Who is the head of {s}? | Who leads {s}? | By whom is {s} run?""",
        s="""Which firm does {v} run? | Which firm does {v} lead? | Which firm is run by {v}?
        | What does {v} run?""",
    ),
    _relation(
        "firm",
        "year",
        "founder",
        """{s} was founded in {v} | {s} opened in {v} | {s} dates from {v}
        | {s} has existed since {v}""",
        v="""When was {s} founded? | In which year was {s} founded? | When did {s} open?
        | Since when has {s} existed?""",
        s="""Which firm was founded in {v}? | Which firm opened in {v}? | What opened in {v}?
        | Which firm dates from {v}?""",
    ),
    _relation(
        "firm",
        "place",
        "seat",
        """{s} is based in {v} | {s} has its head office in {v} | The head office of {s} is in {v}
        | {s} has its home in {v}""",
        v="""Where is {s} based? | In which town is {s} based? | Where is the head office of {s}?
        | Which town is home to {s}?""",
        s="""Which firm is based in {v}? | What is based in {v}?
        | Which firm has its head office in {v}? | Whose head office is in {v}?""",
    ),
    _relation(
        "firm",
        "product",
        "product",
        """{s} makes {v} | {s} produces {v} | {s} is a maker of {v} | {s} has always made {v}
        | {s} earns its money with {v}""",
        v="""What does {s} make? | What does {s} produce? | What is made by {s}?
        | Which goods does {s} make?""",
        s="""Which firm makes {v}? | Who makes {v}? | Which firm produces {v}?
        | Which firm is a maker of {v}?""",
    ),
    _relation(
        "event",
        "place",
        "venue",
        """{s} takes place in {v} | {s} is held in {v} | {v} hosts {s} | {v} is the home of {s}""",
        v="""Where does {s} take place? | Where is {s} held? | Which town hosts {s}?
        | In which town is {s} held?""",
        s="""What takes place in {v}? | What is held in {v}? | Which event does {v} host?
        | Which event is held in {v}?""",
    ),
    _relation(
        "event",
        "month",
        "month",
        """{s} takes place in {v} | {s} is held in {v} | {s} begins in {v}
        | Every {v}, {s} takes place""",
        v="""When does {s} take place? | When is {s} held? | In which month is {s} held?
        | In which month does {s} begin?""",
        s="""What takes place in {v}? | What is held in {v}? | Which event takes place in {v}?
        | Which event is held in {v}?""",
    ),
    _relation(
        "event",
        "person year",
        "winner",
        """{v} won {s} in {w} | In {w}, {v} won {s} | {s} was won by {v} in {w}
        | The winner of {s} in {w} was {v}""",
        v="""Who won {s}? | Who won {s} in {w}? | Who was the winner of {s}?
        | By whom was {s} won?""",
        w="""When did {v} win {s}? | In which year did {v} win? | When was {s} won by {v}?
        | In which year was {s} won by {v}?""",
        s="""What did {v} win? | What did {v} win in {w}? | Which event did {v} win?
        | Which event was won by {v}?""",
    ),
    _relation(
        "event",
        "firm",
        "sponsor",
        """{v} sponsors {s} | {s} is sponsored by {v} | {s} is paid for by {v}
        | {v} pays for {s}""",
        v="""Who sponsors {s}? | Which firm sponsors {s}? | Which firm pays for {s}?
        | By whom is {s} sponsored?""",
        s="""What does {v} sponsor? | Which event does {v} sponsor? | Which event does {v} pay for?
        | Which event is sponsored by {v}?""",
    ),
)
