"""What can go wrong, one class a cause. Misused actions and resets raise Gymnasium's own errors."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import gymnasium.error


class TextEnvsError(gymnasium.error.Error, ValueError):
    """Base of every error that textenvs raises for bad input; one of Gymnasium's, too."""


class DatasetError(TextEnvsError):
    """A data file that cannot be read, or that breaks its format; names file, place and field."""


class TokenizerError(TextEnvsError):
    """A tokenizer that cannot serve an environment."""


class OptionError(TextEnvsError):
    """An environment option, split or name that does not exist or has an impossible value."""


class DatasetWarning(UserWarning):
    """Examples that are kept but cannot reach the full score, counted by reason."""


def check_positive(name: str, value: object) -> None:
    """Raise `OptionError` unless an option is a positive integer.

    >>> check_positive("size", 2.5)
    Traceback (most recent call last):
        ...
    textenvs.errors.OptionError: size must be an integer of at least 1, got 2.5
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise OptionError(f"{name} must be an integer of at least 1, got {value!r}")


def check_flag(name: str, value: object) -> None:
    """Raise `OptionError` unless an option is True or False.

    >>> check_flag("copy", "no")
    Traceback (most recent call last):
        ...
    textenvs.errors.OptionError: copy must be True or False, got 'no'
    """
    if not isinstance(value, bool):
        raise OptionError(f"{name} must be True or False, got {value!r}")


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that a name is most like, if it is like one.

    >>> closest("tets", ["train", "validation", "test"])
    'test'
    """
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return found[0] if found else None


def unknown(kind: str, name: object, known: Iterable[str]) -> OptionError:
    """An error for a name that does not exist, which lists those that do, the closest match first.

    >>> print(unknown("split", "tets", ["train", "validation", "test"]))
    unknown split 'tets': did you mean 'test'? Known: 'test', 'train', 'validation'
    """
    names = sorted(known)
    close = closest(str(name), names)
    names.sort(key=lambda other: other != close)
    hint = f" did you mean {close!r}?" if close else ""
    return OptionError(f"unknown {kind} {name!r}:{hint} Known: {', '.join(map(repr, names))}")
