"""A user with a goal and an agenda, who talks with a system by acts."""

from __future__ import annotations

from textenvs.data.world.dialogue import Goal
from textenvs.data.world.speech import SystemAct, UserAct, user_sentences

VOLUNTEER_BITS = 0b11
"""A user tells more than was asked for where these bits of the temper are 0: every fourth time."""
_BITS_A_TURN = 4


class SimulatedUser:
    """Agenda-based user simulation (Schatzmann et al. 2007).

    The agenda is a stack of what the user has yet to say: wishes, above the facts to ask for, above
    that this was all. What the system says takes items off it (a fact that is answered), brings
    them up (a wish that is asked for) or puts a reaction before them; the user says what comes out
    on top. The goal fixes everything, so that the same turns of a system have the same answers.

    A turn of the system that helps nothing is useless: it was not understood, offers what does not
    fit, asks for what was said, answers what was not asked. After ``patience`` such turns the user
    leaves.

    Attributes:
        wishes: What the user has in mind for each slot; none does not mind.
        choice: The venue that the user has chosen, or -1.
        answers: What the user was told of each fact asked for.
        useless: How many of the system's turns were useless.
        left: Whether the user has gone, or was sent away.
    """

    def __init__(self, goal: Goal, patience: int) -> None:
        self.goal = goal
        self.patience = patience
        self.wishes = list(goal.wishes)
        self.choice = -1
        self.answers: dict[int, str] = {}
        self.useless = 0
        self.left = False
        self._turn = 0
        self._temper = goal.temper
        self._told = [slot in goal.opening for slot in range(len(goal.wishes))]
        self._agenda = [
            UserAct("done"),
            *(UserAct("request", fact) for fact in reversed(goal.requests)),
            *(
                UserAct("inform", slot, wish)
                for slot, wish in enumerate(goal.wishes)
                if wish is not None and slot not in goal.opening
            ),
        ]
        change = goal.change
        self._relaxation = change if change is not None and change.why == "relax" else None
        self._mistaken = -1
        self._unclear_turn = goal.unclear_turn
        if change is not None and change.why == "correct":
            self._mistaken = change.slot
            self.wishes[change.slot] = change.value

    @property
    def progress(self) -> float:
        """The share of what makes the user content: a fitting venue, and each true answer."""
        if self.choice < 0:
            return 0.0
        facts = self.goal.venues[self.choice].facts
        right = sum(facts[fact] == value for fact, value in self.answers.items())
        return (1 + right) / (1 + len(self.goal.requests))

    @property
    def content(self) -> bool:
        """Whether a fitting venue is chosen and every request truly answered."""
        return self.progress == 1

    def reply(self, act: SystemAct | None) -> tuple[UserAct, ...]:
        """The user's turn after the system's, none being one that was not understood."""
        self._turn += 1
        self._temper = self._temper >> _BITS_A_TURN or self.goal.temper
        if act is None:
            acts = self._bear(UserAct("puzzled"))
        elif act.kind == "bye":
            self.left = True
            return (UserAct("close"),)
        elif act.kind == "answer":
            acts = self._hear_answer(act.number, act.venue)
        elif self.choice >= 0:
            acts = self._bear(self._insist())
        elif act.kind == "ask":
            acts = self._hear_question(act.number)
        elif act.kind == "offer":
            acts = self._hear_offer(act.venue)
        else:
            acts = self._hear_that_nothing_fits()
        if self.useless >= self.patience:
            self.left = True
            return (UserAct("leave"),)
        return acts

    def sentences(self, acts: tuple[UserAct, ...]) -> tuple[str, ...]:
        """How the user says this turn."""
        kind, variant = self.goal.kind, self._temper >> 2 & 1
        return tuple(user_sentences(act, kind)[variant] for act in acts)

    def _bear(self, *acts: UserAct) -> tuple[UserAct, ...]:
        self.useless += 1
        return acts

    def _insist(self) -> UserAct:
        """What is due once a venue is chosen, said again."""
        due = self._agenda[-1]
        return due._replace(kind="insist") if due.kind == "request" else due

    def _hear_question(self, slot: int) -> tuple[UserAct, ...]:
        if self._told[slot]:
            if slot == self._mistaken:
                return (self._correct(),)
            return self._bear(UserAct("repeat", slot, self.wishes[slot]))
        if 0 < self._unclear_turn <= self._turn:
            self._unclear_turn = 0
            return (UserAct("unclear"),)
        correction = self._mistaken >= 0 and self._told[self._mistaken]
        answer = self._tell(slot, "inform")
        if correction:
            return answer, self._correct()
        if self._agenda[-1].kind == "inform" and not self._temper & VOLUNTEER_BITS:
            return answer, self._tell(self._agenda[-1].number, "also")
        return (answer,)

    def _tell(self, slot: int, kind: str) -> UserAct:
        """A wish that was not yet told, as it is first said; it comes off the agenda."""
        self._told[slot] = True
        wish = self.goal.wishes[slot]
        if wish is not None:
            self._agenda.remove(UserAct("inform", slot, wish))
        return UserAct(kind, slot, wish)

    def _correct(self) -> UserAct:
        slot, self._mistaken = self._mistaken, -1
        return UserAct("correct", slot, self.wishes[slot])

    def _hear_offer(self, venue: int) -> tuple[UserAct, ...]:
        values = self.goal.venues[venue].values
        wrong = [
            slot
            for slot, wish in enumerate(self.wishes)
            if wish is not None and wish != values[slot]
        ]
        if not wrong:
            self.choice = venue
            while self._agenda[-1].kind == "inform":
                self._agenda.pop()
            return UserAct("accept"), self._agenda[-1]
        if self._mistaken in wrong and self._told[self._mistaken]:
            return (self._correct(),)
        return self._bear(self._repeat(wrong, "reject") or UserAct("refuse"))

    def _repeat(self, slots: list[int], kind: str) -> UserAct | None:
        """The first wish of some slots that was told; a user who objects tells nothing new."""
        for slot in slots:
            if self._told[slot]:
                return UserAct(kind, slot, self.wishes[slot])
        return None

    def _hear_that_nothing_fits(self) -> tuple[UserAct, ...]:
        if self._relaxation is not None:
            _, slot, value = self._relaxation
            self._relaxation = None
            if not self._told[slot]:
                self._tell(slot, "relax")
            self.wishes[slot] = value
            return (UserAct("relax", slot, value),)
        if self._mistaken >= 0 and self._told[self._mistaken]:
            return (self._correct(),)
        wished = [slot for slot, wish in enumerate(self.wishes) if wish is not None]
        return self._bear(self._repeat(wished, "doubt") or UserAct("protest"))

    def _hear_answer(self, fact: int, venue: int) -> tuple[UserAct, ...]:
        if self.choice < 0:
            return self._bear(UserAct("early"))
        value = self.goal.venues[venue].facts[fact]
        request = UserAct("request", fact)
        if request in self._agenda:
            self._agenda.remove(request)
            self.answers[fact] = value
            due = self._agenda[-1]
            return (UserAct("thank"), due) if due.kind == "request" else (due,)
        if fact in self.answers:
            self.answers[fact] = value  # the system corrects itself
        return self._bear(self._insist())
