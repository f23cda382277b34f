"""What the commands about environments are told of one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

import gymnasium
import tyro

from textenvs.cli.usage import UsageError
from textenvs.env import TextEnv
from textenvs.errors import OptionError

EnvId: TypeAlias = Annotated[str, tyro.conf.arg(metavar="ENV")]
OURS = "textenvs.env:TextEnv"
"""The entry point of every environment of textenvs."""
NEEDED = "is none of textenvs, such as this command needs and `textenvs list` lists"


@dataclass(frozen=True, kw_only=True)
class Environment:
    """An environment and its options."""

    env: tyro.conf.Positional[EnvId]
    """Its id, such as TextQA-v0; MODULE:ID imports the module that registers it."""
    split: str | None = None
    """train, validation or test; by default the environment's own."""
    dataset: str | None = None
    """A data file, or hf:NAME; by default the environment's built-in data."""
    kwargs: tuple[str, ...] = ()
    """More options of gymnasium.make: KEY=VALUE (the value as JSON, or else as text), or one JSON
    object."""

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments for `gymnasium.make`."""
        named = {"split": self.split, "dataset": self.dataset}
        given = {name: value for name, value in named.items() if value is not None}
        return given | read_kwargs(self.kwargs)

    def make(self, **more: Any) -> TextEnv:
        """The environment.

        Args:
            more: options that give way to those of the command line.

        Raises:
            OptionError: it is none of textenvs.
            gymnasium.error.Error: it does not exist, or not with these options.
        """
        try:
            env = gymnasium.make(self.env, **(more | self.options)).unwrapped
        except ModuleNotFoundError as error:
            raise UsageError(f"cannot import the module of {self.env}: {error}") from None
        except TypeError as error:  # its options are others; one of ours says it otherwise
            if gymnasium.spec(self.env).entry_point == OURS:
                raise
            raise OptionError(f"{self.env} {NEEDED}: {error}") from error
        if not isinstance(env, TextEnv):
            raise OptionError(f"{self.env} is a {type(env).__name__} and {NEEDED}")
        return env


def read_kwargs(given: Sequence[str]) -> dict[str, Any]:
    """Options of an environment, as the command line says them.

    >>> read_kwargs(["split=test", "size=100", '{"reward": "dense"}'])
    {'split': 'test', 'size': 100, 'reward': 'dense'}

    Raises:
        UsageError: one is neither KEY=VALUE nor a JSON object.
    """
    kwargs: dict[str, Any] = {}
    for text in given:
        if text.lstrip().startswith("{"):
            try:
                kwargs |= json.loads(text)
            except json.JSONDecodeError as error:
                raise UsageError(f"--kwargs: expected a JSON object: {error}: {text}") from error
            continue
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--kwargs: expected KEY=VALUE or a JSON object, got {text!r}")
        try:
            kwargs[name] = json.loads(value)
        except json.JSONDecodeError:
            kwargs[name] = value
    return kwargs
