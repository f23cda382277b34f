"""Questions about passages in the JSON format of SQuAD 1.1 and 2.0."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from textenvs.data.examples import QAExample
from textenvs.data.files import OnError, check_on_error, read_text
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


def read_squad(path: str | Path, *, on_error: OnError = "raise") -> list[QAExample]:
    """Read a SQuAD file, version 1.1 or 2.0.

    Every answer must stand in the passage where its ``answer_start`` says, as an answer elsewhere
    would train a model to point at the wrong place. A question with ``is_impossible`` has no
    answers; ``plausible_answers`` are not read.

    Args:
        path: A JSON file, ``{"data": [{"paragraphs": [{"context", "qas": [...]}]}]}``.
        on_error: ``"raise"``, or ``"skip"`` to leave out each question that breaks the format
            and say how many, once, with a `DatasetWarning`.

    Returns:
        The questions in the order of the file.

    Raises:
        DatasetError: The file breaks the format (with file, place in it, what was expected and
            what came), or has no questions.
        OptionError: An unknown `on_error`.

    Source: Rajpurkar et al. 2016 (1.1), Rajpurkar, Jia & Liang 2018 (2.0).
    """
    check_on_error(on_error)
    path = Path(path)
    reader = _Reader(path, on_error == "skip")
    examples = reader.read(_load_json(path))
    if reader.skipped:
        if not examples:
            raise DatasetError(f"{path}: no question is well formed; the first: {reader.first}")
        count = "1 record" if reader.skipped == 1 else f"{reader.skipped} records"
        warnings.warn(
            f"{path}: left out {count} that broke the format; the first: {reader.first}",
            DatasetWarning,
            stacklevel=2,
        )
    if not examples:
        raise DatasetError(f"{path}: expected questions under data[].paragraphs[].qas, got none")
    return examples


def _load_json(path: Path) -> object:
    text = read_text(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"{path}:{error.lineno}:{error.colno}"
        raise DatasetError(f"{place}: expected JSON: {error.msg}") from error
    except (RecursionError, ValueError) as error:
        raise DatasetError(f"{path}: expected SQuAD JSON: {error}") from error


class _Reader:
    """Walks the records of one file and checks each, remembering those that it left out."""

    def __init__(self, path: Path, skip: bool) -> None:
        self.path = path
        self.skip = skip
        self.skipped = 0
        self.first = ""
        self._ids: set[str] = set()

    def read(self, root: object) -> list[QAExample]:
        top = self._typed(root, dict, "the file")
        examples = []
        for passage, where, record in self._questions(self._field(top, "data", list, "")):
            try:
                examples.append(self._question(passage, record, where))
            except DatasetError as error:
                self._leave_out(error)
        return examples

    def _questions(self, articles: list[object]) -> Iterator[tuple[str, str, object]]:
        """The passage, place and record of each question; faulty articles are left out whole."""
        for a, article in enumerate(articles):
            try:
                where = f"data[{a}]"
                paragraphs = self._field(
                    self._typed(article, dict, where), "paragraphs", list, where
                )
            except DatasetError as error:
                self._leave_out(error)
                continue
            for p, paragraph in enumerate(paragraphs):
                try:
                    where = f"data[{a}].paragraphs[{p}]"
                    fields = self._typed(paragraph, dict, where)
                    questions = self._field(fields, "qas", list, where)
                    passage = self._text(fields, "context", where)
                except DatasetError as error:
                    self._leave_out(error)
                    continue
                for q, record in enumerate(questions):
                    yield passage, f"{where}.qas[{q}]", record

    def _question(self, passage: str, record: object, where: str) -> QAExample:
        fields = self._typed(record, dict, where)
        name = self._text(fields, "id", where)
        if name in self._ids:
            raise self._error(f"{where}.id", "an id that no other question has", repr(name))
        question = self._text(fields, "question", where)
        impossible = "is_impossible" in fields and self._field(fields, "is_impossible", bool, where)
        records: list[object] = []
        if not impossible or "answers" in fields:
            records = self._field(fields, "answers", list, where)
        if impossible and records:
            expected = "no answers, as is_impossible is true"
            raise self._error(f"{where}.answers", expected, f"{len(records)}")
        if not impossible and not records:
            raise self._error(f"{where}.answers", "an answer, or is_impossible true", "none")
        answers = [
            self._answer(passage, answer, f"{where}.answers[{i}]")
            for i, answer in enumerate(records)
        ]
        self._ids.add(name)
        return QAExample(
            id=name,
            passage=passage,
            question=question,
            answers=tuple(text for text, _ in answers),
            answer_starts=tuple(start for _, start in answers),
        )

    def _answer(self, passage: str, record: object, where: str) -> tuple[str, int]:
        fields = self._typed(record, dict, where)
        text = self._text(fields, "text", where)
        start = self._field(fields, "answer_start", int, where)
        place = f"{where}.answer_start"
        if not 0 <= start < len(passage):
            raise self._error(place, f"an offset in the passage, 0 to {len(passage) - 1}", start)
        found = passage[start : start + len(text)]
        if found != text:
            other = passage.find(text)
            hint = f"it first stands at {other}" if other >= 0 else "it stands nowhere in it"
            got = f"{start}, where the passage has {_short(found)}; {hint}"
            raise self._error(place, f"the offset of {_short(text)} in the passage", got)
        return text, start

    def _text(self, fields: dict[str, object], name: str, where: str) -> str:
        """A string that is not blank and that UTF-8 can hold."""
        text = self._field(fields, name, str, where)
        if not text.strip():
            raise self._error(f"{where}.{name}", "text", repr(text))
        try:
            text.encode()
        except UnicodeEncodeError as error:
            got = f"half a surrogate pair at character {error.start}"
            raise self._error(f"{where}.{name}", "Unicode text", got) from error
        return text

    def _field(self, fields: dict[str, object], name: str, kind: type[T], where: str) -> T:
        place = f"{where}.{name}" if where else name
        if name not in fields:
            known = ", ".join(map(repr, fields)) or "no fields"
            raise self._error(place, f"a field with {_KINDS[kind]}", f"none (here: {known})")
        return self._typed(fields[name], kind, place)

    def _typed(self, value: object, kind: type[T], place: str) -> T:
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self._error(place, _KINDS[kind], f"{_KINDS[type(value)]}: {_short(value)}")
        return value

    def _error(self, place: str, expected: str, got: object) -> DatasetError:
        return DatasetError(f"{self.path}: {place}: expected {expected}, got {got}")

    def _leave_out(self, error: DatasetError) -> None:
        if not self.skip:
            raise error
        self.skipped += 1
        self.first = self.first or str(error).removeprefix(f"{self.path}: ")


def _short(value: object, width: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= width else text[: width - 4] + "..." + text[-1]
