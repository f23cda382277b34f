"""What a terminal can show."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TextIO

WIDTH = 80
"""Columns where there is no terminal to ask."""

STYLES = {
    "bold": "1",
    "faint": "2",
    "red": "1;31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "agent": "1;36",
}
"""The escape code of each style (SGR parameters, ECMA-48)."""


def width(stream: TextIO | None = None) -> int:
    """Columns of the terminal that ``stream`` (default: standard output) is, or `WIDTH`."""
    stream = stream or sys.stdout
    return shutil.get_terminal_size((WIDTH, 24)).columns if stream.isatty() else WIDTH


def has_colour(stream: TextIO | None = None) -> bool:
    """Whether to write colours: as no-color.org and force-color.org say, else on a terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return (stream or sys.stdout).isatty() and os.environ.get("TERM") != "dumb"


def paint(text: str, style: str, colour: bool = True) -> str:
    r"""The text in a style; as it is without ``colour``, or if it is blank.

    >>> paint("done", "green")
    '\x1b[32mdone\x1b[0m'
    """
    return f"\033[{STYLES[style]}m{text}\033[0m" if colour and text.strip() else text
