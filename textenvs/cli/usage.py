"""Command lines by tyro, with errors in one line."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from textenvs.errors import closest

T = TypeVar("T")

FRAME = re.compile(r"[─-╿]+")
"""What boxes are drawn with."""
OPTION = re.compile(r"(?<![\w-])--[\w.-]+")


class UsageError(ValueError):
    """A command line that cannot be understood."""


def parse(settings: Callable[..., T], program: str, arguments: Sequence[str]) -> T:
    """The settings that a command line says.

    Args:
        settings: a dataclass, or a function of options.
        program: how it was called.
        arguments: of the command.

    Raises:
        UsageError: what is wrong, in one line.
        SystemExit: help was asked for, and printed.
    """
    import tyro

    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            return tyro.cli(
                settings,
                prog=program,
                args=list(arguments),
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes),
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise UsageError(one_line(printed.getvalue(), program)) from None


def one_line(box: str, program: str) -> str:
    """The first paragraph of one of tyro's boxes, with the nearest option that it knows of.

    >>> box = '''╭─ Unrecognized options ─╮
    ... │ Unrecognized options:  │
    ... │ --sede, 3              │
    ... │ ────────────────────── │
    ... │ Perhaps you meant:     │
    ... │     --seed INT         │
    ... ╰────────────────────────╯'''
    >>> one_line(box, "textenvs train")
    "Unrecognized options: --sede, 3: did you mean '--seed'? See textenvs train --help"
    """
    rows = [FRAME.sub("", line).strip() if "│" in line else None for line in box.splitlines()]
    paragraphs: list[list[str]] = [[]]
    for row in rows:
        if row is None:
            continue
        if not row:
            paragraphs.append([])
        else:
            paragraphs[-1].append(row)
    first, *others = [" ".join(paragraph) for paragraph in paragraphs if paragraph] or [box.strip()]
    wrong = OPTION.search(first)
    known = [option for other in others for option in OPTION.findall(other)]
    nearest = closest(wrong.group(), known) if wrong else None
    if nearest:
        first = f"{first}: did you mean {nearest!r}?"
    elif others and others[0].startswith("Available"):
        first = f"{first}. {others[0]}."
    else:
        first = f"{first.rstrip('.')}."
    return f"{first} See {program} --help"
