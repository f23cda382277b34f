from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from textenvs.data.examples import QAExample
from textenvs.data.squad import read_squad
from textenvs.errors import DatasetError, DatasetWarning, OptionError

PASSAGE = "Ada met Bob in Paris. Bob was late."
FILE = {
    "version": "v2.0",
    "data": [
        {
            "title": "Ada",
            "paragraphs": [
                {
                    "context": PASSAGE,
                    "qas": [
                        {
                            "id": "q0",
                            "question": "Who was late?",
                            "is_impossible": False,
                            "answers": [
                                {"text": "Bob", "answer_start": 22},
                                {"text": "Bob", "answer_start": 22},
                                {"text": "Bob", "answer_start": 8},
                            ],
                        },
                        {
                            "id": "q1",
                            "question": "Who was early?",
                            "is_impossible": True,
                            "answers": [],
                            "plausible_answers": [{"text": "Ada", "answer_start": 0}],
                        },
                        {
                            "id": "q2",
                            "question": "Where?",
                            "answers": [{"text": "Paris", "answer_start": 15}],
                        },
                    ],
                }
            ],
        }
    ],
}


def write(folder: Path, content: object) -> Path:
    path = folder / "sample.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def test_reads_both_versions_of_the_format(tmp_path: Path) -> None:
    assert read_squad(write(tmp_path, FILE)) == [
        QAExample("q0", PASSAGE, "Who was late?", ("Bob", "Bob", "Bob"), (22, 22, 8)),
        QAExample("q1", PASSAGE, "Who was early?", (), ()),
        QAExample("q2", PASSAGE, "Where?", ("Paris",), (15,)),
    ]


def test_impossible_question_may_leave_out_answers(tmp_path: Path) -> None:
    content: Any = copy.deepcopy(FILE)
    del content["data"][0]["paragraphs"][0]["qas"][1]["answers"]
    assert read_squad(write(tmp_path, content))[1].answers == ()


def test_byte_order_mark(tmp_path: Path) -> None:
    assert len(read_squad(write(tmp_path, "\ufeff" + json.dumps(FILE)))) == 3


