"""Write the tables of README.md from the committed results.

python -m benchmarks.readme_tables

A table stands between `<!-- results: ENV -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.learning_table import section
from benchmarks.records import Record, read_records

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
CORE = ROOT / "benchmarks" / "results" / "core.jsonl"
PLACE = re.compile(r"(<!-- results: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def with_tables(text: str, records: Sequence[Record]) -> str:
    """A text with the tables of its places.

    Raises:
        ValueError: a place names an environment without results.
    """

    def table(place: re.Match[str]) -> str:
        runs = [record for record in records if record.env == place[2]]
        if not runs:
            raise ValueError(f"there are no results of {place[2]}, whose table is wanted")
        return f"{place[1]}\n{section(runs)}\n\n{place[3]}"

    return PLACE.sub(table, text)


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text("utf-8"), read_records([CORE])), "utf-8")
