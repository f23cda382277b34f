"""Write the tables of README.md and of docs/ from the committed results.

python -m benchmarks.tables_in_docs

A table stands between `<!-- results: ENV -->` and `<!-- end -->`; `summary` in place of ENV is that
of all environments, `libraries` that of other libraries.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks import libraries
from benchmarks.learning_table import section, summary
from benchmarks.records import Record, read_records

ROOT = Path(__file__).parents[1]
PAGES = tuple(ROOT / page for page in ("README.md", "docs/results.md", "docs/your_agent.md"))
LIBRARIES = ROOT / "benchmarks" / "results" / "libraries.jsonl"
CORE = ROOT / "benchmarks" / "results" / "core.jsonl"
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
    if name == "libraries":
        return libraries.table(LIBRARIES)
    runs = [record for record in records if record.env == name]
    if not runs:
        raise ValueError(f"there are no results of {name}, whose table is wanted")
    return section(runs)


if __name__ == "__main__":
    results = read_records([CORE])
    for page in PAGES:
        page.write_text(with_tables(page.read_text("utf-8"), results), "utf-8")
