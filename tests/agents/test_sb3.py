"""stable-baselines3's algorithms on our environments, with our models."""

from __future__ import annotations

import ast
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import one_skill  # noqa: F401  registers OneSkill-v0
import pytest
import torch

from agents import evaluate
from agents.errors import AgentError, ContractError, ModelError
from agents.models.model_config import ModelConfig

pytest.importorskip("stable_baselines3", reason='needs it: pip install "textenvs[sb3]"')
pytest.importorskip("sb3_contrib", reason='needs it: pip install "textenvs[sb3]"')

from sb3_contrib import QRDQN, TRPO, MaskablePPO, RecurrentPPO
from sb3_contrib.common.maskable.evaluation import evaluate_policy as evaluate_masked
from sb3_contrib.common.maskable.utils import get_action_masks
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecMonitor, VecNormalize

from agents.sb3 import (
    EpisodeMaskableDictRolloutBuffer,
    EpisodeMaskableRolloutBuffer,
    EpisodeRolloutBuffer,
    LMDQNPolicy,
    LMExtractor,
    LMMaskablePolicy,
    LMPolicy,
    LMQRDQNPolicy,
    LMTRPOPolicy,
    TextVecEnv,
    TokenEmbeddingExtractor,
    lm_policy_kwargs,
)

EASY = {"answers": 2, "noise": 2, "words": 5}
"""Of one_skill: random words give 0.2, a new model that copies either word 0.5 to 0.6."""


def easy(num_envs: int = 8, **options: Any) -> VecEnv:
    return VecMonitor(TextVecEnv("OneSkill-v0", num_envs, **EASY, **options))


def score(model: Any, env: VecEnv) -> float:
    return float(evaluate_policy(model, env, 64)[0])


# Learning


ON_POLICY = {"n_steps": 32, "learning_rate": 1e-3}
PASSES = {**ON_POLICY, "batch_size": 128, "n_epochs": 4}
OFF_POLICY = {
    "learning_starts": 128,
    "train_freq": 2,
    "gradient_steps": 2,
    "batch_size": 64,
    "learning_rate": 1e-3,
    "target_update_interval": 32,
    "exploration_fraction": 0.5,
    "gamma": 1.0,
}
# TRPO differentiates parameter by parameter: the fewer train, the sooner it is done.
SOME_OF_TINY = ModelConfig(frozen_layers=1)
TRUST = {**ON_POLICY, "batch_size": 256, "cg_max_steps": 5, "n_critic_updates": 2}
LEARNERS: dict[str, tuple[Any, Any, dict[str, Any], dict[str, Any], int, float]] = {
    "ppo": (PPO, LMPolicy, {**PASSES, "rollout_buffer_class": EpisodeRolloutBuffer}, {}, 2048, 0.9),
    "a2c": (A2C, LMPolicy, {**ON_POLICY, "n_steps": 16}, {}, 2560, 0.9),
    "trpo": (TRPO, LMTRPOPolicy, {**TRUST, "target_kl": 0.05}, {}, 2048, 0.9),
    "dqn": (DQN, LMDQNPolicy, OFF_POLICY, {}, 2048, 0.85),
    "qrdqn": (QRDQN, LMQRDQNPolicy, OFF_POLICY, {"n_quantiles": 20}, 2048, 0.8),
    "recurrent": (
        RecurrentPPO,
        "MlpLstmPolicy",
        {**PASSES, "learning_rate": 2e-3},
        {"features_extractor_class": LMExtractor, "lstm_hidden_size": 64},
        3072,
        0.6,
    ),
}
"""Algorithm, policy, its settings, the policy's, actions to learn from, score to reach."""


@pytest.mark.parametrize("name", LEARNERS)
def test_algorithms_learn_the_one_skill(name: str) -> None:
    algorithm, policy, arguments, more, steps, reached = LEARNERS[name]
    env, test = easy(), easy(16)
    kwargs = lm_policy_kwargs(env, SOME_OF_TINY if name == "trpo" else "tiny") | more
    model = algorithm(policy, env, policy_kwargs=kwargs, seed=0, **arguments)
    assert score(model, test) < 0.7
    model.learn(steps)
    assert score(model, test) > reached


