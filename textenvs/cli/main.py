"""Which commands there are, and what becomes of errors.

Exit status: 0: done; 1: an error, or a failed check; 2: a wrong command line; 130: Ctrl-C.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any, NamedTuple, Protocol, cast

import gymnasium

from textenvs.cli.usage import UsageError, parse
from textenvs.errors import closest


class CommandModule(Protocol):
    """A module that is a command.

    Attributes:
        Settings: what it can be told: a dataclass, or a function of options; its docstring and
            those of its attributes are the help.
    """

    Settings: Callable[..., Any]

    def run(self, settings: Any) -> int:
        """Do it; the exit status."""


class Command(NamedTuple):
    """A command.

    Attributes:
        module: where it is.
        help: what it does, in a line.
        extra: the extra of textenvs that it needs.
    """

    module: str
    help: str
    extra: str = "cli"


COMMANDS = {
    "list": Command("textenvs.cli.listing", "the environments, a line each"),
    "show": Command("textenvs.cli.show", "one environment: manual, spaces, real episodes"),
    "play": Command("textenvs.cli.play", "play an environment yourself"),
    "check": Command("textenvs.cli.check", "check an environment, and probe its reward for tricks"),
    "train": Command("agents.cli.train", "train an agent", "agents"),
    "evaluate": Command("agents.cli.evaluate", "scores of a trained agent on a split", "agents"),
    "compare": Command("agents.cli.compare", "differences between trained agents", "agents"),
    "watch": Command("agents.cli.watch", "see a trained agent play, token by token", "agents"),
    "report": Command("agents.cli.report", "a page with curves and episodes of runs", "agents"),
    "predict": Command("agents.cli.predict", "a trained agent on text of your own", "agents"),
    "export": Command("agents.cli.export", "a transformers folder, or episodes as data", "agents"),
    "doctor": Command("textenvs.cli.doctor", "what is installed, and what is missing for what"),
    "completion": Command("textenvs.cli.completion", "a script that lets the shell complete"),
}
"""Every command by name."""

PROGRAM = "textenvs"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        arguments: the command and its options; those of this process by default.

    Returns:
        The exit status.
    """
    name, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # one that lacks a sign gets its code
            stream.reconfigure(errors="backslashreplace")
    try:
        if name in ("-h", "--help", "help"):
            print(overview())
            return 0
        if name == "--version":
            print(f"textenvs {metadata.version('textenvs')}")
            return 0
        if name not in COMMANDS:
            hint = closest(name, COMMANDS)
            meant = f": did you mean {hint!r}?" if hint else "."
            raise UsageError(f"there is no command {name!r}{meant} See {PROGRAM} --help")
        command = load(name)
        if os.getcwd() not in sys.path:
            sys.path.append(os.getcwd())  # where modules of one's own are; nothing is hidden by it
        status = command.run(parse(command.Settings, f"{PROGRAM} {name}", rest))
        sys.stdout.flush()
        return status
    except UsageError as error:
        return _failed(error, 2)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever reads has enough, as `head` has
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (gymnasium.error.Error, ValueError, OSError, RuntimeError) as error:
        if not expected(error):
            raise
        return _failed(error, 1)


def expected(error: Exception) -> bool:
    """Whether an error is about what was asked for, and not a mistake of the program.

    So are ours, Gymnasium's, and those of files, such as of a full disk.
    """
    ours = type(error).__module__.partition(".")[0] in ("textenvs", "agents", "gymnasium")
    return ours or isinstance(error, OSError)


def load(name: str) -> CommandModule:
    """The module of a command.

    Raises:
        UsageError: it needs a package that is not installed.
    """
    command = COMMANDS[name]
    try:
        importlib.import_module("tyro")  # every command's, not imported by all of them
        return cast(CommandModule, importlib.import_module(command.module))
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("textenvs", "agents", "benchmarks", ""):
            raise
        raise UsageError(
            f"{PROGRAM} {name} needs {package}, which is not installed: "
            f"pip install 'textenvs[{command.extra}]'"
        ) from None


def overview() -> str:
    """What `textenvs --help` prints.

    >>> print(overview().splitlines()[0])
    Language tasks as Gymnasium environments, and agents that learn in them.
    """
    lines = [f"  {name:12}{command.help}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "Language tasks as Gymnasium environments, and agents that learn in them.",
            "",
            f"usage: {PROGRAM} COMMAND [OPTIONS]",
            "",
            *lines,
            "",
            f"{PROGRAM} COMMAND --help tells its options; {PROGRAM} --version the version.",
        ]
    )


def _failed(error: Exception, status: int) -> int:
    """Print an error in one line; the exit status."""
    text = str(error) or type(error).__name__
    print(f"error: {' '.join(text.split())}", file=sys.stderr)
    return status
