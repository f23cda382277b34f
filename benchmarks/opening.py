"""What it costs to begin: imports, `make` of built-in environments, and a large file.

All is measured in fresh processes: what one has loaded, it does not load again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from copy import deepcopy
from itertools import count
from pathlib import Path
from typing import Any

import textenvs
from benchmarks.measuring import Measurement

_IMPORTS = """
import json, time
start = time.perf_counter()
import gymnasium
middle = time.perf_counter()
import textenvs
print(json.dumps([middle - start, time.perf_counter() - middle]))
"""
_MAKE = """
import json, sys, time
start = time.perf_counter()
import gymnasium
middle = time.perf_counter()
import textenvs
ready = time.perf_counter()
gymnasium.make(sys.argv[1])
print(json.dumps([middle - start, time.perf_counter() - ready]))
"""
_OPEN = """
import json, re, sys, time, warnings
import gymnasium, textenvs, tokenizers
warnings.simplefilter("ignore")
def kilobytes(name):
    return int(re.search(rf"{name}:\\s*(\\d+)", open("/proc/self/status").read())[1])
before, start = kilobytes("VmRSS"), time.perf_counter()
env = gymnasium.make("TextQA-v0", dataset=sys.argv[1], split="all")
seconds = time.perf_counter() - start
print(json.dumps([seconds, (kilobytes("VmHWM") - before) * 1024, env.unwrapped.num_examples]))
"""
_LOAD = """
import json, sys, time
start = time.perf_counter()
with open(sys.argv[1], encoding="utf-8") as file:
    json.load(file)
print(time.perf_counter() - start)
"""


def import_beside_gymnasium(rounds: int) -> Measurement:
    """What `import textenvs` adds to `import gymnasium`."""
    return _beside_gymnasium("import textenvs, more than", rounds, _IMPORTS)


def makes_of_built_in(rounds: int) -> Iterator[Measurement]:
    """`gymnasium.make` of every id, each the first thing that its process makes."""
    for env_id in textenvs.IDS:
        yield _beside_gymnasium(f"make {env_id}", rounds, _MAKE, env_id)


def _beside_gymnasium(what: str, rounds: int, program: str, *arguments: str) -> Measurement:
    """What a program prints: the seconds of importing gymnasium, and those of something else."""
    timed = [_fresh(program, *arguments) for _ in range(rounds)]
    return Measurement(
        what=what,
        unit="ms",
        rates=tuple(1e3 * ours for _, ours in timed),
        against="import gymnasium",
        against_rates=tuple(1e3 * theirs for theirs, _ in timed),
        required=300,
        required_of="rate",
        at_most=True,
    )


def large_file(questions: int, rounds: int, source: Path) -> Iterator[Measurement]:
    """TextQA-v0 over a large SQuAD file: its time beside that of `json.load`; and its memory.

    A byte-level BPE is trained each time, as nothing is kept from the rounds before. Memory is
    what the process grows by at its peak, over what it has after its imports (Linux tells).

    Args:
        questions: How many the file has.
        rounds: How often it is opened.
        source: A SQuAD file that is repeated until there are so many.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.json"
        write_repeated(source, path, questions)
        size = path.stat().st_size
        opened, loaded = [], []
        for number in range(rounds):
            loaded.append(_fresh(_LOAD, str(path)))
            cache = {"TEXTENVS_CACHE": str(Path(folder) / f"cache{number}")}
            opened.append(_fresh(_OPEN, str(path), **cache))
    assert all(examples == questions for _, _, examples in opened)
    notes = {"file_bytes": size, "questions": questions}
    yield Measurement(
        what=f"open a file of {questions:,} questions",
        unit="ms",
        rates=tuple(1e3 * seconds for seconds, _, _ in opened),
        against="json.load",
        against_rates=tuple(1e3 * seconds for seconds in loaded),
        notes=notes,
    )
    yield Measurement(
        what="its memory at the peak",
        unit="MB",
        rates=tuple(growth / 1e6 for _, growth, _ in opened),
        against="the file",
        against_rates=(size / 1e6,) * rounds,
        required=3,
        at_most=True,
        notes=notes,
    )


def write_repeated(source: Path, path: Path, questions: int) -> None:
    """Write a SQuAD file of so many questions: those of another, again and again.

    Each repetition has ids and passages of its own, so that no split, hash or cache takes one for
    another.
    """
    articles = json.loads(source.read_text("utf-8"))["data"]
    data: list[Any] = []
    left = questions
    for number in count():
        for article in deepcopy(articles):
            for paragraph in article["paragraphs"]:
                paragraph["context"] += f" ({number})"
                paragraph["qas"] = paragraph["qas"][:left]
                left -= len(paragraph["qas"])
                for question in paragraph["qas"]:
                    question["id"] += f"-{number}"
            data.append(article)
            if not left:
                path.write_text(json.dumps({"data": data}, ensure_ascii=False), "utf-8")
                return


def _fresh(program: str, *arguments: str, **environment: str) -> Any:
    """What a Python program prints as JSON, run in a process of its own."""
    run = subprocess.run(  # noqa: S603  a fixed program
        [sys.executable, "-c", program, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(run.stdout)
