"""PPO of TorchRL with a language model as the policy, over legal actions only.

    python examples/torchrl_ppo.py --env-id TextNER-v0

TorchRL resets slots itself, so that the native vector environment is made with autoreset disabled.
Its masks are entries of the tensordict, from which `MaskedCategorical` takes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import tyro
from gymnasium.vector import AutoresetMode
from tensordict import TensorDict
from tensordict.nn import (
    ProbabilisticTensorDictModule,
    ProbabilisticTensorDictSequential,
    TensorDictModule,
)
from torch import Tensor, nn
from torchrl.collectors import Collector
from torchrl.envs import GymWrapper, RewardSum, TransformedEnv
from torchrl.modules import MaskedCategorical
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

from agents.environment import make_env
from agents.network import TextNetwork
from textenvs.wrappers import VectorMaskedObservation


@dataclass
class Args:
    """What is trained, and how."""

    env_id: str = "TextNER-v0"
    model: str = "tiny"
    """Preset, folder or Hub id."""
    seed: int = 0
    total_timesteps: int = 100_000
    num_envs: int = 16
    num_steps: int = 64
    learning_rate: float = 1e-3
    epochs: int = 4
    minibatches: int = 4


class PolicyAndValue(nn.Module):
    """Logits and a value with a dimension of its own, as TorchRL has it."""

    def __init__(self, network: TextNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """Of any batch."""
        logits, values = self.network(observation)
        return logits, values.unsqueeze(-1)


def train(args: Args, **options: Any) -> tuple[TextNetwork, list[float]]:
    """Train; the network, and the mean returns of the batches in their order."""
    torch.manual_seed(args.seed)
    slots = make_env(args.env_id, args.num_envs, AutoresetMode.DISABLED, **options)
    network = TextNetwork.of(slots, args.model, seed=args.seed)
    env = GymWrapper(VectorMaskedObservation(slots, "torchrl"), categorical_action_encoding=True)
    env = TransformedEnv(env, RewardSum())
    env.set_seed(args.seed)

    both = PolicyAndValue(network)
    policy = TensorDictModule(both, in_keys=["observation"], out_keys=["logits", "_"])
    critic = TensorDictModule(both, in_keys=["observation"], out_keys=["_", "state_value"])
    draw = ProbabilisticTensorDictModule(
        in_keys={"logits": "logits", "mask": "action_mask"},
        out_keys=["action"],
        distribution_class=MaskedCategorical,
        return_log_prob=True,
    )
    actor = ProbabilisticTensorDictSequential(policy, draw)
    loss_module = ClipPPOLoss(
        actor, critic, entropy_coeff=0.01, critic_coeff=0.5, normalize_advantage=True
    )
    advantage = GAE(gamma=1.0, lmbda=0.95, value_network=critic, deactivate_vmap=True)
    optimizer = torch.optim.Adam(loss_module.parameters(), lr=args.learning_rate)
    batch_size = args.num_envs * args.num_steps
    collector = Collector(
        env,
        actor,
        frames_per_batch=batch_size,
        total_frames=args.total_timesteps,
        auto_register_policy_transforms=False,
    )

    returns = []
    network.eval()  # acting, without gradients, reads only what is new of each prefix
    for batch in collector:
        ended = batch["next", "done"]
        returns.append(batch["next", "episode_reward"][ended].mean().item())
        print(f"{len(returns) * batch_size:>8} actions, return {returns[-1]:.3f}")
        network.train()
        for _ in range(args.epochs):
            with torch.no_grad():
                advantage(batch)
            flat: TensorDict = batch.reshape(-1)
            for rows in torch.randperm(len(flat)).chunk(args.minibatches):
                losses = loss_module(flat[rows])
                loss = losses["loss_objective"] + losses["loss_critic"] + losses["loss_entropy"]
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(loss_module.parameters(), 0.5)
                optimizer.step()
        network.eval()
    collector.shutdown()
    return network, returns


if __name__ == "__main__":
    train(tyro.cli(Args))
