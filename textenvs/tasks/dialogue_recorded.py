"""TextDialogue-v0 with a recorded user: answer as the system of recorded dialogues did."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from textenvs.data.examples import DialogueExample
from textenvs.data.files import OnError
from textenvs.data.records import ASKED_DIALOGUE, DIALOGUE_SCHEMA
from textenvs.data.sgd import read_sgd
from textenvs.errors import OptionError, check_flag, check_positive
from textenvs.metrics import squad
from textenvs.metrics.answers import NO_GOLD, AnswerLexicon
from textenvs.metrics.bleu import STATISTICS, bleu, require_sacrebleu
from textenvs.tasks.dialogue import SYSTEM, encoder_after, user_turn
from textenvs.tasks.dialogue_replay import RecordedDialogues, one_line
from textenvs.tasks.sources import BUILTIN, SourceTask
from textenvs.tasks.survey import Limits
from textenvs.tasks.writing import VocabularyTask


class _Pieces(NamedTuple):
    """A dialogue as tokens: of each turn, with who speaks around the user's."""

    user: list[NDArray[np.int32]]
    system: list[NDArray[np.int32]]


class RecordedDialogueTask(VocabularyTask, SourceTask[DialogueExample]):
    r"""Answer a user who says what was recorded, whatever the answers.

    ## Description
    The prompt is the user's first turn. The agent writes the system's turn and ends it with EOS;
    the environment appends the user's next recorded turn, and so on. Turns are lines,
    ``"User: A table, please.\nSystem:"``. ``dataset`` reads Schema-Guided Dialogue JSON and
    records with a column of turns.

    ## Action space
    ``Discrete(n)``: the whole vocabulary but the padding, all of it legal.

    ## Observation space
    ``Box(0, vocab_size - 1, (max_tokens,), int32)``: the prefix, padded on the right. The user's
    turns are encoded once; what the agent wrote stays as the tokens that it chose.

    ## Rewards
    The mean over the system's turns of the word F1 with the recorded turn (normalised as SQuAD's).
    ``reward="dense"`` pays its change token by token; a turn counts from its first token on.

    ## Episode end
    Terminates when the system's last turn ends, by EOS or after ``max_turn_tokens`` tokens.

    ## Info
    At the end ``text`` (the system's turns, a line each) and ``metrics``: ``f1``, ``turns``, and
    the counts of BLEU's n-grams and words as ``bleu/...``. Over a split: the mean ``f1``, and
    ``bleu`` in [0, 100], sacrebleu's corpus BLEU over all turns.

    ## Arguments
    ``dataset``, ``split``, ``tokenizer``, ``max_prompt_tokens`` (of the user's first turn) and the
    rest of `SourceTask`'s; ``max_turn_tokens`` (default: the longest recorded turn and EOS);
    ``max_turns`` of the system (longer dialogues are cut; default: the most that one has).

    ## Version history
    v0: first version.
    """

    score_name = "f1"
    constrained = False
    schema = DIALOGUE_SCHEMA
    asked = ASKED_DIALOGUE

    def __init__(
        self,
        *,
        constrain: bool = False,
        max_turns: int | None = None,
        max_turn_tokens: int | None = None,
        **source: Any,
    ) -> None:
        check_flag("constrain", constrain)
        if constrain:
            raise OptionError(
                "constrain=True is for the built-in data: recorded turns follow no grammar of "
                "well-formed ones"
            )
        dataset = source.get("dataset", BUILTIN)
        if isinstance(dataset, str) and dataset == BUILTIN:
            raise OptionError("recorded dialogues come from a data set: name it by dataset=...")
        for name, value in (("max_turns", max_turns), ("max_turn_tokens", max_turn_tokens)):
            if value is not None:
                check_positive(name, value)
        require_sacrebleu()
        self._max_turns, self._max_turn_tokens = max_turns, max_turn_tokens
        self._pieces = lru_cache(maxsize=16_384)(self._encode_turns)
        super().__init__(**source)

    @staticmethod
    def read(path: Path, on_error: OnError) -> list[DialogueExample]:
        """The dialogues of a Schema-Guided Dialogue file."""
        return read_sgd(path, on_error=on_error)

    @staticmethod
    def content(example: DialogueExample) -> str:
        """What may not occur in two splits: the dialogue."""
        return _transcript(example)

    @staticmethod
    def texts(example: DialogueExample) -> tuple[str, ...]:
        """What a tokenizer for this data is trained on."""
        return (_transcript(example),)

    def _prepare(self, everything: list[DialogueExample]) -> None:
        longest = max(len(example.system) for example in everything)
        self.max_turns = min(self._max_turns or longest, longest)
        self._reference_words = max(
            len(squad.answer_words(turn)) for example in everything for turn in example.system
        )
        self._prompt_end = self.tokenizer.encode(f"\n{SYSTEM}").ids
        self.system_tokens = encoder_after(self.tokenizer, SYSTEM)

    def _encode_turns(self, example: DialogueExample) -> _Pieces:
        encode = self.tokenizer.encode
        user = enumerate(example.user[: self.max_turns])
        return _Pieces(
            [encode(user_turn(text, first=turn == 0)).ids for turn, text in user],
            [self.system_tokens(text) for text in example.system[: self.max_turns]],
        )

    def _measure(self, example: DialogueExample) -> Limits:
        pieces = self._pieces(example)
        first, *others = map(len, pieces.user)
        return Limits(first, max(map(len, pieces.system)) + 1, appended=sum(others))

    def _allow(self, limits: Limits) -> None:
        self._room = min(self.max_prompt_tokens or limits.prompt, limits.prompt)
        shortest = len(self._prompt_end) + 1
        if self._room < shortest:
            raise OptionError(
                f"max_prompt_tokens={self._room} leaves no room for the user's first turn: it must "
                f"be at least {shortest}; the data's longest has {limits.prompt}"
            )
        self.max_turn_tokens = self._max_turn_tokens or limits.steps
        self.max_steps = self.max_turns * self.max_turn_tokens
        self.max_tokens = self._room + limits.appended + self.max_steps
        self._write_tokens()
        self.layout = self._lay_out(
            {"gold": NO_GOLD, "targets": self.eos_action},
            turns=(),
            user=(limits.appended,),  # the turns after the first, one after another
            user_bounds=(self.max_turns,),  # the turn before the system's turn i ends at i
            targets=(self.max_turns, self.max_turn_tokens),  # recorded, as actions
            gold=(self.max_turns, self._reference_words + 1),
            gold_lengths=(self.max_turns,),
            turn=(),  # which of the system's is being written
            said=(),  # its actions so far
            starts=(self.max_turns,),  # of the system's turns in the prefix
            ends=(self.max_turns,),
        )

    def _encode(self, index: int, example: DialogueExample) -> NDArray[np.int32]:
        (prompt, *others), system = self._pieces(example)
        if len(system) < len(example.system):
            self._falls_short("dialogues cut at max_turns", index)
        if len(prompt) > self._room:
            self._falls_short("first turns of the user cut at max_prompt_tokens", index)
            room = self._room - len(self._prompt_end)
            prompt = np.concatenate([prompt[:room], self._prompt_end])
        limit = self.max_turn_tokens
        targets = np.full((len(system), limit), self.eos_action)
        gold = np.full((len(system), self._reference_words + 1), NO_GOLD)
        for turn, (tokens, text) in enumerate(zip(system, example.system, strict=False)):
            actions = self.actions_of(tokens, limit)
            targets[turn, : len(actions)] = actions
            (words,) = self.lexicon.references([text])
            gold[turn, : len(words)] = words
            if squad.f1(self.tokenizer.decode(tokens[:limit]), [text]) < 1:
                self._falls_short("dialogues with a turn that no allowed tokens give", index)
        return self._row(
            index,
            prompt,
            turns=len(system),
            user=np.concatenate([*others, prompt[:0]]),
            user_bounds=np.cumsum([0, *map(len, others)]),
            targets=targets.ravel(),
            gold=gold.ravel(),
            gold_lengths=(gold != NO_GOLD).sum(1),
            starts=len(prompt),
        )

    @cached_property
    def lexicon(self) -> AnswerLexicon:
        """The words of the vocabulary and of the references."""
        return AnswerLexicon(self.tokenizer)

    def episodes(self, num_slots: int) -> RecordedDialogues:
        """Room for ``num_slots`` dialogues at a time."""
        return RecordedDialogues(self, num_slots)

    def prompt_text(self, index: int) -> str:
        """The user's first turn."""
        return user_turn(self.examples[index].user[0], first=True)

    def references(self, index: int) -> list[str]:
        """The recorded turns of the system, each as one line."""
        return list(map(one_line, self.examples[index].system[: self.max_turns]))

    def heuristic(self, index: int) -> list[int]:
        """Say again what the user has said."""
        turns = map(self.system_tokens, self.examples[index].user[: self.max_turns])
        return [action for turn in turns for action in self.actions_of(turn, self.max_turn_tokens)]

    def aggregate(self, metrics: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
        """The dialogues' mean F1, and corpus BLEU in [0, 100] over all turns."""
        counts = [int(np.sum(metrics[f"bleu/{name}"])) for name in STATISTICS]
        return {"f1": float(np.mean(metrics["f1"])), "bleu": bleu(counts)}


def _transcript(example: DialogueExample) -> str:
    pairs = enumerate(zip(example.user, example.system, strict=True))
    return "".join(f"{user_turn(user, first=turn == 0)} {system}" for turn, (user, system) in pairs)
