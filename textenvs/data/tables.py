"""Records from files with named columns: JSON Lines, CSV and TSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path

from textenvs.data.faults import checked, fault, short
from textenvs.data.files import read_text
from textenvs.data.progress import Progress
from textenvs.data.schema import Record
from textenvs.errors import DatasetError

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_LONGEST_CELL = 2**31 - 1
"""Characters, in place of csv's 131,072; the most that it takes everywhere."""


def read_json_lines(path: Path) -> Iterator[Record | DatasetError]:
    """The objects of a JSON Lines file, one a line; blank lines are passed over.

    Yields:
        The record of each line, or what is wrong with the line.

    Raises:
        DatasetError: The file cannot be read.
    """
    try:
        with path.open("rb") as file, _progress(path) as progress:
            for number, line in enumerate(file, 1):
                progress.at(file.tell())
                if number == 1:
                    line = line.removeprefix(_BYTE_ORDER_MARK)
                if line.strip():
                    place = f"{path}:{number}"
                    try:
                        yield Record(place, f"{path.name}:{number}", _object(line, place))
                    except DatasetError as error:
                        yield error
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror or error}") from error


def _progress(path: Path) -> Progress:
    return Progress(f"reading {path.name}", path.stat().st_size)


def _object(line: bytes, place: str) -> dict[str, object]:
    try:
        value = json.loads(line.decode().rstrip("\r\n"))
    except UnicodeDecodeError as error:
        got = f"byte 0x{line[error.start]:02x} at {error.start} of the line"
        raise fault(place, "UTF-8 text", got) from error
    except json.JSONDecodeError as error:
        raise DatasetError(f"{place}:{error.colno}: expected JSON: {error.msg}") from error
    except (RecursionError, ValueError) as error:  # nested too deeply; too many digits
        raise DatasetError(f"{place}: expected JSON: {error}") from error
    return checked(value, dict, place)


def read_csv(path: Path) -> Iterator[Record | DatasetError]:
    """The rows of a CSV file, or of a TSV one, whose first row names the columns.

    A cell may stand between quotes, and may then hold line breaks and separators; a quote in it is
    written twice. Blank lines are passed over.

    Yields:
        The record of each row, or what is wrong with the row.

    Raises:
        DatasetError: The file cannot be read, or its first row does not name columns.
    """
    try:
        with (
            path.open("rb") as raw,
            TextIOWrapper(raw, encoding="utf-8-sig", newline="") as file,
            _progress(path) as progress,
        ):
            for row in _rows(file, path):
                progress.at(raw.tell())
                yield row
    except UnicodeDecodeError as error:
        read_text(path)  # says where
        raise DatasetError(f"{path}: expected UTF-8 text: {error}") from error
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror or error}") from error


def _rows(file: Iterator[str], path: Path) -> Iterator[Record | DatasetError]:
    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    rows = csv.reader(file, delimiter=separator, strict=True)
    names: list[str] = []
    while True:
        place = f"{path}:{rows.line_num + 1}"
        try:
            row = _next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield fault(place, f"a row of cells between {separator!r}", error)
            continue
        if not row:
            continue
        if not names:
            names = _header(row, place)
        elif len(row) != len(names):
            expected = f"{len(names)} cells, as the first row has"
            yield fault(place, expected, f"{len(row)}: {short(row)}")
        else:
            name = place.removeprefix(f"{path.parent}/")
            yield Record(place, name, dict(zip(names, row, strict=True)))


def _next(rows: Iterator[list[str]]) -> list[str]:
    limit = csv.field_size_limit(_LONGEST_CELL)  # it is the whole process's: to be put back
    try:
        return next(rows)
    finally:
        csv.field_size_limit(limit)


def _header(row: list[str], place: str) -> list[str]:
    names = [name.strip() for name in row]
    twice = [name for name in names if names.count(name) > 1]
    if twice or not all(names):
        got = f"{twice[0]!r} twice" if all(names) else f"one without a name: {short(row)}"
        raise fault(place, "the name of each column", got)
    return names


READERS = {
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".csv": read_csv,
    ".tsv": read_csv,
}
"""How a file with named columns is read, by the end of its name."""
