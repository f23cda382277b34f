"""Models that are handed in: another agent's, and objects in half precision."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import one_skill  # noqa: F401  registers its id
import pytest
import torch
from backbone_zoo import LMS, make_lm
from huggingface_hub import constants
from transformers import GPT2Config, GPT2LMHeadModel

from agents import PPO, AgentError, ModelError, PPOConfig
from agents.dqn import DQN, DQNConfig

CONFIG = PPOConfig(num_envs=2, steps=8, epochs=1)


def tight() -> PPO:
    """An agent whose model has no token and no position more than the environment."""
    special = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    sizes = {"vocab_size": 11, "n_positions": 8, "n_embd": 16, "n_layer": 1, "n_head": 2}
    return PPO("OneSkill-v0", CONFIG, GPT2LMHeadModel(GPT2Config(**sizes, **special)))


def test_another_agents_model_must_be_able_to_read_the_environment() -> None:
    agent = tight()
    assert PPO("OneSkill-v0", CONFIG, agent.model).model is agent.model
    with pytest.raises(ModelError, match="8 positions, but the environment's prefixes have up to"):
        PPO("OneSkill-v0", CONFIG, agent.model, env_kwargs={"noise": 9})
    wider = dict(agent.contract.__dict__, vocab_size=12)
    with pytest.raises(ModelError, match="11 tokens, but the environment 12"):
        PPO(None, CONFIG, agent.model, contract=type(agent.contract)(**wider))


def test_another_agents_model_must_have_the_environments_actions() -> None:
    agent = tight()
    with pytest.raises(AgentError, match="other action_tokens"):
        PPO("OneSkill-v0", CONFIG, agent.model, env_kwargs={"words": 5})
    span = PPO("TextQASpan-v0", CONFIG, env_kwargs={"size": 40})
    assert span.contract.action_positions is not None
    backwards = span.contract.action_positions[::-1]
    other = dict(span.contract.__dict__, action_positions=backwards)
    with pytest.raises(AgentError, match="other action_positions"):
        PPO(None, CONFIG, span.model, contract=type(span.contract)(**other))


def test_the_temperature_of_a_shared_model_is_the_one_that_its_policies_act_at() -> None:
    first = PPO("OneSkill-v0", CONFIG)
    prompt = np.zeros(first.contract.max_tokens, np.int32)
    prompt[:3] = 3

    def share_of_the_likeliest() -> float:
        actions, _ = first.predict(np.tile(prompt, (2_000, 1)), deterministic=False)
        return float(np.bincount(actions).max() / len(actions))

    before = share_of_the_likeliest()
    cold = PPOConfig(num_envs=2, steps=8, temperature=0.01)
    PPO("OneSkill-v0", cold, first.model)
    assert before < 0.9 < share_of_the_likeliest()


@pytest.mark.parametrize("name", LMS)
def test_a_model_in_half_precision_acts_and_learns(name: str) -> None:
    for algorithm, config in ((PPO, CONFIG), (DQN, DQNConfig(num_envs=2, steps=8))):
        agent = algorithm("OneSkill-v0", config, make_lm(name).to(torch.bfloat16))
        agent.learn(16, progress_bar=False)
        assert all(weight.isfinite().all() for weight in agent.model.parameters())


def test_a_hub_id_is_loaded_from_the_local_cache() -> None:
    """As the Hub's library leaves it after a download."""
    cache = Path(constants.HF_HUB_CACHE) / "models--somebody--little"
    snapshot = cache / "snapshots" / ("0" * 40)
    lm = make_lm("llama")
    lm.save_pretrained(snapshot)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("0" * 40)
    try:
        agent = PPO("OneSkill-v0", CONFIG, "somebody/little")
        agent.learn(16, progress_bar=False)
    finally:
        shutil.rmtree(cache)
    assert agent.model.config.name == "somebody/little"
    assert type(agent.model.backbone.lm) is type(lm)
