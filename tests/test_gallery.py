"""docs/gallery.md shows what the environments do now."""

from __future__ import annotations

from pathlib import Path

import pytest

from textenvs.gallery import gallery, main

PAGE = Path(__file__).resolve().parents[1] / "docs" / "gallery.md"


def test_the_page_is_what_the_environments_give() -> None:
    assert PAGE.read_text("utf-8") == gallery(), "write it again: python -m textenvs.gallery"


def test_the_command_writes_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    main(["--out", str(tmp_path / "new" / "page.md")])
    assert (tmp_path / "new" / "page.md").read_bytes() == PAGE.read_bytes()
    assert "page.md" in capsys.readouterr().out
