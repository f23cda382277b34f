"""What all tests share: real data where it is at hand, and no trace outside temporary folders."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Tests may share their cores with anything: the time that an example takes says nothing.
settings.register_profile("textenvs", deadline=None)
settings.load_profile("textenvs")

_home = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Keep Hugging Face libraries offline and out of the user's home; they read this on import."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    if "HF_HOME" not in os.environ:
        config.stash[_home] = os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="textenvs-hf-")


def pytest_unconfigure(config: pytest.Config) -> None:
    if _home in config.stash:
        shutil.rmtree(config.stash[_home], ignore_errors=True)


@pytest.fixture(autouse=True, scope="session")
def textenvs_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The cache folder of textenvs during the tests."""
    folder = tmp_path_factory.mktemp("textenvs-cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEXTENVS_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of published data sets; tests that need it are skipped where it is absent."""
    folder = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no published data sets at {folder}")
    return folder.resolve()
