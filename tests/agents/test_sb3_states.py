"""The states of policies in stable-baselines3: cached, grouped, and read one by one, the same."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import one_skill  # noqa: F401  registers OneSkill-v0
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.models.model_config import ModelConfig

pytest.importorskip("stable_baselines3", reason='needs it: pip install "textenvs[sb3]"')
pytest.importorskip("sb3_contrib", reason='needs it: pip install "textenvs[sb3]"')

from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv, VecMonitor

from agents.models.grouping import grouped
from agents.sb3 import (
    EpisodeRolloutBuffer,
    LMPolicy,
    TextVecEnv,
    lm_policy_kwargs,
)

EASY = {"answers": 2, "noise": 2, "words": 5}


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
    network = policy.features_extractor.network
    network.cached_rows, kept = 0, network.cached_rows
    found = outputs(policy, observation)
    network.cached_rows = kept
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
    assert len(policy.features_extractor.network._caches) == 2
    assert not copy.deepcopy(policy).features_extractor.network._caches


def test_a_cache_that_begins_within_episodes_knows_their_prompts() -> None:
    env = some_env("reader", 4)
    policy = policy_on(env, "reader")
    for observation in observations_of(env, 9):
        policy.features_extractor.network._caches.clear()
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
    env = VecMonitor(TextVecEnv("OneSkill-v0", 4, **EASY))
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