def test_maskable_ppo_takes_legal_actions_only_and_learns() -> None:
    env, test = easy(masked=True), easy(16, masked=True)
    model = MaskablePPO(
        LMMaskablePolicy,
        env,
        policy_kwargs=lm_policy_kwargs(env),
        rollout_buffer_class=EpisodeMaskableRolloutBuffer,
        seed=0,
        **PASSES,
    )
    observation, masks = test.reset(), get_action_masks(test)
    actions, _ = model.predict(observation, action_masks=masks, deterministic=False)
    assert masks[np.arange(16), actions].all()
    assert evaluate_masked(model, test, 64)[0] < 0.75
    model.learn(2048)
    assert evaluate_masked(model, test, 64)[0] > 0.9


def test_a_pointer_learns_where_answers_are() -> None:
    """Random legal spans have an F1 of 0.1."""
    env = VecMonitor(TextVecEnv("TextQASpan-v0", 16, prompt_length=True, size=20))
    model = MaskablePPO(
        LMMaskablePolicy,
        env,
        policy_kwargs=lm_policy_kwargs(env),
        rollout_buffer_class=EpisodeMaskableDictRolloutBuffer,
        seed=0,
        **{**PASSES, "batch_size": 256},
    )
    assert evaluate_masked(model, env, 64)[0] < 0.2
    model.learn(1024)
    assert evaluate_masked(model, env, 64)[0] > 0.3
    assert evaluate(model, "TextQASpan-v0", split="train", size=20).score.value > 0.3


def test_embeddings_of_the_last_word_tag_some_entities() -> None:
    """Random tags have an F1 of 0.02."""
    env = VecMonitor(TextVecEnv("TextNER-v0", 32, reward="dense", size=50))
    extractor = {"pad_token_id": env.get_attr("pad_token_id")[0], "pool": "last"}
    model = PPO(
        "MlpPolicy",
        env,
        policy_kwargs={
            "features_extractor_class": TokenEmbeddingExtractor,
            "features_extractor_kwargs": extractor,
        },
        seed=0,
        device="cpu",
        **{**PASSES, "batch_size": 256, "learning_rate": 3e-3},
    )
    assert score(model, env) < 0.1
    model.learn(20_480)
    assert score(model, env) > 0.15


def test_the_mean_of_embeddings_leaves_out_the_padding() -> None:
    space = gymnasium.spaces.Box(0, 9, (5,), np.int32)
    extractor = TokenEmbeddingExtractor(space, features_dim=3)
    found = extractor(torch.tensor([[4.0, 5, 7, 0, 0], [6, 0, 0, 0, 0]]))
    weight = extractor.embedding.weight
    torch.testing.assert_close(found, torch.stack([weight[[4, 5, 7]].mean(0), weight[6]]))
    with pytest.raises(AgentError, match="'mean' or 'last'"):
        TokenEmbeddingExtractor(space, pool="first")  # type: ignore[arg-type]
    with pytest.raises(AgentError, match="without prompt_length"):
        TokenEmbeddingExtractor(gymnasium.spaces.Dict({"tokens": space}))  # type: ignore[arg-type]


# What surrounds learning


