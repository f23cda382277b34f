"""What plain transformers generates from an exported folder is what the agent says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import one_skill  # noqa: F401  registers its id
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel

from agents import PPO, BCConfig, BehaviourCloning, ModelError, PPOConfig
from agents.dqn import DQN, DQNConfig
from agents.models.model_config import ModelConfig

CONFIG = BCConfig(num_envs=8, episodes=24, epochs=1)
FREE = {"TextQA-v0": {"constrain": False}, "TextSummarization-v0": {}}
SIZE = {"size": 60, "max_new_tokens": 24}


def played(agent: BehaviourCloning, env: gymnasium.Env[Any, Any], index: int) -> list[list[int]]:
    """The tokens of a prompt, and of the agent's greedy answer to it."""
    observation, info = env.reset(seed=0, options={"index": index})
    prompt = observation[observation != agent.contract.pad_token_id].tolist()
    answer, state, ended = [], None, False
    while not ended:
        assert "action_mask" not in info
        action, state = agent.predict(observation, state)
        answer.append(int(env.unwrapped.action_tokens[action]))
        observation, _, terminated, truncated, info = env.step(action)
        ended = terminated or truncated
    return [prompt, answer]


def generated(lm: Any, prompt: list[int], tokens: int) -> list[int]:
    with torch.inference_mode():
        output = lm.generate(torch.tensor([prompt]), max_new_tokens=tokens, do_sample=False)
    return output[0, len(prompt) :].tolist()


@pytest.mark.filterwarnings("ignore::textenvs.errors.DatasetWarning")
@pytest.mark.parametrize("env_id", FREE)
@pytest.mark.parametrize("adapter", ["none", "lora"])
def test_the_folder_generates_what_the_agent_says(
    env_id: str, adapter: Any, tmp_path: Path
) -> None:
    options = SIZE | FREE[env_id]
    model = ModelConfig(adapter=adapter)
    agent = BehaviourCloning(env_id, CONFIG, model=model, env_kwargs=options)
    agent.learn(progress_bar=False)
    before = {name: weight.clone() for name, weight in agent.model.named_parameters()}
    agent.export(tmp_path)
    assert all(torch.equal(w, before[name]) for name, w in agent.model.named_parameters())
    lm = AutoModelForCausalLM.from_pretrained(tmp_path)
    env = gymnasium.make(env_id, **options)
    assert lm.config.eos_token_id == env.unwrapped.eos_token_id
    assert lm.config.pad_token_id == env.unwrapped.pad_token_id
    lengths = set()
    for index in range(6):
        prompt, answer = played(agent, env, index)
        assert generated(lm, prompt, len(answer)) == answer
        lengths.add(len(answer))
    assert max(lengths) > 1
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    own = env.unwrapped.task.tokenizer
    text = "Maro Halford bakes bread.\nWhere?"
    assert tokenizer(text, add_special_tokens=False)["input_ids"] == own.encode(text).ids.tolist()
    assert tokenizer.decode(answer, skip_special_tokens=True) == own.decode(answer)
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id) == (own.pad_token_id, own.eos_token_id)


def test_only_actions_are_generated(tmp_path: Path) -> None:
    lm = GPT2LMHeadModel(
        GPT2Config(vocab_size=40, n_positions=32, n_embd=16, n_layer=1, n_head=2)
    ).eval()
    agent = PPO("OneSkill-v0", PPOConfig(num_envs=2, steps=8), model=lm)
    agent.export(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert loaded.config.eos_token_id is None
    tokens = generated(loaded, [4, 5, 6], 12)
    assert set(tokens) <= set(agent.contract.action_tokens)
    observation = np.zeros(agent.contract.max_tokens, np.int32)
    observation[:3] = [4, 5, 6]
    action, _ = agent.predict(observation)
    assert tokens[0] == agent.contract.action_tokens[action]


def test_what_is_no_language_model_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="acts by action values, which no plain language model"):
        DQN("OneSkill-v0", DQNConfig(num_envs=2, steps=8)).export(tmp_path)
    span = PPO("TextQASpan-v0", PPOConfig(num_envs=2, steps=8), env_kwargs={"size": 40})
    with pytest.raises(ModelError, match="points at positions, which no plain language model"):
        span.export(tmp_path)
    recurrent = PPO("OneSkill-v0", PPOConfig(num_envs=2, steps=8), model="gru")
    with pytest.raises(ModelError):
        recurrent.export(tmp_path)
    assert not list(tmp_path.iterdir())
