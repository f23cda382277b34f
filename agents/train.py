"""Train an agent, and report how it does on examples that it has not seen.

python -m agents.train ppo TextQA-v0 --total-timesteps 100000 --out runs/qa
accelerate launch --multi_gpu --num_processes 2 -m agents.train dqn TextQASpan-v0

The same as `textenvs train`, for launchers that start a module.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Union

import gymnasium
import tyro

from agents.agent import LanguageAgent
from agents.algorithms import ALGORITHMS, RL
from agents.behaviour_cloning import BCConfig
from agents.errors import AgentError, TrainingDiverged
from agents.run_settings import RLSettings, Settings
from agents.training_run import train


@dataclass(frozen=True, kw_only=True)
class TrainBC(Settings):
    """Behaviour cloning of the environment's expert, or of recorded episodes."""

    config: BCConfig = dataclasses.field(default_factory=BCConfig)
    validate_every: int = 1
    """Passes over the episodes between the points of the learning curve."""


def settings_of(name: str) -> type[Settings]:
    """The settings of a run of an algorithm."""
    if name == "bc":
        return TrainBC
    algorithm = RL[name]
    config = (
        "config",
        algorithm.config_type,
        dataclasses.field(default_factory=algorithm.config_type),
    )
    return dataclasses.make_dataclass(
        f"Train{algorithm.__name__}",
        [config],
        bases=(RLSettings,),
        namespace={"__doc__": str(algorithm.__doc__).partition(";")[0]},
        frozen=True,
        kw_only=True,
    )


AnySettings: Any = Union[  # noqa: UP007  # made of a list
    tuple(Annotated[settings_of(name), tyro.conf.subcommand(name)] for name in ALGORITHMS)
]
"""Those of any algorithm, for tyro: each is a subcommand."""


def read(arguments: Sequence[str] | None = None) -> Settings:
    """The settings that a command line says.

    Args:
        arguments: algorithm and options; those of this process by default.

    Raises:
        SystemExit: they are none; what is wrong is printed.
    """
    settings: Settings = tyro.cli(
        AnySettings,
        prog="python -m agents.train",
        description=__doc__,
        args=arguments,
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes),
    )
    return settings


def main() -> None:
    """Read the command line and train."""
    settings = read()
    try:
        train(algorithm_of(settings), settings)
    except (AgentError, TrainingDiverged, gymnasium.error.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


def algorithm_of(settings: Settings) -> type[LanguageAgent]:
    """The algorithm that the settings' config belongs to."""
    config_type = type(settings.config)
    return next(each for each in ALGORITHMS.values() if each.config_type is config_type)


if __name__ == "__main__":
    main()
