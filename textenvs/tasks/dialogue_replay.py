"""Recorded dialogues in progress: the user speaks, the system's turns are being written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from textenvs.metrics.answers import AnswerScores
from textenvs.metrics.bleu import STATISTICS, bleu_statistics
from textenvs.tasks.base import Episodes, Slots
from textenvs.tasks.dialogue import turn_parts
from textenvs.views import Part

if TYPE_CHECKING:
    from textenvs.tasks.dialogue_recorded import RecordedDialogueTask


class RecordedDialogues(Episodes):
    """Dialogues in which the system's turns are being written.

    ``closed`` is the sum of F1 over the turns that have ended; `AnswerScores` keeps that of the
    turn being written, and is begun anew for each.
    """

    reveals = False
    task: RecordedDialogueTask
    turns: NDArray[np.int32]
    user: NDArray[np.int32]
    user_bounds: NDArray[np.int32]
    targets: NDArray[np.int32]
    gold: NDArray[np.int32]
    gold_lengths: NDArray[np.int32]
    turn: NDArray[np.int32]
    said: NDArray[np.int32]
    starts: NDArray[np.int32]
    ends: NDArray[np.int32]

    def __init__(self, task: RecordedDialogueTask, num_slots: int) -> None:
        super().__init__(task, num_slots)
        self.closed = np.zeros(num_slots)
        self.answers = AnswerScores(
            task.lexicon,
            num_slots,
            references=1,
            words=self.gold.shape[2] - 1,
            max_tokens=task.max_turn_tokens,
        )

    def _begin(self, slots: NDArray[np.intp]) -> None:
        self.closed[slots] = 0
        self._expect(slots)

    def _expect(self, slots: NDArray[np.intp]) -> None:
        """The turn that begins is compared with the recorded one."""
        turn = self.turn[slots]
        gold, lengths = self.gold[slots, turn], self.gold_lengths[slots, turn]
        self.answers.begin(slots, gold[:, None], lengths[:, None])

    def _advance(self, slots: Slots, actions: Any) -> Any:
        self.lengths[slots] += 1
        self.said[slots] += 1
        is_eos = actions == self.task.eos_action
        ended = is_eos | (self.said[slots] == self.task.max_turn_tokens)
        if isinstance(slots, int):
            if not is_eos:
                self.answers.push(slots, self.task.action_tokens[actions])
            if ended:
                self._close(np.array([slots]), np.array([is_eos]))
        else:
            self.answers.push(slots[~is_eos], self.task.action_tokens[actions[~is_eos]])
            if ended.any():
                self._close(slots[ended], is_eos[ended])
        return self.turn[slots] == self.turns[slots]

    def _close(self, slots: NDArray[np.intp], by_eos: NDArray[np.bool_]) -> None:
        """The turn has ended: settle its F1, and let the user speak if there is more to say."""
        turn = self.turn[slots]
        self.ends[slots, turn] = self.lengths[slots] - by_eos
        self.closed[slots] += self.answers.scores(slots)[0]
        self.turn[slots] = turn + 1
        self.said[slots] = 0
        slots = slots[turn + 1 < self.turns[slots]]
        for slot in slots.tolist():
            turn = self.turn[slot]
            first, last = self.user_bounds[slot, turn - 1 : turn + 1]
            start = self.lengths[slot]
            end = start + last - first
            self.tokens[slot, start:end] = self.user[slot, first:last]
            self.lengths[slot] = self.starts[slot, turn] = end
        self._expect(slots)

    def score(self, slots: Slots) -> Any:
        """The mean F1, in which the turns to come count 0."""
        f1, _ = self.answers.scores(slots)
        return (self.closed[slots] + f1 * (self.said[slots] > 0)) / self.turns[slots]

    def legal(self, slots: Slots) -> NDArray[np.int8]:
        """All actions."""
        shape = () if isinstance(slots, int) else (len(slots),)
        return np.ones((*shape, len(self.task.action_tokens)), np.int8)

    def expert(self, slots: Slots) -> Any:
        """The recorded turn's next token, whatever was said before it; EOS behind its end."""
        turn = np.minimum(self.turn[slots], self.turns[slots] - 1)
        return self.targets[slots, turn, self.said[slots]]

    def metrics(self, slots: Slots) -> dict[str, Any]:
        """The mean F1, the number of turns, and what BLEU is counted from."""
        several = np.array([slots]) if isinstance(slots, int) else slots
        indices = self.indices[several].tolist()
        references = map(self.task.references, indices)
        counts = np.array(list(map(bleu_statistics, self._turn_texts(several), references)))
        if isinstance(slots, int):
            counts = counts[0]
        metrics = {"f1": self.score(slots), "turns": self.turns[slots]}
        return metrics | {f"bleu/{name}": counts[..., i] for i, name in enumerate(STATISTICS)}

    def _turn_texts(self, slots: NDArray[np.intp]) -> list[list[str]]:
        """The system's turns so far, each as one line."""
        turns = [(slot, start, end) for slot in slots.tolist() for start, end in self._bounds(slot)]
        tokens = [self.tokens[slot, start:end].tolist() for slot, start, end in turns]
        texts: dict[int, list[str]] = {slot: [] for slot in slots.tolist()}
        decoded = self.task.tokenizer.decode_batch(tokens)
        for (slot, _, _), text in zip(turns, decoded, strict=True):
            texts[slot].append(one_line(text))
        return list(texts.values())

    def _bounds(self, slot: int) -> list[tuple[int, int]]:
        """Where the system's turns stand in the prefix, without EOS; also one that is begun."""
        turn = int(self.turn[slot])
        ends = self.ends[slot, :turn].tolist()
        if self.said[slot]:
            ends.append(int(self.lengths[slot]))
        return list(zip(self.starts[slot].tolist(), ends, strict=False))

    def text(self, slot: int) -> str:
        """The system's turns so far, a line each."""
        return self.texts(np.array([slot]))[0]

    def texts(self, slots: NDArray[np.intp]) -> list[str]:
        """The system's turns so far, a line each."""
        return list(map("\n".join, self._turn_texts(slots)))

    def view(self, slot: int) -> list[Part]:
        """The turns so far, by speaker."""
        prefix = self.tokens[slot, : self.lengths[slot]].tolist()
        return turn_parts(self.task.tokenizer.decode(prefix))


def one_line(text: str) -> str:
    """The text with a single space for each run of whitespace."""
    return " ".join(text.split())
