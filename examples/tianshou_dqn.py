"""DQN of Tianshou 2 with a language model's action values, over legal actions only.

    python examples/tianshou_dqn.py --env-id TextNER-v0

Tianshou's value-based policies look for the mask in `obs.mask`, in acting and in targets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium
import torch
import tyro
from tianshou.algorithm import DQN
from tianshou.algorithm.modelfree.dqn import DiscreteQLearningPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.trainer import OffPolicyTrainerParams
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
    seed: int = 0
    total_timesteps: int = 50_000
    epochs: int = 10
    """After each, the agent is tested."""
    test_episodes: int = 100
    """0: no tests."""
    num_envs: int = 8
    learning_rate: float = 1e-3
    gamma: float = 1.0
    epsilon: float = 0.1
    batch_size: int = 64
    gradient_steps_per_action: float = 0.25
    target_update: int = 50


class ActionValues(nn.Module):
    """The network as Tianshou calls it."""

    def __init__(self, network: TextNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, obs: Any, state: Any = None, info: Any = None) -> tuple[Tensor, Any]:
        """Action values of all actions; the policy masks them."""
        return self.network.q_values(obs), state


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
    network = TextNetwork.of(single, args.model, seed=args.seed, q="dueling")
    policy = DiscreteQLearningPolicy(
        model=ActionValues(network),
        action_space=single.action_space,
        observation_space=single.observation_space,
        eps_training=args.epsilon,
    )
    algorithm = DQN(
        policy=policy,
        optim=AdamOptimizerFactory(lr=args.learning_rate),
        gamma=args.gamma,
        target_update_freq=args.target_update,
    )
    algorithm.model_old.module.network.cached_rows = 0  # it never acts
    buffer = VectorReplayBuffer(20_000, args.num_envs)
    collector = Collector(policy, envs, buffer, exploration_noise=True)
    collector.reset()
    result = algorithm.run_training(
        OffPolicyTrainerParams(
            training_collector=collector,
            test_collector=Collector(policy, test_envs) if args.test_episodes else None,
            max_epochs=args.epochs,
            epoch_num_steps=args.total_timesteps // args.epochs,
            collection_step_num_env_steps=4 * args.num_envs,
            test_step_num_episodes=args.test_episodes,
            update_step_num_gradient_steps_per_sample=args.gradient_steps_per_action,
            batch_size=args.batch_size,
        )
    )
    return network, float(result.best_score) if args.test_episodes else float("nan")


if __name__ == "__main__":
    _, score = train(tyro.cli(Args))
    print(f"best test: {score:.3f}")
