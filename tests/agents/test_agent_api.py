"""Predicting, and what a user sees when something does not fit."""

from __future__ import annotations

from pathlib import Path

import gymnasium
import numpy as np
import one_skill
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from transformers import BertConfig, BertModel, GPT2Config, GPT2LMHeadModel

from agents import PPO, AgentError, ContractError, ModelError, PPOConfig
from agents.behaviour_cloning import BCConfig
from agents.environment import make_env
from agents.models.heads import States

OPTIONS = {"answers": 3, "masked": True}
CONFIG = PPOConfig(num_envs=4, steps=16)


def make_agent(**env_kwargs: object) -> PPO:
    return PPO("OneSkill-v0", CONFIG, env_kwargs=OPTIONS | env_kwargs)


def test_predict_takes_one_observation_or_a_batch() -> None:
    agent = make_agent()
    observations, info = agent.env.reset(seed=0)
    masks = info["action_mask"]
    batch, _ = agent.predict(observations, action_masks=masks)
    single = [agent.predict(o, action_masks=m)[0] for o, m in zip(observations, masks, strict=True)]
    assert batch.shape == (4,)
    assert np.shape(single[0]) == ()
    assert batch.tolist() == [int(action) for action in single]
    assert all(masks[slot, action] for slot, action in enumerate(batch))


def test_predict_with_its_state_is_predict_without() -> None:
    agent = make_agent()
    observations, info = agent.env.reset(seed=0)
    state = None
    for _ in range(12):
        masks = info["action_mask"]
        with_state, state = agent.predict(observations, state, action_masks=masks)
        without, _ = agent.predict(observations, action_masks=masks)
        assert with_state.tolist() == without.tolist()
        again, state = agent.predict(observations, state, action_masks=masks)
        assert again.tolist() == without.tolist()
        observations, *_, info = agent.env.step(with_state)


def test_predict_draws_legal_actions() -> None:
    agent = make_agent()
    observation, info = gymnasium.make("OneSkill-v0", **OPTIONS).reset(seed=0)
    drawn = {
        int(agent.predict(observation, deterministic=False, action_masks=info["action_mask"])[0])
        for _ in range(60)
    }
    assert drawn == set(np.flatnonzero(info["action_mask"]).tolist())


def test_predict_refuses_what_does_not_fit() -> None:
    agent = make_agent()
    with pytest.raises(AgentError, match="the observation has 3 tokens; this agent was made for"):
        agent.predict(np.ones(3, np.int32))
    observation, _ = gymnasium.make("OneSkill-v0", **OPTIONS).reset(seed=0)
    with pytest.raises(ValueError, match="no action is legal in row 0"):
        agent.predict(observation, action_masks=np.zeros(8, bool))


def test_an_action_appends_its_token_not_its_number() -> None:
    agent = make_agent()
    hidden_ND = torch.randn(2, 128)
    head = agent.model.backbone.lm.get_output_embeddings().weight
    expected_NA = hidden_ND @ head[list(agent.contract.action_tokens)].T
    torch.testing.assert_close(agent.model.logits(States(hidden_ND)), expected_NA)


