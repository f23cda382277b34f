"""Train an algorithm of stable-baselines3 as `agents.train` trains ours: start, scores, files.

Its policy is the language model with heads of `agents.sb3`, which acts through the prefix cache in
a native `TextVecEnv`; it begins with the very weights that our agents begin with.

python -m benchmarks.train_sb3 ppo TextNER-v0 --start runs/clone/best --out runs/sb3
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import torch
import tyro
from sb3_contrib import MaskablePPO
from stable_baselines3 import DQN as SB3DQN
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecMonitor

from agents import DQN, PPO, load_agent
from agents import sb3 as ours
from agents.agent import LanguageAgent
from agents.errors import AgentError
from agents.ladder import CLONED, Ladder
from agents.models.model_config import ModelConfig
from agents.run_settings import SeedOptions, Settings, begin


@dataclass(frozen=True, kw_only=True)
class SB3Config:
    """What the algorithms share."""

    num_envs: int = 32
    """Slots of the environment."""
    learning_rate: float = 2e-4
    """At its highest: it falls linearly to 0, after it rose over the warm-up."""
    warmup: float = 0.03
    """Share of the training over which the learning rate first rises from 0."""
    batch_size: int = 256
    """Observations of a minibatch."""
    gamma: float = 1.0
    """Discount."""

    def rate(self, remaining: float) -> float:
        """The learning rate where so large a share of the training remains."""
        risen = (1 - remaining) / self.warmup if self.warmup else 1.0
        return self.learning_rate * min(risen, remaining)


@dataclass(frozen=True, kw_only=True)
class PPOConfig(SB3Config):
    """Settings of MaskablePPO, of sb3-contrib."""

    n_steps: int = 64
    """Steps of each slot before an update."""
    n_epochs: int = 2
    """Passes over them."""
    gae_lambda: float = 0.95
    """Of generalised advantage estimation."""
    ent_coef: float = 0.01
    """Weight of the entropy."""
    target_kl: float | None = 0.03
    """Above one and a half of it an update ends."""


@dataclass(frozen=True, kw_only=True)
class DQNConfig(SB3Config):
    """Settings of DQN, which acts and learns without masks."""

    batch_size: int = 64
    """Observations of a minibatch, each of which is read whole."""
    buffer_size: int = 50_000
    """Steps that the replay holds."""
    learning_starts: int = 1_000
    """Steps before the first update."""
    gradient_steps: int = 2
    """Updates a step of all slots."""
    target_update_interval: int = 1_000
    """Steps between those of the target network."""
    exploration_fraction: float = 0.5
    """Share of the training over which epsilon falls from 0.05 to 0.01."""


@dataclass(frozen=True, kw_only=True)
class SB3Settings(Settings):
    """What a run needs beside its algorithm's settings."""

    config: SB3Config  # type: ignore[assignment]
    start: Path
    """A checkpoint of our agents to start from."""
    total_timesteps: int = 100_000
    """Actions to train on."""
    validate_every: int = 40_000
    """Actions between the points of the learning curve."""


@dataclass(frozen=True, kw_only=True)
class TrainPPO(SB3Settings):
    """MaskablePPO, with the buffer of `agents.sb3` that keeps episodes together."""

    config: PPOConfig = dataclasses.field(default_factory=PPOConfig)


@dataclass(frozen=True, kw_only=True)
class TrainDQN(SB3Settings):
    """DQN, whose library knows no masks."""

    config: DQNConfig = dataclasses.field(default_factory=DQNConfig)


