"""A curve drawn with braille signs, eight dots each, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bit of each dot of a sign, by row and column (Unicode, block U+2800)."""
BLANK = 0x2800
NARROWEST = 8
"""Columns of the curve, however narrow the terminal is."""
LABEL = 6
"""Columns of a number beside the axis, at the least."""


def chart(
    points: Sequence[tuple[float, float]],
    columns: int,
    rows: int,
    ends: tuple[float, float],
) -> list[str]:
    r"""A line through points, above an axis, as `rows` + 2 lines of at most `columns` columns.

    >>> print("\n".join(chart([(0, 0.0), (50, 0.8), (100, 1.0)], 24, 3, (0, 100))))
      1.00 ┤       ⣀⠤⠤⠒⠒⠒⠒⠉⠉
      0.50 ┤   ⢀⡠⠒⠉
      0.00 ┤⡠⠔⠊⠁
           └────────────────
            0            100

    Args:
        points: x and y, by ascending x.
        columns: of the terminal.
        rows: of the curve.
        ends: of the horizontal axis.
    """
    low, high = scale([y for _, y in points])
    heights = [high - (high - low) * row / max(rows - 1, 1) for row in range(rows)]
    labels = [f"{round(y, 2) + 0.0:.2f}" for y in heights]  # + 0.0: never -0.00
    label = max(LABEL, *map(len, labels))
    room = max(columns - label - 2, NARROWEST)
    first, last = ends
    dots = [[0] * room for _ in range(rows)]

    def place(x: float, y: float) -> tuple[int, int]:
        share = (x - first) / ((last - first) or 1)
        right = round(min(max(share, 0.0), 1.0) * (2 * room - 1))
        return right, round((high - y) / (high - low) * (4 * rows - 1))

    places = [place(x, y) for x, y in points]
    for (x, y), (right, below) in zip(places, places[1:] or places, strict=False):
        steps = max(abs(right - x), abs(below - y), 1)
        for step in range(steps + 1):
            column = x + round((right - x) * step / steps)
            row = y + round((below - y) * step / steps)
            dots[row // 4][column // 2] |= DOTS[row % 4][column % 2]
    lines = []
    for text, row_of_dots in zip(labels, dots, strict=True):
        signs = "".join(chr(BLANK + bits) if bits else " " for bits in row_of_dots)
        lines.append(f"{text:>{label}} ┤{signs}".rstrip())
    right_end = f"{last:,.0f}"
    lines.append(f"{'':{label}} └{'─' * room}")
    lines.append(f"{'':{label}}  {first:<,.0f}{right_end:>{max(room - len(f'{first:,.0f}'), 1)}}")
    return lines


def scale(values: Sequence[float]) -> tuple[float, float]:
    """From where to where an axis goes: by tenths, around all values.

    >>> scale([0.31, 0.78])
    (0.3, 0.8)
    """
    step = 10.0 ** max(-1, len(str(int(max(map(abs, values), default=0)))) - 2)
    low = min(values, default=0.0) // step * step
    high = -(-max(values, default=1.0) // step) * step
    return round(low, 6), round(high if high > low else low + step, 6)
