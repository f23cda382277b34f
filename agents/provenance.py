"""Where a result comes from: command, environment, versions, commit, machine, time."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import gymnasium
import torch

from agents.threads import CHOSEN

PROVENANCE = "provenance.jsonl"
"""In a run's folder: a line for the run, and one for each time that it was resumed."""
PACKAGES = (
    *("textenvs", "gymnasium", "numpy", "torch", "transformers", "tokenizers", "accelerate"),
    *("peft", "stable-baselines3", "sb3-contrib", "trl"),
)
HERE = Path(__file__)


def provenance() -> dict[str, Any]:
    """All of this process that a result depends on, as JSON holds it."""
    return {
        "command": ["python", *sys.orig_argv[1:]],
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "git": git_state(HERE),
        "versions": versions(),
        "machine": machine(),
    }


def commit_of(origin: Mapping[str, Any]) -> str:
    """The commit of a `provenance`, with -dirty if files differed from it.

    >>> commit_of({"git": {"commit": "1f0", "changed": ["a.py"]}}), commit_of({"git": None})
    ('1f0-dirty', 'unknown')
    """
    git = origin.get("git")
    return str(git["commit"]) + "-dirty" * bool(git["changed"]) if git else "unknown"


def environment_spec(env_id: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """What an environment was made from: its registered spec, and the options given to it."""
    spec = gymnasium.spec(env_id)
    facts = {
        "id": spec.id,
        "entry_point": spec.entry_point,
        "vector_entry_point": spec.vector_entry_point,
        "kwargs": spec.kwargs,
        "max_episode_steps": spec.max_episode_steps,
        "reward_threshold": spec.reward_threshold,
        "options": dict(options),
    }
    found: dict[str, Any] = json.loads(json.dumps(facts, default=repr))
    return found


def versions() -> dict[str, str]:
    """Those of Python and of the installed packages that matter."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """What this process computes on."""
    return {
        "platform": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "chosen_threads": os.environ.get(CHOSEN),  # None: one for a small model, else `threads`
        "gpus": [torch.cuda.get_device_name(each) for each in range(torch.cuda.device_count())],
    }


def processor() -> str:
    """The CPU's name, where the system tells it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.processor()


def git_state(file: Path) -> dict[str, Any] | None:
    """The commit that a file's repository is at, and what differs from it.

    Args:
        file: of the repository.

    Returns:
        The commit; the changed and new files; the SHA-256 of the changes to the known ones. None
        without git, and for a file that no repository keeps, such as one of an installed package.
    """
    folder = file.parent
    if _git(folder, "ls-files", "--error-unmatch", file.name) is None:
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain")
    differences = _git(folder, "diff", "HEAD")
    if commit is None or changes is None or differences is None:
        return None
    return {
        "commit": commit.strip(),
        "changed": [line[3:] for line in changes.splitlines()],
        "diff_sha256": hashlib.sha256(differences.encode()).hexdigest() if differences else None,
    }


def _git(folder: Path, *command: str) -> str | None:
    """What a git command prints; None if it fails."""
    git = shutil.which("git")
    if git is None:
        return None
    done = subprocess.run(  # noqa: S603  fixed commands
        [git, *command], cwd=folder, capture_output=True, text=True, errors="replace", check=False
    )
    return done.stdout if done.returncode == 0 else None