def train(settings: SB3Settings) -> None:
    """Train, and report as `agents.train` does.

    Raises:
        AgentError: the settings do not fit the environment, the start or one another.
    """
    if settings.resume:
        raise AgentError("stable-baselines3 cannot go on with a run exactly as it would have gone")
    if settings.wandb is not None or settings.seed_options != SeedOptions():
        raise AgentError("--wandb and seeds of single sources are options of our agents alone")
    if settings.model_config != ModelConfig():
        raise AgentError("--start brings its own model: leave out --model and the model's options")
    ladder = Ladder(settings)
    start = load_agent(settings.start, device=settings.device)
    ladder.score_both(CLONED, start)
    begin(settings)
    env = ours.TextVecEnv(
        settings.env_id,
        settings.config.num_envs,
        prompt_length=True,
        **settings.environment_options(),
    )
    kind: type[LanguageAgent] = PPO if isinstance(settings.config, PPOConfig) else DQN
    # Our agent of the same weights is what is scored and saved; the library trains them.
    agent = kind(settings.env_id, model=start.model, env_kwargs=settings.environment_options())
    model = algorithm(settings, VecMonitor(env), agent)
    weights = agent.model.state_dict()
    networks = {
        id(each.network): each.network
        for each in model.policy.modules()
        if isinstance(each, ours.StatesExtractor)
    }
    for network in networks.values():
        network.model.load_state_dict(weights)
    agent.model = next(iter(networks.values())).model
    ladder.baselines(agent.contract)
    ladder.start(agent, resumed=False)
    began = time.perf_counter()
    model.learn(settings.total_timesteps, callback=Curve(ladder, agent, settings.validate_every))
    agent.num_timesteps = model.num_timesteps
    label = f"stable-baselines3 {type(model).__name__}"
    ladder.finish(agent, time.perf_counter() - began, label)


def algorithm(settings: SB3Settings, env: VecMonitor, agent: LanguageAgent) -> BaseAlgorithm:
    """The library's algorithm, with new weights of the agent's form."""
    config = settings.config
    shared: dict[str, Any] = {
        "learning_rate": config.rate,
        "batch_size": config.batch_size,
        "gamma": config.gamma,
        "seed": settings.seed,
        "device": agent.device,
        "policy_kwargs": ours.lm_policy_kwargs(env, agent.model.config, settings.seed),
    }
    made: BaseAlgorithm
    if isinstance(config, PPOConfig):
        made = MaskablePPO(
            ours.LMMaskablePolicy,
            env,
            n_steps=config.n_steps,
            n_epochs=config.n_epochs,
            gae_lambda=config.gae_lambda,
            ent_coef=config.ent_coef,
            target_kl=config.target_kl,
            rollout_buffer_class=ours.EpisodeMaskableDictRolloutBuffer,
            **shared,
        )
        return made
    assert isinstance(config, DQNConfig)
    made = SB3DQN(
        ours.LMDQNPolicy,
        env,
        buffer_size=config.buffer_size,
        learning_starts=config.learning_starts,
        train_freq=1,
        gradient_steps=config.gradient_steps,
        target_update_interval=config.target_update_interval,
        exploration_initial_eps=0.05,
        exploration_final_eps=0.01,
        exploration_fraction=config.exploration_fraction,
        **shared,
    )
    return made


class Curve(BaseCallback):
    """Adds a point to the learning curve every so many actions.

    Args:
        ladder: scores.
        agent: of the library's weights.
        every: actions between two points.
    """

    def __init__(self, ladder: Ladder, agent: LanguageAgent, every: int) -> None:
        """The first point is that of the start."""
        super().__init__()
        self.ladder = ladder
        self.agent = agent
        self.every = every

    def _on_step(self) -> bool:
        if self.num_timesteps // self.every > self.agent.num_timesteps // self.every:
            self.agent.num_timesteps = self.num_timesteps
            self.agent.iteration += 1
            self.ladder.add_point(self.agent)
        return not self.ladder.stopping.exhausted


def read(arguments: Sequence[str] | None = None) -> SB3Settings:
    """The settings that a command line says, of this process by default.

    Raises:
        SystemExit: they are none; what is wrong is printed.
    """
    commands: dict[str, Callable[..., SB3Settings]] = {"ppo": TrainPPO, "dqn": TrainDQN}
    settings: SB3Settings = tyro.extras.subcommand_cli_from_dict(
        commands,
        prog="python -m benchmarks.train_sb3",
        description=__doc__,
        args=arguments,
        config=(tyro.conf.OmitArgPrefixes,),
    )
    return settings


def main() -> None:
    """Read the command line and train."""
    torch.set_num_threads(1)
    settings = read()
    try:
        train(settings)
    except (AgentError, gymnasium.error.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
