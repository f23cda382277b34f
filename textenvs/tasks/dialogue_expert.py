"""A rule-based system that knows the venues and what the user has said, and no more."""

from __future__ import annotations

from textenvs.data.world.dialogue import Goal, fits
from textenvs.data.world.speech import REQUESTING, TELLING, SystemAct, UserAct
from textenvs.data.world.venues import Venue
from textenvs.tasks.simulated_user import SimulatedUser


class RuleBasedSystem:
    """Asks while that tells the fitting venues apart, offers one, answers, and says goodbye.

    Args:
        venues: The venues that there are.
        opening: What the user's first turn tells.
    """

    def __init__(self, venues: tuple[Venue, ...], opening: tuple[UserAct, ...]) -> None:
        self._venues = venues
        self._wishes: list[str | None] = [None] * len(venues[0].values)
        self._heard: set[int] = set()
        self._offered = self._chosen = self._requested = -1
        self._refused = self._done = False
        self._listen(opening)

    def hear(self, said: SystemAct | None, acts: tuple[UserAct, ...]) -> None:
        """Take note of a turn of its own (none: it was not understood) and of the user's answer."""
        if said is not None and said.kind == "offer" and self._chosen < 0:
            self._offered = said.venue
        self._listen(acts)

    def _listen(self, acts: tuple[UserAct, ...]) -> None:
        for act in acts:
            if act.kind in TELLING:
                self._wishes[act.number] = act.value
                self._heard.add(act.number)
                self._refused = False
            elif act.kind == "refuse":
                self._refused = True  # for a wish that is yet unknown
            elif act.kind in REQUESTING:
                self._requested = act.number
            elif act.kind == "accept":
                self._chosen = self._offered
            elif act.kind == "done":
                self._done = True

    def act(self) -> SystemAct:
        """What to say next."""
        if self._done:
            return SystemAct("bye")
        if self._chosen >= 0:
            return SystemAct("answer", self._requested, self._chosen)
        fitting = [v for v, venue in enumerate(self._venues) if fits(venue, self._wishes)]
        if not fitting:
            return SystemAct("nothing")
        unknown = [slot for slot in range(len(self._wishes)) if slot not in self._heard]
        choices = [len({self._venues[v].values[slot] for v in fitting}) for slot in unknown]
        if choices and (max(choices) > 1 or self._refused):
            return SystemAct("ask", unknown[choices.index(max(choices))])
        return SystemAct("offer", -1, fitting[0])


def opening_acts(goal: Goal) -> tuple[UserAct, ...]:
    """What the first turn of a user tells."""
    return tuple(UserAct("inform", slot, goal.wishes[slot]) for slot in goal.opening)


def converse(goal: Goal, patience: int) -> tuple[SimulatedUser, list[tuple[SystemAct, str]]]:
    """A dialogue of the rule-based system with a user.

    Returns:
        The user as the dialogue leaves it, and of each of its turns what the system means and what
        the user answers.
    """
    user = SimulatedUser(goal, patience)
    system = RuleBasedSystem(goal.venues, opening_acts(goal))
    turns = []
    while not user.left:
        act = system.act()
        acts = user.reply(act)
        system.hear(act, acts)
        turns.append((act, " ".join(user.sentences(acts))))
    return user, turns
