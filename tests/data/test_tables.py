from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textenvs.data.schema import Record
from textenvs.data.tables import READERS
from textenvs.errors import DatasetError

CELLS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"))


def read(path: Path) -> list[Record | DatasetError]:
    return list(READERS[path.suffix](path))


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_json_lines(tmp_path: Path) -> None:
    path = write(tmp_path, "x.jsonl", '\ufeff{"a": [1, "ü"]}\r\n\n{"b": null}')
    assert read(path) == [
        Record(f"{path}:1", "x.jsonl:1", {"a": [1, "ü"]}),
        Record(f"{path}:3", "x.jsonl:3", {"b": None}),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"a": 1', ":8: expected JSON: Expecting ',' delimiter"),
        (b"[1]", ": expected an object, got a list: [1]"),
        (b'{"a": "\xff"}', ": expected UTF-8 text, got byte 0xff at 7 of the line"),
        (b"[" * 100_000, ": expected JSON: maximum recursion"),
    ],
)
def test_a_faulty_line_is_named_and_those_around_it_are_read(
    tmp_path: Path, line: bytes, message: str
) -> None:
    path = write(tmp_path, "x.ndjson", b'{"a": 1}\n' + line + b'\n{"a": 2}\n')
    first, fault, last = read(path)
    assert str(fault).startswith(f"{path}:2{message}")
    assert [r.values for r in (first, last) if isinstance(r, Record)] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(("name", "separator"), [("x.csv", ","), ("x.tsv", "\t")])
def test_cells_between_quotes(tmp_path: Path, name: str, separator: str) -> None:
    text = '\ufeffa, b \r\n1,"x, ""y""\nz"\r\n\r\n3,\r\n'.replace(",", separator)
    path = write(tmp_path, name, text)
    assert read(path) == [
        Record(f"{path}:2", f"{name}:2", {"a": "1", "b": f'x{separator} "y"\nz'}),
        Record(f"{path}:5", f"{name}:5", {"a": "3", "b": ""}),
    ]


@given(rows=st.lists(st.tuples(CELLS, CELLS), max_size=5), suffix=st.sampled_from([".csv", ".tsv"]))
def test_what_is_written_is_read(
    rows: list[tuple[str, str]], suffix: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("tables") / f"x{suffix}"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t" if suffix == ".tsv" else ",")
        writer.writerow(("a", "b"))
        writer.writerows(rows)
    assert [r.values for r in read(path) if isinstance(r, Record)] == [
        {"a": a, "b": b} for a, b in rows
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,2,3", ": expected 2 cells, as the first row has, got 3: ['1', '2', '3']"),
        ("1", ": expected 2 cells, as the first row has, got 1: ['1']"),
        ('1,"x"y', ": expected a row of cells between ',', got ',' expected after '\"'"),
    ],
)
def test_a_faulty_row_is_named_and_those_around_it_are_read(
    tmp_path: Path, row: str, message: str
) -> None:
    path = write(tmp_path, "x.csv", f"a,b\n1,2\n{row}\n3,4\n")
    first, fault, last = read(path)
    assert str(fault) == f"{path}:3{message}"
    assert [r.values["b"] for r in (first, last) if isinstance(r, Record)] == ["2", "4"]


def test_a_quote_that_nothing_closes_does_not_swallow_the_rest(tmp_path: Path) -> None:
    *_, fault = read(write(tmp_path, "x.csv", 'a,b\n1,"2\n3,4\n'))
    assert isinstance(fault, DatasetError)
    assert "x.csv:2: expected a row of cells between ',', got unexpected end of data" in str(fault)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,a\n", ":1: expected the name of each column, got 'a' twice"),
        ("a,\n", ":1: expected the name of each column, got one without a name: ['a', '']"),
        (b"a,b\n1,\xff\n", ":2: expected UTF-8 text, got byte 0xff"),
    ],
)
def test_a_file_that_cannot_be_a_table(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = write(tmp_path, "x.csv", content)
    with pytest.raises(DatasetError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}{message}")


def test_an_empty_file_has_no_records(tmp_path: Path) -> None:
    for name in ("x.csv", "x.jsonl"):
        assert read(write(tmp_path, name, "\n")) == []


def test_a_published_file(shared_data: Path) -> None:
    path = shared_data / "summarization" / "dialogsum.test.jsonl"
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [r.values for r in read(path) if isinstance(r, Record)] == lines


def test_a_cell_has_any_length(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    text = "word " * 100_000
    (record,) = read(write(tmp_path, "x.csv", f"a,b\n{text},2\n"))
    assert isinstance(record, Record)
    assert record.values == {"a": text, "b": "2"}
    assert csv.field_size_limit() == limit
