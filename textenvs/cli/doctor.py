"""`textenvs doctor`: what is installed, what runs, and what is missing for what."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from rich.console import Console
from rich.table import Table
from rich.text import Text

from textenvs.tokenization.bpe import cache_folder

ROOT = Path(__file__).resolve().parents[2]
USES = {
    "": "environments with built-in data",
    "cli": "this command",
    "data": "data files, tokenizers of transformers",
    "metrics": "metrics of evaluate; data sets of the Hub",
    "agents": "agents with language models",
    "adapters": "LoRA, prefix-tuning and other adapters",
    "processes": "several processes and GPUs",
    "wandb": "logs at Weights & Biases",
    "sb3": "stable-baselines3 and sb3-contrib",
    "torchrl": "TorchRL",
    "trl": "TRL",
    "chat": "language models behind an API",
    "offline": "episodes as data sets",
    "tianshou": "Tianshou, in an environment of its own",
    "rllib": "RLlib, in an environment of its own",
}
"""The extras that users choose from, and what each is for."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is installed, which devices and caches there are, and what is missing for what.

    The exit status is 1 if something keeps the environments or this command from working.
    """

    json: bool = False
    """As JSON."""


@dataclass(frozen=True)
class Part:
    """What a use of textenvs needs.

    Attributes:
        extra: its extra; empty for what is always needed.
        use: what it is for.
        versions: name -> version, of the packages that are there.
        missing: the requirements that are not met.
    """

    extra: str
    use: str
    versions: dict[str, str]
    missing: list[str]

    @property
    def remedy(self) -> str:
        """The command that installs what is missing."""
        return f"pip install 'textenvs[{self.extra}]'" if self.extra else "pip install textenvs"


def parts() -> list[Part]:
    """Every use, by the requirements of the installed package."""
    requirements = [Requirement(text) for text in metadata.requires("textenvs") or ()]
    found = []
    for extra, use in USES.items():
        versions: dict[str, str] = {}
        missing: list[str] = []
        for each in requirements:
            if each.name == "textenvs":
                continue
            own = each.marker is None if not extra else of_extra(each, extra)
            if not own:
                continue
            try:
                version = metadata.version(each.name)
            except metadata.PackageNotFoundError:
                missing.append(str(each).partition(";")[0].strip())
                continue
            versions[each.name] = version
            if not each.specifier.contains(version, prereleases=True):
                missing.append(f"{each.name}{each.specifier} (there is {version})")
        found.append(Part(extra, use, versions, missing))
    return found


def of_extra(requirement: Requirement, extra: str) -> bool:
    """Whether a requirement is an extra's, on this Python."""
    marker = requirement.marker
    return (
        marker is not None
        and "extra" in str(marker)
        and marker.evaluate({"extra": extra})
        and not marker.evaluate({"extra": ""})
    )


def devices() -> dict[str, str]:
    """What can compute, name -> what it is."""
    cores = os.cpu_count() or 1
    found = {"cpu": f"{platform.machine()}, {cores} cores"}
    if importlib.util.find_spec("torch") is None:
        return found
    import torch

    found["cpu"] += f", torch uses {torch.get_num_threads()} threads"
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(number)
            found[f"cuda:{number}"] = f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB"
    else:
        found["cuda"] = "none" if torch.version.cuda else "none: this torch is a CPU build"
    if torch.backends.mps.is_available():
        found["mps"] = "yes, but agents do not use it: --device cpu or cuda"
    return found


def caches() -> dict[str, str]:
    """Where files are kept between runs, and how large that is."""
    hub = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    return {
        "tokenizers trained on files": described(cache_folder()),
        "models and data of the Hub": described(hub),
    }


def described(folder: Path) -> str:
    """A folder, and the size of what it holds."""
    if not folder.exists():
        return f"{folder}, empty"
    size = sum(file.lstat().st_size for file in folder.rglob("*"))  # a link counts as itself
    note = "" if os.access(folder, os.W_OK) else ", not writable"
    return f"{folder}, {size / 2**20:,.1f} MiB{note}"


def clashes() -> list[str]:
    """Other packages that stand where ours are imported from."""
    found = []
    for name in ("textenvs", "agents"):
        spec = importlib.util.find_spec(name)
        place = Path(spec.origin).resolve() if spec and spec.origin else None
        if place is None or place.parents[1] != ROOT:
            found.append(
                f"`import {name}` finds {place}, not the one of textenvs: another package has the "
                "same import name (openai-agents has agents); use an environment without it"
            )
    return found


def run(settings: Settings) -> int:
    """Print the findings."""
    uses, problems = parts(), clashes()
    needed = [part for part in uses if part.extra in ("", "cli") and part.missing]
    python = f"{platform.python_version()} at {sys.executable}"
    status = 1 if problems or needed else 0
    if settings.json:
        found = {
            "python": python,
            "textenvs": metadata.version("textenvs"),
            "parts": [vars(part) for part in uses],
            "devices": devices(),
            "caches": caches(),
            "problems": problems,
        }
        print(json.dumps(found, indent=2))
        return status
    console = Console()
    console.print(
        f"textenvs {metadata.version('textenvs')}, Python {python}", highlight=False, markup=False
    )
    for title, facts in (("devices", devices()), ("caches", caches())):
        console.print(f"\n[bold]{title}[/bold]")
        for name, fact in facts.items():
            console.print(f"  {name}: {fact}", highlight=False, markup=False)
    console.print()
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("", no_wrap=True)
    table.add_column("for", max_width=26)
    table.add_column("packages")
    for part in uses:
        mark = "[yellow]--[/yellow]" if part.missing else "[green]ok[/green]"
        there = ", ".join(f"{name} {version}" for name, version in part.versions.items())
        lacking = f"missing: {', '.join(part.missing)}; {part.remedy}"
        table.add_row(mark, part.use, Text(lacking if part.missing else there))
    console.print(table, highlight=False)
    for problem in problems:
        console.print(f"\nproblem: {problem}", style="red", highlight=False, markup=False)
    return status
