"""What README.md and docs/ show holds: the Python runs and prints what stands below it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import textenvs

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = ["README.md", *sorted(str(page.relative_to(ROOT)) for page in ROOT.glob("docs/**/*.md"))]

BLOCK = re.compile(
    r"(?P<skip><!-- skip[^>]*-->\n)?^```python\n(?P<code>.*?)^```\n"
    r"(?:\n```text\n(?P<output>.*?)^```\n)?",
    re.MULTILINE | re.DOTALL,
)
MODULE = re.compile(r"# (\w+\.py)\n")
"""How a block begins that is a file, which later blocks of the page import."""


class Block(NamedTuple):
    """A block of Python, and the output that the page shows below it."""

    page: str
    line: int
    code: str
    output: str | None


def _blocks() -> list[Block]:
    found = []
    for page in PAGES:
        text = (ROOT / page).read_text("utf-8")
        for block in BLOCK.finditer(text):
            if not block["skip"]:
                line = text.count("\n", 0, block.start("code"))
                found.append(Block(page, line, block["code"], block["output"]))
    return found


BLOCKS = _blocks()
SCRIPTS = [block for block in BLOCKS if not MODULE.match(block.code)]


def test_no_block_is_overlooked() -> None:
    skipped = README.count("<!-- skip")
    ours = [block for block in BLOCKS if block.page == "README.md"]
    assert len(ours) + skipped == README.count("```python") > skipped
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize("block", SCRIPTS, ids=lambda block: f"{block.page}:{block.line + 1}")
def test_python_runs_and_prints_what_is_shown(block: Block, tmp_path: Path) -> None:
    for other in BLOCKS:
        if other.page == block.page and (name := MODULE.match(other.code)):
            (tmp_path / name[1]).write_text(other.code, "utf-8")
    script = tmp_path / "script.py"
    script.write_text("\n" * block.line + block.code, "utf-8")  # errors show the page's lines
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    if block.output is not None:
        assert run.stdout == block.output


def test_an_own_task_is_as_short_as_the_page_says() -> None:
    modules = [block for block in BLOCKS if MODULE.match(block.code)]
    assert len(modules) == 2
    for module in modules:
        assert len(module.code.splitlines()) < 60


def test_ids_are_the_registered_ones() -> None:
    assert set(re.findall(r"\bText\w+-v\d+", README)) == set(textenvs.IDS)


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", README, re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


@pytest.mark.parametrize("page", PAGES)
def test_links_into_the_repository_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert not [link for link in links if not (ROOT / page).parent.joinpath(link).exists()]
