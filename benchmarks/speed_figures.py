"""Figures of measured speeds."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from benchmarks.figures import BLUE, GREY, VERMILLION, new_figure
from benchmarks.measuring import Measurement


def ratios_figure(measurements: Sequence[Measurement]) -> Figure:
    """How many times as much each is as what it is compared with, beside what was asked for.

    Args:
        measurements: of anything; what misses its requirement has another colour and a cross.
    """
    figure, (axes,) = new_figure(1 + 0.28 * len(measurements))
    for row, m in enumerate(measurements):
        missed = m.met is False
        colour = VERMILLION if missed else BLUE
        axes.plot([min(m.round_ratios), max(m.round_ratios)], [row, row], color=colour, linewidth=2)
        axes.plot(m.ratio, row, marker="X" if missed else "o", color=colour, markersize=6)
        if m.required is not None and m.required_of == "ratio":
            axes.plot(m.required, row, marker="|", color=GREY, markersize=14, markeredgewidth=2.5)
    axes.axvline(1, color=GREY, linewidth=1, linestyle="--")
    axes.set_xscale("log")
    axes.set_yticks(
        range(len(measurements)), [f"{m.what} / {m.against}" for m in measurements], fontsize=8
    )
    axes.set_ylim(len(measurements) - 0.4, -0.6)
    axes.set_xlabel("times as much (logarithmic)")
    axes.grid(axis="y", visible=False)
    return figure
