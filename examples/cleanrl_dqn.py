"""DQN in the single-file style of CleanRL, with a language model's action values.

    python examples/cleanrl_dqn.py --env-id TextNER-v0

The loop is CleanRL's, over several slots. It knows no masks: illegal actions are tried, and the
targets are over all actions; `--masked` keeps both to the legal ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
import tyro
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from torch import Tensor, optim
from torch.nn import functional as F

import textenvs  # noqa: F401  registers its ids
from agents.network import TextNetwork


@dataclass
class Args:
    """CleanRL's settings; those of the model are new."""

    env_id: str = "TextNER-v0"
    model: str = "tiny"
    """Preset, folder or Hub id."""
    native: bool = True
    """The native vector environment, instead of single ones side by side."""
    masked: bool = False
    """Legal actions only, in acting and in targets."""
    seed: int = 1
    total_timesteps: int = 50_000
    learning_rate: float = 1e-3
    num_envs: int = 8
    buffer_size: int = 20_000
    gamma: float = 1.0
    tau: float = 1.0
    target_network_frequency: int = 256
    batch_size: int = 64
    start_e: float = 1.0
    end_e: float = 0.05
    exploration_fraction: float = 0.5
    learning_starts: int = 256
    train_frequency: int = 8


class ReplayBuffer:
    """Transitions in a ring."""

    def __init__(self, size: int, tokens: int, actions: int) -> None:
        self.obs = np.zeros((size, tokens), np.int32)
        self.next_obs = np.zeros((size, tokens), np.int32)
        self.next_masks = np.ones((size, actions), bool)
        self.actions = np.zeros(size, np.int64)
        self.rewards, self.dones = np.zeros(size, np.float32), np.zeros(size, np.float32)
        self.added = 0

    def add(self, *transitions: Any) -> None:
        """One of every slot, in the order of the attributes."""
        places = (self.added + np.arange(len(transitions[0]))) % len(self.obs)
        fields = self.obs, self.next_obs, self.next_masks, self.actions, self.rewards, self.dones
        for field, values in zip(fields, transitions, strict=True):
            field[places] = values
        self.added += len(places)

    def sample(self, count: int, rng: np.random.Generator) -> list[Tensor]:
        """Some of them."""
        rows = rng.integers(min(self.added, len(self.obs)), size=count)
        fields = self.obs, self.next_obs, self.next_masks, self.actions, self.rewards, self.dones
        return [torch.from_numpy(field[rows]) for field in fields]


def make_envs(args: Args, **options: Any) -> VectorEnv[Any, Any, Any]:
    """The slots; those of either kind begin the next episode in the step that ends one."""
    if args.native:
        return gymnasium.make_vec(args.env_id, args.num_envs, autoreset_mode="SameStep", **options)
    singles = [lambda: gymnasium.make(args.env_id, **options)] * args.num_envs
    return SyncVectorEnv(singles, autoreset_mode=AutoresetMode.SAME_STEP)


def train(args: Args, **options: Any) -> tuple[TextNetwork, list[float]]:
    """Train; the network, and the returns of its episodes in their order."""
    rng = np.random.default_rng(args.seed)
    envs = make_envs(args, **options)
    actions_there_are = int(envs.single_action_space.n)
    q_network, target_network = (
        TextNetwork.of(envs, args.model, seed=args.seed, q="dueling").eval() for _ in range(2)
    )
    target_network.cached_rows = 0  # it never acts
    optimizer = optim.Adam(q_network.parameters(), lr=args.learning_rate)
    all_legal = np.ones((args.num_envs, actions_there_are), bool)

    def legal(info: dict[str, Any]) -> Any:
        masks = info.get("action_mask", all_legal) if args.masked else all_legal
        return masks.astype(bool)

    obs, info = envs.reset(seed=args.seed)
    buffer = ReplayBuffer(args.buffer_size, obs.shape[1], actions_there_are)
    running, returns_seen = np.zeros(args.num_envs), []
    for step in range(0, args.total_timesteps, args.num_envs):
        share = min(1.0, step / (args.exploration_fraction * args.total_timesteps))
        epsilon = args.start_e + share * (args.end_e - args.start_e)
        masks = legal(info)
        with torch.no_grad():
            values = q_network.q_values(obs).masked_fill(torch.from_numpy(~masks), -torch.inf)
        explored = np.array([rng.choice(np.flatnonzero(mask)) for mask in masks])
        explores = rng.random(args.num_envs) < epsilon
        actions = np.where(explores, explored, values.argmax(dim=1).numpy())
        next_obs, rewards, terminated, truncated, info = envs.step(actions)
        done, real_next_obs = terminated | truncated, next_obs.copy()
        for slot in np.flatnonzero(done):
            real_next_obs[slot] = info["final_obs"][slot]
        # A slot that was truncated would need the mask of its last state; these never are.
        buffer.add(obs, real_next_obs, legal(info), actions, rewards, terminated)
        obs = next_obs
        running += rewards
        returns_seen += running[done].tolist()
        running[done] = 0.0
        if step < args.learning_starts:
            continue

        for _ in range(args.num_envs // args.train_frequency or 1):
            b_obs, b_next_obs, b_masks, b_actions, b_rewards, b_dones = buffer.sample(
                args.batch_size, rng
            )
            with torch.no_grad():
                best = target_network.q_values(b_next_obs).masked_fill(~b_masks, -torch.inf)
                td_target = b_rewards + args.gamma * best.amax(dim=1) * (1 - b_dones)
            old_values = q_network.q_values(b_obs).gather(1, b_actions.unsqueeze(1)).squeeze(1)
            loss = F.mse_loss(td_target, old_values)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if step % args.target_network_frequency < args.num_envs:
            pairs = zip(target_network.parameters(), q_network.parameters(), strict=True)
            for target, online in pairs:
                target.data.lerp_(online.data, args.tau)
        if step % 4096 < args.num_envs and returns_seen:
            print(f"{step:>8} actions, return {np.mean(returns_seen[-100:]):.3f}")
    envs.close()
    return q_network, returns_seen


if __name__ == "__main__":
    train(tyro.cli(Args))