def test_an_unknown_model_is_named_with_the_nearest_preset(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model 'tinny': expected a preset \\('tiny', "):
        PPO("OneSkill-v0", CONFIG, model="tinny", env_kwargs=OPTIONS)
    with pytest.raises(ModelError, match="a folder or a Hub id"):
        PPO("OneSkill-v0", CONFIG, model=tmp_path, env_kwargs=OPTIONS)


def gpt2(**changes: int) -> GPT2LMHeadModel:
    sizes = {"vocab_size": 11, "n_positions": 32, "n_embd": 16, "n_layer": 1, "n_head": 2}
    return GPT2LMHeadModel(
        GPT2Config(**(sizes | changes), bos_token_id=None, eos_token_id=None)
    ).eval()


def test_a_folder_with_safetensors_is_a_model(tmp_path: Path) -> None:
    gpt2().save_pretrained(tmp_path)
    agent = PPO("OneSkill-v0", CONFIG, model=str(tmp_path), env_kwargs=OPTIONS)
    assert type(agent.model.backbone.lm) is GPT2LMHeadModel
    agent.learn(16, progress_bar=False)


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    model = gpt2()
    model.config.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        PPO("OneSkill-v0", CONFIG, model=str(tmp_path), env_kwargs=OPTIONS)


def test_a_model_with_too_small_a_vocabulary_grows(caplog: pytest.LogCaptureFixture) -> None:
    agent = PPO("OneSkill-v0", CONFIG, model=gpt2(vocab_size=5), env_kwargs=OPTIONS)
    assert "6 new embedding rows were added" in caplog.text
    assert agent.model.backbone.lm.get_input_embeddings().weight.shape[0] == 11
    agent.learn(16, progress_bar=False)


def test_a_model_with_a_larger_vocabulary_is_used_as_it_is() -> None:
    agent = PPO("OneSkill-v0", CONFIG, model=gpt2(vocab_size=50), env_kwargs=OPTIONS)
    assert agent.model.backbone.lm.get_input_embeddings().weight.shape[0] == 50
    agent.learn(16, progress_bar=False)


def test_a_model_with_too_few_positions_is_refused() -> None:
    with pytest.raises(ModelError, match="has 8 positions, but the environment's prefixes have up"):
        PPO("OneSkill-v0", CONFIG, model=gpt2(n_positions=8), env_kwargs=OPTIONS)


def test_a_model_without_a_language_model_head_is_refused() -> None:
    config = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    with pytest.raises(ModelError, match="BertModel has no language-model head"):
        PPO("OneSkill-v0", CONFIG, model=BertModel(config), env_kwargs=OPTIONS)


class WithoutTokens(one_skill.OneSkillEnv):
    def __init__(self) -> None:
        super().__init__()
        del self.action_tokens


class FloatObservations(one_skill.OneSkillEnv):
    def __init__(self) -> None:
        super().__init__()
        self.observation_space = spaces.Box(0, 1, (5,), np.float32)


class OtherActions(one_skill.OneSkillEnv):
    def __init__(self) -> None:
        super().__init__()
        self.action_space = spaces.Discrete(3)


class TokensOutside(one_skill.OneSkillEnv):
    def __init__(self) -> None:
        super().__init__()
        self.action_tokens = self.action_tokens + 50


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (WithoutTokens, "has no attribute 'action_tokens'. Agents need: observations Box"),
        (FloatObservations, "expected an integer Box of shape"),
        (OtherActions, r"expected Discrete\(len\(action_tokens\)\)"),
        (TokensOutside, "expected token ids from 0 to 10"),
    ],
)
def test_an_environment_that_breaks_the_contract_is_told_what_is_needed(
    env: type[gymnasium.Env], message: str
) -> None:
    with pytest.raises(ContractError, match=message):
        PPO(env(), CONFIG)


def test_a_vector_env_with_another_autoreset_mode_is_refused() -> None:
    env = SyncVectorEnv([one_skill.OneSkillEnv], autoreset_mode=AutoresetMode.NEXT_STEP)
    with pytest.raises(ContractError, match="needs it made with autoreset_mode='SameStep'"):
        PPO(env, CONFIG)


def test_what_is_no_environment_is_refused() -> None:
    with pytest.raises(ContractError, match="got int"):
        make_env(3, 1, AutoresetMode.SAME_STEP)  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="env_kwargs"):
        PPO(one_skill.OneSkillEnv(), CONFIG, env_kwargs=OPTIONS)
    with pytest.raises(AgentError, match="expected an environment"):
        PPO(None, CONFIG)


@pytest.mark.parametrize(
    ("config", "options"),
    [(PPOConfig, {"steps": 0}), (PPOConfig, {"lam": 1.5}), (BCConfig, {"learning_rate": 0.0})],
)
def test_impossible_settings_are_refused(config: type, options: dict[str, float]) -> None:
    with pytest.raises(AgentError, match=r"expected|must be"):
        config(**options)


def test_there_must_be_something_to_train() -> None:
    with pytest.raises(AgentError, match="total_timesteps is 0"):
        make_agent().learn(0)
    with pytest.raises(AgentError, match="no interrupted training"):
        make_agent().learn()
