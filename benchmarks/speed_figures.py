"""Figures of measured speeds."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from matplotlib.figure import Figure

from benchmarks.figures import BLUE, GREY, OTHERS, VERMILLION, legend, new_figure
from benchmarks.measuring import Measurement
from benchmarks.scaling import UNITS, Growth


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


def growths_figure(growths: Sequence[Growth]) -> Figure:
    """How costs grow, a panel for what grows; a dotted line has slope 1."""
    axes_of = list(dict.fromkeys(growth.over for growth in growths))
    costs = list(dict.fromkeys(growth.what for growth in growths))
    rows = (len(axes_of) + 1) // 2
    figure, panels = new_figure(2.4 * rows + 0.5, columns=2, rows=rows)
    for panel in panels[len(axes_of) :]:
        panel.set_visible(False)
    for number, (panel, over) in enumerate(zip(panels, axes_of, strict=False)):
        own = [growth for growth in growths if growth.over == over]
        for growth in own:
            colour, marker = OTHERS[costs.index(growth.what)]
            taken = [1e3 * median(each) for each in growth.seconds]
            label = None if number else growth.what
            panel.plot(growth.sizes, taken, color=colour, marker=marker, markersize=5, label=label)
            slope = [taken[0] * size / growth.sizes[0] for size in growth.sizes]
            panel.plot(growth.sizes, slope, color=colour, linestyle=":", linewidth=1)
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        panel.set_xticks(own[0].sizes, [f"{size:,}" for size in own[0].sizes])
        panel.set_xlabel(UNITS[over])
    for panel in panels[::2]:
        panel.set_ylabel("milliseconds")
    legend(figure, 3)
    return figure
