"""Sets of positions in texts, for many texts at once.

A set is a row of 64-bit numbers: position i is bit i % 64 of number i // 64. An array of sets is
uint64 ``(..., L)``; what is done to sets costs the same whatever they hold.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Sets: TypeAlias = "NDArray[np.uint64]"

BITS = 64
DTYPE = np.dtype("<u8")
EVERYWHERE = np.iinfo(np.uint64).max
"""Fills a set with all positions."""

# Of each pair of bits the lower one, of each four the lower two, of each eight the lower four,
# and of each eight the lowest.
_PAIRS, _FOURS, _EIGHTS, _UNITS = (
    np.uint64(EVERYWHERE // factor) for factor in (0b11, 0b101, 0b10001, 0b11111111)
)


def where(numbers: NDArray[np.int32], sought: NDArray[np.int32]) -> Sets:
    """The positions of each text, ``(..., 64 L)``, at which a number ``(...)`` stands."""
    return np.packbits(numbers == sought[..., None], axis=-1, bitorder="little").view(DTYPE)


def first(sets: Sets) -> Sets:
    """The first position of each set alone; none of an empty one."""
    lowest: Sets = np.bitwise_and(sets, np.negative(sets))
    if sets.shape[-1] > 1:
        lowest[..., 1:][np.logical_or.accumulate(sets[..., :-1] != 0, axis=-1)] = 0
    return lowest


def after(sets: Sets) -> Sets:
    """The positions that follow those of each set; the last of all is lost."""
    following: Sets = np.left_shift(sets, 1)
    following[..., 1:] |= sets[..., :-1] >> (BITS - 1)
    return following


def add(one: Sets, other: Sets) -> Sets:
    """The sums of two sets as binary numbers; what goes beyond the last position is lost."""
    total = one + other
    for part in range(1, one.shape[-1]):
        a, b = one[..., part - 1], other[..., part - 1]
        total[..., part] += ((a & b) | ((a | b) & ~total[..., part - 1])) >> (BITS - 1)
    return total


def size(sets: Sets) -> NDArray[np.intp]:
    """How many positions each set has, ``(...)``.

    Sums of neighbouring bits, in place, as by Warren, "Hacker's Delight" (2003), section 5-1.
    """
    counts = sets - ((sets >> 1) & _PAIRS)
    counts = (counts & _FOURS) + ((counts >> 2) & _FOURS)
    counts = (counts + (counts >> 4)) & _EIGHTS
    sizes: NDArray[np.intp] = ((counts * _UNITS) >> (BITS - 8)).astype(np.intp).sum(-1)
    return sizes
