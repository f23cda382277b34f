"""Predicting, and what a user sees when something does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import one_skill
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)

from agents import PPO, AgentError, ContractError, ModelError, PPOConfig
from agents.behaviour_cloning import BCConfig, BehaviourCloning
from agents.environment import make_env
from agents.models.heads import States
from agents.seeds import Seeds

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


def test_a_model_whose_frequencies_depend_on_the_length_is_refused() -> None:
    factors = {"short_factor": [1.0] * 2, "long_factor": [3.0] * 2, "factor": 4.0}
    rope = {"rope_type": "longrope", "rope_theta": 1e4, "original_max_position_embeddings": 8}
    config = LlamaConfig(
        vocab_size=11,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=4,
        max_position_embeddings=64,
        rope_parameters=rope | factors,
    )
    with pytest.raises(ModelError, match="has 8 positions of one frequency"):
        PPO("OneSkill-v0", CONFIG, model=LlamaForCausalLM(config), env_kwargs=OPTIONS)


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


class ActionsFromOne(one_skill.OneSkillEnv):
    def __init__(self) -> None:
        super().__init__()
        self.action_space = spaces.Discrete(len(self.action_tokens), start=1)


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
        (ActionsFromOne, "which starts at 0"),
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


def test_a_config_of_another_algorithm_and_a_seed_below_0_are_refused() -> None:
    with pytest.raises(AgentError, match="the config is a BCConfig; PPO expects a PPOConfig"):
        PPO("OneSkill-v0", BCConfig())
    with pytest.raises(AgentError, match="the seed of weights is -1; expected at least 0"):
        PPO("OneSkill-v0", CONFIG, seed=-1)


@pytest.mark.parametrize(
    ("config", "options"),
    [(PPOConfig, {"steps": 0}), (PPOConfig, {"lam": 1.5}), (BCConfig, {"learning_rate": 0.0})],
)
def test_impossible_settings_are_refused(config: type, options: dict[str, float]) -> None:
    with pytest.raises(AgentError, match=r"expected|must be"):
        config(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_envs": 2.0}, "num_envs is 2.0; expected int$"),
        ({"steps": np.int64(16)}, r"steps is np.int64\(16\); expected int$"),
        ({"clip": "0.2"}, "clip is '0.2'; expected float$"),
        ({"normalise_advantages": 1}, "normalise_advantages is 1; expected bool$"),
        ({"target_kl": "0.1"}, "target_kl is '0.1'; expected float or None$"),
        ({"kl_penalty": "rewards"}, "kl_penalty is 'rewards'; expected one of 'reward', 'loss', "),
        ({"learning_rate_schedule": "lin"}, "learning_rate_schedule is 'lin'; expected one of 'l"),
        ({"imitation_recorded": Path("a")}, "expected str or None$"),
    ],
)
def test_settings_of_another_type_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(AgentError, match=message):
        PPOConfig(**options)
    assert PPOConfig(gamma=1, target_kl=None, learning_rate=np.float64(0.1)).gamma == 1


def test_seeds_of_numpy_and_floats_of_steps_come_back(tmp_path: Path) -> None:
    agent = PPO("OneSkill-v0", CONFIG, seed=np.int64(3), env_kwargs=OPTIONS)  # type: ignore[arg-type]
    agent.learn(2e1, progress_bar=False, run_dir=tmp_path)  # type: ignore[arg-type]
    loaded = PPO.load(tmp_path / "checkpoint")
    assert (loaded.seeds, loaded.leg_end) == (Seeds.same(3), 20)


def test_a_temperature_does_not_stay_with_the_model() -> None:
    agent = PPO("OneSkill-v0", PPOConfig(temperature=0.5), env_kwargs=OPTIONS)
    BehaviourCloning("OneSkill-v0", BCConfig(), model=agent.model, env_kwargs=OPTIONS)
    assert agent.model.temperature == 1.0


def test_there_must_be_something_to_train() -> None:
    with pytest.raises(AgentError, match="total_timesteps is 0"):
        make_agent().learn(0)
    with pytest.raises(AgentError, match="no interrupted training"):
        make_agent().learn()
