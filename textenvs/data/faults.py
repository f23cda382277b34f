"""What is wrong with data: errors that name the place, and a count of what was left out."""

from __future__ import annotations

import warnings
from typing import TypeVar

from textenvs.data.files import OnError, check_on_error
from textenvs.errors import DatasetError, DatasetWarning

T = TypeVar("T")

_KINDS: dict[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a string",
    int: "an integer",
    bool: "true or false",
    float: "a number",
    type(None): "null",
}


def kind(of: type) -> str:
    """A type as JSON calls it.

    >>> kind(dict), kind(bytes)
    ('an object', 'bytes')
    """
    return _KINDS.get(of, of.__name__)


def short(value: object, width: int = 60) -> str:
    """A value as it would be typed, cut in the middle of an error's line."""
    text = repr(value)
    return text if len(text) <= width else text[: width - 4] + "..." + text[-1]


def fault(place: str, expected: str, got: object) -> DatasetError:
    """The error for something that is not as expected; ``got`` is said as it stands."""
    return DatasetError(f"{place}: expected {expected}, got {got}")


def checked(value: object, of: type[T], place: str) -> T:
    """A value of the type that belongs there; true and false are no integers.

    Raises:
        DatasetError: It is of another.
    """
    if not isinstance(value, of) or (of is int and isinstance(value, bool)):
        raise fault(place, kind(of), f"{kind(type(value))}: {short(value)}")
    return value


def checked_text(value: object, place: str) -> str:
    """A string that is not blank and that UTF-8 can hold.

    Raises:
        DatasetError: It is anything else.
    """
    text = checked(value, str, place)
    if not text.strip():
        raise fault(place, "text", repr(text))
    try:
        text.encode()
    except UnicodeEncodeError as error:
        got = f"half a surrogate pair at character {error.start}"
        raise fault(place, "Unicode text", got) from error
    return text


class Faults:
    """The faulty records of one data set: raised, or counted and told once.

    Args:
        source: The data set's name.
        on_error: ``"raise"`` or ``"skip"``.

    Raises:
        OptionError: An unknown `on_error`.
    """

    def __init__(self, source: str, on_error: OnError) -> None:
        check_on_error(on_error)
        self._source, self._raises = source, on_error == "raise"
        self._count, self._first = 0, ""

    def add(self, error: DatasetError) -> None:
        """Raise the error, or count it."""
        if self._raises:
            raise error
        self._count += 1
        self._first = self._first or str(error).removeprefix(f"{self._source}: ")

    def report(self, examples: int, expected: str) -> None:
        """Tell how many records were left out.

        Args:
            examples: How many are left.
            expected: What the data should have been, for the case that there was nothing at all.

        Raises:
            DatasetError: Nothing is left.
        """
        if not examples:
            if self._count:
                raise DatasetError(
                    f"{self._source}: no record is well formed; the first: {self._first}"
                )
            raise DatasetError(f"{self._source}: expected {expected}, got none")
        if self._count:
            count = "1 record" if self._count == 1 else f"{self._count} records"
            warnings.warn(
                f"{self._source}: left out {count} that broke the format; the first: {self._first}",
                DatasetWarning,
                stacklevel=3,
            )
