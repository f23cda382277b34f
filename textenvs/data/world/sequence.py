"""A split of procedurally made examples as a sequence."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from random import Random
from typing import TypeVar, overload

import numpy as np

from textenvs.data.world.entities import SPLITS
from textenvs.errors import OptionError, unknown

E = TypeVar("E")

DEFAULT_SIZES = {"train": 50_000, "validation": 1_000, "test": 1_000}


class WorldSequence(Sequence[E]):
    """Examples made when asked for: item ``i`` depends on the seed, the split and ``i`` alone.

    Attributes:
        split: ``"train"``, ``"validation"`` or ``"test"``.
        seed: The seed of the data.

    Raises:
        OptionError: If there is no such split, or if the seed or the size is negative.
    """

    def __init__(self, split: str, seed: int = 0, size: int | None = None) -> None:
        if split not in SPLITS:
            raise unknown("split", split, SPLITS)
        if seed < 0:
            raise OptionError(f"seed must be 0 or more, got {seed}")
        if size is not None and size < 0:
            raise OptionError(f"size must be 0 or more (None for the default), got {size}")
        self.split = split
        self.seed = seed
        self._size = DEFAULT_SIZES[split] if size is None else size

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}(split={self.split!r}, seed={self.seed}, size={self._size})"

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, index: int) -> E: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[E]: ...

    def __getitem__(self, index: int | slice) -> E | Sequence[E]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(self._size)))
        position = index + self._size if index < 0 else index
        if not 0 <= position < self._size:
            raise IndexError(f"index {index} is out of range for {self._size} examples")
        return self._make(position, self._random(position))

    def _random(self, index: int) -> Random:
        """The generator that example ``index`` is drawn from; `Random` draws quicker than numpy."""
        entropy = (self.seed, SPLITS[self.split], index)
        state = np.random.SeedSequence(entropy).generate_state(4)
        return Random(int.from_bytes(state.tobytes(), "little"))

    @abstractmethod
    def _make(self, index: int, random: Random) -> E:
        """The example at ``index``, drawn from its generator."""
