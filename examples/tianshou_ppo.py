"""PPO of Tianshou 2 with a language model as the policy.

    python examples/tianshou_ppo.py --env-id TextNER-v0

Tianshou's PPO ignores masks: it hands the observation to the actor, and draws from what comes
back. The mask is in the observation, so that the actor can heed it; `--no-masked` shows what
happens else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium
import torch
import tyro
from tianshou.algorithm import PPO
from tianshou.algorithm.modelfree.reinforce import DiscreteActorPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.trainer import OnPolicyTrainerParams
from torch import Tensor, nn

import textenvs  # noqa: F401  registers its ids
from agents.network import TextNetwork
from textenvs.wrappers import MaskedObservation


@dataclass
class Args:
    """What is trained, and how."""

    env_id: str = "TextNER-v0"
    model: str = "tiny"
    """Preset, folder or Hub id."""
    masked: bool = True
    """Let the actor heed the mask."""
    seed: int = 0
    total_timesteps: int = 100_000
    epochs: int = 10
    """After each, the agent is tested."""
    test_episodes: int = 100
    """0: no tests."""
    num_envs: int = 16
    num_steps: int = 32
    learning_rate: float = 1e-3
    repeats: int = 4
    batch_size: int = 128


class Actor(nn.Module):
    """The policy as Tianshou calls it."""

    def __init__(self, network: TextNetwork, masked: bool) -> None:
        super().__init__()
        self.network = network
        self.masked = masked

    def forward(self, obs: Any, state: Any = None, info: Any = None) -> tuple[Tensor, Any]:
        """Scores of the actions."""
        logits, _ = self.network(obs.obs)
        if self.masked:
            logits = logits.masked_fill(~torch.as_tensor(obs.mask).bool(), -1e8)
        return logits, state


class Critic(nn.Module):
    """The value, of the same network; Tianshou updates its weights once."""

    def __init__(self, network: TextNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, obs: Any) -> Tensor:
        """Values."""
        return self.network(obs.obs)[1]


def make_envs(args: Args, count: int, **options: Any) -> DummyVectorEnv:
    """Single environments side by side, with masks in their observations."""

    def make() -> gymnasium.Env[Any, Any]:
        return MaskedObservation(gymnasium.make(args.env_id, **options), "tianshou")

    return DummyVectorEnv([make] * count)


def train(args: Args, **options: Any) -> tuple[TextNetwork, float]:
    """Train; the network, and the mean return of the best test."""
    torch.manual_seed(args.seed)
    envs, test_envs = (make_envs(args, args.num_envs, **options) for _ in range(2))
    envs.seed(args.seed)
    test_envs.seed(args.seed + 1)
    single = gymnasium.make(args.env_id, **options)
    network = TextNetwork.of(single, args.model, seed=args.seed)
    policy = DiscreteActorPolicy(
        actor=Actor(network, args.masked),
        deterministic_eval=True,
        action_space=single.action_space,
        observation_space=single.observation_space,
    )
    algorithm = PPO(
        policy=policy,
        critic=Critic(network),
        optim=AdamOptimizerFactory(lr=args.learning_rate),
        gamma=1.0,
        max_grad_norm=0.5,
    )
    batch = args.num_envs * args.num_steps
    collector = Collector(policy, envs, VectorReplayBuffer(batch, args.num_envs))
    collector.reset()
    result = algorithm.run_training(
        OnPolicyTrainerParams(
            training_collector=collector,
            test_collector=Collector(policy, test_envs) if args.test_episodes else None,
            max_epochs=args.epochs,
            epoch_num_steps=args.total_timesteps // args.epochs,
            collection_step_num_env_steps=batch,
            test_step_num_episodes=args.test_episodes,
            update_step_num_repetitions=args.repeats,
            batch_size=args.batch_size,
        )
    )
    return network, float(result.best_score) if args.test_episodes else float("nan")


if __name__ == "__main__":
    _, score = train(tyro.cli(Args))
    print(f"best test: {score:.3f}")
