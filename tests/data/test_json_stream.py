from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textenvs.data import json_stream
from textenvs.data.json_stream import JsonStream, open_json
from textenvs.errors import DatasetError

TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)
SMALL = 3  # characters at a time, so that every value is cut somewhere


class SmallReads(io.StringIO):
    def read(self, size: int | None = -1) -> str:
        return super().read(SMALL)


def walk(stream: JsonStream, depth: int) -> object:
    """The next value, taken apart piece by piece down to some depth."""
    if depth and stream.ahead() == "[":
        return [walk(stream, depth - 1) for _ in stream.items()]
    if depth and stream.ahead() == "{":
        return {name: walk(stream, depth - 1) for name in stream.members()}
    return stream.value()


def walk_all(text: str, depth: int) -> object:
    stream = JsonStream(SmallReads(text))
    value = walk(stream, depth)
    stream.end()
    return value


@given(TREES, st.sampled_from([None, 1]), st.integers(0, 3), st.booleans())
def test_a_walk_gives_what_the_whole_does(
    tree: object, indent: int | None, depth: int, ascii_only: bool
) -> None:
    text = json.dumps(tree, indent=indent, ensure_ascii=ascii_only)
    assert walk_all(text, depth) == json.loads(text)


@given(TREES, st.data())
def test_what_is_no_json_is_refused_just_as_by_the_whole(tree: object, data: st.DataObject) -> None:
    text = json.dumps(tree)
    at = data.draw(st.integers(0, len(text)))
    until = data.draw(st.integers(at, min(at + 3, len(text))))
    broken = (
        text[:at] + data.draw(st.sampled_from(["", ",", "]", "}", '"', "1", " "])) + text[until:]
    )
    try:
        expected = json.loads(broken)
    except ValueError:
        with pytest.raises(ValueError):
            walk_all(broken, 3)
    else:
        assert walk_all(broken, 3) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1,\n "b": }', ":2:7: expected JSON: Expecting value"),
        (b"[1] [2]", ":1:5: expected JSON: Extra data"),
        (b'{"a": "\xff"}', ":1: expected UTF-8 text, got byte 0xff at offset 7"),
        (b" \n", ": the file is empty"),
        (b"[" * 100_000, ": expected JSON: "),
    ],
)
def test_the_place_of_a_fault_is_that_in_the_file(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(DatasetError) as caught, open_json(path) as stream:
        walk(stream, 2)
    assert str(caught.value).startswith(f"{path}{message}")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such file"), open_json(tmp_path / "x.json"):
        pass


def test_a_long_file_is_never_held_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "_CHUNK", 100)
    path = tmp_path / "x.json"
    path.write_text(json.dumps(["x" * 30] * 1_000), "utf-8")
    longest = 0
    with open_json(path) as stream:
        for _ in stream.items():
            assert stream.value() == "x" * 30
            longest = max(longest, len(stream._text))
    assert longest < 300
