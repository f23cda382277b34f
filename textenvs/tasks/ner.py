"""TextNER-v0: tag a sentence word by word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textenvs.data.conll import read_conll
from textenvs.data.examples import NERExample
from textenvs.data.files import OnError
from textenvs.data.records import ASKED_NER, NER_SCHEMA
from textenvs.data.world import WorldNER
from textenvs.errors import OptionError, check_flag
from textenvs.metrics.entities import precision_recall_f1, transition_tables
from textenvs.tasks.base import Episodes, Slots
from textenvs.tasks.sources import SourceTask
from textenvs.tasks.survey import Limits
from textenvs.views import Part, Tagged


class NERTask(SourceTask[NERExample]):
    """Name the entities of a sentence, one tag a word.

    ## Description
    The prompt is the sentence and a line break; then the environment appends the first word, the
    agent its tag, the environment the next word, and so on. The tags are BIO: ``B-PER`` begins a
    person, ``I-PER`` continues it, ``O`` is outside. The built-in data has the types LOC, MISC,
    ORG and PER; ``dataset`` reads CoNLL columns with types of their own, from files of any name
    but ``.jsonl``, ``.csv`` and ``.tsv``: these, and Hugging Face data sets, have named columns,
    ``tokens`` and ``ner_tags``.

    ## Action space
    ``Discrete(tags)``: the index in `labels`. Each tag is one token of its own, beyond the
    tokenizer's vocabulary. Legal is what BIO allows: ``I-X`` only after ``B-X`` or ``I-X``. An
    illegal tag counts as the CoNLL rules have it: ``I-X`` after anything else begins an entity.

    ## Observation space
    ``Box(0, vocab_size - 1, (max_tokens,), int32)``: the prefix, padded on the right.

    ## Rewards
    The entity F1 of the sentence (CoNLL: an entity counts if its type and both its ends are
    right); 1 for a sentence without entities if none is tagged. ``reward="dense"`` pays each
    entity when its last word is tagged and takes back when a wrong one begins.

    ## Episode end
    Terminates when all words are tagged.

    ## Info
    ``action_mask``; at the end ``text`` (the tags) and ``metrics``: ``f1``, ``precision``,
    ``recall``, the counts ``correct``, ``predicted`` and ``gold``, and the same counts for each
    type as ``PER/correct`` and so on. Over a split, the counts are summed before F1 is taken.

    ## Arguments
    ``dataset``, ``split``, ``tokenizer``, ``max_prompt_tokens`` and the rest of `SourceTask`'s;
    ``constrain=False`` reports every tag as legal.

    ## Version history
    v0: first version.
    """

    score_name = "f1"

    def __init__(self, *, constrain: bool = True, **source: Any) -> None:
        check_flag("constrain", constrain)
        self.constrained = constrain
        super().__init__(**source)

    @staticmethod
    def read(path: Path, on_error: OnError) -> list[NERExample]:
        """The sentences of a CoNLL file."""
        return read_conll(path, on_error=on_error)

    world = WorldNER
    schema = NER_SCHEMA
    asked = ASKED_NER
    builtin_limits = Limits(prompt=40, steps=20)

    @staticmethod
    def content(example: NERExample) -> str:
        """What may not occur in two splits: the sentence."""
        return " ".join(example.words)

    @staticmethod
    def texts(example: NERExample) -> tuple[str, ...]:
        """What a tokenizer for this data is trained on."""
        return (" ".join(example.words),)

    def _prepare(self, everything: list[NERExample]) -> None:
        counts = Counter(tag[2:] for e in everything for tag in e.tags if tag.startswith("B-"))
        types = sorted(counts)
        self.types = tuple(types)
        self._frequent_type = max(types, key=counts.__getitem__, default="")
        self.labels = ("O", *(f"{prefix}-{kind}" for kind in types for prefix in "BI"))
        self.extra_tokens = self.labels
        self._label_ids = {label: index for index, label in enumerate(self.labels)}
        first = self.tokenizer.vocab_size
        self.action_tokens = np.arange(first, first + len(self.labels), dtype=np.int32)
        self.transitions = transition_tables(self.labels)
        self.legal_after = self._legal_transitions()
        self._line_break = self.line_break()

    def _legal_transitions(self) -> NDArray[np.int8]:
        """``[p, t]``: tag t may follow tag p; the last row is the beginning of a sentence."""
        previous = [*self.labels, "O"]
        return np.array(
            [
                [not tag.startswith("I-") or before[1:] == tag[1:] for tag in self.labels]
                for before in previous
            ],
            np.int8,
        )

    def _pieces(self, example: NERExample) -> list[NDArray[np.int32]]:
        """The tokens of each word; the sentence is tokenized whole."""
        sentence = self.encode(" ".join(example.words))
        return _words_of(sentence.ids, sentence.offsets, example.words)

    def _encoded_texts(self, example: NERExample) -> tuple[str, ...]:
        return self.texts(example)

    def _measure(self, example: NERExample) -> Limits:
        tokens = sum(map(len, self._pieces(example)))
        words = len(example.words)
        return Limits(tokens + len(self._line_break), words)

    def _fits(self, example: NERExample, need: Limits) -> bool:
        return need.prompt <= (self.max_prompt_tokens or need.prompt)

    def _allow(self, limits: Limits) -> None:
        room = self.max_prompt_tokens or limits.prompt
        self._room = min(room, limits.prompt) - len(self._line_break)
        if self._room < 1:
            raise OptionError(
                f"max_prompt_tokens={room} leaves no room for a sentence; the data's longest "
                f"prompt has {limits.prompt} tokens"
            )
        self.max_steps = limits.steps
        self.max_tokens = 2 * self._room + len(self._line_break) + limits.steps
        self.layout = self._lay_out(
            words=(),
            holes=(limits.steps + 1,),  # where each tag goes, and the final length
            tags=(limits.steps,),  # gold
            gold_starts=(limits.steps,),  # type of the gold entity that starts here, or -2
            gold_ends=(limits.steps + 1,),  # whether a gold entity is over before this word
            gold=(len(self.types),),  # gold entities of each type, those cut off too
            num_gold=(),
            without_gold=(),
            previous=(),  # the last tag; one more than any before the first
            open=(),  # predicted and gold entity started together, and both go on
            num_correct=(),
            num_predicted=(),
            correct=(len(self.types) + 1,),  # the last column takes what is of no type
            predicted=(len(self.types) + 1,),
        )

    def _encode(self, index: int, example: NERExample) -> NDArray[np.int32]:
        pieces = self._pieces(example)
        total = np.cumsum([len(piece) for piece in pieces])
        words = int(np.searchsorted(total, self._room, side="right"))
        if words < len(pieces):
            self._falls_short("sentences cut at max_prompt_tokens", index)
            words = max(words, 1)
            pieces = [piece[: self._room] for piece in pieces[:words]]
        parts: list[NDArray[np.int32]] = [*pieces, self._line_break]
        length = sum(map(len, parts))
        holes = np.empty(len(pieces) + 1, np.intp)
        hole = np.zeros(1, np.int32)
        for word, piece in enumerate(pieces):
            length += len(piece)
            holes[word] = length
            length += 1
            parts += (piece, hole)
        holes[-1] = length
        tags = np.array([self._label_ids[tag] for tag in example.tags], np.int32)
        starts, ends, type_of = self.transitions
        boundary = [len(self.labels)]
        before, after = np.concatenate([boundary, tags]), np.concatenate([tags, boundary])
        begun = starts[before[:-1], tags]
        kinds = type_of[tags]
        gold = np.bincount(kinds[begun], minlength=len(self.types))
        num_gold = int(gold.sum())
        return self.layout.row(
            indices=index,
            tokens=np.concatenate(parts),
            lengths=holes[0],
            prompt_lengths=holes[0],
            words=words,
            holes=holes,
            tags=tags[:words],
            gold_starts=np.where(begun, kinds, -2)[:words],
            gold_ends=ends[before, after][: words + 1],
            gold=gold,
            num_gold=num_gold,
            without_gold=int(num_gold == 0),
            previous=len(self.labels),
        )

    def episodes(self, num_slots: int) -> NEREpisodes:
        """Room for ``num_slots`` sentences at a time."""
        return NEREpisodes(self, num_slots)

    def prompt_text(self, index: int) -> str:
        """The sentence."""
        return " ".join(self.examples[index].words)

    def heuristic(self, index: int) -> list[int]:
        """Capitalised words but the first are an entity of the most frequent type."""
        tags, inside = [0], False
        for word in self.examples[index].words[1:]:
            capital = word[:1].isupper() and bool(self.types)
            prefix = "I" if inside else "B"
            tags.append(self._label_ids[f"{prefix}-{self._frequent_type}"] if capital else 0)
            inside = capital
        return tags

    def aggregate(self, metrics: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
        """Micro-averaged entity precision, recall and F1 over the split, and of each type."""
        scores: dict[str, float] = {}
        for prefix in ("", *(f"{kind}/" for kind in self.types)):
            counts = (
                int(np.sum(metrics[f"{prefix}{count}"]))
                for count in ("correct", "predicted", "gold")
            )
            for name, value in precision_recall_f1(*counts).items():
                scores[f"{prefix}{name}"] = value
        return scores


def _words_of(
    ids: NDArray[np.int32], offsets: NDArray[np.int32], words: tuple[str, ...]
) -> list[NDArray[np.int32]]:
    """The tokens of each word of a sentence that was tokenized whole.

    A token belongs to the word in which it starts; one that covers no character (a lone space)
    to the word that follows it.
    """
    lengths = np.fromiter(map(len, words), np.intp, len(words))
    word_ends = np.cumsum(lengths + 1) - 1
    owner = np.searchsorted(word_ends, offsets[:, 0], side="right")
    bounds = np.searchsorted(owner, np.arange(len(words) + 1))
    return [ids[bounds[word] : bounds[word + 1]] for word in range(len(words))]


class NEREpisodes(Episodes):
    """Sentences being tagged, with CoNLL's counts kept tag by tag.

    The counts follow conlleval (Tjong Kim Sang & Buchholz 2000): an entity is correct if it starts
    and ends where a gold one of its type does. ``open`` says that the predicted and the gold
    entity started together and both go on; so a tag costs a few look-ups, however long the
    sentence is.
    """

    task: NERTask
    words: NDArray[np.int32]
    holes: NDArray[np.int32]
    tags: NDArray[np.int32]
    gold_starts: NDArray[np.int32]
    gold_ends: NDArray[np.int32]
    gold: NDArray[np.int32]
    num_gold: NDArray[np.int32]
    without_gold: NDArray[np.int32]
    previous: NDArray[np.int32]
    open: NDArray[np.int32]
    num_correct: NDArray[np.int32]
    num_predicted: NDArray[np.int32]
    correct: NDArray[np.int32]
    predicted: NDArray[np.int32]

    def __init__(self, task: NERTask, num_slots: int) -> None:
        super().__init__(task, num_slots)
        self._starts, self._ends, self._type_of = task.transitions
        self._type_of = self._type_of.astype(np.int32)

    def _advance(self, slots: Slots, actions: Any) -> Any:
        step = self.steps[slots]  # of the next word
        previous = self.previous[slots]
        ended = self._ends[previous, actions]
        gold_ended = self.gold_ends[slots, step - 1]
        was_open = self.open[slots]
        completed = was_open & ended & gold_ended
        begun = self._starts[previous, actions]
        kind = self._type_of[actions]
        self.correct[slots, self._type_of[previous]] += completed
        self.predicted[slots, kind] += begun
        self.num_correct[slots] += completed
        self.num_predicted[slots] += begun
        together = begun & (kind == self.gold_starts[slots, step - 1])
        self.open[slots] = (was_open & ~ended & (gold_ended == 0)) | together
        self.previous[slots] = actions
        done = step == self.words[slots]
        # A word is revealed with its tag's hole still open; after the last nothing follows.
        self.lengths[slots] = self.holes[slots, step]
        if isinstance(slots, int):
            if done:
                self._close(slots)
        elif done.any():
            self._close(slots[done])
        return done

    def _close(self, slots: Slots) -> None:
        """After the last word an open entity, which ends where the gold one does, is correct."""
        last_open = self.open[slots] & self.gold_ends[slots, self.steps[slots]]
        self.correct[slots, self._type_of[self.previous[slots]]] += last_open
        self.num_correct[slots] += last_open
        self.open[slots] = 0

    def _counts(self, slots: Slots) -> tuple[Any, Any, Any]:
        """Correct, predicted and gold entities so far.

        One that is complete, unless it is wrongly continued, counts as correct.
        """
        pending = self.open[slots] & self.gold_ends[slots, self.steps[slots]]
        return self.num_correct[slots] + pending, self.num_predicted[slots], self.num_gold[slots]

    def score(self, slots: Slots) -> Any:
        """F1 of the tags so far; without gold entities the share of words rightly left alone."""
        correct, predicted, gold = self._counts(slots)
        without = self.without_gold[slots]
        left_alone = without & (predicted == 0)
        share = self.steps[slots] / self.words[slots]
        return 2 * correct / (predicted + gold + without) + left_alone * share

    def legal(self, slots: Slots) -> NDArray[np.int8]:
        """The tags that BIO allows after the last one."""
        mask: NDArray[np.int8] = self.task.legal_after[self.previous[slots]]
        return mask.copy() if isinstance(slots, int) else mask

    def expert(self, slots: Slots) -> Any:
        """The gold tag; ``O`` in place of an ``I-`` that is not legal any more."""
        step = np.minimum(self.steps[slots], self.words[slots] - 1)
        tag = self.tags[slots, step]
        legal = self.task.legal_after[self.previous[slots], tag] == 1
        return np.where(legal, tag, 0)

    def metrics(self, slots: Slots) -> dict[str, Any]:
        """Entity precision, recall, F1 and their counts, by type too."""
        correct, predicted, gold = self._counts(slots)
        perfect = (predicted == 0) & (gold == 0)  # nothing to find, and nothing found
        metrics = {
            "f1": self.score(slots),
            "precision": (correct + perfect) / np.maximum(predicted, 1),
            "recall": (correct + perfect) / np.maximum(gold, 1),
            "correct": correct,
            "predicted": predicted,
            "gold": gold,
        }
        by_type = {
            "correct": self.correct[slots],
            "predicted": self.predicted[slots],
            "gold": self.gold[slots],
        }
        for column, kind in enumerate(self.task.types):
            for name, counts in by_type.items():
                metrics[f"{kind}/{name}"] = counts[..., column]
        return metrics

    def text(self, slot: int) -> str:
        """The tags so far."""
        return self.texts(np.array([slot]))[0]

    def texts(self, slots: NDArray[np.intp]) -> list[str]:
        """The tags so far."""
        label = self.task.labels.__getitem__
        tags, steps = self.actions[slots].tolist(), self.steps[slots].tolist()
        return [" ".join(map(label, row[:n])) for row, n in zip(tags, steps, strict=True)]

    def view(self, slot: int) -> list[Part]:
        """The words, with the tags so far below them."""
        example = self.task.examples[int(self.indices[slot])]
        return [Tagged(example.words, self.text(slot).split())]
