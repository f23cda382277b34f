"""docs/environments/ and docs/agents/ say what environments and agents are now."""

from __future__ import annotations

import pytest
from reference_pages import DOCS, pages

PAGES = pages()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_code_gives(name: str) -> None:
    path = DOCS / name
    assert path.read_text("utf-8") == PAGES[name], "write it again: python docs/reference_pages.py"


def test_there_is_no_page_of_what_is_gone() -> None:
    folders = {name.partition("/")[0] for name in PAGES}
    written = {
        f"{folder}/{page.name}" for folder in folders for page in (DOCS / folder).glob("*.md")
    }
    assert written - {f"{folder}/index.md" for folder in folders} == set(PAGES)


def test_every_setting_is_explained() -> None:
    rows = [line for page in PAGES.values() for line in page.splitlines() if line.startswith("| `")]
    assert rows
    assert not [row for row in rows if row.endswith("|  |")]