QA = "data[0].paragraphs[0].qas[0]"
FAULTS: dict[str, tuple[Callable[[Any], object], str]] = {
    "text elsewhere": (
        lambda q: q["answers"][2].update(answer_start=9),
        f"{QA}.answers[2].answer_start: expected the offset of 'Bob' in the passage, got 9, where "
        "the passage has 'ob '; it first stands at 8",
    ),
    "text nowhere": (
        lambda q: q["answers"][0].update(text="Eve"),
        f"{QA}.answers[0].answer_start: expected the offset of 'Eve' in the passage, got 22, where "
        "the passage has 'Bob'; it stands nowhere in it",
    ),
    "start outside": (
        lambda q: q["answers"][0].update(answer_start=-1),
        f"{QA}.answers[0].answer_start: expected an offset in the passage, 0 to 34, got -1",
    ),
    "start no integer": (
        lambda q: q["answers"][0].update(answer_start="22"),
        f"{QA}.answers[0].answer_start: expected an integer, got a string: '22'",
    ),
    "start true": (
        lambda q: q["answers"][0].update(answer_start=True),
        f"{QA}.answers[0].answer_start: expected an integer, got true or false: True",
    ),
    "no start": (
        lambda q: q["answers"][1].pop("answer_start"),
        f"{QA}.answers[1].answer_start: expected a field with an integer, got none (here: 'text')",
    ),
    "blank text": (
        lambda q: q["answers"][0].update(text=" "),
        f"{QA}.answers[0].text: expected text, got ' '",
    ),
    "no question": (
        lambda q: q.pop("question"),
        f"{QA}.question: expected a field with a string, got none (here: 'id', 'is_impossible', "
        "'answers')",
    ),
    "id of wrong type": (
        lambda q: q.update(id=7),
        f"{QA}.id: expected a string, got an integer: 7",
    ),
    "no answers": (
        lambda q: q.update(answers=[]),
        f"{QA}.answers: expected an answer, or is_impossible true, got none",
    ),
    "impossible with answers": (
        lambda q: q.update(is_impossible=True),
        f"{QA}.answers: expected no answers, as is_impossible is true, got 3",
    ),
    "impossible of wrong type": (
        lambda q: q.update(is_impossible="no"),
        f"{QA}.is_impossible: expected true or false, got a string: 'no'",
    ),
    "half a surrogate pair": (
        lambda q: q.update(question="Who \ud83d?"),
        f"{QA}.question: expected Unicode text, got half a surrogate pair at character 4",
    ),
    "answer no object": (
        lambda q: q.update(answers=["Bob"]),
        f"{QA}.answers[0]: expected an object, got a string: 'Bob'",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_named_or_skipped(tmp_path: Path, fault: str) -> None:
    break_it, message = FAULTS[fault]
    content: Any = copy.deepcopy(FILE)
    break_it(content["data"][0]["paragraphs"][0]["qas"][0])
    path = write(tmp_path, content)
    with pytest.raises(DatasetError) as caught:
        read_squad(path)
    assert str(caught.value) == f"{path}: {message}"
    with pytest.warns(DatasetWarning) as warned:
        examples = read_squad(path, on_error="skip")
    assert [e.id for e in examples] == ["q1", "q2"]
    assert len(warned) == 1
    assert str(warned[0].message) == (
        f"{path}: left out 1 record that broke the format; the first: {message}"
    )


def test_repeated_id(tmp_path: Path) -> None:
    content: Any = copy.deepcopy(FILE)
    content["data"][0]["paragraphs"][0]["qas"][2]["id"] = "q0"
    with pytest.raises(DatasetError, match=r"qas\[2\]\.id: expected an id that no other question"):
        read_squad(write(tmp_path, content))


def test_faulty_paragraph_and_article_are_skipped_whole(tmp_path: Path) -> None:
    content: Any = copy.deepcopy(FILE)
    content["data"][0]["paragraphs"].append({"qas": []})
    content["data"].append({"paragraphs": {}})
    path = write(tmp_path, content)
    with pytest.raises(DatasetError, match=r"paragraphs\[1\]\.context: expected a field with a"):
        read_squad(path)
    with pytest.warns(DatasetWarning, match=r"left out 2 records .* data\[0\]\.paragraphs\[1\]"):
        assert len(read_squad(path, on_error="skip")) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "sample.json: the file is empty"),
        ("[", "sample.json:1:2: expected JSON: Expecting value"),
        ('{"data":\n  [{"paragraphs": []},]}', "sample.json:2:"),
        ("[" * 100_000, "sample.json: expected JSON: "),
        ([], "sample.json: the file: expected an object, got a list: []"),
        ({"rows": []}, "data: expected a field with a list, got none (here: 'rows')"),
        ({"data": []}, "expected questions under data[].paragraphs[].qas, got none"),
    ],
)
def test_broken_file(tmp_path: Path, content: object, message: str) -> None:
    path = write(tmp_path, content)
    for on_error in ("raise", "skip"):
        with pytest.raises(DatasetError) as caught:
            read_squad(path, on_error=on_error)
        assert message in str(caught.value)


def test_nothing_left_after_skipping(tmp_path: Path) -> None:
    path = write(tmp_path, {"data": [{}]})
    with pytest.raises(DatasetError, match=r"no record is well formed; the first: data\[0\]"):
        read_squad(path, on_error="skip")


def test_not_utf8_and_missing(tmp_path: Path) -> None:
    path = tmp_path / "sample.json"
    path.write_bytes(b"{\n\xff")
    with pytest.raises(DatasetError, match=r"sample\.json:2: expected UTF-8 text, got byte 0xff"):
        read_squad(path)
    with pytest.raises(DatasetError, match=r"smaple\.json: no such file. In .*: 'sample\.json'"):
        read_squad(tmp_path / "smaple.json")


def test_unknown_on_error(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="unknown on_error 'skpi': did you mean 'skip'"):
        read_squad(write(tmp_path, FILE), on_error="skpi")  # type: ignore[arg-type]


def test_real_file(shared_data: Path) -> None:
    examples = read_squad(shared_data / "squad" / "xquad.en.json")
    assert len(examples) == 1190
    assert len({e.passage for e in examples}) == 240
    for e in examples:
        for text, start in zip(e.answers, e.answer_starts, strict=True):
            assert e.passage.startswith(text, start)
