"""Named integer fields side by side in one row, so that one copy sets up a whole episode."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Layout:
    """Where each field stands in an int32 row.

    >>> layout = Layout({"length": (), "tokens": (4,)}, defaults={"tokens": -1})
    >>> layout.row(length=2, tokens=[7, 8])
    array([ 2,  7,  8, -1, -1], dtype=int32)
    >>> layout.fields(np.stack([layout.row(length=1), layout.row(length=2)]))["length"]
    array([1, 2], dtype=int32)

    Args:
        shapes: Each field's shape; ``()`` is a single number.
        defaults: What a field holds where nothing is written; 0 if it is not named.
    """

    def __init__(
        self, shapes: Mapping[str, tuple[int, ...]], defaults: Mapping[str, int] | None = None
    ) -> None:
        self._shapes = dict(shapes)
        self._starts: dict[str, int] = {}
        self.width = 0
        for name, shape in self._shapes.items():
            self._starts[name] = self.width
            self.width += prod(shape)
        self._blank = np.zeros(self.width, np.int32)
        for name, value in (defaults or {}).items():
            start = self._starts[name]
            self._blank[start : start + prod(self._shapes[name])] = value

    def row(self, **values: Any) -> NDArray[np.int32]:
        """A row of numbers and of flat arrays, which may be shorter than their field."""
        row = self._blank.copy()
        for name, value in values.items():
            start = self._starts[name]
            if isinstance(value, (int, np.integer)):
                row[start] = value
            else:
                assert len(value) <= prod(self._shapes[name]), name
                row[start : start + len(value)] = value
        return row

    def fields(self, rows: NDArray[np.int32]) -> dict[str, NDArray[np.int32]]:
        """Views of ``rows`` (N, width) by name, ``(N, *shape)`` each."""
        views = {}
        for name, shape in self._shapes.items():
            start = self._starts[name]
            view = rows[:, start : start + prod(shape)]
            views[name] = view.reshape(len(rows), *shape)
        return views
