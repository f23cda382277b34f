"""PPO in the single-file style of CleanRL, with a language model as the policy.

    python examples/cleanrl_ppo.py --env-id TextNER-v0

The loop is CleanRL's. It knows no masks: every action may be drawn, and an illegal one has its
natural consequence. Where that costs too much, mask the scores in `Agent.act` as `--masked` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
import tyro
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from torch import Tensor, nn, optim
from torch.distributions import Categorical

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
    """Draw legal actions only."""
    seed: int = 1
    total_timesteps: int = 100_000
    learning_rate: float = 1e-3
    num_envs: int = 16
    num_steps: int = 64
    anneal_lr: bool = True
    gamma: float = 1.0
    gae_lambda: float = 0.95
    num_minibatches: int = 4
    update_epochs: int = 4
    clip_coef: float = 0.2
    ent_coef: float = 0.01
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5


def make_envs(args: Args, **options: Any) -> VectorEnv[Any, Any, Any]:
    """The slots; those of either kind begin the next episode in the step that ends one."""
    if args.native:
        return gymnasium.make_vec(args.env_id, args.num_envs, autoreset_mode="SameStep", **options)
    singles = [lambda: gymnasium.make(args.env_id, **options)] * args.num_envs
    return SyncVectorEnv(singles, autoreset_mode=AutoresetMode.SAME_STEP)


class Agent(nn.Module):
    """Policy and value."""

    def __init__(self, envs: VectorEnv[Any, Any, Any], args: Args) -> None:
        super().__init__()
        self.network = TextNetwork.of(envs, args.model, seed=args.seed)

    def act(
        self, observations: Tensor, masks: Tensor, actions: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Actions (drawn, if there are none), their log-probabilities, entropies and values."""
        logits, values = self.network(observations)
        policy = Categorical(logits=logits.masked_fill(~masks, -1e8))
        actions = policy.sample() if actions is None else actions
        return actions, policy.log_prob(actions), policy.entropy(), values


def train(args: Args, **options: Any) -> tuple[TextNetwork, list[float]]:
    """Train; the network, and the returns of its episodes in their order."""
    torch.manual_seed(args.seed)
    shuffle = np.random.default_rng(args.seed)
    envs = make_envs(args, **options)
    agent = Agent(envs, args)
    optimizer = optim.Adam(agent.parameters(), lr=args.learning_rate, eps=1e-5)
    shape = args.num_steps, args.num_envs
    all_legal = np.ones((args.num_envs, envs.single_action_space.n), bool)

    def legal(info: dict[str, Any]) -> Tensor:
        masks = info.get("action_mask", all_legal) if args.masked else all_legal
        return torch.from_numpy(masks.astype(bool))

    next_obs, info = envs.reset(seed=args.seed)
    obs = torch.zeros(*shape, *next_obs.shape[1:], dtype=torch.long)
    masks = torch.ones(*shape, envs.single_action_space.n, dtype=torch.bool)
    actions = torch.zeros(shape, dtype=torch.long)
    logprobs, rewards, dones, values = (torch.zeros(shape) for _ in range(4))
    next_obs, next_mask = torch.from_numpy(next_obs), legal(info)
    next_done = torch.zeros(args.num_envs)
    running, returns_seen = np.zeros(args.num_envs), []
    batch_size = args.num_steps * args.num_envs
    iterations = args.total_timesteps // batch_size
    for iteration in range(iterations):
        if args.anneal_lr:
            optimizer.param_groups[0]["lr"] = args.learning_rate * (1 - iteration / iterations)
        agent.eval()  # acting reads only what is new of each prefix
        for step in range(args.num_steps):
            obs[step], masks[step], dones[step] = next_obs, next_mask, next_done
            with torch.no_grad():
                actions[step], logprobs[step], _, values[step] = agent.act(next_obs, next_mask)
            found, reward, terminated, truncated, info = envs.step(actions[step].numpy())
            done = terminated | truncated
            rewards[step] = torch.from_numpy(np.asarray(reward, np.float32))
            next_obs, next_mask = torch.from_numpy(found), legal(info)
            next_done = torch.from_numpy(done.astype(np.float32))
            running += reward
            returns_seen += running[done].tolist()
            running[done] = 0.0

        with torch.no_grad():
            next_value = agent.act(next_obs, next_mask)[3]
        advantages, last = torch.zeros(shape), torch.zeros(args.num_envs)
        for t in reversed(range(args.num_steps)):
            final = t == args.num_steps - 1
            going = 1.0 - (next_done if final else dones[t + 1])
            following = next_value if final else values[t + 1]
            delta = rewards[t] + args.gamma * following * going - values[t]
            advantages[t] = last = delta + args.gamma * args.gae_lambda * going * last
        returns = advantages + values

        agent.train()
        flat = [each.flatten(0, 1) for each in (obs, masks, actions, logprobs, advantages, returns)]
        for _ in range(args.update_epochs):
            order = torch.from_numpy(shuffle.permutation(batch_size))
            for rows in order.chunk(args.num_minibatches):
                b_obs, b_masks, b_actions, b_logprobs, b_advantages, b_returns = (
                    each[rows] for each in flat
                )
                _, new_logprobs, entropy, new_values = agent.act(b_obs, b_masks, b_actions)
                ratio = (new_logprobs - b_logprobs).exp()
                normed = (b_advantages - b_advantages.mean()) / (b_advantages.std() + 1e-8)
                clipped = ratio.clamp(1 - args.clip_coef, 1 + args.clip_coef)
                pg_loss = -torch.min(normed * ratio, normed * clipped).mean()
                v_loss = 0.5 * (new_values - b_returns).square().mean()
                loss = pg_loss - args.ent_coef * entropy.mean() + args.vf_coef * v_loss
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(agent.parameters(), args.max_grad_norm)
                optimizer.step()
        recent = returns_seen[-100:]
        if recent:
            print(f"{(iteration + 1) * batch_size:>8} actions, return {np.mean(recent):.3f}")
    envs.close()
    return agent.network, returns_seen


if __name__ == "__main__":
    train(tyro.cli(Args))
