"""Command lines by tyro, with errors in one line."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from textenvs.errors import closest

T = TypeVar("T")

RULE = re.compile(r"[─-]{3,}")
"""What parts the paragraphs of a box: in one of plain ASCII, hyphens."""
CHOICES = re.compile("Available subcommands: (.*)")
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
    """The first paragraph of one of tyro's boxes, with the nearest options that it knows of.

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
    first, *others = paragraphs(box) or [box.strip()]
    # What a setting's own check says comes with tyro's name for the settings as a whole.
    first = re.sub(r"^Error parsing [^-]\S*: ", "", first)
    wrong = OPTION.findall(first) if first.startswith("Unrecognized") else []
    known = [name for other in others for name in OPTION.findall(other) if name not in wrong]
    near = dict.fromkeys(name for name in (closest(each, known) for each in wrong) if name)
    if near:
        first = f"{first}: did you mean {' and '.join(map(repr, near))}?"
    elif others and (found := CHOICES.match(others[0])):
        word = first.partition(": ")[2].partition(",")[0]
        nearest = closest(word, found[1].split(", "))
        first = f"{first}: did you mean {nearest!r}?" if nearest else f"{first}. {others[0]}."
    else:
        first = f"{first.rstrip('.')}."
    return f"{first} See {program} --help"


def paragraphs(box: str) -> list[str]:
    """What a box says below its title, each paragraph in a line."""
    lines = box.splitlines()
    if "│" in box:
        rows = [line.strip("│ ") for line in lines if line.startswith("│")]
    else:  # where the terminal has no such signs: a title, a rule, and what is in the box
        rows = [line.strip() for line in lines[2:]]
    found: list[list[str]] = [[]]
    for row in rows:
        if RULE.fullmatch(row):
            found.append([])
        elif row:
            found[-1].append(row)
    return [" ".join(paragraph) for paragraph in found if paragraph]
