"""stable-baselines3's algorithms on our environments, with our models."""

from __future__ import annotations

import ast
import copy
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import one_skill
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TimeLimit
from hypothesis import given, settings
from hypothesis import strategies as st

import textenvs
from agents.errors import AgentError, ContractError, ModelError
from agents.models.model_config import ModelConfig

pytest.importorskip("stable_baselines3")
pytest.importorskip("sb3_contrib")

from sb3_contrib import QRDQN, TRPO, MaskablePPO, RecurrentPPO
from sb3_contrib.common.maskable.evaluation import evaluate_policy as evaluate_masked
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
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
from agents.sb3.grouping import grouped

EASY = {"answers": 2, "noise": 2, "words": 5}
"""Of one_skill: random words give 0.2, a new model that copies either word 0.5 to 0.6."""
every_id = pytest.mark.parametrize("env_id", textenvs.IDS)


def easy(num_envs: int = 8, **options: Any) -> VecEnv:
    return VecMonitor(TextVecEnv("OneSkill-v0", num_envs, **EASY, **options))


def score(model: Any, env: VecEnv) -> float:
    return float(evaluate_policy(model, env, 64)[0])


# The vector environment


@every_id
@pytest.mark.parametrize("constrain_to_mask", [True, False])
def test_trajectories_are_those_of_single_environments(
    env_id: str, constrain_to_mask: bool
) -> None:
    options = {"size": 30}
    native = TextVecEnv(env_id, 3, **options)
    singles = DummyVecEnv([lambda: gymnasium.make(env_id, **options)] * 3)
    assert native.observation_space == singles.observation_space
    assert native.action_space == singles.action_space
    rng = np.random.default_rng(0)
    assert native.seed(7) == singles.seed(7) == [7, 8, 9]
    observations = native.reset()
    np.testing.assert_array_equal(observations, singles.reset())
    assert native.observation_space.contains(observations[0])
    ends = 0
    for _ in range(60):
        assert is_masking_supported(native)
        masks = get_action_masks(native)
        np.testing.assert_array_equal(masks, get_action_masks(singles))
        legal = masks if constrain_to_mask else np.ones_like(masks)
        actions = np.array([rng.choice(np.flatnonzero(row)) for row in legal])
        for one, other in zip(native.step(actions), singles.step(actions), strict=True):
            if isinstance(one, list):
                for mine, theirs in zip(one, other, strict=True):
                    ended = "terminal_observation" in theirs
                    ends += ended
                    assert mine.keys() == (theirs.keys() if ended else set())
                    for key in mine:
                        np.testing.assert_array_equal(mine[key], theirs[key])
            else:
                np.testing.assert_array_equal(one, other)
                assert one.dtype == other.dtype
    assert ends


def test_seeds_and_options_hold_for_one_reset() -> None:
    env = TextVecEnv("TextNER-v0", 3, size=30)
    env.set_options({"index": 4})
    same = env.reset()
    assert (same == same[0]).all()
    env.set_options([{"index": 4}, {"index": 5}, {"index": 4}])
    several = env.reset()
    np.testing.assert_array_equal(several[[0, 2]], same[[0, 0]])
    assert (several[1] != same[1]).any()
    env.seed(3)
    seeded = env.reset()
    assert (seeded != env.reset()).any()
    env.seed(3)
    np.testing.assert_array_equal(seeded, env.reset())
    env.set_options([{"index": 4}, {}, {}])
    with pytest.raises(AgentError, match="same names for all slots"):
        env.reset()


def test_attributes_and_methods_are_those_of_the_slots() -> None:
    env = TextVecEnv("TextNER-v0", 3, size=30)
    env.reset()
    assert env.get_attr("pad_token_id") == [0, 0, 0]
    assert env.get_attr("pad_token_id", [0, 2]) == [0, 0]
    assert not env.has_attr("no_such_thing")
    assert env.env_is_wrapped(TimeLimit) == [False] * 3
    env.set_attr("illegal_action", "raise")
    assert env.get_attr("illegal_action", 1) == ["raise"]
    with pytest.raises(AgentError, match="leave out the indices"):
        env.set_attr("illegal_action", "allow", 1)
    assert len(env.env_method("expert_action", indices=[0, 1])) == 2
    with pytest.raises(AttributeError, match="action_masks, expert_action"):
        env.env_method("close")
    env.close()


def test_time_limits_truncate_as_in_single_environments() -> None:
    def limited() -> gymnasium.Env[Any, Any]:
        return TimeLimit(gymnasium.make("TextNER-v0", size=30), 3)

    envs = [
        TextVecEnv(SyncVectorEnv([limited] * 2, autoreset_mode=AutoresetMode.SAME_STEP)),
        DummyVecEnv([limited] * 2),
    ]
    for env in envs:
        env.seed(0)
        env.reset()
    for _ in range(3):
        first, second = (env.step(np.zeros(2, np.int64)) for env in envs)
    assert first[2].all()
    for mine, theirs in zip(first[3], second[3], strict=True):
        assert mine["TimeLimit.truncated"] is theirs["TimeLimit.truncated"] is True
        np.testing.assert_array_equal(mine["terminal_observation"], theirs["terminal_observation"])
    assert envs[0].env_is_wrapped(TimeLimit) == [True, True]
    assert envs[0].get_attr("pad_token_id") == [0, 0]
    envs[0].set_attr("marked", 1, [1])
    assert envs[0].has_attr("marked") is False
    masks = [env.env_method("action_masks") for env in envs]
    np.testing.assert_array_equal(*masks)


