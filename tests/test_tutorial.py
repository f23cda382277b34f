"""The commands of docs/tutorial.md, one after the other."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BASH = shutil.which("bash")


@pytest.mark.slow
@pytest.mark.skipif(BASH is None, reason="the commands are for a shell: needs bash")
def test_every_command_of_the_tutorial_runs(tmp_path: Path) -> None:
    """As in one shell: what a command writes, later ones read."""
    text = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
    commands = re.findall(r"^```sh\n(.*?)^```\n", text, re.MULTILINE | re.DOTALL)
    assert len(commands) >= 7
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    run = subprocess.run(
        [str(BASH), "-e", "-o", "pipefail", "-c", "\n".join(commands)],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    report = (tmp_path / "runs" / "ppo" / "report.html").read_text("utf-8")
    assert report.startswith("<!doctype html>")
    answer = json.loads(run.stdout.split('{"line"')[1].join(['{"line"', ""]).splitlines()[0])
    assert len(answer["text"].split()) == len(["Ana", "Silva", "lives", "in", "Rome", "."])
