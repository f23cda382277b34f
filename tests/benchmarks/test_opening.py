"""The benchmark measures what it says; how long anything takes, no test may ask."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.measurement_table import table
from benchmarks.opening import (
    import_beside_gymnasium,
    large_file,
    makes_of_built_in,
    write_repeated,
)
from textenvs import IDS
from textenvs.data.squad import read_squad

SOURCE = {
    "data": [
        {
            "paragraphs": [
                {
                    "context": f"{name} lives in house {number}.",
                    "qas": [
                        {
                            "id": f"{name}{number}{part}",
                            "question": question,
                            "answers": [{"text": name, "answer_start": 0}],
                        }
                        for part, question in enumerate(["Who lives there?", "Who is it?"])
                    ],
                }
                for number in range(3)
            ]
        }
        for name in ("Ada", "Bob")
    ]
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "small.json"
    path.write_text(json.dumps(SOURCE), "utf-8")
    return path


@pytest.mark.parametrize("questions", [1, 12, 31])
def test_a_file_of_so_many_questions(source: Path, tmp_path: Path, questions: int) -> None:
    path = tmp_path / "large.json"
    write_repeated(source, path, questions)
    examples = read_squad(path)
    assert len(examples) == questions
    assert len({e.passage for e in examples}) == (questions + 1) // 2


def test_opening_a_file_is_measured_in_time_and_memory(source: Path) -> None:
    time, memory = large_file(questions=30, rounds=1, source=source)
    assert time.rate > time.against_rate > 0
    assert memory.rate > memory.against_rate > 0
    assert (memory.required, memory.required_of, memory.at_most) == (3, "ratio", True)
    assert memory.met is False, "the tokenizer alone is larger than so small a file"
    assert table([memory]).endswith("at most 3 x  NO, MISSED")


def test_imports_and_every_built_in_environment_are_measured() -> None:
    first = import_beside_gymnasium(rounds=1)
    makes = list(makes_of_built_in(rounds=1))
    assert [m.what for m in makes] == [f"make {env_id}" for env_id in IDS]
    for m in (first, *makes):
        assert m.rate > 0 < m.against_rate
        assert (m.required, m.required_of, m.at_most) == (300, "rate", True)
