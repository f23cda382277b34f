"""Our agents as a contestant: `FixedLengthQA` in a native vector environment.

An iteration acts in one episode a slot. PPO takes one step of the optimizer a pass over them. DQN
replays whole episodes, with one-step targets and a plain head, as the one it is compared with has.
"""

from __future__ import annotations

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from agents.agent import LanguageAgent
from agents.dqn import DQN, DQNConfig
from agents.ppo import PPO, PPOConfig
from benchmarks.environments import FixedLengthQA
from benchmarks.pacing import Job, Pace, compete
from textenvs.vector_env import TextVectorEnv

FOREVER = 10**12
"""Steps to learn for: the parent ends it."""


def make_envs(job: Job) -> TextVectorEnv:
    """The job's prompts and answers as environments."""
    task = FixedLengthQA(job.prompt_tokens, job.answer_tokens, count=job.slots)
    return TextVectorEnv(task, num_envs=job.slots)


def make_model(job: Job) -> LlamaForCausalLM:
    """The job's model, with random weights."""
    torch.set_num_threads(job.threads)
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**job.model))


def ppo(job: Job, pace: Pace) -> None:
    """PPO that makes all its passes over the episodes, each as one minibatch."""
    config = PPOConfig(
        num_envs=job.slots,
        steps=job.tokens,
        epochs=job.epochs,
        minibatch_tokens=job.slots * (job.prompt_tokens + job.answer_tokens),
        target_kl=None,
        learning_rate_schedule="constant",
    )
    learn(PPO(make_envs(job), config, model=make_model(job), device="cpu"), pace)


def dqn(job: Job, pace: Pace) -> None:
    """DQN that learns from `replay` states for each that is acted in."""
    config = DQNConfig(
        num_envs=job.slots,
        steps=job.tokens,
        replay_steps=100 * job.tokens,
        learning_starts=0,
        replay_ratio=job.replay,
        n_step=1,
        q_head="plain",
        epsilon_start=0.05,
        epsilon_schedule="constant",
        learning_rate_schedule="constant",
    )
    learn(DQN(make_envs(job), config, model=make_model(job), device="cpu"), pace)


def learn(agent: LanguageAgent, pace: Pace) -> None:
    """Train at the parent's pace."""
    pace.iteration(0)
    agent.learn(FOREVER, progress_bar=False, callback=lambda _: pace.iteration(agent.num_timesteps))


if __name__ == "__main__":
    compete({"ppo": ppo, "dqn": dqn})
