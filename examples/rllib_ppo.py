"""PPO of RLlib with a language model as RLModule; env runners in processes of a Ray cluster.

    python examples/rllib_ppo.py --env-id TextNER-v0 --num-env-runners 2

It starts a cluster on this machine, or takes part in one of several (`--address auto`): more env
runners there are the way past one machine for rollouts. RLlib pins an older Gymnasium than the
other libraries bear, so that it wants an environment of its own: `pip install "textenvs[rllib]"`.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import gymnasium
import ray
import torch
import tyro
from gymnasium.vector import AutoresetMode
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch import TorchRLModule
from ray.tune import register_env
from torch import Tensor

import textenvs  # noqa: F401  registers its ids
from agents.environment import Contract, make_env, read_contract
from agents.network import TextNetwork
from textenvs.wrappers import MaskedObservation


@dataclass
class Args:
    """What is trained, and how."""

    env_id: str = "TextNER-v0"
    model: str = "tiny"
    """Preset, folder or Hub id."""
    seed: int = 0
    total_timesteps: int = 100_000
    num_env_runners: int = 2
    """Processes that act; 0: this one."""
    num_envs_per_env_runner: int = 8
    batch_size: int = 1024
    minibatch_size: int = 256
    epochs: int = 4
    learning_rate: float = 1e-3
    address: str | None = None
    """Of a Ray cluster."""


class LanguageModelModule(TorchRLModule, ValueFunctionAPI):
    """Policy and value of a `TextNetwork`, over legal actions only."""

    def setup(self) -> None:
        """Build the network in whatever process this is."""
        contract = Contract(**self.model_config["contract"])
        self.network = TextNetwork(contract, self.model_config["model"], self.model_config["seed"])

    def _scores_and_values(self, batch: dict[str, Any], learns: bool) -> tuple[Tensor, Tensor]:
        self.network.train(learns)  # else only what is new of each prefix is read
        observation = batch[Columns.OBS]
        logits, values = self.network(observation["observations"])
        return logits.masked_fill(observation["action_mask"] == 0, -1e8), values

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """To act."""
        return {Columns.ACTION_DIST_INPUTS: self._scores_and_values(batch, learns=False)[0]}

    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """To learn; values are handed on to `compute_values`."""
        logits, values = self._scores_and_values(batch, learns=True)
        return {Columns.ACTION_DIST_INPUTS: logits, Columns.EMBEDDINGS: values}

    def compute_values(self, batch: dict[str, Any], embeddings: Tensor | None = None) -> Tensor:
        """Values: in the loss those of the forward pass, for advantages without gradients."""
        if embeddings is not None:
            return embeddings
        with torch.no_grad():
            return self._scores_and_values(batch, learns=True)[1]


def train(args: Args, **options: Any) -> tuple[TextNetwork, list[float]]:
    """Train; the network, and the mean returns of the iterations in their order."""

    def make(_: Any = None) -> gymnasium.Env[Any, Any]:

        return MaskedObservation(gymnasium.make(args.env_id, **options), "rllib")

    register_env("text", make)
    contract = read_contract(make_env(make().unwrapped, 1, AutoresetMode.DISABLED))
    config = (
        PPOConfig()
        .environment("text")
        .env_runners(
            num_env_runners=args.num_env_runners,
            num_envs_per_env_runner=args.num_envs_per_env_runner,
        )
        .rl_module(
            rl_module_spec=RLModuleSpec(
                module_class=LanguageModelModule,
                model_config={
                    "contract": dataclasses.asdict(contract),
                    "model": args.model,
                    "seed": args.seed,
                },
            )
        )
        .training(
            lr=args.learning_rate,
            gamma=1.0,
            lambda_=0.95,
            train_batch_size_per_learner=args.batch_size,
            minibatch_size=args.minibatch_size,
            num_epochs=args.epochs,
            entropy_coeff=0.01,
            grad_clip=0.5,
            use_kl_loss=False,
        )
        .debugging(seed=args.seed)
    )
    if not ray.is_initialized():
        cpus = None if args.address else args.num_env_runners + 1
        ray.init(address=args.address, num_cpus=cpus)
    algorithm = config.build_algo()
    returns = []
    try:
        for iteration in range(args.total_timesteps // args.batch_size):
            found = algorithm.train()["env_runners"]
            returns.append(float(found.get("episode_return_mean", math.nan)))  # if one has ended
            actions = (iteration + 1) * args.batch_size
            print(f"{actions:>8} actions, return {returns[-1]:.3f}")
        network = algorithm.get_module().network
    finally:
        algorithm.stop()
    return network, returns


if __name__ == "__main__":
    torch.set_num_threads(1)
    train(tyro.cli(Args))
