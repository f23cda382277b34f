"""Examples of each task from records with named columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textenvs.data.examples import DialogueExample, NERExample, QAExample, SummaryExample
from textenvs.data.records import DIALOGUE_SCHEMA, NER_SCHEMA, QA_SCHEMA, SUMMARY_SCHEMA
from textenvs.data.schema import Record, Schema
from textenvs.errors import DatasetError, DatasetWarning, OptionError

PASSAGE = "Ada met Bob in Paris. Bob was late."
QUESTION = {"context": PASSAGE, "question": "Who was late?"}


def read(
    schema: Schema[Any],
    *rows: Mapping[str, object],
    columns: Any = (),
    on_error: Any = "raise",
    classes: Mapping[str, Sequence[str]] | None = None,
) -> list[Any]:
    records = [Record(f"x:{n}", f"row{n}", row, classes or {}) for n, row in enumerate(rows, 1)]
    return schema.read(records, "x", dict(columns), on_error)


def message(schema: Schema[Any], *rows: Mapping[str, object], **options: Any) -> str:
    with pytest.raises(DatasetError) as caught:
        read(schema, *rows, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (
            {"answers": {"text": ["Bob", "Paris"], "answer_start": [22, 15]}},
            [("Bob", 22), ("Paris", 15)],
        ),
        ({"answers": {"text": ["Bob"]}}, [("Bob", 8)]),
        ({"answers": {"text": "Bob", "answer_start": 22}}, [("Bob", 22)]),
        ({"answers": {"text": [], "answer_start": []}}, []),
        ({"answers": [{"text": "Bob", "answer_start": 22}]}, [("Bob", 22)]),
        ({"answers": ["Bob", "Ada"]}, [("Bob", 8), ("Ada", 0)]),
        ({"answers": ["Bob"], "answer_starts": [22]}, [("Bob", 22)]),
        ({"answers": []}, []),
        ({"answers": None}, []),
        ({"answer": "Bob"}, [("Bob", 8)]),
        ({"answer": "Bob", "answer_start": "22"}, [("Bob", 22)]),
        ({"answer": "", "answer_start": ""}, []),
        ({"answer1": "Bob", "answer2": "Ada", "answer3": ""}, [("Bob", 8), ("Ada", 0)]),
    ],
)
def test_answers_in_every_form(answers: dict[str, object], expected: list[tuple[str, int]]) -> None:
    (example,) = read(QA_SCHEMA, QUESTION | answers)
    texts, starts = tuple(t for t, _ in expected), tuple(s for _, s in expected)
    assert example == QAExample("row1", PASSAGE, "Who was late?", texts, starts)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ("Eve", "a text that stands in the passage, got 'Eve'"),
        (
            {"text": ["Bob"], "answer_start": [9]},
            "the offset of 'Bob' in the passage, got 9, where the passage has 'ob '; it first "
            "stands at 8",
        ),
        ({"text": ["Bob"], "answer_start": [True]}, "an integer, got true or false: True"),
        ({"text": ["Bob"], "answer_start": [1, 2]}, "an offset for each of 1 answers, got 2"),
        ({"text": 3}, "a list under 'text', got an object: {'text': 3}"),
        ({"texts": []}, "a list under 'text', got an object: {'texts': []}"),
        ({"text": [], "answer_start": "x"}, "a list under 'answer_start', got"),
        ([{"text": "Bob"}, "Ada"], "an object, got a string: 'Ada'"),
        ([3], "a string, got an integer: 3"),
        ([" "], "text, got ' '"),
        (["\ud83d"], "Unicode text, got half a surrogate pair at"),
    ],
)
def test_a_faulty_answer_is_named_or_skipped(answers: object, said: str) -> None:
    faulty, fine = QUESTION | {"answers": answers}, QUESTION | {"answers": "Bob"}
    said = f"x:1: column 'answers': expected {said}"
    assert message(QA_SCHEMA, faulty, fine).startswith(said)
    with pytest.warns(DatasetWarning, match="^x: left out 1 record that broke .*: x:1: column"):
        assert [e.id for e in read(QA_SCHEMA, faulty, fine, on_error="skip")] == ["row2"]


def test_ids() -> None:
    row = QUESTION | {"answers": "Bob"}
    rows = [row | {"id": "a"}, row | {"id": 7}, row | {"id": None}]
    assert [e.id for e in read(QA_SCHEMA, *rows)] == ["a", "7", "row3"]
    twice = "x:2: column 'id': expected an id that no other record has, got 'a'"
    assert message(QA_SCHEMA, rows[0], rows[0]) == twice
    assert "column 'id': expected a string, got a list" in message(QA_SCHEMA, row | {"id": []})


WORDS = ["Ada", "Lovelace", "left"]


@pytest.mark.parametrize(
    ("tags", "bio"),
    [
        (["B-PER", "I-PER", "O"], ("B-PER", "I-PER", "O")),
        (["I-PER", "I-PER", "O"], ("B-PER", "I-PER", "O")),
        (["B-PER", "E-PER", "O"], ("B-PER", "I-PER", "O")),
        (["U-PER", "U-PER", "O"], ("B-PER", "B-PER", "O")),
        ([1, 2, 0], ("B-PER", "I-PER", "O")),
        ("B-PER  I-PER O", ("B-PER", "I-PER", "O")),
    ],
)
def test_tags_of_every_scheme_and_form(tags: object, bio: tuple[str, ...]) -> None:
    classes = {"ner_tags": ["O", "B-PER", "I-PER"]}
    for words in (WORDS, "Ada Lovelace left"):
        found = read(NER_SCHEMA, {"tokens": words, "ner_tags": tags}, classes=classes)
        assert found == [NERExample("row1", tuple(WORDS), bio)]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            {"words": WORDS, "tags": ["O"]},
            "column 'tags': expected a tag for each of 3 words, got 1",
        ),
        ({"words": [], "tags": []}, "column 'words': expected words, got none"),
        ({"words": ["a", ""], "tags": "O O"}, "column 'words': expected text, got ''"),
        (
            {"words": ["a"], "tags": ["PER"]},
            "column 'tags': expected a tag ('O', or a prefix and a type such as 'B-PER'), got a "
            "string: 'PER'",
        ),
        (
            {"words": ["a"], "tags": [1]},
            "column 'tags': expected a tag ('O', or a prefix and a type such as 'B-PER'); a number "
            "is one only where the data set names its classes, got an integer: 1",
        ),
        ({"words": ["a"], "tags": [None]}, "column 'tags': expected a tag"),
        (
            {"words": {"a": 1}, "tags": "O"},
            "column 'words': expected a list, or text with spaces between, got an object",
        ),
    ],
)
def test_a_faulty_sentence_is_named(row: dict[str, object], said: str) -> None:
    assert message(NER_SCHEMA, row).startswith(f"x:1: {said}")


def test_classes_and_schemes_of_a_whole_data_set() -> None:
    row = {"words": ["a"], "tags": [3]}
    classes = {"tags": ["O", "B-X"]}
    assert message(NER_SCHEMA, row, classes=classes).endswith("a class from 0 to 1, got 3")
    mixed = [{"words": ["a"], "tags": ["S-X"]}, {"words": ["a"], "tags": ["U-X"]}]
    assert message(NER_SCHEMA, *mixed).startswith("x: expected the tags of one scheme, got 'S-X'")
    loose = [{"words": WORDS, "tags": "B-X B-X I-Y"}]
    with pytest.warns(DatasetWarning, match=r"x: read 1 I- tags .*: 'I-Y' of 'left' in 'row1'"):
        assert read(NER_SCHEMA, *loose)[0].tags == ("B-X", "B-X", "B-Y")


@pytest.mark.parametrize(
    ("row", "summaries"),
    [
        ({"summary": "a"}, ("a",)),
        ({"summaries": ["a", "b"]}, ("a", "b")),
        ({"highlights": "a"}, ("a",)),
        ({"summary1": "a", "summary2": "b", "summary4": "d"}, ("a", "b")),
        ({"summary1": "a", "summary2": None, "summary3": "c"}, ("a", "c")),
    ],
)
@pytest.mark.parametrize("document", ["document", "dialogue", "article", "text"])
def test_summaries_in_every_form(
    row: dict[str, object], summaries: tuple[str, ...], document: str
) -> None:
    found = read(SUMMARY_SCHEMA, {document: "all", "id": "i"} | row)
    assert found == [SummaryExample("i", "all", summaries)]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"text": "a", "summary": ""}, "column 'summary': expected a summary, got none"),
        (
            {"text": "a", "summary": ["b", 1]},
            "column 'summary': expected a string, got an integer: 1",
        ),
        ({"text": " ", "summary": "b"}, "column 'text': expected text, got ' '"),
        ({"text": None, "summary": "b"}, "column 'text': expected a string, got null: None"),
        (
            {"body": "a", "summary": "b"},
            "expected a column 'document' or 'dialogue' or 'article' or 'text', got 'body', "
            "'summary'; name yours by columns={'document': ...}",
        ),
        ({}, "expected a column 'document' or 'dialogue' or 'article' or 'text', got none; name"),
    ],
)
def test_a_faulty_summary_is_named(row: dict[str, object], said: str) -> None:
    assert message(SUMMARY_SCHEMA, row).startswith(f"x:1: {said}")


def test_columns_can_be_named() -> None:
    row = {"body": "all", "text": "other", "short": "a", "shorter": "b"}
    columns = {"document": "body", "summaries": ["shorter", "short"]}
    assert read(SUMMARY_SCHEMA, row, columns=columns) == [SummaryExample("row1", "all", ("b", "a"))]
    said = message(SUMMARY_SCHEMA, row, columns={"document": "bodi"})
    assert said == (
        "x:1: unknown column for 'document' 'bodi': did you mean 'body'? "
        "Known: 'body', 'short', 'shorter', 'text'"
    )
    assert "column 'short', 'body': expected a string, got an integer" in message(
        SUMMARY_SCHEMA,
        {"text": "a", "short": 1, "body": "b"},
        columns={"summaries": ["short", "body"]},
    )


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"documents": "a"}, "unknown field in columns 'documents': did you mean 'document'"),
        (
            {"document": 3},
            r"columns\['document'\] must be a column's name, or a list of them, got 3",
        ),
        ({"document": []}, r"columns\['document'\] must be a column's name"),
        ({"document": ["a", "b"]}, r"columns\['document'\] must be one column, got \['a', 'b'\]"),
        (
            "document",
            r"columns must name a column .* such as \{'id': 'my_column'\}, got 'document'",
        ),
    ],
)
def test_impossible_columns_are_named(columns: Any, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        SUMMARY_SCHEMA.check(columns)


def test_no_records_and_none_that_are_well_formed() -> None:
    assert message(SUMMARY_SCHEMA) == "x: expected records, got none"
    said = "x: no record is well formed; the first: x:1: expected a column 'document' or"
    assert message(SUMMARY_SCHEMA, {}, {}, on_error="skip").startswith(said)


def spoken(
    *turns: tuple[str, str], keys: tuple[str, str] = ("role", "content")
) -> dict[str, object]:
    return {"messages": [dict(zip(keys, turn, strict=True)) for turn in turns]}


@pytest.mark.parametrize(
    ("row", "user", "system"),
    [
        ({"turns": ["a", "b", "c", "d"]}, ("a", "c"), ("b", "d")),
        ({"dialogue": ["a", "b", "c"]}, ("a",), ("b",)),
        (spoken(("user", "a"), ("assistant", "b")), ("a",), ("b",)),
        (spoken(("system", "be kind"), ("user", "a"), ("assistant", "b")), ("be kind a",), ("b",)),
        (spoken(("USER", "a"), ("SYSTEM", "b"), keys=("speaker", "utterance")), ("a",), ("b",)),
        (spoken(("human", "a"), ("gpt", "b"), keys=("from", "value")), ("a",), ("b",)),
        (spoken(("bot", "hello"), ("user", "a"), ("bot", "b")), ("a",), ("b",)),
        (
            spoken(("user", "a"), ("user", "b"), ("agent", "c"), ("agent", "d"), ("user", "e")),
            ("a b",),
            ("c d",),
        ),
    ],
)
def test_dialogues_in_every_form(
    row: dict[str, object], user: tuple[str, ...], system: tuple[str, ...]
) -> None:
    assert read(DIALOGUE_SCHEMA, row) == [DialogueExample("row1", user, system)]


def test_a_dialogue_of_one_turn_each_from_two_columns() -> None:
    row = {"prompt": "a", "response": "b"}
    columns = {"turns": ["prompt", "response"]}
    assert read(DIALOGUE_SCHEMA, row, columns=columns) == [DialogueExample("row1", ("a",), ("b",))]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"turns": "a"}, "column 'turns': expected a list of turns, got a string: 'a'"),
        (
            {"turns": ["a"]},
            "column 'turns': expected a turn of the user and one of the system, got none",
        ),
        ({"turns": ["a", 1]}, "column 'turns'[1]: expected a string, got an integer: 1"),
        (
            {"turns": ["a", {"role": "user"}]},
            "column 'turns': expected an object, got a string: 'a'",
        ),
        (
            spoken(("system", "a"), ("user", "b")),
            "column 'messages': expected a turn of the user and one of the system, got none",
        ),
        (
            spoken(("user", "a"), ("narrator", "b")),
            "column 'messages'[1]: expected a speaker among agent, assistant",
        ),
        (
            spoken(("user", "a"), keys=("who", "content")),
            "column 'messages'[0]: expected a field 'speaker' or 'role' or 'from', got 'who', "
            "'content'",
        ),
        (spoken(("user", " ")), "column 'messages'[0].content: expected text, got ' '"),
    ],
)
def test_a_faulty_dialogue_is_named(row: dict[str, object], said: str) -> None:
    assert message(DIALOGUE_SCHEMA, row).startswith(f"x:1: {said}")


@given(st.lists(st.tuples(st.booleans(), st.text("abc", min_size=1)), max_size=9))
def test_no_turn_of_a_dialogue_is_lost(turns: list[tuple[bool, str]]) -> None:
    turns = [(True, "x"), *turns, (False, "y")]
    row = {"turns": [{"role": "user" if u else "bot", "text": text} for u, text in turns]}
    (example,) = read(DIALOGUE_SCHEMA, row)
    assert len(example.user) == len(example.system)
    said = [text for pair in zip(example.user, example.system, strict=True) for text in pair]
    assert " ".join(said) == " ".join(text for _, text in turns)
