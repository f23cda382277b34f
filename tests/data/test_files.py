from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

import pytest

from textenvs.data.files import assign_split, load_split
from textenvs.data.squad import read_squad
from textenvs.errors import DatasetError, OptionError


def read_lines(path: Path, prefix: str = "") -> list[str]:
    calls.append(path)
    return [prefix + line for line in path.read_text("utf-8").splitlines()]


def key(example: str) -> str:
    return example.split(",")[0]


calls: list[Path] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


@pytest.fixture
def one_file(tmp_path: Path) -> Path:
    path = tmp_path / "facts.txt"
    path.write_text("\n".join(f"group {i % 400},{i}" for i in range(1200)), "utf-8")
    return path


def test_one_file_is_split_by_key(one_file: Path) -> None:
    parts = {
        s: load_split(str(one_file), s, read_lines, key) for s in ("train", "validation", "test")
    }
    everything = load_split(str(one_file), "all", read_lines, key)
    assert sorted(e for part in parts.values() for e in part) == sorted(everything)
    assert len(everything) == 1200
    groups = {split: {key(e) for e in part} for split, part in parts.items()}
    assert not groups["train"] & groups["test"]
    assert not groups["train"] & groups["validation"]
    assert not groups["validation"] & groups["test"]
    shares = [len(groups[s]) / 400 for s in ("train", "validation", "test")]
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.05)
    assert len(calls) == 1


def test_assignment_is_the_same_in_every_process() -> None:
    code = (
        "from textenvs.data.files import assign_split as a; print([a(str(i)) for i in range(40)])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == str([assign_split(str(i)) for i in range(40)])


def test_read_again_only_when_changed(one_file: Path) -> None:
    for _ in range(3):
        load_split(str(one_file), "all", functools.partial(read_lines, prefix=">"), key).clear()
    assert len(calls) == 1
    assert load_split(str(one_file), "all", read_lines, key)[0] == "group 0,0"
    assert len(calls) == 2
    one_file.write_text("new,1", "utf-8")
    assert load_split(str(one_file), "all", read_lines, key) == ["new,1"]


@pytest.mark.parametrize("name", ["validation", "dev", "valid", "val"])
def test_placeholder(tmp_path: Path, name: str) -> None:
    for part in ("train", name):
        (tmp_path / f"x.{part}.txt").write_text(part, "utf-8")
    pattern = str(tmp_path / "x.{split}.txt")
    assert load_split(pattern, "train", read_lines, key) == ["train"]
    assert load_split(pattern, "validation", read_lines, key) == [name]
    assert load_split(pattern, "all", read_lines, key) == ["train", name]
    with pytest.raises(DatasetError) as caught:
        load_split(pattern, "test", read_lines, key)
    wanted = tmp_path / "x.test.txt"
    assert str(caught.value).startswith(f"{wanted}: no such file. In {tmp_path}: 'x.")


def test_missing_file_lists_the_closest_first(tmp_path: Path) -> None:
    for name in ("other.csv", "squad.json", "a.txt", ".hidden"):
        (tmp_path / name).touch()
    with pytest.raises(DatasetError) as caught:
        load_split(str(tmp_path / "sqaud.json"), "train", read_lines, key)
    assert str(caught.value) == (
        f"{tmp_path / 'sqaud.json'}: no such file. "
        f"In {tmp_path}: 'squad.json', 'a.txt', 'other.csv'"
    )
    with pytest.raises(DatasetError, match=r"nor as 'dev\.json', 'valid\.json', 'val\.json'\). In"):
        load_split(str(tmp_path / "{split}.json"), "validation", read_lines, key)
    with pytest.raises(DatasetError, match=r"no such file. In .*'squad\.json'"):
        load_split(str(tmp_path / "no" / "such" / "f.json"), "train", read_lines, key)
    with pytest.raises(DatasetError, match="expected a file, got a folder"):
        load_split(str(tmp_path), "train", read_lines, key)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="empty has no files"):
        load_split(str(tmp_path / "empty" / "{split}"), "all", read_lines, key)


def test_unknown_split(one_file: Path) -> None:
    with pytest.raises(OptionError, match="unknown split 'tests': did you mean 'test'"):
        load_split(str(one_file), "tests", read_lines, key)


def test_empty_split_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "tiny.txt"
    path.write_text("same,1\nsame,2", "utf-8")
    empty = next(s for s in ("test", "train") if s != assign_split("same"))
    with pytest.raises(DatasetError) as caught:
        load_split(str(path), empty, read_lines, key)
    assert f"split {empty!r} is empty: there are 2 examples in 1 groups" in str(caught.value)
    assert "Use split='all', or keep a file for each split" in str(caught.value)


def test_home_folder(monkeypatch: pytest.MonkeyPatch, one_file: Path) -> None:
    monkeypatch.setenv("HOME", str(one_file.parent))
    monkeypatch.setenv("USERPROFILE", str(one_file.parent))
    assert len(load_split("~/facts.txt", "all", read_lines, key)) == 1200


def test_no_passage_in_two_splits_of_a_real_file(shared_data: Path) -> None:
    path = str(shared_data / "squad" / "xquad.en.json")
    passages = [
        {e.passage for e in load_split(path, split, read_squad, lambda e: e.passage)}
        for split in ("train", "validation", "test")
    ]
    assert sum(map(len, passages)) == len(set().union(*passages)) == 240
