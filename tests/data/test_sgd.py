from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textenvs.data.examples import DialogueExample
from textenvs.data.sgd import pair_turns, read_sgd
from textenvs.errors import DatasetError, DatasetWarning, OptionError


def turn(speaker: str, utterance: str) -> dict[str, object]:
    return {"frames": [], "speaker": speaker, "utterance": utterance}


FILE = [
    {
        "dialogue_id": "1_0",
        "services": ["Restaurants_1"],
        "turns": [
            turn("USER", "A table, please."),
            turn("SYSTEM", "For when?"),
            turn("USER", "Tonight."),
            turn("SYSTEM", "It is booked."),
        ],
    },
    {"dialogue_id": "1_1", "turns": [turn("USER", "¿Hola?"), turn("SYSTEM", "!")]},
    {"dialogue_id": "1_2", "turns": [turn("USER", "Bye."), turn("SYSTEM", "Good bye.")]},
]


def write(folder: Path, content: object) -> Path:
    path = folder / "dialogues_001.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def test_reads_dialogues(tmp_path: Path) -> None:
    assert read_sgd(write(tmp_path, FILE)) == [
        DialogueExample("1_0", ("A table, please.", "Tonight."), ("For when?", "It is booked.")),
        DialogueExample("1_1", ("¿Hola?",), ("!",)),
        DialogueExample("1_2", ("Bye.",), ("Good bye.",)),
    ]


U, S = True, False


@pytest.mark.parametrize(
    ("turns", "user", "system"),
    [
        ([(U, "a"), (U, "b"), (S, "c"), (S, "d"), (U, "e"), (S, "f")], ("a b", "e"), ("c d", "f")),
        ([(S, "hello"), (S, "?"), (U, "a"), (S, "b")], ("a",), ("b",)),
        ([(U, "a"), (S, "b"), (U, "thanks"), (U, "bye")], ("a",), ("b",)),
        ([(U, "a")], (), ()),
        ([(S, "a")], (), ()),
        ([], (), ()),
    ],
)
def test_pairs(turns: Any, user: Any, system: Any) -> None:
    assert pair_turns(turns) == (user, system)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc"))))
def test_pairs_keep_all_words_but_of_an_opening_and_of_an_unanswered_end(
    turns: list[tuple[bool, str]],
) -> None:
    user, system = pair_turns(turns)
    assert len(user) == len(system)
    while turns and not turns[0][0]:
        turns = turns[1:]
    while turns and turns[-1][0]:
        turns = turns[:-1]
    pairs = zip(user, system, strict=True)
    said = [(by, word) for a, b in pairs for by, text in ((U, a), (S, b)) for word in text.split()]
    assert said == turns


FAULTS: dict[str, tuple[Callable[[Any], object], str]] = {
    "no object": (
        lambda d: d.__setitem__(0, "x"),
        "[0]: expected an object, got a string: 'x'",
    ),
    "no id": (
        lambda d: d[0].pop("dialogue_id"),
        "[0]: expected a field 'dialogue_id', got 'services', 'turns'",
    ),
    "id of another kind": (
        lambda d: d[0].update(dialogue_id=3),
        "[0].dialogue_id: expected a string, got an integer: 3",
    ),
    "no turns": (
        lambda d: d[0].pop("turns"),
        "[0] (dialogue '1_0'): expected a field 'turns', got 'dialogue_id', 'services'",
    ),
    "turns of another kind": (
        lambda d: d[0].update(turns={}),
        "[0] (dialogue '1_0'): turns: expected a list, got an object: {}",
    ),
    "turn of another kind": (
        lambda d: d[0]["turns"].__setitem__(1, None),
        "[0] (dialogue '1_0'): turns[1]: expected an object, got null: None",
    ),
    "no speaker": (
        lambda d: d[0]["turns"][2].pop("speaker"),
        "[0] (dialogue '1_0'): turns[2]: expected a field 'speaker', got 'frames', 'utterance'",
    ),
    "speaker": (
        lambda d: d[0]["turns"][2].update(speaker="BOT"),
        "[0] (dialogue '1_0'): turns[2].speaker: expected 'USER' or 'SYSTEM', got 'BOT'",
    ),
    "blank": (
        lambda d: d[0]["turns"][3].update(utterance=" "),
        "[0] (dialogue '1_0'): turns[3].utterance: expected text, got ' '",
    ),
    "utterance of another kind": (
        lambda d: d[0]["turns"][3].update(utterance=None),
        "[0] (dialogue '1_0'): turns[3].utterance: expected a string, got null: None",
    ),
    "surrogate": (
        lambda d: d[0]["turns"][3].update(utterance="a\ud800"),
        "[0] (dialogue '1_0'): turns[3].utterance: expected Unicode text, "
        "got half a surrogate pair at character 1",
    ),
    "nothing answered": (
        lambda d: d[0].update(turns=[turn("SYSTEM", "Hi."), turn("USER", "Hi.")]),
        "[0] (dialogue '1_0'): turns: expected a turn of the user's that the system answers, "
        "got SYSTEM, USER",
    ),
}


