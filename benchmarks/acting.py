"""Acting through the native vector environment, beside `generate` of transformers.

Both use one model, 16 prompts of 64 tokens a batch, and draw 32 tokens for each from the model's
whole distribution, with a key/value cache. `generate` is called as its users call it (within
torch's inference mode it would gain about 5 %). Ours also plays: it steps TextQA-v0's task (see
`FixedLengthQA`), which scores the answers, and records log-probabilities, values and episodes for
an update. The head's padding row is no action; `generate` draws from it too.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from transformers import GenerationConfig

from agents.episodes import total_steps
from agents.ppo import PPO, PPOConfig
from benchmarks.environments import FixedLengthQA
from benchmarks.measuring import Measurement, beside
from textenvs.rewards import Reward
from textenvs.vector_env import TextVectorEnv

SLOTS = 16
PROMPT_TOKENS = 64


def make_agent(answer_tokens: int, reward: Reward = "terminal") -> PPO:
    """PPO with the tiny model and one pass over its episodes, on questions of fixed lengths."""
    task = FixedLengthQA(PROMPT_TOKENS, answer_tokens, count=SLOTS)
    envs = TextVectorEnv(task, num_envs=SLOTS, reward=reward)
    config = PPOConfig(num_envs=SLOTS, epochs=1, target_kl=None, learning_rate_schedule="constant")
    return PPO(envs, config, model="tiny", device="cpu")


def acting_beside_generate(answer_tokens: int, batches: int, rounds: int) -> Measurement:
    """Tokens per second of our acting and of `generate`.

    Args:
        answer_tokens: Length of each answer.
        batches: Answers in every slot, a round.
        rounds: How many.
    """
    agent = make_agent(answer_tokens)
    collector = agent.new_collector()
    collector.restart(seed=0)
    prompts_BT = torch.from_numpy(collector.observations_SL[:, :PROMPT_TOKENS].astype(np.int64))
    tokens = SLOTS * answer_tokens * batches
    generator = torch.Generator().manual_seed(0)

    def act() -> float:
        start = time.perf_counter()
        episodes = collector.collect(tokens, generator)
        rate = tokens / (time.perf_counter() - start)
        assert total_steps(episodes) == tokens
        assert {len(e.tokens_L) for e in episodes} == {PROMPT_TOKENS + answer_tokens - 1}
        return rate

    sampling = GenerationConfig(
        do_sample=True, max_new_tokens=answer_tokens, temperature=1.0, top_k=0, top_p=1.0,
        eos_token_id=None, pad_token_id=agent.contract.pad_token_id,
    )  # fmt: skip
    every_BT = torch.ones_like(prompts_BT)

    def generate() -> float:
        start = time.perf_counter()
        for _ in range(batches):
            answers_BT = agent.model.backbone.lm.generate(
                prompts_BT, attention_mask=every_BT, generation_config=sampling
            )
        rate = tokens / (time.perf_counter() - start)
        assert answers_BT.shape == (SLOTS, PROMPT_TOKENS + answer_tokens)
        return rate

    what = f"acting, tiny, {SLOTS} slots, {PROMPT_TOKENS} + {answer_tokens} tokens"
    return beside(what, "tokens/s", act, "generate", generate, rounds, required=1.2)
