"""Tagged sentences in the column format of the CoNLL shared tasks."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from textenvs.data.examples import NERExample
from textenvs.data.files import OnError, check_on_error, read_text
from textenvs.errors import DatasetError, DatasetWarning, unknown

SCHEMES = {"IOB1": "BI", "BIO": "BI", "IOBES": "BIES", "BILOU": "BILU"}
"""The schemes that are read, each with the prefixes that its tags may have."""

TAG = re.compile(r"O|[BIESLU]-\S(?:.*\S)?")
TAG_EXAMPLE = "a tag ('O', or a prefix and a type such as 'B-PER')"


def detect_scheme(sequences: Iterable[Sequence[str]]) -> str:
    """The scheme in which tags are written: ``"BIO"``, ``"IOB1"``, ``"IOBES"`` or ``"BILOU"``.

    E- and S- are of IOBES only, L- and U- of BILOU only. In IOB1 an entity begins with I- unless
    one of its type stands right before it; if any entity begins with B- where IOB1 has I-, the
    tags are BIO.

    >>> detect_scheme([["I-PER", "I-PER", "O"]]), detect_scheme([["B-PER", "I-PER", "O"]])
    ('IOB1', 'BIO')

    Raises:
        DatasetError: Prefixes of IOBES and of BILOU in one data set.
    """
    first: dict[str, str] = {}
    inside_begins = begin_needless = False
    for tags in sequences:
        before = "O"
        for tag in tags:
            first.setdefault(tag[:1], tag)
            if tag != "O" and before[1:] != tag[1:]:
                inside_begins |= tag[:1] == "I"
                begin_needless |= tag[:1] == "B"
            before = tag
    iobes, bilou = first.get("E", first.get("S")), first.get("L", first.get("U"))
    if iobes and bilou:
        raise DatasetError(
            f"expected the tags of one scheme, got {iobes!r} (IOBES) and {bilou!r} (BILOU)"
        )
    if iobes or bilou:
        return "IOBES" if iobes else "BILOU"
    return "IOB1" if inside_begins and not begin_needless else "BIO"


def to_bio(tags: Sequence[str], scheme: str) -> list[str]:
    """Rewrite a sentence's tags in BIO, in which every entity begins with B-.

    A tag that continues no entity begins one, whatever its prefix, as CoNLL's scoring has it.

    >>> to_bio(["I-PER", "I-PER", "B-PER", "O"], "IOB1")
    ['B-PER', 'I-PER', 'B-PER', 'O']
    >>> to_bio(["S-LOC", "O", "B-PER", "E-PER"], "IOBES")
    ['B-LOC', 'O', 'B-PER', 'I-PER']

    Args:
        tags: The tags of one sentence.
        scheme: ``"BIO"``, ``"IOB1"``, ``"IOBES"`` or ``"BILOU"``.

    Raises:
        OptionError: An unknown `scheme`.
        DatasetError: A tag that the scheme does not have.
    """
    if scheme not in SCHEMES:
        raise unknown("tagging scheme", scheme, SCHEMES)
    bio = []
    before = "O"
    for position, tag in enumerate(tags):
        if not TAG.fullmatch(tag) or tag[0] not in "O" + SCHEMES[scheme]:
            raise DatasetError(f"tag {position}: expected a tag of {scheme}, got {tag!r}")
        if tag == "O":
            bio.append(tag)
        else:
            begins = tag[0] in "BSU" or before[1:] != tag[1:] or before[0] in "ESLU"
            bio.append(("B" if begins else "I") + tag[1:])
        before = tag
    return bio


def as_bio(
    sequences: Sequence[Sequence[str]],
) -> tuple[list[list[str]], list[tuple[int, int]]]:
    """Rewrite the tags of a data set, which are of one scheme, in BIO.

    >>> as_bio([["B-PER", "O"], ["O", "I-LOC"]])
    ([['B-PER', 'O'], ['O', 'B-LOC']], [(1, 1)])

    Returns:
        The tags in BIO; and, of data that is else in BIO, the sentence and the word of each I-
        tag that continued no entity.

    Raises:
        DatasetError: The tags are of several schemes.
    """
    scheme = detect_scheme(sequences)
    rewritten = [to_bio(tags, scheme) for tags in sequences]
    if scheme != "BIO":
        return rewritten, []
    repaired = [
        (sentence, word)
        for sentence, (tags, bio) in enumerate(zip(sequences, rewritten, strict=True))
        for word, (tag, new) in enumerate(zip(tags, bio, strict=True))
        if tag != new
    ]
    return rewritten, repaired


def read_conll(path: str | Path, *, on_error: OnError = "raise") -> list[NERExample]:
    r"""Read sentences of words and tags, one word a line; blank lines separate sentences.

    The first column is the word and the last its tag. A line with a tab has its columns between
    tabs, so that a word may be or hold any other character; else they stand between spaces. Lines
    that begin with ``-DOCSTART-`` separate sentences. Lines that begin with ``"# "`` are comments,
    unless they have as many columns as the words and a tag in the last.

    The tags may be IOB1, BIO, IOBES or BILOU, one scheme a file. An I- tag that continues no
    entity, in a file that is else BIO, begins one (as CoNLL's scoring has it). Of several labels
    joined by commas (``"B-person,B-group"``, as the WNUT 2017 test file has them), the one that
    continues the entity before counts, else the first. Both are counted and reported once, with a
    `DatasetWarning`.

    Args:
        path: A UTF-8 text file.
        on_error: ``"raise"``, or ``"skip"`` to leave out each sentence with a malformed line and
            say how many, once, with a `DatasetWarning`.

    Returns:
        The sentences in the order of the file, tagged in BIO; an id is the file's name and the
        line of the first word.

    Raises:
        DatasetError: The file breaks the format (with file and line, what was expected and what
            came), or has no sentences.
        OptionError: An unknown `on_error`.

    Source: Tjong Kim Sang & De Meulder 2003.
    """
    check_on_error(on_error)
    path = Path(path)
    lines = _split_lines(read_text(path))
    notes = _Notes(path)
    sentences = _parse(lines, path, notes, skip=on_error == "skip")
    if not sentences:
        reason = f"; the first malformed line: {notes.reasons['skip']}" if notes.counts else ""
        raise DatasetError(f"{path}: expected sentences of tagged words, got none{reason}")
    try:
        sequences, repaired = as_bio([sentence.tags for sentence in sentences])
    except DatasetError as error:
        raise DatasetError(f"{path}:{_scheme_conflict(sentences)}: {error}") from error
    for number, word in repaired:
        sentence = sentences[number]
        notes.add("repair", f"line {sentence.lines[word]}, {sentence.tags[word]!r}")
    examples = [
        NERExample(f"{path.name}:{sentence.lines[0]}", tuple(sentence.words), tuple(bio))
        for sentence, bio in zip(sentences, sequences, strict=True)
    ]
    notes.warn()
    return examples


_NOTES = {
    "skip": "left out {} sentences with a malformed line; the first: {}",
    "labels": "read {} tags of several labels as one; the first: {}",
    "repair": "read {} I- tags that continue no entity as B-; the first: {}",
}


@dataclass
class _Sentence:
    """A sentence as the file has it, with the line number of each word."""

    words: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)


class _Notes:
    """Counts what was left out or read liberally, for one warning at the end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts: dict[str, int] = {}
        self.reasons: dict[str, str] = {}

    def add(self, kind: str, reason: str) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.reasons.setdefault(kind, reason)

    def warn(self) -> None:
        parts = [
            text.format(self.counts[kind], self.reasons[kind])
            for kind, text in _NOTES.items()
            if kind in self.counts
        ]
        if parts:
            warnings.warn(f"{self.path}: {'. '.join(parts)}", DatasetWarning, stacklevel=3)


def _split_lines(text: str) -> list[str]:
    """Lines without their ends; unlike `str.splitlines`, blind to exotic line separators."""
    if "\n" not in text:
        return text.split("\r")
    return [line.removesuffix("\r") for line in text.split("\n")]


def _columns(line: str) -> list[str]:
    if "\t" in line:
        first, *others = line.split("\t")
        return [first, *(cell.strip(" ") for cell in others)]
    return [cell for cell in line.split(" ") if cell]


def _is_blank(line: str) -> bool:
    return not line.strip(" \t\r")


def _width(lines: list[str]) -> tuple[int, int]:
    """The number of columns, and the line that says so: the first one that must be a word's."""
    for number, line in enumerate(lines, 1):
        if not _is_blank(line) and not line.startswith(("#", "-DOCSTART-")):
            return len(_columns(line)), number
    return 2, 0


def _parse(lines: list[str], path: Path, notes: _Notes, *, skip: bool) -> list[_Sentence]:
    width, width_line = _width(lines)
    sentences = []
    sentence, broken = _Sentence(), False
    for number, line in enumerate([*lines, ""], 1):
        if _is_blank(line) or line.startswith("-DOCSTART-"):
            if sentence.words and not broken:
                sentences.append(sentence)
            sentence, broken = _Sentence(), False
            continue
        columns = _columns(line)
        if _is_comment(line, columns, width):
            continue
        try:
            word, tag, several = _word_and_tag(columns, width, width_line, sentence.tags)
        except DatasetError as error:
            if not skip:
                raise DatasetError(f"{path}:{number}: {error}") from None
            if not broken:
                notes.add("skip", f"line {number}: {error}")
            broken = True
            continue
        if several:
            notes.add("labels", f"line {number}, {columns[-1]!r} as {tag!r}")
        sentence.words.append(word)
        sentence.tags.append(tag)
        sentence.lines.append(number)
    return sentences


def _is_comment(line: str, columns: list[str], width: int) -> bool:
    """Whether a line is a comment: a ``#`` that is a word has a word's columns and a tag."""
    if not line.startswith("#"):
        return False
    if len(columns) == width and _labels(columns[-1]):
        return False
    return line == "#" or line.startswith(("# ", "#begin document", "#end document"))


def _labels(tag: str) -> list[str]:
    """The labels of a tag, several if joined by commas; none if it is no tag."""
    parts = tag.split(",")
    if len(parts) > 1 and all(TAG.fullmatch(part) for part in parts):
        return parts
    return [tag] if TAG.fullmatch(tag) else []


def _word_and_tag(
    columns: list[str], width: int, width_line: int, tags_before: list[str]
) -> tuple[str, str, bool]:
    """The word and the tag of a line, and whether the tag was chosen from several labels."""
    if len(columns) < 2:
        raise DatasetError(
            f"expected a word and {TAG_EXAMPLE} between tabs or spaces, got {columns}"
        )
    if len(columns) != width:
        raise DatasetError(
            f"expected {width} columns, as in line {width_line}, got {len(columns)}: {columns}"
        )
    if not columns[0]:
        raise DatasetError(f"expected a word in the first column, got none: {columns}")
    labels = _labels(columns[-1])
    if not labels:
        raise DatasetError(f"expected {TAG_EXAMPLE} in the last column, got {columns[-1]!r}")
    before = tags_before[-1] if tags_before else "O"
    continuing = [label for label in labels if before != "O" and label == "I" + before[1:]]
    return columns[0], (continuing or labels)[0], len(labels) > 1


def _scheme_conflict(sentences: list[_Sentence]) -> int:
    """The line of the first tag at which no scheme fits any longer."""
    seen = set()
    for sentence in sentences:
        for line, tag in zip(sentence.lines, sentence.tags, strict=True):
            seen.add({"E": "IOBES", "S": "IOBES", "L": "BILOU", "U": "BILOU"}.get(tag[0], ""))
            if {"IOBES", "BILOU"} <= seen:
                return line
    raise AssertionError("called without a conflict")
