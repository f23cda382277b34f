"""What the commands about trained agents are told of a run, and the agent in its folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import tyro

from agents.agent import LanguageAgent
from agents.algorithms import load_agent
from agents.checkpoint import CHECKPOINT, INDEX
from agents.environment import registered
from agents.errors import AgentError
from agents.evaluation import Result, evaluate
from agents.predictor import Predictor, as_predictor
from agents.run_files import BEST
from agents.traces import Trace, trace
from textenvs.cli.environments import read_kwargs
from textenvs.cli.usage import UsageError
from textenvs.errors import closest

Which: TypeAlias = Literal["best", "last"]
FOLDERS: dict[Which, str] = {"best": BEST, "last": CHECKPOINT}
NOT_OPTIONS = {
    "split": "use --split",
    "seed": "use --seed",
    "episodes": "use --episodes",
    "deterministic": "use --sample",
    "predictions": "use --predictions",
    "alternatives": "use --alternatives",
    "num_envs": "how many are played at once changes nothing",
    "autoreset_mode": "the command sets its own",
}
"""What is no option of an environment here -> why not."""
RunFolder: TypeAlias = Annotated[str, tyro.conf.arg(metavar="RUN")]


@dataclass(frozen=True, kw_only=True)
class Play:
    """Where an agent plays, and how."""

    env: str | None = None
    """Another environment than it was trained in; MODULE:ID imports the module first, which an
    environment of your own needs."""
    kwargs: tuple[str, ...] = ()
    """More options of the environment: KEY=VALUE, or one JSON object."""
    split: str = "test"
    """train, validation or test; none for an environment that has no splits."""
    checkpoint: Which = "best"
    """Of a run: the weights that scored best on the validation split, or the last."""
    sample: bool = False
    """Draw actions from the policy, instead of taking the best."""
    seed: int = 0
    """Of what is drawn."""
    device: str = "auto"
    """cpu, cuda, or auto."""

    @property
    def split_or_none(self) -> str | None:
        """The split, None where the environment has none."""
        return None if self.split == "none" else self.split

    def open(self, run: str) -> Player:
        """Who plays, and where.

        Args:
            run: the folder of a run or a checkpoint; or MODULE:ATTRIBUTE, the place of an agent.

        Raises:
            AgentError: there is none.
            UsageError: it is not clear in which environment, or an option of it is none.
        """
        options = read_kwargs(self.kwargs)
        for name in options.keys() & NOT_OPTIONS.keys():
            raise UsageError(f"--kwargs cannot have {name!r}: {NOT_OPTIONS[name]}")
        env_id = None if self.env is None else registered(self.env)
        if ":" in run and not Path(run).exists():
            if env_id is None:
                raise UsageError(f"{run} is an agent of no known environment: name one with --env")
            return Player(run, as_predictor(run), env_id, options)
        agent = open_agent(run, self.checkpoint, self.device)
        if env_id is None:
            if agent.env_id is None:
                raise UsageError(f"{run} does not say in which environment: name it with --env")
            env_id = agent.env_id
        agent.seed_predictions(self.seed)
        own = {name: v for name, v in agent.env_kwargs.items() if name not in NOT_OPTIONS}
        return Player(run, agent, env_id, {**own, **options})

    def evaluate(self, player: Player, episodes: int | None, **more: Any) -> Result:
        """Its scores on the split."""
        return evaluate(
            player.agent,
            player.env_id,
            split=self.split_or_none,
            episodes=episodes,
            deterministic=not self.sample,
            seed=self.seed,
            **more,
            **player.options,
        )

    def trace(self, player: Player, episodes: int | None, alternatives: int) -> list[Trace]:
        """What it thinks at every token of some episodes of the split."""
        return trace(
            player.language_agent,
            player.env_id,
            self.split_or_none,
            episodes,
            deterministic=not self.sample,
            alternatives=alternatives,
            seed=self.seed,
            **player.options,
        )


@dataclass(frozen=True)
class Player:
    """An agent and its environment.

    Attributes:
        name: how the command line named it.
        agent: who plays.
        env_id: of the environment.
        options: of the environment.
    """

    name: str
    agent: Predictor
    env_id: str
    options: dict[str, Any]

    @property
    def language_agent(self) -> LanguageAgent:
        """The agent, which has a language model of ours.

        Raises:
            AgentError: it has none.
        """
        if not isinstance(self.agent, LanguageAgent):
            raise AgentError(
                f"{self.name} is a {type(self.agent).__name__}; this command looks into agents of "
                "textenvs, which textenvs train makes"
            )
        return self.agent


def check_comparable(players: Sequence[Player]) -> None:
    """Check that agents play the same examples.

    Raises:
        AgentError: their environments, or options that examples depend on, differ.
    """
    first, *others = players
    for player in others:
        if player.env_id != first.env_id:
            raise AgentError(
                f"{player.name} plays {player.env_id} and {first.name} plays {first.env_id}: "
                "choose agents of one environment, or name one for all with --env"
            )
        own, options = (
            {key: value for key, value in each.options.items() if key != "reward"}
            for each in (player, first)
        )
        if different := sorted(
            key for key in own.keys() | options.keys() if own.get(key) != options.get(key)
        ):
            raise AgentError(
                f"{player.name} and {first.name} were trained with different "
                f"{', '.join(different)}, so that their examples are not the same: give what both "
                "are to play with --kwargs"
            )


def open_agent(run: str | Path, which: Which = "best", device: str = "auto") -> LanguageAgent:
    """The agent in a run's folder, or in the folder of a checkpoint.

    Raises:
        AgentError: there is none.
    """
    folder = Path(run)
    if (folder / INDEX).exists():
        return load_agent(folder, device=device)
    for place in (FOLDERS[which], CHECKPOINT):
        if (folder / place / INDEX).exists():
            return load_agent(folder / place, device=device)
    raise AgentError(missing(folder))


def missing(folder: Path) -> str:
    """What to say where there is no run."""
    if folder.exists():
        return f"there is no trained agent in {folder}: it holds neither {BEST} nor {CHECKPOINT}"
    near = folder.parent if folder.parent.exists() else Path("runs")
    runs = [str(found.parent.parent) for found in near.glob(f"*/{CHECKPOINT}/{INDEX}")]
    nearest = closest(str(folder), runs)
    hint = f": did you mean {nearest!r}?" if nearest else ""
    return f"there is no folder {folder}{hint}"