def test_observations_tell_how_long_their_prompt_is() -> None:
    env = TextVecEnv("OneSkill-v0", 4, prompt_length=True, **EASY)
    observation = env.reset()
    assert env.observation_space.contains({key: rows[0] for key, rows in observation.items()})
    ends = 0
    for _ in range(12):
        before = observation
        observation, _, dones, infos = env.step(np.zeros(4, np.int64))
        for slot, done in enumerate(dones):
            prompt = before["prompt_length"][slot]
            assert before["tokens"][slot, prompt - 1] == one_skill.COMMA
            after = infos[slot]["terminal_observation"] if done else observation
            np.testing.assert_array_equal(after["prompt_length"][... if done else slot], prompt)
            ends += done
    assert ends


class Expert:
    """Plays as the environment itself proposes."""

    def __init__(self, env: VecEnv) -> None:
        self.env = env

    def predict(self, observation: Any, **kwargs: Any) -> tuple[Any, None]:
        return np.array(self.env.env_method("expert_action")), None


@pytest.mark.parametrize("reward", ["terminal", "dense"])
def test_returns_are_those_of_whole_episodes(reward: str) -> None:
    plain = TextVecEnv("TextNER-v0", 4, size=30, reward=reward)
    normalized = VecNormalize(plain, norm_obs=False, norm_reward=True)
    for env in (VecMonitor(plain), VecMonitor(plain, info_keywords=("text",))):
        returns, lengths = evaluate_policy(Expert(env), env, 20, return_episode_rewards=True)
        assert np.allclose(returns, 1)
        assert max(lengths) > 1
    env = VecNormalize(VecMonitor(plain), norm_obs=False, norm_reward=True)
    assert evaluate_policy(Expert(env), env, 20)[0] == pytest.approx(1)
    assert evaluate_policy(Expert(normalized), normalized, 20, warn=False)[0] != pytest.approx(1)


# States: cached, grouped, and one by one


def observations_of(env: VecEnv, steps: int, seed: int = 0) -> Iterator[Any]:
    """What random players see, with many ends of episodes."""
    rng = np.random.default_rng(seed)
    env.seed(seed)
    yield env.reset()
    for _ in range(steps):
        yield env.step(rng.integers(env.action_space.n, size=env.num_envs))[0]


def tensors(observation: Any) -> Any:
    if isinstance(observation, dict):
        return {key: torch.as_tensor(rows) for key, rows in observation.items()}
    return torch.as_tensor(observation)


def rows_of(observation: Any, rows: Any) -> Any:
    if isinstance(observation, dict):
        return {key: values[rows] for key, values in observation.items()}
    return observation[rows]


def stacked(observations: list[Any]) -> Any:
    if isinstance(observations[0], dict):
        return {key: torch.cat([each[key] for each in observations]) for key in observations[0]}
    return torch.cat(observations)


def policy_on(env: VecEnv, model: str, **settings: Any) -> LMPolicy:
    arguments = lm_policy_kwargs(env, MODELS[model])
    policy = LMPolicy(
        env.observation_space, env.action_space, lambda _: 1e-2, **arguments, **settings
    )
    policy.set_training_mode(False)
    return policy


