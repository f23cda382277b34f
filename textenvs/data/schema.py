"""From records with named columns to examples: which column holds which field."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, takewhile
from typing import Generic, Protocol, TypeAlias, TypeVar

from textenvs.data.faults import Faults, checked_text, fault, kind, short
from textenvs.data.files import OnError
from textenvs.errors import DatasetError, OptionError, unknown

Columns: TypeAlias = "Mapping[str, str | Sequence[str]]"
"""For each field named, the column that holds it, or several."""


class HasId(Protocol):
    """An example of any task."""

    @property
    def id(self) -> str:
        """Unique within its data set."""


E = TypeVar("E", bound=HasId)


@dataclass(frozen=True, slots=True)
class Record:
    """A line of a file, or a row of a data set.

    Attributes:
        place: Where it stands, such as ``"data/my.jsonl:12"``.
        id: A name for it if it has none of its own.
        values: What its columns hold.
        classes: For columns that hold classes as integers, their names.
    """

    place: str
    id: str
    values: Mapping[str, object]
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Field:
    """What an example needs, and the columns in which it is looked for.

    Attributes:
        columns: Their names in the order of trying. Where it may be ``several``, ``"summary"``
            stands for ``"summary1"``, ``"summary2"`` and so on, too.
        required: Whether a record without it is faulty.
        several: Whether it may come from several columns at once.
    """

    columns: tuple[str, ...]
    required: bool = True
    several: bool = False


ID = Field(("id",), required=False)


class Cells:
    """One record, by field; what is not as it should be raises a `DatasetError`.

    Args:
        record: The record.
        columns: The columns of each field that it has.
    """

    def __init__(self, record: Record, columns: Mapping[str, tuple[str, ...]]) -> None:
        self._record, self._columns = record, columns

    @property
    def id(self) -> str:
        """The record's own id if it has one, else its place."""
        value = self.value("id")
        if value is None or value == "":
            return self._record.id
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return checked_text(value, self.place("id"))

    def value(self, name: str) -> object:
        """What a field holds, a list if it comes from several columns; None for nothing."""
        columns = self._columns.get(name, ())
        values = [self._record.values[column] for column in columns]
        if len(values) == 1:
            return values[0]
        return [value for value in values if value is not None and value != ""] or None

    def items(self, name: str) -> list[object]:
        """What a field holds as a list: of nothing if it is empty, of one if it is no list."""
        value = self.value(name)
        if value is None or value == "":
            return []
        return list(value) if isinstance(value, (list, tuple)) else [value]

    def text(self, name: str) -> str:
        """A field that must be text."""
        return checked_text(self.value(name), self.place(name))

    def classes(self, name: str) -> Sequence[str]:
        """The names of the classes that a field holds as integers; none if it is not known."""
        columns = self._columns.get(name, ())
        return self._record.classes.get(columns[0], ()) if columns else ()

    def place(self, name: str) -> str:
        """Where a field stands, for an error."""
        columns = ", ".join(map(repr, self._columns.get(name, ())))
        return f"{self._record.place}: column {columns or repr(name)}"

    def fault(self, name: str, expected: str, value: object) -> DatasetError:
        """The error for a value of a field that is of the wrong kind."""
        return fault(self.place(name), expected, f"{kind(type(value))}: {short(value)}")


def _as_they_are(examples: list[E], source: str) -> list[E]:
    return examples


@dataclass(frozen=True, eq=False)
class Schema(Generic[E]):
    """What the examples of a task are made of.

    Attributes:
        fields: The fields by name; ``id`` is one of them.
        build: An example from one record's cells; raises a `DatasetError` that names the place.
        finish: What can be done only when all examples are there; given them and the name of the
            data set.
    """

    fields: Mapping[str, Field]
    build: Callable[[Cells], E]
    finish: Callable[[list[E], str], list[E]] = _as_they_are

    def check(self, columns: Columns) -> dict[str, tuple[str, ...]]:
        """The columns that a user named for fields, each as a tuple.

        Raises:
            OptionError: There is no such field, or it takes one column; or they are no names.
        """
        if not isinstance(columns, Mapping):
            raise OptionError(
                "columns must name a column for each of some fields, such as "
                f"{{{next(iter(self.fields))!r}: 'my_column'}}, got {columns!r}"
            )
        checked = {}
        for name, given in columns.items():
            if name not in self.fields:
                raise unknown("field in columns", name, self.fields)
            names = (given,) if isinstance(given, str) else given
            if not (
                isinstance(names, (list, tuple)) and names and all(type(n) is str for n in names)
            ):
                raise OptionError(
                    f"columns[{name!r}] must be a column's name, or a list of them, got {given!r}"
                )
            if len(names) > 1 and not self.fields[name].several:
                raise OptionError(f"columns[{name!r}] must be one column, got {given!r}")
            checked[name] = tuple(names)
        return checked

    def read(
        self,
        records: Iterable[Record | DatasetError],
        source: str,
        columns: Columns,
        on_error: OnError,
    ) -> list[E]:
        """The examples of records.

        Args:
            records: The records; in place of one, what is wrong with it.
            source: The data set's name.
            columns: The columns of some fields, where they are not those of the schema.
            on_error: ``"raise"``, or ``"skip"`` to leave out faulty records and say how many, once,
                with a `DatasetWarning`.

        Raises:
            DatasetError: A record is faulty (with place, column, what was expected and what
                came), or there are none.
            OptionError: `columns` or `on_error` is impossible.
        """
        chosen: dict[tuple[str, ...], dict[str, tuple[str, ...]]] = {}
        named = self.check(columns)
        faults = Faults(source, on_error)
        examples: list[E] = []
        ids: set[str] = set()
        for record in records:
            try:
                if isinstance(record, DatasetError):
                    raise record
                present = tuple(record.values)
                if present not in chosen:
                    chosen[present] = self._choose(record, named)
                cells = Cells(record, chosen[present])
                example = self.build(cells)
                if example.id in ids:
                    expected = "an id that no other record has"
                    raise fault(cells.place("id"), expected, repr(example.id))
            except DatasetError as error:
                faults.add(error)
                continue
            ids.add(example.id)
            examples.append(example)
        faults.report(len(examples), "records")
        return self.finish(examples, source)

    def _choose(
        self, record: Record, named: dict[str, tuple[str, ...]]
    ) -> dict[str, tuple[str, ...]]:
        """The columns of a record that hold each field."""
        present = record.values
        chosen = {}
        for name, spec in self.fields.items():
            for column in named.get(name, ()):
                if column not in present:
                    problem = unknown(f"column for {name!r}", column, map(str, present))
                    raise DatasetError(f"{record.place}: {problem}")
            columns = named.get(name) or _find(spec, present)
            if columns:
                chosen[name] = columns
            elif spec.required:
                tried = " or ".join(map(repr, spec.columns))
                raise fault(
                    record.place,
                    f"a column {tried}",
                    f"{', '.join(map(repr, present)) or 'none'}; name yours by "
                    f"columns={{{name!r}: ...}}",
                )
        return chosen


def _find(spec: Field, present: Mapping[str, object]) -> tuple[str, ...]:
    for name in spec.columns:
        if name in present:
            return (name,)
        numbered = (f"{name}{number}" for number in count(1))
        if spec.several and f"{name}1" in present:
            return tuple(takewhile(present.__contains__, numbered))
    return ()
