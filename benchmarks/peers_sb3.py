"""stable-baselines3's PPO and DQN as a contestant: a transformer reads the padded observation.

Beside it, its PPO with what `agents.sb3` brings.

The features extractor is the trunk of the same model, which reads the prefix in an observation
and gives the hidden state of its last token; columns that are padding in all rows are cut off
first. The single environments stand in a `DummyVecEnv`. All else is stable-baselines3's default,
but for the sizes that make both sides do the same (steps and passes of PPO; buffer and replay ratio
of DQN) and the head: as ours, one layer from the trunk to the actions. Minibatches are of 64
states: one of all states, as ours, takes it longer and much more memory.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import Tensor
from transformers import LlamaConfig, LlamaModel

from agents import sb3 as ours
from benchmarks.environments import FixedLengthQA
from benchmarks.pacing import Job, Pace, compete
from benchmarks.train_ours import FOREVER
from textenvs.env import TextEnv
from textenvs.vector_env import TextVectorEnv

BATCH = 64
"""States of a minibatch."""


class LastTokenExtractor(BaseFeaturesExtractor):
    """The hidden state of a prefix's last token.

    Args:
        observation_space: Of the environment.
        model: Keyword arguments of the `LlamaConfig`.
        pad_token_id: Fills an observation to the right of its prefix.
    """

    def __init__(
        self, observation_space: spaces.Box, model: dict[str, Any], pad_token_id: int
    ) -> None:
        super().__init__(observation_space, features_dim=model["hidden_size"])
        self.trunk = LlamaModel(LlamaConfig(**model))
        self.pad_token_id = pad_token_id

    def forward(self, observations_BL: Tensor) -> Tensor:
        """Features (B, D) of observations, which the library has turned into floats."""
        tokens_BL = observations_BL.long()
        lengths_B = (tokens_BL != self.pad_token_id).sum(dim=1)
        tokens_BT = tokens_BL[:, : int(lengths_B.max())]
        hidden_BTD: Tensor = self.trunk(input_ids=tokens_BT, use_cache=False).last_hidden_state
        return hidden_BTD[torch.arange(len(tokens_BT)), lengths_B - 1]


class Boundaries(BaseCallback):
    """Tells the pace where iterations begin: before each rollout of `steps` steps of all slots."""

    def __init__(self, pace: Pace, actions: int) -> None:
        super().__init__()
        self.pace = pace
        self.actions = actions

    def _on_rollout_start(self) -> None:
        if self.num_timesteps % self.actions == 0:
            self.pace.iteration(self.num_timesteps)

    def _on_step(self) -> bool:
        return True


def make_envs(job: Job) -> DummyVecEnv:
    """The job's prompts and answers as environments."""
    task = FixedLengthQA(job.prompt_tokens, job.answer_tokens, count=job.slots)
    return DummyVecEnv([partial(TextEnv, task)] * job.slots)


def policy(job: Job, envs: DummyVecEnv, **settings: Any) -> dict[str, Any]:
    """Arguments of the policy."""
    torch.set_num_threads(job.threads)
    pad_token_id = envs.get_attr("pad_token_id")[0]
    return {
        "features_extractor_class": LastTokenExtractor,
        "features_extractor_kwargs": {"model": job.model, "pad_token_id": pad_token_id},
        **settings,
    }


def ppo(job: Job, pace: Pace) -> None:
    """PPO, one episode of each slot an iteration."""
    envs = make_envs(job)
    heads = {"pi": [], "vf": [job.model["hidden_size"]]}
    agent = PPO(
        "MlpPolicy",
        envs,
        learning_rate=5e-4,
        n_steps=job.answer_tokens,
        batch_size=BATCH,
        n_epochs=job.epochs,
        policy_kwargs=policy(job, envs, net_arch=heads),
        seed=0,
        device="cpu",
    )
    agent.learn(FOREVER, callback=Boundaries(pace, job.tokens), log_interval=FOREVER)


def ppo_lm(job: Job, pace: Pace) -> None:
    """The same PPO by `agents.sb3`: native slots, a cached policy, a buffer that keeps episodes."""
    torch.set_num_threads(job.threads)
    task = FixedLengthQA(job.prompt_tokens, job.answer_tokens, count=job.slots)
    envs = ours.TextVecEnv(TextVectorEnv(task, num_envs=job.slots))
    agent = PPO(
        ours.LMPolicy,
        envs,
        learning_rate=5e-4,
        n_steps=job.answer_tokens,
        batch_size=BATCH,
        n_epochs=job.epochs,
        policy_kwargs=ours.lm_policy_kwargs(envs, "tiny"),
        rollout_buffer_class=ours.EpisodeRolloutBuffer,
        seed=0,
        device="cpu",
    )
    agent.learn(FOREVER, callback=Boundaries(pace, job.tokens), log_interval=FOREVER)


def dqn(job: Job, pace: Pace) -> None:
    """DQN, `replay` states learnt from for each that is acted in."""
    envs = make_envs(job)
    assert job.slots * job.replay % BATCH == 0, "whole minibatches for each step of all slots"
    agent = DQN(
        "MlpPolicy",
        envs,
        learning_rate=5e-4,
        buffer_size=100 * job.tokens,
        learning_starts=0,
        batch_size=BATCH,
        train_freq=1,
        gradient_steps=job.slots * job.replay // BATCH,
        exploration_initial_eps=0.05,
        policy_kwargs=policy(job, envs, net_arch=[]),
        seed=0,
        device="cpu",
    )
    agent.learn(FOREVER, callback=Boundaries(pace, job.tokens), log_interval=FOREVER)


if __name__ == "__main__":
    compete({"ppo": ppo, "ppo-lm": ppo_lm, "dqn": dqn})
