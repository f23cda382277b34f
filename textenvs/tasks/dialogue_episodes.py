"""Dialogues with simulated users in progress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from textenvs.data.world.speech import SYSTEM_ACTS
from textenvs.tasks.base import Episodes, Slots
from textenvs.tasks.dialogue import turn_parts
from textenvs.tasks.dialogue_expert import RuleBasedSystem, opening_acts
from textenvs.tasks.simulated_user import SimulatedUser
from textenvs.tasks.turn_trie import NO_ACT, TriePlaces
from textenvs.views import Part

if TYPE_CHECKING:
    from textenvs.tasks.dialogue_simulated import SimulatedDialogueTask


class SimulatedDialogues(Episodes):
    """Dialogues with simulated users, who are asked only when a turn of the system is over."""

    reveals = False
    task: SimulatedDialogueTask
    turn_starts: NDArray[np.int32]
    turns: NDArray[np.int32]
    turns_needed: NDArray[np.int32]
    nodes: NDArray[np.int32]
    first_edges: NDArray[np.int32]
    edge_actions: NDArray[np.int32]
    node_acts: NDArray[np.int32]

    def __init__(self, task: SimulatedDialogueTask, num_slots: int) -> None:
        super().__init__(task, num_slots)
        self._places = TriePlaces(self.nodes, self.first_edges, self.edge_actions, self.node_acts)
        self._users: dict[int, SimulatedUser] = {}
        self._experts: dict[int, RuleBasedSystem] = {}
        self._scores = np.zeros(num_slots)
        self._successes = np.zeros(num_slots)

    def _begin(self, slots: NDArray[np.intp]) -> None:
        task = self.task
        self._scores[slots] = self._successes[slots] = 0.0
        for slot, index in zip(slots.tolist(), self.indices[slots].tolist(), strict=True):
            goal = task.goal(index)
            self._users[slot] = SimulatedUser(goal, task.patience)
            self._experts[slot] = RuleBasedSystem(goal.venues, opening_acts(goal))

    def _advance(self, slots: Slots, actions: Any) -> Any:
        task = self.task
        self._places.advance(slots, actions)
        lengths = self.lengths[slots] + 1
        self.lengths[slots] = lengths
        spent = lengths - self.turn_starts[slots] == task.max_turn_tokens
        over = (actions == task.eos_action) | spent
        if isinstance(slots, int):
            return bool(over) and self._hand_over(slots, int(self._places.acts(slots)))
        done = np.zeros(len(slots), np.bool_)
        handed_over = slots[over]
        acts = self._places.acts(handed_over)
        done[over] = [*map(self._hand_over, handed_over.tolist(), acts.tolist())]
        return done

    def _hand_over(self, slot: int, act: int) -> bool:
        """The user's turn, after one of the system's; returns whether the dialogue is over."""
        task, user, length = self.task, self._users[slot], int(self.lengths[slot])
        if act == NO_ACT:
            said = self.tokens[slot, self.turn_starts[slot] : length]
            act = task.understand(int(self.indices[slot]), said)
        meant = SYSTEM_ACTS[act] if act != NO_ACT else None
        answer = user.reply(meant)
        self._experts[slot].hear(meant, answer)
        turns = int(self.turns[slot]) + 1
        over = user.left or turns == task.max_turns
        tokens = task.writer.user_turn(user.sentences(answer), over)
        end = length + len(tokens)
        self.tokens[slot, length:end] = tokens
        self.lengths[slot] = self.turn_starts[slot] = end
        self.turns[slot] = turns
        self.nodes[slot] = 0
        extra = max(0, turns - int(self.turns_needed[slot]))
        worth = max(0.0, 1 - task.turn_cost * extra)
        if over:
            self._successes[slot] = user.content
            self._scores[slot] = worth * user.content
        else:
            self._scores[slot] = worth * user.progress
        return over

    def score(self, slots: Slots) -> Any:
        """The share of success that is reached, less the cost of extra turns."""
        return self._scores[slots].copy()

    def legal(self, slots: Slots) -> NDArray[np.int8]:
        """The tokens that continue a well-formed turn; where there are none, EOS."""
        many = np.array([slots]) if isinstance(slots, int) else slots
        masks = np.zeros((len(many), len(self.task.action_tokens)), np.int8)
        rows, actions = self._places.next_actions(many)
        masks[rows, actions] = 1
        lost = np.ones(len(many), np.bool_)
        lost[rows] = False
        masks[lost, self.task.eos_action] = 1
        return masks[0] if isinstance(slots, int) else masks

    def expert(self, slots: Slots) -> Any:
        """What the rule-based system writes; a turn that was begun otherwise it completes."""
        if isinstance(slots, int):
            return self.expert(np.array([slots]))[0]
        leading_on: list[list[int]] = [[] for _ in slots]
        rows, actions = self._places.next_actions(slots)
        for row, action in zip(rows.tolist(), actions.tolist(), strict=True):
            leading_on[row].append(action)
        return np.array([*map(self._expert, slots.tolist(), leading_on)], np.intp)

    def _expert(self, slot: int, leading_on: list[int]) -> int:
        if not leading_on:
            return self.task.eos_action
        step = int(self.steps[slot])
        written = int(self.lengths[slot] - self.turn_starts[slot])
        begun = tuple(self.actions[slot, step - written : step].tolist())
        act = self._experts[slot].act()
        for plan in self.task.plans(int(self.indices[slot]), act):
            if plan[:written] == begun and plan[written] in leading_on:
                return plan[written]
        return leading_on[0]

    def metrics(self, slots: Slots) -> dict[str, Any]:
        """The score, whether it was a success, and the turns that it took."""
        turns = self.turns[slots]
        return {
            "score": self._scores[slots].copy(),
            "success": self._successes[slots].copy(),
            "turns": turns,
            "extra_turns": np.maximum(turns - self.turns_needed[slots], 0),
        }

    def text(self, slot: int) -> str:
        """The dialogue after the user's first turn."""
        return self.texts(np.array([slot]))[0]

    def texts(self, slots: NDArray[np.intp]) -> list[str]:
        """The dialogues after the users' first turns."""
        said = [
            self.tokens[slot, start:end].tolist()
            for slot, start, end in zip(
                slots.tolist(),
                self.prompt_lengths[slots].tolist(),
                self.lengths[slots].tolist(),
                strict=True,
            )
        ]
        return [text.strip() for text in self.task.tokenizer.decode_batch(said)]

    def view(self, slot: int) -> list[Part]:
        """The turns so far, by speaker."""
        prefix = self.tokens[slot, : self.lengths[slot]].tolist()
        return turn_parts(self.task.tokenizer.decode(prefix))
