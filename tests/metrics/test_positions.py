"""Sets of positions beside Python's integers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from textenvs.metrics import positions

PARTS = 3
LENGTH = PARTS * positions.BITS
numbers = st.one_of(
    st.integers(0, 2**LENGTH - 1),
    st.integers(0, LENGTH).map(lambda bits: 2**LENGTH - 2**bits),  # carries go far
    st.sets(st.integers(0, LENGTH - 1), max_size=4).map(lambda bits: sum(1 << b for b in bits)),
)
several = st.lists(numbers, min_size=1, max_size=4)


def sets_of(values: list[int]) -> positions.Sets:
    data = b"".join(value.to_bytes(LENGTH // 8, "little") for value in values)
    return np.frombuffer(data, positions.DTYPE).reshape(len(values), PARTS).copy()


def values_of(sets: positions.Sets) -> list[int]:
    return [int.from_bytes(row.tobytes(), "little") for row in sets]


@given(several)
def test_single_sets(values: list[int]) -> None:
    sets = sets_of(values)
    assert values_of(positions.first(sets)) == [value & -value for value in values]
    assert values_of(positions.after(sets)) == [(value << 1) % 2**LENGTH for value in values]
    assert positions.size(sets).tolist() == [value.bit_count() for value in values]
    assert values_of(sets) == values  # nothing is done in place


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=4))
def test_sums_carry_from_part_to_part(pairs: list[tuple[int, int]]) -> None:
    ones, others = zip(*pairs, strict=True)
    total = positions.add(sets_of(list(ones)), sets_of(list(others)))
    assert values_of(total) == [(a + b) % 2**LENGTH for a, b in pairs]


@given(st.lists(st.integers(-1, 3), min_size=LENGTH, max_size=LENGTH), st.integers(1, 4))
def test_where_a_number_stands(text: list[int], sought: int) -> None:
    sets = positions.where(np.array([text], np.int32), np.array([sought], np.int32))
    assert values_of(sets) == [sum(1 << i for i, number in enumerate(text) if number == sought)]
