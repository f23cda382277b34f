"""`textenvs export`: a trained agent for other programs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from agents.cli.runs import Play, RunFolder
from agents.offline import to_dataset, to_minari
from agents.recorded import record
from textenvs.cli.usage import UsageError

SUFFIX = ".safetensors"


@dataclass(frozen=True, kw_only=True)
class Settings(Play):
    """Write a trained agent for plain transformers, or episodes that it plays as a data set."""

    run: tyro.conf.Positional[RunFolder]
    """The folder of a run or a checkpoint."""
    to: str
    """A folder; or the id of the Minari data set, such as TextNER/ppo-v0."""
    format: Literal["transformers", "minari", "dataset", "episodes"] = "transformers"
    """The model for transformers; or episodes: for Minari, as a Hugging Face data set, or as the
    file that BehaviourCloning reads."""
    episodes: int | None = None
    """How many episodes, spread over the split; None for all."""


def run(settings: Settings) -> int:
    """Write it."""
    player = settings.open(settings.run)
    if settings.format == "transformers":
        player.language_agent.export(settings.to)
        print(f"{settings.to}: transformers.AutoModelForCausalLM.from_pretrained opens it")
        return 0
    place = Path(settings.to)
    if settings.format == "episodes" and place.suffix != SUFFIX:
        raise UsageError(f"--to is {settings.to}; expected a file that ends in {SUFFIX}")
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = place if settings.format == "episodes" else Path(folder) / f"episodes{SUFFIX}"
        file.parent.mkdir(parents=True, exist_ok=True)
        episodes = record(
            player.agent,
            player.env_id,
            file,
            episodes=settings.episodes,
            split=settings.split_or_none,
            deterministic=not settings.sample,
            seed=settings.seed,
            **player.options,
        )
    if settings.format == "minari":
        to_minari(episodes, settings.to, player.env_id, settings.split_or_none, **player.options)
    elif settings.format == "dataset":
        to_dataset(episodes).save_to_disk(settings.to)
    print(f"{settings.to}: {len(episodes):,} episodes")
    return 0
