"""The aggregate statistics are those that were published."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap as scipy_bootstrap

from benchmarks.aggregates import (
    bootstrap,
    estimate,
    interquartile_mean,
    optimality_gap,
    resampled,
)
from benchmarks.learning_table import aggregate
from benchmarks.records import read_records
from benchmarks.tables_in_docs import CORE

RNG = np.random.default_rng(0)
SCORES = [RNG.random(8), RNG.random(8) + 1, RNG.random(8) + 2]


def test_the_interquartile_mean_is_that_of_the_middle_half() -> None:
    """24 scores: the 6 lowest and the 6 highest are left out."""
    middle = np.sort(np.concatenate(SCORES))[6:-6]
    assert interquartile_mean(SCORES) == pytest.approx(middle.mean())


def test_seeds_are_drawn_in_each_environment_by_itself() -> None:
    for drawn_RS, scores in zip(resampled(SCORES, RNG, 20), SCORES, strict=True):
        assert drawn_RS.shape == (20, len(scores))
        assert set(drawn_RS.ravel()) <= set(scores)
        assert len({tuple(drawn) for drawn in drawn_RS}) == 20
    same = [[0.25] * 5, [0.75] * 5]
    assert estimate(interquartile_mean, same, 50) == (0.5, 0.5, 0.5)


def test_one_environment_is_the_percentile_bootstrap() -> None:
    scores = RNG.normal(size=30)
    mean = lambda each: np.concatenate(each, axis=-1).mean(axis=-1)  # noqa: E731
    low, high = bootstrap(mean, [scores], 20_000)
    reference = scipy_bootstrap(
        (scores,), np.mean, n_resamples=20_000, method="percentile", rng=RNG
    ).confidence_interval
    assert (low, high) == pytest.approx(tuple(reference), abs=0.02)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Two environments of means 0 and 1, 20 seeds each: of 300 intervals some 95 % hold 0.5."""
    mean = lambda each: np.concatenate(each, axis=-1).mean(axis=-1)  # noqa: E731
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(300):
        low, high = bootstrap(mean, [rng.normal(size=20), rng.normal(1, size=20)], 300)
        held += low <= 0.5 <= high
    assert 0.90 <= held / 300 <= 0.98


def test_optimality_gap_counts_no_score_above_1() -> None:
    assert optimality_gap([[2.0], [0.5]]) == 0.25


def test_agents_are_compared_where_all_were_trained() -> None:
    lines = aggregate(read_records([CORE])).splitlines()
    assert lines[0].startswith("**TextNER-v0, TextQASpan-v0, TextQA-v0**")
    assert [line.split("|")[1].strip() for line in lines[4:] if line.startswith("|")] == [
        *("EpsilonGreedy", "DQN", "REINFORCE", "A2C", "PPO")
    ]
    (note,) = filter(None, lines[9:])
    assert note == "Not trained in all of these, and left out: stable-baselines3 MaskablePPO."
    records = read_records([CORE])
    uneven = [
        run._replace(timesteps=9_000) if (run.env, run.agent) == ("TextQA-v0", "a2c") else run
        for run in records
    ]
    note = aggregate(uneven).splitlines()[-1]
    assert note.startswith("Numbers of actions differ in TextQA-v0: EpsilonGreedy 300,")
    assert "A2C 9,000" in note
    assert aggregate([]) == ""
    assert aggregate([run for run in records if run.seed == 0]) == ""
    assert aggregate([run for run in records if run.agent == "ppo"]) == "", "nothing to compare"
