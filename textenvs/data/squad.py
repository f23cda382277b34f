"""Questions about passages in the JSON format of SQuAD 1.1 and 2.0."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from textenvs.data.examples import QAExample
from textenvs.data.faults import Faults, checked, checked_text, fault, kind, short
from textenvs.data.files import OnError
from textenvs.data.json_stream import JsonStream, open_json
from textenvs.errors import DatasetError

T = TypeVar("T")


def read_squad(path: str | Path, *, on_error: OnError = "raise") -> list[QAExample]:
    """Read a SQuAD file, version 1.1 or 2.0, of any size: paragraph by paragraph.

    Every answer must stand in the passage where its ``answer_start`` says, as an answer elsewhere
    would train a model to point at the wrong place. A question with ``is_impossible`` has no
    answers; ``plausible_answers`` are not read.

    Args:
        path: A JSON file, ``{"data": [{"paragraphs": [{"context", "qas": [...]}]}]}``.
        on_error: ``"raise"``, or ``"skip"`` to leave out each question that breaks the format
            and say how many, once, with a `DatasetWarning`.

    Returns:
        The questions in the order of the file; those about a passage share its text.

    Raises:
        DatasetError: The file breaks the format (with file, place in it, what was expected and
            what came), or has no questions.
        OptionError: An unknown `on_error`.

    Source: Rajpurkar et al. 2016 (1.1), Rajpurkar, Jia & Liang 2018 (2.0).
    """
    path = Path(path)
    faults = Faults(str(path), on_error)
    reader = _Reader(path, faults)
    with open_json(path) as stream:
        reader.read(stream)
    faults.report(len(reader.examples), "questions under data[].paragraphs[].qas")
    return reader.examples


def checked_start(passage: str, answer: str, start: object, place: str) -> int:
    """The offset of an answer, which must stand there.

    Args:
        passage: What it is an offset in.
        answer: The answer's text.
        start: The offset, in characters.
        place: Where that is said, for an error.

    Raises:
        DatasetError: It is no offset in the passage, or something else stands there.
    """
    start = checked(start, int, place)
    if not 0 <= start < len(passage):
        raise fault(place, f"an offset in the passage, 0 to {len(passage) - 1}", start)
    found = passage[start : start + len(answer)]
    if found != answer:
        other = passage.find(answer)
        hint = f"it first stands at {other}" if other >= 0 else "it stands nowhere in it"
        got = f"{start}, where the passage has {short(found)}; {hint}"
        raise fault(place, f"the offset of {short(answer)} in the passage", got)
    return start


class _Reader:
    """Walks the records of one file and checks each."""

    def __init__(self, path: Path, faults: Faults) -> None:
        self.path = path
        self.faults = faults
        self.examples: list[QAExample] = []
        self._ids: set[str] = set()

    def read(self, stream: JsonStream) -> None:
        for a in self._list(stream, "data", ""):
            where = f"data[{a}]"
            try:
                for p in self._list(stream, "paragraphs", where):
                    self._paragraph(stream.value(), f"{where}.paragraphs[{p}]")
            except DatasetError as error:
                self.faults.add(error)

    def _list(self, stream: JsonStream, name: str, where: str) -> Iterator[int]:
        """Walks the list that the object ahead has as its member ``name``, past all others."""
        if stream.ahead() != "{":
            self._typed(stream.value(), dict, where or "the file")
        members: dict[str, object] = {}
        for member in stream.members():
            if member == name and stream.ahead() == "[":
                yield from stream.items()
                members[name] = []
            else:
                members[member] = stream.value()
        self._field(members, name, list, where)

    def _paragraph(self, record: object, where: str) -> None:
        """The questions about a passage; a faulty paragraph is left out whole."""
        try:
            fields = self._typed(record, dict, where)
            questions = self._field(fields, "qas", list, where)
            passage = self._text(fields, "context", where)
        except DatasetError as error:
            self.faults.add(error)
            return
        for q, question in enumerate(questions):
            try:
                self.examples.append(self._question(passage, question, f"{where}.qas[{q}]"))
            except DatasetError as error:
                self.faults.add(error)

    def _question(self, passage: str, record: object, where: str) -> QAExample:
        fields = self._typed(record, dict, where)
        name = self._text(fields, "id", where)
        if name in self._ids:
            raise self._fault(f"{where}.id", "an id that no other question has", repr(name))
        question = self._text(fields, "question", where)
        impossible = "is_impossible" in fields and self._field(fields, "is_impossible", bool, where)
        records: list[object] = []
        if not impossible or "answers" in fields:
            records = self._field(fields, "answers", list, where)
        if impossible and records:
            expected = "no answers, as is_impossible is true"
            raise self._fault(f"{where}.answers", expected, f"{len(records)}")
        if not impossible and not records:
            raise self._fault(f"{where}.answers", "an answer, or is_impossible true", "none")
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
        return text, checked_start(passage, text, start, f"{self.path}: {where}.answer_start")

    def _text(self, fields: dict[str, object], name: str, where: str) -> str:
        text = self._field(fields, name, str, where)
        return checked_text(text, f"{self.path}: {where}.{name}")

    def _field(self, fields: dict[str, object], name: str, of: type[T], where: str) -> T:
        place = f"{where}.{name}" if where else name
        if name not in fields:
            known = ", ".join(map(repr, fields)) or "no fields"
            raise self._fault(place, f"a field with {kind(of)}", f"none (here: {known})")
        return self._typed(fields[name], of, place)

    def _typed(self, value: object, of: type[T], place: str) -> T:
        return checked(value, of, f"{self.path}: {place}")

    def _fault(self, place: str, expected: str, got: object) -> DatasetError:
        return fault(f"{self.path}: {place}", expected, got)
