"""The command `python -m textenvs.check`: check an environment, and say so by the exit status.

0: no check failed; 1: one did; 2: there is no such environment, option or check.

    python -m textenvs.check TextQA-v0 --kwargs split=test reward=dense
    python -m textenvs.check my_package:MyTask-v0 --episodes 200 --json

Imported, the module can be called as the function whose name it has, `textenvs.check`, so that an
import of it takes nothing away.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from gymnasium.error import Error as GymnasiumError

from textenvs.checking import CHECKS, check


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        report = check(
            options.id,
            checks=options.checks,
            episodes=options.episodes,
            **_kwargs(options.kwargs),
        )
    except (GymnasiumError, ImportError, TypeError, ValueError) as error:
        parser.error(str(error))
    print(report.to_json() if options.json else report)
    return 0 if report.ok else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m textenvs.check",
        description="Check an environment against the contract of the token MDP.",
    )
    parser.add_argument("id", help="an environment's id, or module:id to import its module first")
    parser.add_argument(
        "--kwargs",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="options of gymnasium.make: KEY=VALUE (the value as JSON, or else as text), or one "
        "JSON object",
    )
    parser.add_argument(
        "--checks", nargs="+", metavar="NAME", help=f"only these; default: {', '.join(CHECKS)}"
    )
    parser.add_argument("--episodes", type=int, default=50, help="of each check (default: 50)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser


def _kwargs(given: Sequence[str]) -> dict[str, Any]:
    kwargs: dict[str, Any] = {}
    for text in given:
        if text.lstrip().startswith("{"):
            try:
                kwargs |= json.loads(text)
            except json.JSONDecodeError as error:
                raise ValueError(f"--kwargs: expected a JSON object: {error}: {text}") from error
            continue
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--kwargs: expected KEY=VALUE or a JSON object, got {text!r}")
        try:
            kwargs[name] = json.loads(value)
        except json.JSONDecodeError:
            kwargs[name] = value
    return kwargs


class _CallableModule(ModuleType):
    __call__ = staticmethod(check)


if __name__ == "__main__":
    sys.exit(main())
sys.modules[__name__].__class__ = _CallableModule
