"""Libraries with older pins train in the benchmark that compares them, and are scored."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks.libraries import CONTESTANTS, PINNED, Settings, main


@pytest.mark.parametrize("name", [name for name in CONTESTANTS if name.startswith(PINNED)])
def test_each_is_trained_and_scored(name: str, tmp_path: Path) -> None:
    """In a process of its own, as Ray is begun once in each."""
    module = "ray" if name.startswith("RLlib") else "tianshou"
    pytest.importorskip(module, reason="needs an environment of its own: make test-pinned")
    out = tmp_path / "libraries.jsonl"
    settings = Settings(
        only=(name,), timesteps=1024, episodes=4, pinned=Path(sys.executable), out=out
    )
    assert main(settings) == 0
    (found,) = map(json.loads, out.read_text().splitlines())
    low, high = found["interval"]
    assert 0 <= low <= found["score"] <= high <= 1
    assert found["provenance"]["versions"]["textenvs"]
