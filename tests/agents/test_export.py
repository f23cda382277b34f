"""What plain transformers generates from an exported folder is what the agent says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import one_skill  # noqa: F401  registers its id
import pytest
import torch
from backbone_zoo import make_lm
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
)

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


def test_the_folder_draws_as_the_policy_does(tmp_path: Path) -> None:
    options = {"words": 80}
    lm = GPT2LMHeadModel(
        GPT2Config(vocab_size=83, n_positions=32, n_embd=16, n_layer=1, n_head=2)
    ).eval()
    lm.generation_config.repetition_penalty = 5.0
    agent = PPO("OneSkill-v0", PPOConfig(num_envs=2, temperature=0.8), lm, env_kwargs=options)
    agent.export(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    prompt_1T = torch.tensor([[4, 5, 6]])
    output = loaded.generate(
        prompt_1T, max_new_tokens=1, output_scores=True, return_dict_in_generate=True
    )
    drawn_A = torch.softmax(output.scores[0][0], dim=-1)[list(agent.contract.action_tokens)]
    with torch.inference_mode():
        one, last = torch.tensor([3]), torch.tensor([2])
        states = agent.model.read(prompt_1T, one, torch.zeros_like(one), last)
        policy_A = torch.softmax(agent.model.logits(states)[0], dim=-1)
    torch.testing.assert_close(drawn_A, policy_A, atol=1e-6, rtol=1e-4)


def test_an_encoder_decoder_generates_what_the_agent_says(tmp_path: Path) -> None:
    lm = make_lm("t5", 16)
    lm.config.decoder_start_token_id, lm.config.pad_token_id = None, 7  # it begins with padding
    agent = PPO("OneSkill-v0", PPOConfig(num_envs=2), lm)
    agent.export(tmp_path)
    loaded = AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    observation = np.zeros(agent.contract.max_tokens, np.int32)
    observation[:3] = [4, 5, 6]
    tokens = loaded.generate(torch.tensor([[4, 5, 6]]), max_new_tokens=1, do_sample=False)[0, 1:]
    action, _ = agent.predict(observation)
    assert tokens.tolist() == [agent.contract.action_tokens[action]]


def test_a_policy_is_exported_whatever_its_model_was_used_for_before(tmp_path: Path) -> None:
    model = DQN("OneSkill-v0", DQNConfig(num_envs=2, steps=8)).model
    PPO("OneSkill-v0", PPOConfig(num_envs=2, steps=8), model).export(tmp_path)
    assert (tmp_path / "config.json").exists()


def test_what_is_no_language_model_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="acts by action values, which no plain language model"):
        DQN("OneSkill-v0", DQNConfig(num_envs=2, steps=8)).export(tmp_path)
    span = PPO("TextQASpan-v0", PPOConfig(num_envs=2, steps=8), env_kwargs={"size": 40})
    with pytest.raises(ModelError, match="points at its prompt, which no plain language model"):
        span.export(tmp_path)
    recurrent = PPO("OneSkill-v0", PPOConfig(num_envs=2, steps=8), model="gru")
    with pytest.raises(ModelError):
        recurrent.export(tmp_path)
    assert not list(tmp_path.iterdir())
