"""Data sets of the `datasets` library, and plain rows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

from textenvs.data.examples import NERExample, QAExample
from textenvs.data.files import assign_split
from textenvs.data.loading import open_data
from textenvs.data.records import NER_SCHEMA, QA_SCHEMA
from textenvs.data.schema import Schema
from textenvs.errors import DatasetError, DatasetWarning, OptionError

ROWS = {
    "id": ["a", "b"],
    "context": ["Ada met Bob.", "Eve left."],
    "question": ["Who was met?", "Who came?"],
    "answers": [
        {"text": ["Bob"], "answer_start": [8]},
        {"text": [], "answer_start": []},
    ],
}
EXAMPLES = [
    QAExample("a", "Ada met Bob.", "Who was met?", ("Bob",), (8,)),
    QAExample("b", "Eve left.", "Who came?", (), ()),
]


def no_format(path: Path, on_error: Any) -> list[Any]:
    raise AssertionError(path)


def load(dataset: Any, split: str, schema: Schema[Any] = QA_SCHEMA, **options: Any) -> list[Any]:
    defaults = {"columns": {}, "on_error": "raise", "read": no_format, "key": lambda e: e.id}
    return open_data(dataset, schema=schema, **(defaults | options))(split)


def many(count: int) -> Dataset:
    return Dataset.from_dict(
        {
            "id": [str(i) for i in range(count)],
            "context": ["Ada met Bob."] * count,
            "question": ["Who?"] * count,
            "answers": [["Bob"]] * count,
        }
    )


@pytest.mark.parametrize("style", [None, "numpy"])
def test_a_dataset(style: str | None) -> None:
    assert load(Dataset.from_dict(ROWS).with_format(style), "all") == EXAMPLES


def test_plain_rows_and_rows_that_come_one_by_one() -> None:
    dataset = Dataset.from_dict(ROWS)
    assert load(list(dataset), "all") == EXAMPLES
    assert load(dataset.to_iterable_dataset(), "all") == EXAMPLES


def test_rows_without_splits_are_divided() -> None:
    parts = [load(many(300), split) for split in ("train", "validation", "test")]
    assert sum(map(len, parts)) == 300
    assert len({e.id for part in parts for e in part}) == 300
    assert [len(part) / 300 for part in parts] == pytest.approx([0.8, 0.1, 0.1], abs=0.06)
    empty = next(split for split in ("train", "test") if split != assign_split("0"))
    with pytest.raises(DatasetError, match=rf"dataset: split '{empty}' is empty: there are 1 exam"):
        load(many(1), empty)


@pytest.mark.parametrize("name", ["validation", "dev", "valid", "val"])
def test_splits_by_name(name: str) -> None:
    dataset = DatasetDict(train=Dataset.from_dict(ROWS), other=many(2), **{name: many(3)})
    assert load(dataset, "train") == EXAMPLES
    assert len(load(dataset, "validation")) == 3
    assert len(load(dataset, "all")) == 5
    with pytest.raises(DatasetError, match=r"dataset: no split 'test': it has 'train', 'other'"):
        load(dataset, "test")
    with pytest.raises(OptionError, match=r"unknown split 'tests': did you mean 'test'"):
        load(dataset, "tests")
    with pytest.raises(DatasetError, match=r"no split 'all': it has none"):
        load({}, "all")


def test_a_part_is_read_once_and_its_examples_are_shared() -> None:
    data = open_data(
        DatasetDict(train=many(3)),
        schema=QA_SCHEMA, columns={}, on_error="raise", read=no_format, key=lambda e: e.id,
    )  # fmt: skip
    assert all(a is b for a, b in zip(data("train"), data("all"), strict=True))


def test_classes_by_number() -> None:
    tags = ClassLabel(names=["O", "B-PER", "I-PER"])
    features = Features({"tokens": List(Value("string")), "ner_tags": List(tags)})
    rows = {"tokens": [["Ada", "L.", "left"]], "ner_tags": [[1, 2, 0]]}
    expected = NERExample("dataset['test'][0]", ("Ada", "L.", "left"), ("B-PER", "I-PER", "O"))
    dataset = DatasetDict(test=Dataset.from_dict(rows, features))
    assert load(dataset, "test", NER_SCHEMA) == [expected]


def test_a_faulty_row_is_named_or_skipped() -> None:
    rows = [
        dict(row, answers=["Eve"]) if row["id"] == "a" else row for row in Dataset.from_dict(ROWS)
    ]
    said = r"dataset\[0\]: column 'answers': expected a text that stands in the passage, got 'Eve'"
    with pytest.raises(DatasetError, match=f"^{said}$"):
        load(rows, "all")
    with pytest.warns(DatasetWarning, match=f"^dataset: left out 1 record .*; the first: {said}$"):
        assert load(rows, "all", on_error="skip") == EXAMPLES[1:]
    with pytest.raises(DatasetError, match=r"dataset\[0\]: expected a mapping from columns, got a"):
        load(["a"], "all")
    with pytest.raises(DatasetError, match=r"dataset\['train'\]\[0\]: expected a mapping"):
        load({"train": [3]}, "train")
    with pytest.raises(DatasetError, match=r"dataset: expected records, got none"):
        load(Dataset.from_dict({}), "all")


def test_a_folder_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "mine"
    folder.mkdir()
    for split in ("train", "validation"):
        Dataset.from_dict(ROWS).to_json(folder / f"{split}.jsonl")
    assert load(f"hf:{folder}", "train") == EXAMPLES
    assert load(f"hf:{folder}#default", "validation") == EXAMPLES
    with pytest.raises(DatasetError, match=r"^hf:.*mine: no split 'test': it has 'train', 'valid"):
        load(f"hf:{folder}", "test")
    with pytest.raises(DatasetError, match=r"no data set 'hf:.*#no'.*'hf:NAME#CONFIG'.*datasets s"):
        load(f"hf:{folder}#no", "train")


def test_a_name_that_nothing_has() -> None:
    with pytest.raises(
        DatasetError, match=r"^no data set 'hf:no/such': looked for a folder 'no/su"
    ):
        load("hf:no/such", "train")


def test_the_library_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DatasetError, match=r"'hf:x' needs .*: pip install \"datasets>=4\""):
        load("hf:x", "train")


def test_a_library_that_runs_code_of_data_sets_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.__version__", "3.6.0")
    with pytest.raises(DatasetError, match=r"4\.0 or later, got 3\.6\.0: pip install"):
        load("hf:x", "train")


@pytest.mark.parametrize("dataset", [3, None, np.float64(1)])
def test_what_can_be_no_data_set(dataset: object) -> None:
    with pytest.raises(OptionError, match=r"dataset must be 'builtin', a path, 'hf:NAME', .* got "):
        load(dataset, "train")


def test_columns_of_a_file_that_names_none() -> None:
    with pytest.raises(OptionError, match=r"columns are of files that name theirs \(\.jsonl, "):
        load("x.json", "all", columns={"question": "q"})
