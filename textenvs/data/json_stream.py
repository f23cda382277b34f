"""JSON files of any size, walked from front to end without holding the whole."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from itertools import count
from pathlib import Path
from typing import TextIO

from textenvs.data.files import read_text
from textenvs.data.progress import Progress
from textenvs.errors import DatasetError

_CHUNK = 1 << 20  # characters; values that are longer make the buffer grow
_UNDECIDED = re.compile(r"[-+.eE0-9]*\Z")  # what may belong to the number before it
_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


class JsonStream:
    """Walks one JSON text: arrays and objects piece by piece, or any value whole.

    Malformed text raises `json.JSONDecodeError` with a place that means nothing; `open_json` finds
    the true one.

    >>> import io
    >>> stream = JsonStream(io.StringIO('{"a": [1, {"b": 2}], "c": null}'))
    >>> for name in stream.members():
    ...     print(name, [stream.value() for _ in stream.items()] if name == "a" else stream.value())
    a [1, {'b': 2}]
    c None

    Args:
        file: Opened as text.
        on_read: Called whenever more of the file has been read.
    """

    def __init__(self, file: TextIO, on_read: Callable[[], None] = lambda: None) -> None:
        self._file, self._on_read = file, on_read
        self._text, self._at = "", 0

    def ahead(self) -> str:
        """The character with which the next value begins; the empty one at the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            assert space is not None
            self._at = space.end()
            if self._at < len(self._text) or not self._fill():
                return self._text[self._at : self._at + 1]

    def value(self) -> object:
        """The next value, whole."""
        self.ahead()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                if not self._fill():
                    raise
            else:
                if not _UNDECIDED.match(self._text, end) or not self._fill():
                    self._at = end
                    return value

    def items(self) -> Iterator[int]:
        """The number of each item of the array ahead; to be taken before the next is asked for."""
        self._take("[")
        if self.ahead() == "]":
            self._at += 1
            return
        for number in count():
            yield number
            if self._take(",]") == "]":
                return

    def members(self) -> Iterator[str]:
        """The name of each member of the object ahead, whose value is to be taken likewise."""
        self._take("{")
        if self.ahead() == "}":
            self._at += 1
            return
        while True:
            if self.ahead() != '"':
                raise self._malformed("a name")
            name = str(self.value())
            self._take(":")
            yield name
            if self._take(",}") == "}":
                return

    def end(self) -> None:
        """Make sure that nothing follows."""
        if self.ahead():
            raise self._malformed("the end")

    def _take(self, expected: str) -> str:
        found = self.ahead()
        if not found or found not in expected:
            raise self._malformed(f"one of {expected}")
        self._at += 1
        return found

    def _malformed(self, expected: str) -> json.JSONDecodeError:
        return json.JSONDecodeError(f"expected {expected}", self._text, self._at)

    def _fill(self) -> bool:
        """Read on, as much again as is in the buffer; returns whether there was more."""
        more = self._file.read(max(_CHUNK, len(self._text) - self._at))
        if more:
            self._text, self._at = self._text[self._at :] + more, 0
            self._on_read()
        return bool(more)


@contextmanager
def open_json(path: Path) -> Iterator[JsonStream]:
    """A UTF-8 file as a `JsonStream`, which must be walked to its end.

    Raises:
        DatasetError: The file cannot be read, is empty, or is not JSON, with line and column.
    """
    try:
        with (
            path.open("rb") as raw,
            TextIOWrapper(raw, encoding="utf-8-sig", newline="") as file,
            Progress(f"reading {path.name}", path.stat().st_size) as progress,
        ):
            stream = JsonStream(file, lambda: progress.at(raw.tell()))
            yield stream
            stream.end()
    except DatasetError:
        raise
    except (OSError, RecursionError, ValueError) as error:
        raise _named(path, error) from error


def _named(path: Path, error: Exception) -> DatasetError:
    """The error with its place, which reading the file whole tells."""
    try:
        json.loads(read_text(path))
    except DatasetError as known:
        return known
    except json.JSONDecodeError as known:
        return DatasetError(f"{path}:{known.lineno}:{known.colno}: expected JSON: {known.msg}")
    except (RecursionError, ValueError) as known:
        return DatasetError(f"{path}: expected JSON: {known}")
    return DatasetError(f"{path}: expected JSON: {error}")