@pytest.mark.parametrize(("change", "message"), FAULTS.values(), ids=FAULTS)
def test_faulty_dialogue(tmp_path: Path, change: Any, message: str) -> None:
    content = copy.deepcopy(FILE)
    change(content)
    path = write(tmp_path, content)
    with pytest.raises(DatasetError) as caught:
        read_sgd(path)
    assert str(caught.value) == f"{path}: {message}"
    with pytest.warns(DatasetWarning) as warned:
        examples = read_sgd(path, on_error="skip")
    assert [e.id for e in examples] == ["1_1", "1_2"]
    assert [str(w.message) for w in warned] == [
        f"{path}: left out 1 record that broke the format; the first: {message}"
    ]


def test_repeated_id(tmp_path: Path) -> None:
    path = write(tmp_path, [FILE[1], FILE[1]])
    with pytest.raises(DatasetError, match=r"\[1\]\.dialogue_id: expected an id that no other"):
        read_sgd(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ("[", "dialogues_001.json:1:2: expected JSON: Expecting value"),
        ("[" * 100_000, "dialogues_001.json: expected JSON of dialogues: "),
        ({"turns": []}, "dialogues_001.json: the file: expected a list, got an object"),
        ([], "dialogues_001.json: expected a list of dialogues, got none"),
    ],
)
def test_broken_file(tmp_path: Path, content: object, message: str) -> None:
    for on_error in ("raise", "skip"):
        with pytest.raises(DatasetError) as caught:
            read_sgd(write(tmp_path, content), on_error=on_error)  # type: ignore[arg-type]
        assert message in str(caught.value)


def test_unknown_on_error(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="did you mean 'skip'"):
        read_sgd(write(tmp_path, FILE), on_error="skpi")  # type: ignore[arg-type]


@pytest.mark.parametrize(("number", "dialogues", "turns"), [("005", 128, 666), ("007", 68, 499)])
def test_real_files(shared_data: Path, number: str, dialogues: int, turns: int) -> None:
    path = shared_data / "dialogue" / f"sgd.dev.dialogues_{number}.json"
    examples = read_sgd(path)
    assert len(examples) == dialogues
    assert sum(len(e.system) for e in examples) == turns
    # In these files the speakers alternate, so that nothing is joined or left out.
    for record, example in zip(json.loads(path.read_text("utf-8")), examples, strict=True):
        utterances = [t["utterance"] for t in record["turns"]]
        assert tuple(utterances[::2]) == example.user
        assert tuple(utterances[1::2]) == example.system


def test_a_schema_is_no_file_of_dialogues(shared_data: Path) -> None:
    path = shared_data / "dialogue" / "sgd.dev.schema.json"
    with pytest.raises(DatasetError, match=r"\[0\]: expected a dialogue, got a service of a schem"):
        read_sgd(path)
