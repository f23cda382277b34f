"""What users of the simulated dialogues want, each of them of a few venues of its own."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from textenvs.data.world.entities import pick
from textenvs.data.world.sequence import WorldSequence
from textenvs.data.world.speech import GREETINGS, WISHES, opening
from textenvs.data.world.venues import KINDS, NUM_FACTS, Listing, Venue, draw_listing

INDIFFERENT_RATE = 0.35
"""How often a user has no wish about one of the slots."""
RELAX_RATE, CORRECT_RATE = 0.25, 0.25
"""How often nothing fits at first, and how often a user says a wish wrongly at first."""
UNCLEAR_RATE = 0.25
"""How often a user answers one of the system's questions with nothing."""


class Change(NamedTuple):
    """How a wish changes in the course of a dialogue.

    Attributes:
        why: ``"correct"``: the user said something else than was meant, and will say so;
            ``"relax"``: there is no such venue, and the user gives way when told so.
        slot: Whose wish it is.
        value: The wish from then on; none if the user does not mind any more.
    """

    why: str
    slot: int
    value: str | None


@dataclass(frozen=True, slots=True)
class Goal:
    """What a user wants of some venues, and how the user goes about it.

    Attributes:
        id: Unique within its data set.
        kind: Which kind of venue it is, among `KINDS`.
        venues: Those that there are.
        wishes: For each slot the value that the user asks for at first; none does not mind.
        change: What becomes of one of the wishes.
        requests: The facts that the user asks for, in this order.
        opening: The slots whose wishes the first turn tells.
        first_turn: The first turn.
        unclear_turn: From which of the system's turns on a question is once not answered; 0:
            never.
        temper: Random bits that settle whatever else is open: phrasings, and how much is said.
    """

    id: str
    kind: str
    venues: tuple[Venue, ...]
    wishes: tuple[str | None, ...]
    change: Change | None
    requests: tuple[int, ...]
    opening: tuple[int, ...]
    first_turn: str
    unclear_turn: int
    temper: int

    @property
    def final_wishes(self) -> tuple[str | None, ...]:
        """For each slot the value that the chosen venue must have."""
        wishes = list(self.wishes)
        if self.change is not None:
            wishes[self.change.slot] = self.change.value
        return tuple(wishes)

    @property
    def listing(self) -> tuple[str, ...]:
        """The venues as the lines of a table, which a line of headings begins."""
        kind = KINDS[self.kind]
        headings = (*(slot.name for slot in kind.slots), *(fact.name for fact in kind.facts))
        rows = ((venue.name, *venue.values, *venue.facts) for venue in self.venues)
        return tuple(" ".join(cells) for cells in ((self.kind, *headings), *rows))


def fits(venue: Venue, wishes: tuple[str | None, ...] | list[str | None]) -> bool:
    """Whether a venue has every value that is wished for."""
    return all(
        wish is None or wish == value for wish, value in zip(wishes, venue.values, strict=True)
    )


class WorldDialogue(WorldSequence[Goal]):
    """Goals of users who look for a restaurant, a hotel, a concert or a course.

    Each has five or six venues of its own to choose from, several of which meet all but one of the
    wishes, so that a system has to ask before it offers, and to look up what it answers. The
    names of one split occur in no other. Training has 50,000 goals unless `size` says otherwise,
    validation and test 1,000 each.

    >>> goal = WorldDialogue("train")[0]
    >>> any(fits(venue, goal.final_wishes) for venue in goal.venues)
    True
    """

    def _make(self, index: int, random: Random) -> Goal:
        listing = draw_listing(self.split, random)
        wishes: list[str | None] = list(listing.venues[listing.target].values)
        if random.random() < INDIFFERENT_RATE:
            wishes[int(random.random() * len(wishes))] = None
        change = _draw_change(listing, wishes, random)
        told = _draw_opening(wishes, random)
        return Goal(
            id=f"{self.split}-{index}",
            kind=listing.kind.name,
            venues=listing.venues,
            wishes=tuple(wishes),
            change=change,
            requests=tuple(random.sample(range(NUM_FACTS), pick((1, 2, 2, 3), random))),
            opening=tuple(told),
            first_turn=opening(
                listing.kind,
                told,
                greeting=pick(GREETINGS, random),
                wish=pick(WISHES, random),
            ),
            unclear_turn=pick((1, 1, 2), random) if random.random() < UNCLEAR_RATE else 0,
            temper=random.getrandbits(64),
        )


def _draw_opening(wishes: list[str | None], random: Random) -> dict[int, str]:
    """One or two of the wishes, in the order of their slots."""
    known = [(slot, wish) for slot, wish in enumerate(wishes) if wish is not None]
    return dict(sorted(random.sample(known, pick((1, 1, 1, 2), random))))


def _draw_change(listing: Listing, wishes: list[str | None], random: Random) -> Change | None:
    """What becomes of one of the wishes, which is set to what the user asks for at first."""
    slot = pick([slot for slot, wish in enumerate(wishes) if wish is not None], random)
    final = wishes[slot]
    level = random.random()
    if level < CORRECT_RATE:
        there = {venue.values[slot] for venue in listing.venues} - {final}
        wishes[slot] = pick(sorted(there), random)
        return Change("correct", slot, final)
    if level < CORRECT_RATE + RELAX_RATE:
        others = [*wishes[:slot], None, *wishes[slot + 1 :]]
        there = {venue.values[slot] for venue in listing.venues if fits(venue, others)}
        missing = [value for value in listing.kind.slots[slot].values if value not in there]
        if missing:
            wishes[slot] = pick(missing, random)
            return Change("relax", slot, pick((final, None), random))
    return None
