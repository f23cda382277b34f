"""README.md holds: its Python runs and prints what it says, and what it names exists."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import NamedTuple

import pytest

import textenvs

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")

BLOCK = re.compile(
    r"(?P<skip><!-- skip[^>]*-->\n)?^```python\n(?P<code>.*?)^```\n"
    r"(?:\n```text\n(?P<output>.*?)^```\n)?",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """A block of Python, and the output that the README shows below it."""

    line: int
    code: str
    output: str | None


BLOCKS = [
    Block(README.count("\n", 0, found.start("code")), found["code"], found["output"])
    for found in BLOCK.finditer(README)
    if not found["skip"]
]


def test_no_block_is_overlooked() -> None:
    skipped = README.count("<!-- skip")
    assert len(BLOCKS) + skipped == README.count("```python") > skipped


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"line{block.line + 1}")
def test_python_runs_and_prints_what_is_shown(
    block: Block,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    script = tmp_path / "README.py"
    script.write_text("\n" * block.line + block.code, "utf-8")  # errors show README's lines
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(script))
    if block.output is not None:
        assert capsys.readouterr().out == block.output


def test_ids_are_the_registered_ones() -> None:
    assert set(re.findall(r"\bText\w+-v\d+", README)) == set(textenvs.IDS)


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", README, re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


def test_links_into_the_repository_lead_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)", README) if "://" not in link]
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]
