"""TextDialogue-v0 with a simulated user."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textenvs.data.world.dialogue import Goal, WorldDialogue, fits
from textenvs.data.world.speech import (
    ACT_NUMBERS,
    NUM_PHRASINGS,
    SYSTEM_ACTS,
    SystemAct,
    system_sentences,
    system_turns,
)
from textenvs.data.world.venues import KINDS
from textenvs.errors import OptionError, check_flag, check_positive
from textenvs.tasks.dialogue import SYSTEM, USER, is_builtin
from textenvs.tasks.dialogue_episodes import SimulatedDialogues
from textenvs.tasks.dialogue_expert import converse
from textenvs.tasks.dialogue_tokens import DialogueTokens
from textenvs.tasks.sources import BUILTIN, SourceTask
from textenvs.tasks.survey import Limits
from textenvs.tasks.turn_trie import NO_ACT, build_trie
from textenvs.tasks.writing import VocabularyTask

CACHED_GOALS = 20_000
CACHED = 4_096
CACHED_TURNS = 16_384
"""More than the well-formed turns of a split, which its listings share."""
PATIENCE = 2


class SimulatedDialogueTask(VocabularyTask, SourceTask[Goal]):
    """Help a user who looks for a restaurant, a hotel, a concert or a course.

    ## Description
    The prompt is a table of venues and the user's first turn. The agent writes the system's
    turn and ends it with EOS; the environment appends the user's answer; and so on, a line a
    turn. The user (agenda-based, Schatzmann et al. 2007) has wishes, tells some of them at once
    and the others when asked, accepts the offer of a venue that meets them all, then asks for
    some of its facts. A wrong offer is refused, with a reason only if the user has given it
    before. Some users correct themselves, some do not answer at once, and some want what there
    is not, and give way when told so. Turns that help nothing try the user's patience. Equal
    turns of the system get equal answers: a user is part of the example.

    ## Action space
    ``Discrete(n)``: the whole vocabulary but the padding. Legal are the tokens that continue a
    well-formed turn: a question for one of the wishes, the offer of a venue, a fact of a venue,
    that nothing fits, goodbye, two phrasings each. Other turns are understood where they are one
    of these but for case, spaces and punctuation; else they puzzle the user.

    ## Observation space
    ``Box(0, vocab_size - 1, (max_tokens,), int32)``: the prefix, padded on the right.

    ## Rewards
    Success, less ``turn_cost`` for each turn more than a rule-based system needs, and at least 0.
    It is a success if the user has chosen a venue that meets every wish, and was told the truth
    about it for every request. ``reward="dense"`` pays the parts of success (the choice, and each
    request) as they come, and takes them back if the dialogue ends without success.

    ## Episode end
    Terminates when the system says goodbye, when the user leaves, or after ``max_turns`` turns of
    the system.

    ## Info
    ``action_mask``; at the end ``text`` (the dialogue after the first turn) and ``metrics``:
    ``score``, ``success``, ``turns`` and ``extra_turns``.

    ## Arguments
    ``split``, ``tokenizer``, ``max_prompt_tokens`` and the rest of `SourceTask`'s;
    ``constrain=False`` makes every action legal; ``max_turns``; ``max_turn_tokens``, after which
    a turn ends without EOS (default: the longest well-formed turn and EOS); ``turn_cost``;
    ``patience``: after how many useless turns the user leaves.

    ## Version history
    v0: first version.

    Attributes:
        writer: The task's texts as tokens.
        plans: The actions of each way to say an act, by the example's index and the act.
        turn_actions: The actions that write a turn of the system's and end it, by its text.
    """

    score_name = "score"
    world = WorldDialogue
    builtin_limits = Limits(prompt=116, steps=9)

    def __init__(
        self,
        *,
        constrain: bool = True,
        max_turns: int = 12,
        max_turn_tokens: int | None = None,
        turn_cost: float = 0.05,
        patience: int = PATIENCE,
        **rest: Any,
    ) -> None:
        if not is_builtin(rest.get("dataset", BUILTIN)):
            dataset = rest["dataset"]
            raise OptionError(f"simulated users are {BUILTIN!r} data, got dataset={dataset!r}")
        check_flag("constrain", constrain)
        check_positive("max_turns", max_turns)
        check_positive("patience", patience)
        if max_turn_tokens is not None:
            check_positive("max_turn_tokens", max_turn_tokens)
        if not (type(turn_cost) in (int, float) and 0 <= turn_cost <= 1):
            raise OptionError(f"turn_cost must be a number in [0, 1], got {turn_cost!r}")
        self.constrained = constrain
        self.max_turns = max_turns
        self.turn_cost = turn_cost
        self.patience = patience
        self._max_turn_tokens = max_turn_tokens
        self.goal = lru_cache(CACHED_GOALS)(self._goal)
        self._meanings = lru_cache(CACHED)(self._list_meanings)
        self.plans = lru_cache(CACHED)(self._list_plans)
        self.turn_actions = lru_cache(CACHED_TURNS)(self._turn_actions)
        super().__init__(**rest)

    @staticmethod
    def content(example: Goal) -> str:
        """What may not occur in two splits: the prompt."""
        return "\n".join((*example.listing, example.first_turn))

    @staticmethod
    def texts(example: Goal) -> tuple[str, ...]:
        """What a tokenizer for this data is trained on: a whole dialogue."""
        _, turns = converse(example, PATIENCE)
        kind = KINDS[example.kind]
        lines = [*example.listing, f"{USER} {example.first_turn}"]
        for number, (act, answer) in enumerate(turns):
            phrasings = system_sentences(act, kind, example.venues)
            lines.append(f"{SYSTEM} {phrasings[number % NUM_PHRASINGS]}")
            lines.append(f"{USER} {answer}")
        return ("\n".join(lines),)

    def _prepare(self, everything: list[Goal]) -> None:
        self._write_tokens()
        self.writer = DialogueTokens(self.tokenizer, self.line_break())

    def _turn_actions(self, text: str) -> tuple[int, ...]:
        tokens = self.writer.system_turn(text)
        return tuple(self.actions_of(tokens, len(tokens) + 1))

    def _measure(self, example: Goal) -> Limits:
        longest: dict[tuple[str, int], str] = {}  # in characters, of each kind of turn
        for act, text in system_turns(KINDS[example.kind], example.venues):
            longest[act[:2]] = max(longest.get(act[:2], ""), text, key=len)
        return Limits(
            prompt=len(self.writer.prompt(example)),
            steps=max(len(self.turn_actions(text)) for text in longest.values()),
        )

    def _allow(self, limits: Limits) -> None:
        self._room = min(self.max_prompt_tokens or limits.prompt, limits.prompt)
        if self._room <= len(self.writer.before_system):
            raise OptionError(
                f"max_prompt_tokens={self._room} leaves no room for a dialogue; the data's longest "
                f"prompt has {limits.prompt} tokens"
            )
        self.max_turn_tokens = self._max_turn_tokens or limits.steps
        self.max_steps = self.max_turns * self.max_turn_tokens
        turn_pair = self.max_turn_tokens + self.writer.longest_user_turn
        self.max_tokens = self._room + self.max_turns * turn_pair
        nodes = 1 + NUM_PHRASINGS * len(SYSTEM_ACTS) * self.max_turn_tokens
        self.layout = self._lay_out(
            turn_starts=(),  # where the system's turn begins
            turns=(),  # of the system, that are over
            turns_needed=(),
            nodes=(),  # where the turn stands in the trie
            first_edges=(nodes + 1,),
            edge_actions=(nodes,),
            node_acts=(nodes,),
        )

    def _encode(self, index: int, example: Goal) -> NDArray[np.int32]:
        prompt = self.writer.prompt(example)
        if len(prompt) > self._room:
            self._falls_short("prompts cut at max_prompt_tokens", index)
            prompt = prompt[-self._room :]  # what the user says stands last
        turns = [
            (ACT_NUMBERS[act], self.turn_actions(text))
            for act, text in system_turns(KINDS[example.kind], example.venues)
        ]
        if len({actions for _, actions in turns}) < len(turns):
            self._falls_short("well-formed turns that the tokenizer writes alike", index)
        fitting = [turn for turn in turns if len(turn[1]) <= self.max_turn_tokens]
        if len(fitting) < len(turns):
            self._falls_short("well-formed turns longer than max_turn_tokens", index)
        trie = build_trie(fitting)
        user, course = converse(example, self.patience)
        if not user.content or len(course) > self.max_turns:
            self._falls_short("users too impatient, or too few turns, for the expert", index)
        return self._row(
            index,
            prompt,
            turn_starts=len(prompt),
            turns_needed=len(course),
            first_edges=trie.first_edges,
            edge_actions=trie.edge_actions,
            node_acts=trie.node_acts,
        )

    def _goal(self, index: int) -> Goal:
        goal: Goal = self.examples[index]
        return goal

    def _list_meanings(self, index: int) -> dict[str, int]:
        """The act of each well-formed turn by its text without case, spaces and punctuation."""
        goal = self.goal(index)
        turns = system_turns(KINDS[goal.kind], goal.venues)
        return {_bare(text): ACT_NUMBERS[act] for act, text in reversed(turns)}

    def understand(self, index: int, tokens: NDArray[np.int32]) -> int:
        """The number of the act that a turn means, however it is written, or `NO_ACT`."""
        return self._meanings(index).get(_bare(self.tokenizer.decode(tokens)), NO_ACT)

    def _list_plans(self, index: int, act: SystemAct) -> list[tuple[int, ...]]:
        goal = self.goal(index)
        forms = system_sentences(act, KINDS[goal.kind], goal.venues)
        plans = [self.turn_actions(form) for form in forms]
        return [plan for plan in plans if len(plan) <= self.max_turn_tokens]

    def prompt_text(self, index: int) -> str:
        """The venues and the user's first turn, a line each."""
        goal = self.goal(index)
        return "\n".join((*goal.listing, f"{USER} {goal.first_turn}", SYSTEM))

    def heuristic(self, index: int) -> list[int]:
        """Offers the first venue that meets the user's first turn, tells its facts, says goodbye.

        It asks nothing and does not listen.
        """
        goal = self.goal(index)
        told = [wish if slot in goal.opening else None for slot, wish in enumerate(goal.wishes)]
        kind, venues = KINDS[goal.kind], goal.venues
        venue = next((v for v, venue in enumerate(venues) if fits(venue, told)), 0)
        acts = (
            SystemAct("offer", -1, venue),
            *(SystemAct("answer", fact, venue) for fact in range(len(kind.facts))),
            SystemAct("bye"),
        )
        turns = (self.turn_actions(system_sentences(act, kind, venues)[0]) for act in acts)
        return [action for turn in turns for action in turn]

    def episodes(self, num_slots: int) -> SimulatedDialogues:
        """Room for ``num_slots`` dialogues at a time."""
        return SimulatedDialogues(self, num_slots)


def _bare(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))
