"""A language model as a function of observations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import one_skill  # noqa: F401  registers OneSkill-v0
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from agents import evaluate
from agents.errors import ContractError, ModelError
from agents.models.model_config import ModelConfig
from agents.network import TextNetwork


def some_envs(slots: int = 4) -> SyncVectorEnv:
    def single() -> Any:
        return gymnasium.make("OneSkill-v0", answers=2, masked=True)

    return SyncVectorEnv([single] * slots, autoreset_mode=AutoresetMode.SAME_STEP)


def some_observations(steps: int = 12, slots: int = 4) -> list[Any]:
    envs, rng = some_envs(slots), np.random.default_rng(0)
    seen = [envs.reset(seed=0)[0]]
    for _ in range(steps):
        seen.append(envs.step(rng.integers(envs.single_action_space.n, size=slots))[0].copy())
    return seen


@pytest.mark.parametrize("q", ["none", "dueling"])
def test_what_is_cached_is_what_is_read_whole_in_any_batch(q: Any) -> None:
    network = TextNetwork.of(some_envs(), q=q)
    seen = some_observations()

    def outputs(observations: Any) -> tuple[torch.Tensor, ...]:
        values = (network.q_values(observations),) if q != "none" else ()
        return (*network(observations), *values)

    with torch.no_grad():
        whole = outputs(np.stack(seen))
        network.eval()
        cached = [outputs(observations) for observations in seen]
        single = outputs(torch.from_numpy(seen[3][1]))
    for read, *kept in zip(whole, *cached, strict=True):
        torch.testing.assert_close(torch.stack(kept), read, atol=3e-5, rtol=1e-4)
    for read, one in zip(whole, single, strict=True):
        torch.testing.assert_close(one, read[3, 1], atol=3e-5, rtol=1e-4)


def test_what_is_cached_follows_the_weights() -> None:
    network = TextNetwork.of(some_envs()).eval()
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    for observations in some_observations(4):
        logits, values = network(observations)
        (logits.square().mean() + values.mean()).backward()
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            cached = network(observations)
            network.cached_rows, kept = 0, network.cached_rows
            whole = network(observations)
            network.cached_rows = kept
        for one, other in zip(cached, whole, strict=True):
            torch.testing.assert_close(one, other, atol=3e-5, rtol=1e-4)


def fused(network: TextNetwork) -> None:
    optimizer = torch.optim.Adam(network.parameters(), 0.05, fused=True)
    network(some_observations(1)[0])[0].square().mean().backward()
    optimizer.step()


def assigned(network: TextNetwork) -> None:
    weights = {name: 1.1 * tensor for name, tensor in network.state_dict().items()}
    network.load_state_dict(weights, assign=True)


def told(network: TextNetwork) -> None:
    for weight in network.parameters():
        weight.data.mul_(1.1)
    network.model.note_change()


@pytest.mark.parametrize("change", [fused, assigned, told])
def test_what_was_read_with_other_weights_is_forgotten(
    change: Callable[[TextNetwork], None],
) -> None:
    network = TextNetwork.of(some_envs()).eval()
    seen = some_observations(6)
    with torch.no_grad():
        for observations in seen[:4]:
            network(observations)
    change(network)
    network.eval()
    with torch.no_grad():
        for observations in seen[4:]:
            cached = network(observations)
            network.cached_rows, kept = 0, network.cached_rows
            whole = network(observations)
            network.cached_rows = kept
            for one, other in zip(cached, whole, strict=True):
                torch.testing.assert_close(one, other, atol=3e-5, rtol=1e-4)


def test_weights_that_are_lent_are_read_with() -> None:
    network = TextNetwork.of(some_envs()).eval()
    others = TextNetwork.of(some_envs(), seed=1).eval()
    with torch.no_grad():
        for observations in some_observations(4):
            network(observations)
            lent = dict(others.named_parameters())
            found = torch.func.functional_call(network, lent, (observations,))
            torch.testing.assert_close(found[0], others(observations)[0], atol=3e-5, rtol=1e-4)


@pytest.mark.parametrize("q", ["none", "plain"])
def test_it_is_an_agent(q: Any) -> None:
    network = TextNetwork.of("TextNER-v0", q=q).eval()
    result = evaluate(network, "TextNER-v0", split="test", episodes=8, illegal_action="raise")
    assert 0.0 <= result.score.value <= 1.0
    observation = gymnasium.make("TextNER-v0").reset(seed=0)[0]
    mask = np.arange(9) == 4
    for deterministic in (True, False):
        actions, state = network.predict(
            observation[None], "kept", deterministic=deterministic, action_masks=mask[None]
        )
        assert (actions, state) == ([4], "kept")


def test_one_that_looks_at_prompts_is_told_of_them() -> None:
    network = TextNetwork.of("TextQASpan-v0", prompts=True).eval()
    result = evaluate(network, "TextQASpan-v0", episodes=8, illegal_action="raise")
    assert len(result.examples) == 8


def test_drawn_actions_are_those_of_the_policy() -> None:
    network = TextNetwork.of("TextNER-v0").eval()
    observation = gymnasium.make("TextNER-v0").reset(seed=0)[0]
    torch.manual_seed(0)
    rows = np.repeat(observation[None], 200, axis=0)
    drawn = np.concatenate([network.predict(rows, deterministic=False)[0] for _ in range(10)])
    with torch.no_grad():
        expected = network(observation)[0].softmax(dim=-1).numpy()
    np.testing.assert_allclose(np.bincount(drawn, minlength=9) / len(drawn), expected, atol=0.05)


def test_where_prompts_end_must_be_told_to_models_that_look_at_them() -> None:
    reader = TextNetwork.of(some_envs(), ModelConfig(name="reader"))
    observations = some_observations(1)[0]
    with pytest.raises(ModelError, match="observations do not tell where it ends: give them as"):
        reader(observations)
    told = {"tokens": observations, "prompt_length": np.full((4, 1), 3)}
    assert reader(told)[0].shape == (4, 8)
    pointing = TextNetwork.of("TextQASpan-v0", prompts=True)
    assert pointing.model.heads.policy == "pointer"
    assert TextNetwork.of("TextQASpan-v0").model.heads.policy == "lm"


def test_what_is_no_token_mdp_is_refused() -> None:
    with pytest.raises(ContractError, match="has no attribute 'action_tokens'"):
        TextNetwork.of(gymnasium.make("CartPole-v1"))
