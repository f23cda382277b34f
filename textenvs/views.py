"""What a person is shown of an episode: parts, which lay themselves out in lines."""

from __future__ import annotations

import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, TypeAlias

HEAD, TAIL = 8, 4
"""Lines that stay of a paragraph that is folded."""


class Piece(NamedTuple):
    """Text in a line, and whether the agent wrote or chose it."""

    text: str
    by_agent: bool = False


Line: TypeAlias = "list[Piece]"


class Part(ABC):
    """A part of a view.

    Attributes:
        speaker: What stands before its first line, such as ``">"`` or a speaker's name.
        by_agent: Whether it is the agent's work.
    """

    speaker: str
    by_agent: bool

    @abstractmethod
    def lines(self, width: int) -> list[Line]:
        """The part in lines of at most ``width`` columns."""

    @abstractmethod
    def latest(self, width: int) -> str:
        """Its end, in at most ``width`` columns."""


@dataclass(frozen=True)
class Paragraph(Part):
    """Running text, wrapped; of a long one the middle is folded.

    Attributes:
        text: The text; its line breaks stay.
        speaker: Who says it.
        by_agent: Whether all of it is the agent's.
        chosen: The characters that the agent chose from it, from and to; brackets mark them.
    """

    text: str
    speaker: str = ""
    by_agent: bool = False
    chosen: tuple[int, int] | None = None

    def lines(self, width: int) -> list[Line]:
        """The part in lines of at most ``width`` columns."""
        text, start, end = self._marked()
        text = printable(text).rstrip("\n")
        if not text:
            return []
        lines = [_cut(text, span, start, end) for span in wrap(text, width)]
        if len(lines) <= HEAD + TAIL + 1:  # the line that tells of folding takes one, too
            return lines
        return list(_fold(lines, self.chosen is not None))

    def _marked(self) -> tuple[str, int, int]:
        """The text with its brackets, and where the agent's part of it is."""
        if self.chosen is None:
            return self.text, 0, len(self.text) if self.by_agent else 0
        start, end = self.chosen
        text = f"{self.text[:start]}[{self.text[start:end]}]{self.text[end:]}"
        return text, start, end + 2

    def latest(self, width: int) -> str:
        """Its end, in at most ``width`` columns."""
        return _tail(printable(self.text).replace("\n", " "), width)


@dataclass(frozen=True)
class Tagged(Part):
    """Words, and below each the tag that the agent gave it.

    Attributes:
        words: All the words.
        tags: The tags of the first of them.
    """

    words: Sequence[str]
    tags: Sequence[str]
    speaker: str = ""
    by_agent: bool = True

    def lines(self, width: int) -> list[Line]:
        """The part in lines of at most ``width`` columns, words and tags in turn."""
        below = [*map(printable, self.tags), "?"][: len(self.words)]
        below += [""] * (len(self.words) - len(below))
        rows: list[tuple[str, str]] = []
        for word, tag in zip(self.words, below, strict=True):
            word = _head(printable(word).replace("\n", " "), width)
            room = max(columns(word), columns(tag))
            if not rows or columns(rows[-1][0]) + room > width:
                rows.append(("", ""))
            upper, lower = rows[-1]
            rows[-1] = (upper + _pad(word, room + 2), lower + _pad(tag, room + 2))
        return [
            line
            for upper, lower in rows
            for line in ([Piece(upper.rstrip())], [Piece(lower.rstrip(), by_agent=True)])
        ]

    def latest(self, width: int) -> str:
        """The last words that have tags, in at most ``width`` columns."""
        pairs = zip(self.words, self.tags, strict=False)
        return _tail(printable(" ".join(map("/".join, pairs))).replace("\n", " "), width)


_CONTROLS = {
    **{code: 0x2400 + code for code in range(32)},  # their pictures
    **dict.fromkeys(range(0x7F, 0xA0), 0xFFFD),
    # What parts lines, and what turns the direction in which text is shown.
    **dict.fromkeys((0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)), 0xFFFD),
    ord("\n"): ord("\n"),
    ord("\t"): ord(" "),
}

_WIDTHLESS = ("Mn", "Me", "Cf")
"""Categories of signs that are drawn over others, or not at all."""


def printable(text: str) -> str:
    """The text with a sign in place of each control character: none moves or hides anything."""
    return text.translate(_CONTROLS)


def columns(text: str) -> int:
    """How many columns of a terminal a text takes.

    >>> columns("token"), columns("东京")
    (5, 4)
    """
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.category(sign) in _WIDTHLESS
        else 1 + (unicodedata.east_asian_width(sign) in "WF")
        for sign in text
    )


def wrap(text: str, width: int) -> Iterator[tuple[int, int]]:
    """Where the lines of a text begin and end, none of more than ``width`` columns.

    >>> text = "the state is a prefix"
    >>> [text[start:end] for start, end in wrap(text, 9)]
    ['the state', 'is a', 'prefix']
    """
    offset = 0
    for line in text.split("\n"):
        begin = end = 0
        for start, stop in _chunks(line, width):
            if end and columns(line[begin:stop]) > width:
                yield offset + begin, offset + end
                begin = start
            elif not end:
                begin = start
            end = stop
        yield offset + begin, offset + end
        offset += len(line) + 1


def _chunks(line: str, width: int) -> Iterator[tuple[int, int]]:
    """The words of a line, those that are too long in parts."""
    for word in re.finditer(r"\S+", line):
        start = word.start()
        if columns(word[0]) > width:
            for place in range(word.start(), word.end()):
                if columns(line[start : place + 1]) > width and place > start:
                    yield start, place
                    start = place
        yield start, word.end()


def _cut(text: str, span: tuple[int, int], start: int, end: int) -> Line:
    """The pieces of a line of text, of which the agent's part goes from ``start`` to ``end``."""
    first, last = span
    bounds = [first, *(min(max(bound, first), last) for bound in (start, end)), last]
    return [Piece(text[a:b], i == 1) for i, (a, b) in enumerate(pairwise(bounds)) if a < b]


def _fold(lines: list[Line], keep_chosen: bool) -> Iterator[Line]:
    """The first and the last lines, and those with what the agent chose."""
    hidden = 0
    for number, line in enumerate(lines):
        chosen = keep_chosen and any(piece.by_agent for piece in line)
        if HEAD <= number < len(lines) - TAIL and not chosen:
            hidden += 1
            continue
        if hidden:
            yield [Piece(f"... {hidden} line{'s' * (hidden > 1)} folded ...")]
            hidden = 0
        yield line


def _head(text: str, width: int) -> str:
    if columns(text) <= width:
        return text
    text = text[:width]
    while text and columns(text) > width - 3:
        text = text[:-1]
    return f"{text}..."


def _tail(text: str, width: int) -> str:
    if columns(text) <= width:
        return text
    text = text[-width:]
    while text and columns(text) > width - 4:
        text = text[1:]
    return f"... {text.partition(' ')[2] or text}"


def _pad(text: str, width: int) -> str:
    return text + " " * (width - columns(text))
