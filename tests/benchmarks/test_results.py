"""What is said of the committed results is what they say."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from statistics import mean
from typing import get_args

import gymnasium
import pytest

from benchmarks import throughput
from benchmarks.learning_table import summary
from benchmarks.libraries import CONTESTANTS
from benchmarks.records import CLONED, read_records
from benchmarks.suites import CLONE
from benchmarks.tables_in_docs import CORE, LIBRARIES, PAGES, with_tables
from textenvs import IDS

RECORDS = read_records([CORE])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tables_of_a_page_are_those_of_the_results(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert with_tables(text, RECORDS) == text, "run python -m benchmarks.tables_in_docs"
    wanted = {
        "README.md": ["summary", "speeds"],
        "your_agent.md": ["libraries"],
        "speed.md": [f"speed-{part}" for part in get_args(throughput.Part)],
    }.get(page.name, [*IDS, "real"])
    assert sorted(re.findall("<!-- results: (.*) -->", text)) == sorted(wanted)


def test_every_library_is_compared_at_one_commit() -> None:
    lines = [json.loads(line) for line in LIBRARIES.read_text("utf-8").splitlines()]
    assert [line["library"] for line in lines] == list(CONTESTANTS)
    assert len({line["provenance"]["git"]["commit"] for line in lines}) == 1
    for line in lines:
        assert not line["provenance"]["git"]["changed"]
        assert line["timesteps"] == 30_000


def test_the_summary_has_the_mean_of_each_agent() -> None:
    _, _, *rows = summary(RECORDS).splitlines()
    cells = {row.split(" | ")[0].removeprefix("| "): row.split(" | ")[1:] for row in rows}
    own = [run.score() for run in RECORDS if (run.env, run.agent) == ("TextNER-v0", "ppo")]
    assert cells["PPO"][0] == f"{mean(own):.3f}"
    clones = [run.score() for run in RECORDS if (run.env, run.agent) == ("TextNER-v0", CLONE)]
    assert cells[CLONED][0] == f"{mean(clones):.3f}"
    assert list(cells)[-1] == "expert"


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


def test_trainings_end_above_their_start() -> None:
    """Their 95 % intervals over test examples are apart, but for those that the page names."""
    others = set()
    for record in RECORDS:
        if record.agent != CLONE:
            own, start = (record.scores[x][record.score_name] for x in (record.label, CLONED))
            if own["low"] <= start["high"]:
                others.add((record.env, record.agent, record.seed))
    assert others == {("TextDialogue-v0", "ppo", 0)}


def test_every_number_tells_where_it_comes_from() -> None:
    for record in RECORDS:
        assert record.commands[-1].startswith("python -m ")
        assert len(record.commit()) == 40, "trained with a clean commit"
        assert record.provenance["versions"]["textenvs"]
        assert record.provenance["machine"]["cores"]
