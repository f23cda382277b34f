"""Every library trains in the benchmark that compares them, and is scored."""

from __future__ import annotations

import pytest
import torch

from benchmarks.libraries import CONTESTANTS, PINNED, Settings, run


@pytest.mark.filterwarnings("ignore")  # of the libraries, about themselves
@pytest.mark.parametrize("name", [name for name in CONTESTANTS if not name.startswith(PINNED)])
def test_each_is_trained_and_scored(name: str) -> None:
    threads = torch.get_num_threads()
    try:
        found = run(name, Settings(timesteps=1024, episodes=4))
    finally:
        torch.set_num_threads(threads)
    low, high = found["interval"]
    assert 0 <= low <= found["score"] <= high <= 1
    assert found["actions_per_s"] == pytest.approx(1024 / found["seconds"])
