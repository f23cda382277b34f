"""What is said of the committed results is what they say."""

from __future__ import annotations

import math
from statistics import mean

import gymnasium
import pytest

from benchmarks.readme_tables import CORE, README, with_tables
from benchmarks.records import CLONED, read_records
from benchmarks.suites import CLONE
from textenvs import IDS

RECORDS = read_records([CORE])


def test_the_tables_of_the_readme_are_those_of_the_results() -> None:
    text = README.read_text(encoding="utf-8")
    assert with_tables(text, RECORDS) == text, "run python -m benchmarks.readme_tables"
    assert text.count("<!-- results: ") == len(IDS)


def test_a_table_without_results() -> None:
    with pytest.raises(ValueError, match="no results of NoSuch-v0"):
        with_tables("<!-- results: NoSuch-v0 -->\n<!-- end -->", RECORDS)


@pytest.mark.parametrize("env_id", IDS)
def test_reward_thresholds_are_what_ppo_reaches(env_id: str) -> None:
    """The mean over seeds of the return on the test split, rounded down to hundredths."""
    returns = [
        record.score(metric="return")
        for record in RECORDS
        if (record.env, record.agent) == (env_id, "ppo")
    ]
    assert len(returns) >= 3
    threshold = gymnasium.spec(env_id).reward_threshold
    assert threshold == math.floor(mean(returns) * 100) / 100


def test_every_training_ends_above_its_start() -> None:
    """Their 95 % intervals over test examples are apart."""
    for record in RECORDS:
        if record.agent != CLONE:
            own, start = (record.scores[x][record.score_name] for x in (record.label, CLONED))
            assert own["low"] > start["high"], (record.env, record.agent, record.seed)


def test_every_number_tells_where_it_comes_from() -> None:
    """What a run did not record by itself is said to be reconstructed, in the README too."""
    for record in RECORDS:
        assert record.commands[-1].startswith("python -m ")
        if "reconstructed" not in record.provenance:
            assert len(record.commit()) == 40, "trained with a clean commit"
            assert record.provenance["versions"]["textenvs"]
            assert record.provenance["machine"]["cores"]
    reconstructed = any("reconstructed" in record.provenance for record in RECORDS)
    assert ("reconstructed" in README.read_text(encoding="utf-8")) is reconstructed