@pytest.mark.parametrize("name", [*LEARNERS, "maskable"])
def test_what_is_saved_plays_the_same_and_goes_on(name: str, tmp_path: Path) -> None:
    maskable = (MaskablePPO, LMMaskablePolicy, PASSES, {}, 0, 0.0)
    algorithm, policy, arguments, more, *_ = LEARNERS.get(name, maskable)
    env = easy()
    kwargs = lm_policy_kwargs(env, SOME_OF_TINY if name == "trpo" else "tiny") | more
    model = algorithm(policy, env, policy_kwargs=kwargs, seed=0, **arguments)
    plain = kwargs["features_extractor_kwargs"]
    assert json.loads(json.dumps(plain)) == plain
    env.seed(0)
    observation = env.reset()
    with torch.no_grad():
        for parameter in model.policy.parameters():
            parameter.add_(0.01)
    model.save(tmp_path / "model")
    loaded = algorithm.load(tmp_path / "model", env=easy())
    expected, _ = model.predict(observation, deterministic=True)
    np.testing.assert_array_equal(loaded.predict(observation, deterministic=True)[0], expected)
    for mine, theirs in zip(model.policy.parameters(), loaded.policy.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    if name in ("ppo", "dqn"):
        loaded.learn(256)
        loaded.policy.save(tmp_path / "policy")
        alone = policy.load(tmp_path / "policy")
        expected, _ = loaded.policy.predict(observation, deterministic=True)
        np.testing.assert_array_equal(alone.predict(observation, deterministic=True)[0], expected)


def test_callbacks_evaluate_while_rewards_are_normalized(tmp_path: Path) -> None:
    env = VecNormalize(easy(), norm_obs=False, norm_reward=True)
    test = VecNormalize(easy(3), norm_obs=False, norm_reward=True, training=False)
    model = PPO(LMPolicy, env, policy_kwargs=lm_policy_kwargs(env), seed=0, **PASSES)
    callback = EvalCallback(
        test, n_eval_episodes=9, eval_freq=20, best_model_save_path=str(tmp_path), verbose=0
    )
    model.learn(512, callback=callback)
    assert 0 < callback.best_mean_reward <= 1
    assert PPO.load(tmp_path / "best_model").predict(test.reset())[0].shape == (3,)


def test_a_single_environment_will_do() -> None:
    env = gymnasium.make("OneSkill-v0", **EASY)
    arguments = {**PASSES, "batch_size": 16, "n_epochs": 1}
    model = PPO(LMPolicy, env, policy_kwargs=lm_policy_kwargs(env), **arguments)
    model.learn(32)
    action, _ = model.predict(env.reset(seed=0)[0])
    assert env.action_space.contains(action)


def test_the_model_keeps_its_weights_where_others_are_drawn_anew() -> None:
    env = easy()
    kwargs = lm_policy_kwargs(env)
    model = PPO(
        "MlpPolicy",
        env,
        policy_kwargs={"features_extractor_class": LMExtractor, **kwargs},
        **PASSES,
    )
    new = LMExtractor(env.observation_space, **kwargs["features_extractor_kwargs"])
    used = model.policy.features_extractor.model.state_dict()
    assert all(torch.equal(weight, used[name]) for name, weight in new.model.state_dict().items())
    model.policy.set_training_mode(True)
    assert not any(part.training for part in model.policy.features_extractor.model.modules())


def test_errors_say_what_to_do() -> None:
    env = easy()
    with pytest.raises(AgentError, match=r"lm_policy_kwargs\(env\)"):
        PPO(LMPolicy, env)
    with pytest.raises(AgentError, match="LMExtractor"):
        PPO(LMPolicy, env, policy_kwargs=lm_policy_kwargs(env) | {"net_arch": [64]})
    with pytest.raises(ModelError, match="prompt_length=True"):
        PPO(LMPolicy, env, policy_kwargs=lm_policy_kwargs(env, "reader"))
    span = TextVecEnv("TextQASpan-v0", 2, size=20)
    with pytest.raises(ModelError, match="pointer head"):
        PPO(LMPolicy, span, policy_kwargs=lm_policy_kwargs(span))
    with pytest.raises(ModelError, match="'tiny'"):
        DQN(LMDQNPolicy, env, policy_kwargs=lm_policy_kwargs(env, "tinny"))
    with pytest.raises(ContractError, match="action_tokens"):
        lm_policy_kwargs(DummyVecEnv([lambda: gymnasium.make("CartPole-v1")]))
    with pytest.raises(ContractError, match="SameStep"):
        TextVecEnv(gymnasium.make_vec("TextNER-v0", num_envs=2, autoreset_mode="NextStep"))


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("agents.sb3")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sb3_contrib", None)
    with pytest.raises(ImportError, match=r'pip install "textenvs\[sb3\]"'):
        importlib.import_module("agents.sb3")


def test_nothing_else_of_agents_needs_the_library() -> None:
    for path in (Path(__file__).parents[2] / "agents").rglob("*.py"):
        if path.parent.name == "sb3":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [name.name for name in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            assert not any("sb3" in name or "stable_baselines3" in name for name in names), path
