"""Libraries with older pins train in the benchmark that compares them, and are scored."""

from __future__ import annotations

import pytest

from benchmarks.libraries import CONTESTANTS, PINNED, Settings, run


@pytest.mark.parametrize("name", [name for name in CONTESTANTS if name.startswith(PINNED)])
def test_each_is_trained_and_scored(name: str) -> None:
    module = "ray" if name.startswith("RLlib") else "tianshou"
    pytest.importorskip(module, reason="needs an environment of its own: make test-pinned")
    found = run(name, Settings(timesteps=1024, episodes=4))
    low, high = found["interval"]
    assert 0 <= low <= found["score"] <= high <= 1