@torch.no_grad()
def outputs(policy: LMPolicy, observation: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Values and log-probabilities of all actions."""
    probabilities = policy.get_distribution(observation).distribution.logits
    return policy.predict_values(observation), probabilities


def uncached(policy: LMPolicy, observation: Any) -> tuple[torch.Tensor, torch.Tensor]:
    policy.features_extractor.cached_rows, kept = 0, policy.features_extractor.cached_rows
    found = outputs(policy, observation)
    policy.features_extractor.cached_rows = kept
    return found


MODELS = {
    "tiny": ModelConfig(),
    "lstm": ModelConfig(name="lstm"),
    "prefix": ModelConfig(adapter="prefix", prefix_tokens=3),
    "reader": ModelConfig(name="reader"),
    "encoder": ModelConfig(name="encoder"),
    "encoder-decoder": ModelConfig(name="encoder-decoder"),
    "copy": ModelConfig(head="copy"),
}
ONE_WAY = ("tiny", "lstm", "prefix")


def some_env(model: str, slots: int) -> TextVecEnv:
    return TextVecEnv("OneSkill-v0", slots, prompt_length=model not in ONE_WAY, **EASY)


@pytest.mark.parametrize("model", MODELS)
def test_what_is_cached_is_what_is_read_whole(model: str) -> None:
    """Also where another number of rows comes in between, and where weights change."""
    env, other = some_env(model, 4), some_env(model, 3)
    policy = policy_on(env, model)
    optimizers = [torch.optim.SGD(policy.parameters(), 0.01, fused=fused) for fused in (0, 1)]
    evaluated = observations_of(other, 14, seed=9)
    for step, observation in enumerate(observations_of(env, 14)):
        if step % 3 == 2:
            observation = next(evaluated)
        if step in (4, 8):
            policy.set_training_mode(True)
            policy.predict_values(tensors(observation)).sum().backward()
            optimizers[step // 8].step()
            policy.set_training_mode(False)
        if step == 11:
            policy.load_from_vector(policy.parameters_to_vector() * 0.98)
        now = tensors(observation)
        for cached, whole in zip(outputs(policy, now), uncached(policy, now), strict=True):
            torch.testing.assert_close(cached, whole, atol=3e-5, rtol=1e-4)
    assert len(policy.features_extractor._caches) == 2
    assert not copy.deepcopy(policy).features_extractor._caches


def test_a_cache_that_begins_within_episodes_knows_their_prompts() -> None:
    env = some_env("reader", 4)
    policy = policy_on(env, "reader")
    for observation in observations_of(env, 9):
        policy.features_extractor._caches.clear()
        now = tensors(observation)
        for cached, whole in zip(outputs(policy, now), uncached(policy, now), strict=True):
            torch.testing.assert_close(cached, whole, atol=3e-5, rtol=1e-4)


@pytest.mark.parametrize("model", ["tiny", "reader", "copy"])
@pytest.mark.parametrize("shared", [True, False])
def test_a_minibatch_is_read_as_its_states_are(model: str, shared: bool) -> None:
    env = some_env(model, 4)
    policy = policy_on(env, model, share_features_extractor=shared)
    policy.set_training_mode(True)
    batch = stacked([tensors(observation) for observation in observations_of(env, 8)])
    order = torch.randperm(36, generator=torch.Generator().manual_seed(0))
    batch = rows_of(batch, order)
    actions = torch.arange(36) % env.action_space.n

    def evaluated(parts: list[Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """Values with log-probabilities, and gradients."""
        policy.zero_grad()
        found = [
            torch.stack(
                [*map(torch.flatten, policy.evaluate_actions(rows_of(batch, p), actions[p]))]
            )
            for p in parts
        ]
        values = torch.cat(found, dim=1)
        (values * torch.linspace(-1, 1, 36)).sum().backward()
        return values.detach(), torch.cat(
            [p.grad.flatten() for p in policy.parameters() if p.grad is not None]
        )

    together = evaluated([torch.arange(36)])
    alone = evaluated([torch.tensor([row]) for row in range(36)])
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


prefixes = st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=5), min_size=1, max_size=12)


@given(prefixes, st.booleans())
@settings(max_examples=60)
def test_only_the_longest_prefixes_are_read(lists: list[list[int]], prompts_matter: bool) -> None:
    tokens_NL = np.array([each + [0] * (6 - len(each)) for each in lists])
    lengths_N = np.array([len(each) for each in lists])
    prompts_N = 1 + (lengths_N + tokens_NL[:, 0]) % 2 if prompts_matter else None
    found = grouped(tokens_NL, lengths_N, prompts_N)
    for state, tokens in enumerate(lists):
        row, column = found.rows_N[state], found.columns_N[state]
        assert found.tokens_BT[row, : column + 1].tolist() == tokens
        if prompts_N is not None:
            assert found.prompts_B[row] == prompts_N[state]
    told = [(0 if prompts_N is None else prompts_N[n], tuple(each)) for n, each in enumerate(lists)]
    longest = {
        (prompt, each)
        for prompt, each in told
        if not any(
            prompt == p and other[: len(each)] == each and len(other) > len(each)
            for p, other in told
        )
    }
    assert len(found.tokens_BT) == len(longest)


def test_minibatches_of_whole_episodes_pass_over_every_state_once() -> None:
    env = easy(4)
    model = PPO(
        LMPolicy,
        env,
        n_steps=16,
        batch_size=8,
        rollout_buffer_class=EpisodeRolloutBuffer,
        policy_kwargs=lm_policy_kwargs(env),
    )
    model.learn(64)
    buffer = model.rollout_buffer
    buffer.returns = np.arange(64.0, dtype=np.float32).reshape(64, 1)
    orders = [torch.cat([batch.returns for batch in buffer.get(8)]).numpy() for _ in range(2)]
    assert (orders[0] != orders[1]).any()
    begins = buffer.episode_starts.T.flatten() > 0
    begins[::16] = True
    for order in orders:
        assert sorted(order) == list(range(64))
        follows = np.flatnonzero(np.diff(order) != 1) + 1
        assert begins[order[follows].astype(int)].all()


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
