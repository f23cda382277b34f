"""Write the tables of README.md and of docs/ from the committed results.

python -m benchmarks.tables_in_docs

A table stands between `<!-- results: ENV -->` and `<!-- end -->`; `summary` in place of ENV is that
of all environments, `real` those on published data, `libraries` that of other libraries,
`speed-PART` what was measured of a part, `speeds` the ratios of models of one kind beside other
programs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks import libraries
from benchmarks.learning_table import section, summary, table_of
from benchmarks.measurement_table import markdown_table
from benchmarks.records import RESULTS, Record, read_records
from benchmarks.scaling import growth_table
from benchmarks.speed_results import SpeedResults, read_speed

ROOT = Path(__file__).parents[1]
PAGES = tuple(
    ROOT / page for page in ("README.md", "docs/results.md", "docs/your_agent.md", "docs/speed.md")
)
LIBRARIES = RESULTS / "libraries.jsonl"
CORE = RESULTS / "core.jsonl"
REAL = RESULTS / "real.jsonl"
SPEEDS = (
    ("agents", r"acting, .* \d+ tokens", "generate", "acting, beside `generate(do_sample=True)`"),
    ("agents", r"acting, .* ragged answers", "generate", "the same, answers of unequal lengths"),
    ("training", r"PPO.*", "stable-baselines3 PPO", "PPO, beside stable-baselines3's"),
    (
        "training",
        r"stable.*",
        "stable-baselines3 PPO",
        "its PPO with `agents.sb3`, beside without",
    ),
    ("training", r"DQN.*", "stable-baselines3 DQN", "DQN, beside stable-baselines3's"),
    ("training", r"PPO.*\d", r"trl.*", "PPO, beside TRL's RLOO, GRPO and, of an older TRL, PPO"),
)
"""Part, what is measured, against what, and how the README calls it."""
PLACE = re.compile(r"(<!-- results: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def with_tables(text: str, records: Sequence[Record]) -> str:
    """A text with the tables of its places.

    Raises:
        ValueError: a place names an environment without results.
    """

    def table(place: re.Match[str]) -> str:
        return f"{place[1]}\n{table_named(place[2], records)}\n\n{place[3]}"

    return PLACE.sub(table, text)


def table_named(name: str, records: Sequence[Record]) -> str:
    """The table of a place.

    Raises:
        ValueError: it names an environment without results.
    """
    if name == "summary":
        return summary(records)
    if name == "real":
        return table_of(read_records([REAL]))
    if name == "libraries":
        return libraries.table(LIBRARIES)
    if name == "speeds":
        return speeds_table()
    if name.startswith("speed-"):
        return speed_table(read_speed(RESULTS / f"{name}.json"))
    runs = [record for record in records if record.env == name]
    if not runs:
        raise ValueError(f"there are no results of {name}, whose table is wanted")
    return section(runs)


def speed_table(results: SpeedResults) -> str:
    """What was measured, how costs grow, and where it comes from."""
    parts = [markdown_table(results.measured)] if results.measured else []
    parts += [growth_table(results.growths)] if results.growths else []
    return "\n\n".join([*parts, results.origin])


def speeds_table() -> str:
    """A line a comparison: its ratio, from the lowest to the highest where there are several.

    Raises:
        ValueError: a comparison was not measured.
    """
    lines = ["| | times as fast |", "|---|---|"]
    for part, what, against, called in SPEEDS:
        found = [
            f"{m.ratio:.2g}"
            for m in read_speed(RESULTS / f"speed-{part}.json").measured
            if re.fullmatch(what, m.what) and re.fullmatch(against, m.against)
        ]
        if not found:
            raise ValueError(f"speed-{part}.json has nothing of: {called}")
        ends = dict.fromkeys((min(found, key=float), max(found, key=float)))
        lines.append(f"| {called} | {' to '.join(ends)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    results = read_records([CORE])
    for page in PAGES:
        page.write_text(with_tables(page.read_text("utf-8"), results), "utf-8")
