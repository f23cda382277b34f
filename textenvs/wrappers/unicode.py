"""A space of strings of any language."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from gymnasium.spaces import Space

from textenvs.errors import check_positive

MAX_SAMPLED = 32
"""The most characters that a sample has."""

_SURROGATES = range(0xD800, 0xE000)
_SURROGATE = re.compile("[\ud800-\udfff]")


class Unicode(Space[str]):
    """Strings of any characters; gymnasium's `Text` takes only those that it was told.

    >>> "Où est-ce? 東京!" in Unicode(), "too long" in Unicode(max_length=3)
    (True, False)

    Args:
        max_length: The most characters of a string; None for no limit.
        seed: The seed of `sample`.

    Raises:
        OptionError: `max_length` is no positive integer.
    """

    def __init__(
        self, max_length: int | None = None, seed: int | np.random.Generator | None = None
    ) -> None:
        if max_length is not None:
            check_positive("max_length", max_length)
        self.max_length = max_length
        super().__init__(dtype=str, seed=seed)

    @property
    def is_np_flattenable(self) -> bool:
        """False: a string is no array."""
        return False

    def contains(self, x: Any) -> bool:
        """Whether ``x`` is a string that is short enough, with no half of a surrogate pair."""
        return (
            isinstance(x, str)
            and (self.max_length is None or len(x) <= self.max_length)
            and not _SURROGATE.search(x)
        )

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """A string of up to 32 characters, half of them ASCII.

        Raises:
            ValueError: There is a mask or a probability; strings have none.
        """
        if mask is not None or probability is not None:
            raise ValueError("strings are sampled without a mask or a probability")
        room = MAX_SAMPLED if self.max_length is None else min(self.max_length, MAX_SAMPLED)
        length = int(self.np_random.integers(room + 1))
        ascii_codes = self.np_random.integers(0x20, 0x7F, length)
        codes = self.np_random.integers(0x20, 0x110000 - len(_SURROGATES), length)
        codes += len(_SURROGATES) * (codes >= _SURROGATES.start)
        return "".join(map(chr, np.where(self.np_random.random(length) < 0.5, codes, ascii_codes)))

    def __repr__(self) -> str:
        return "Unicode()" if self.max_length is None else f"Unicode({self.max_length})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unicode) and self.max_length == other.max_length
