"""Prompts that were read lately, so that several episodes on one need not read it again.

Shapes: K rows, R prompts, T tokens of the longest, P positions that pointers look at, D hidden
size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from agents.models.backbone import Ints
from agents.models.model import AgentModel

Prompt = npt.NDArray[np.int32]
READ_TOKENS = {"cpu": 256}
"""So many padded tokens are read at once (or one prompt if it is longer): what its cache holds."""
READ_TOKENS_ELSEWHERE = 16_384


class PromptBank:
    """What a backbone made of the prompts that were used last.

    Args:
        model: whose backbone reads, always with the same weights.
        size: K, how many prompts are kept.

    Attributes:
        cache: holds prompts in its slots.
        hidden_KD: the hidden states of their last tokens.
        memory_KPD: the hidden states of their first tokens.
    """

    def __init__(self, model: AgentModel, size: int) -> None:
        """Start without prompts."""
        self.model = model
        self.size = size
        self.cache = model.backbone.slots(size)
        self.hidden_KD = torch.zeros(0)
        self.memory_KPD = torch.zeros(0)
        self._rows: dict[bytes, int] = {}  # in the order of their last use

    def rows(
        self, prompts: Sequence[Prompt], together: int, others: Callable[[], Iterable[Prompt]]
    ) -> Ints:
        """Where the prompts are, (R,); those that are not there are read.

        Args:
            prompts: at most K.
            together: what is to be read is filled up to so many, from `others`.
            others: prompts that will be needed later.
        """
        wanted = {prompt.tobytes(): prompt for prompt in prompts}
        missing = {key: prompt for key, prompt in wanted.items() if key not in self._rows}
        if missing:
            for prompt in others() if len(missing) < together else ():
                if len(missing) == together:
                    break
                key = prompt.tobytes()
                if key not in self._rows:
                    missing[key] = prompt
            self._read(missing, wanted.keys())
        for key in wanted:
            self._rows[key] = self._rows.pop(key)
        return np.array([self._rows[prompt.tobytes()] for prompt in prompts])

    def _read(self, missing: dict[bytes, Prompt], wanted: Iterable[bytes]) -> None:
        """Read prompts in place of those whose last use is longest ago."""
        free = list(range(len(self._rows), self.size))
        if len(free) < len(missing):
            old = [key for key in self._rows if key not in set(wanted)]
            free += [self._rows.pop(key) for key in old[: len(missing) - len(free)]]
        placed = sorted(zip(missing.items(), free, strict=False), key=lambda each: len(each[0][1]))
        most = READ_TOKENS.get(self.model.device.type, READ_TOKENS_ELSEWHERE)
        while placed:
            # The longest first, with as many of the next ones as fit.
            count = max(1, most // len(placed[-1][0][1]))
            batch, placed = placed[-count:], placed[:-count]
            self._read_batch([prompt for (_, prompt), _ in batch], [row for _, row in batch])
            self._rows |= {key: row for (key, _), row in batch}

    def _read_batch(self, prompts: Sequence[Prompt], rows: Sequence[int]) -> None:
        lengths_R = np.array([len(prompt) for prompt in prompts])
        tokens_RT = np.zeros((len(prompts), lengths_R.max()), np.int64)
        for tokens_T, prompt in zip(tokens_RT, prompts, strict=True):
            tokens_T[: len(prompt)] = prompt
        self.cache.reserve(tokens_RT.shape[1])
        found = self.cache.begin(np.array(rows), tokens_RT, lengths_R, lengths_R, self.model.memory)
        hidden_RD, memory_RPD = (states.float() for states in found)
        if not self.hidden_KD.numel():
            self.hidden_KD = hidden_RD.new_zeros(self.size, hidden_RD.shape[1])
            self.memory_KPD = memory_RPD.new_zeros(self.size, 0, memory_RPD.shape[2])
        places = torch.tensor(rows, device=hidden_RD.device)
        self.hidden_KD.index_copy_(0, places, hidden_RD)
        self.memory_KPD = grown(self.memory_KPD, memory_RPD.shape[1])
        self.memory_KPD[places, : memory_RPD.shape[1]] = memory_RPD


def grown(memory_RPD: Tensor, columns: int) -> Tensor:
    """The same with room for hidden states of at least so many tokens."""
    missing = columns - memory_RPD.shape[1]
    return F.pad(memory_RPD, (0, 0, 0, missing)) if missing > 0 else memory_RPD
