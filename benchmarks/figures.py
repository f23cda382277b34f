"""How all figures look: size, colours that the colour-blind tell apart, the same for each agent.

The colours are those of Okabe & Ito 2008, "Color Universal Design"; agents of one colour differ in
their markers, an agent's variants in shades and markers.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILLION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
GREY = "#767676"
WIDTH = 7.6
"""Inches: a page's width at 11 points."""
FONT = "DejaVu Sans"
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "white",
    "font.family": FONT,
    "svg.hashsalt": "textenvs",  # the same figure has the same bytes
    "svg.fonttype": "none",
}


class Look(NamedTuple):
    """How an agent is drawn."""

    colour: str
    marker: str


LOOKS: dict[str, Look] = {
    "ppo": Look(BLUE, "o"),
    "a2c": Look(SKY, "s"),
    "reinforce": Look(GREEN, "^"),
    "dqn": Look(VERMILLION, "D"),
    "epsilon-greedy": Look(ORANGE, "v"),
    "sarsa": Look(YELLOW, "<"),
    "q-learning": Look(YELLOW, ">"),
    "sb3-ppo": Look(PURPLE, "P"),
    "sb3-dqn": Look(PURPLE, "X"),
    "bc": Look(GREY, "*"),
}
"""An agent's short name -> how it is drawn."""
MARKERS = "o^sDvPX"
OTHERS = tuple(
    Look(colour, marker)
    for colour, marker in zip(
        (BLUE, ORANGE, GREEN, VERMILLION, SKY, PURPLE, BLACK), MARKERS, strict=True
    )
)
"""For what is no agent, in this order."""


def look(agent: str) -> Look:
    """How an agent is drawn; variants of it, as ppo+kl, as itself."""
    return LOOKS.get(agent.partition("+")[0], Look(BLACK, "o"))


SHADES = (0.0, -0.55, 0.45, -0.3, 0.65)
"""Of a colour: towards black by so much, or towards white."""


def shades(colour: str, count: int) -> list[str]:
    """A colour, and others that are darker and lighter in turn.

    >>> shades("#0072B2", 2)
    ['#0072b2', '#003350']

    Raises:
        ValueError: more are wanted than can be told apart.
    """
    if count > len(SHADES):
        raise ValueError(f"of one colour {count} shades are wanted; there are {len(SHADES)}")
    found = []
    for shade in SHADES[:count]:
        end = to_rgb("white" if shade > 0 else "black")
        pairs = zip(to_rgb(colour), end, strict=True)
        red, green, blue = (own + abs(shade) * (other - own) for own, other in pairs)
        found.append(to_hex((red, green, blue)))
    return found


def variant_looks(names: Sequence[str]) -> list[Look]:
    """How variants of agents are drawn side by side: in shades of the agent's colour.

    >>> [look.colour for look in variant_looks(["ppo", "dqn", "ppo+kl"])]
    ['#0072b2', '#d55e00', '#003350']

    Args:
        names: each an agent's short name, with or without what is particular to it: ppo, ppo+kl.

    Raises:
        ValueError: there are more than can be told apart.
    """
    if len(names) > len(MARKERS):
        raise ValueError(f"{len(names)} variants are to be drawn; there are {len(MARKERS)} markers")
    own = [look(name).colour for name in names]
    left = {colour: iter(shades(colour, own.count(colour))) for colour in own}
    return [Look(next(left[c]), marker) for c, marker in zip(own, MARKERS, strict=False)]


def new_figure(
    height: float, columns: int = 1, rows: int = 1, **options: Any
) -> tuple[Figure, list[Axes]]:
    """An empty figure as wide as a page.

    Args:
        height: in inches.
        columns: of panels.
        rows: of panels.
        options: more for `Figure.subplots`.

    Returns:
        The figure and its panels, row by row.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        FigureCanvasSVG(figure)
        panels = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, [panel for row in panels for panel in row]


def legend(figure: Figure, columns: int) -> None:
    """The figure's legend, above its panels."""
    figure.legend(loc="outside upper center", ncols=columns, fontsize=9, frameon=False)


def as_svg(figure: Figure) -> str:
    """The image, which is the same for the same figure."""
    file = io.StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue().replace(f"'{FONT}'", f"'{FONT}', Verdana, sans-serif")


def as_data(svg: str) -> str:
    """The address of an image that is itself in it, for a page that stands alone."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
