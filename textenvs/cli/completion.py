"""`textenvs completion`: a script by which the shell completes commands and options."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import tyro

from textenvs.cli.usage import UsageError


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Print a script that lets the shell complete commands and options.

    For bash: textenvs completion bash > ~/.local/share/bash-completion/completions/textenvs
    """

    shell: tyro.conf.Positional[Literal["bash", "zsh", "tcsh"]]
    """Whose."""


def run(settings: Settings) -> int:
    """Print the script."""
    from textenvs.cli.main import COMMANDS, PROGRAM, load

    commands: dict[str, Callable[..., Any]] = {}
    for name in COMMANDS:
        with contextlib.suppress(UsageError):  # what needs a package that is missing
            commands[name] = load(name).Settings
    try:
        tyro.extras.subcommand_cli_from_dict(
            commands,
            prog=PROGRAM,
            args=["--tyro-print-completion", settings.shell],
            config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes),
        )
    except SystemExit as stop:
        return int(stop.code or 0)
    raise AssertionError("tyro ends the program when it has printed completions")
