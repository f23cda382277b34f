"""The reference stays what the policy was, and costs a copy of what trains only."""

from __future__ import annotations

import math

import numpy as np
import one_skill  # noqa: F401  registers its id
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agents import PPO, PPOConfig
from agents.batching import Batch, evaluate_with_policy, make_batch
from agents.environment import Contract
from agents.episodes import Episode
from agents.models.adapters import adapters_off
from agents.models.building import build_model
from agents.models.distribution import masked_log_softmax
from agents.models.model import AgentModel, Heads
from agents.models.model_config import Adapter, ModelConfig
from agents.reference import ReferencePolicy, adapted_coefficient, kl_divergence

OPTIONS = {"answers": 3, "fewest": 1, "masked": True}
CONFIG = PPOConfig(steps=48, num_envs=4, minibatch_tokens=256)


def make_agent(config: ModelConfig | None = None) -> PPO:
    return PPO("OneSkill-v0", CONFIG, model=config or ModelConfig(), env_kwargs=OPTIONS)


def collect(agent: PPO, steps: int = 40) -> list[Episode]:
    collector = agent.new_collector()
    collector.restart(0)
    return collector.collect(steps, torch.Generator().manual_seed(0))


def batch_of(agent: PPO, episodes: list[Episode]) -> Batch:
    return make_batch(episodes, agent.contract.n_actions, agent.device)


def policy(model: AgentModel, batch: Batch) -> torch.Tensor:
    with torch.no_grad():
        return evaluate_with_policy(model, batch)[1]


def adapter_weights(model: AgentModel) -> set[str]:
    return {name for name, weight in model.backbone.named_parameters() if weight.requires_grad}


@pytest.mark.parametrize("adapter", ["none", "lora", "prefix"])
def test_the_reference_stays_while_the_policy_learns(adapter: Adapter) -> None:
    agent = make_agent(ModelConfig(adapter=adapter))
    batch = batch_of(agent, collect(agent))
    start = policy(agent.model, batch)
    reference = ReferencePolicy(agent.model)
    torch.testing.assert_close(reference.log_probs(batch), start)
    agent.learn(100, progress_bar=False)
    learnt = policy(agent.model, batch)
    assert not torch.allclose(learnt, start, atol=1e-4)
    torch.testing.assert_close(reference.log_probs(batch), start)
    assert torch.equal(policy(agent.model, batch), learnt)


def test_a_fresh_adapter_is_switched_off_and_nothing_is_copied() -> None:
    agent = make_agent(ModelConfig(adapter="lora"))
    reference = ReferencePolicy(agent.model)
    assert reference.adapter_off
    assert reference.weights == {}
    agent.learn(50, progress_bar=False)
    batch = batch_of(agent, collect(agent))
    with adapters_off(agent.model):
        assert torch.equal(policy(agent.model, batch), reference.log_probs(batch))


def test_of_a_trained_adapter_the_adapter_is_copied() -> None:
    agent = make_agent(ModelConfig(adapter="lora"))
    agent.learn(50, progress_bar=False)
    batch = batch_of(agent, collect(agent))
    start = policy(agent.model, batch)
    reference = ReferencePolicy(agent.model)
    assert not reference.adapter_off
    assert reference.weights.keys() == {f"backbone.{name}" for name in adapter_weights(agent.model)}
    agent.learn(50, progress_bar=False)
    torch.testing.assert_close(reference.log_probs(batch), start)


def test_frozen_layers_are_shared() -> None:
    agent = make_agent(ModelConfig(frozen_layers=1))
    own = ReferencePolicy(agent.model).weights
    shared = dict(agent.model.named_parameters()).keys() - own.keys()
    assert any(".layers.1." in name for name in own)
    assert not any(".layers.0." in name for name in own)
    assert any("value_head" in name for name in shared)


def test_beside_an_adapter_that_is_off_a_pointer_is_copied() -> None:
    contract = Contract(
        action_tokens=(1, 2, 3),
        pad_token_id=0,
        vocab_size=8,
        max_tokens=16,
        action_positions=(0, 1, 2),
    )
    model = build_model(ModelConfig(adapter="lora"), contract, 0, Heads(policy="pointer"))
    reference = ReferencePolicy(model)
    assert reference.adapter_off
    assert reference.weights.keys() == {
        f"policy.{name}" for name, _ in model.policy.named_parameters()
    }


def test_a_reference_is_made_again_of_its_own_weights() -> None:
    agent = make_agent()
    batch = batch_of(agent, collect(agent))
    reference = ReferencePolicy(agent.model)
    agent.learn(50, progress_bar=False)
    again = ReferencePolicy(agent.model, reference.weights, reference.adapter_off)
    assert torch.equal(again.log_probs(batch), reference.log_probs(batch))
    with pytest.raises(ValueError, match=r"the model trains no \['backbone.stranger'\]"):
        ReferencePolicy(agent.model, {"backbone.stranger": torch.zeros(1)})


@pytest.mark.parametrize("max_tokens", [1, 40, 10_000])
def test_actions_keep_their_places(max_tokens: int) -> None:
    agent = make_agent()
    episodes = collect(agent)
    found = ReferencePolicy(agent.model).of_actions(episodes, agent.contract.n_actions, max_tokens)
    assert len({episode.steps for episode in episodes}) > 1
    for episode, log_probs_T in zip(episodes, found, strict=True):
        np.testing.assert_allclose(log_probs_T, episode.log_probs_T, atol=2e-5)


@given(seed=st.integers(0, 2**32 - 1))
def test_the_divergence_is_torchs_and_zero_only_between_equals(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    legal_NA = torch.rand(4, 6, generator=generator) < 0.6
    legal_NA[:, 0] = True
    logits = 3 * torch.randn(2, 4, 6, generator=generator)
    mine, theirs = (masked_log_softmax(part, legal_NA) for part in logits)
    divergence_N = kl_divergence(mine, theirs)
    for row, legal_A in enumerate(legal_NA):
        distributions = [
            torch.distributions.Categorical(logits=part[row, legal_A]) for part in (mine, theirs)
        ]
        oracle = torch.distributions.kl_divergence(*distributions)
        torch.testing.assert_close(divergence_N[row], oracle, atol=1e-5, rtol=1e-5)
    assert torch.equal(kl_divergence(mine, mine), torch.zeros(4))


def test_the_divergence_has_a_gradient_beside_illegal_actions() -> None:
    logits_NA = torch.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    legal_NA = torch.tensor([[True, True, False]])
    reference_NA = masked_log_softmax(torch.zeros(1, 3), legal_NA)
    kl_divergence(masked_log_softmax(logits_NA, legal_NA), reference_NA).sum().backward()
    assert logits_NA.grad is not None
    assert logits_NA.grad.isfinite().all()
    assert logits_NA.grad[0, 2] == 0.0
    assert logits_NA.grad[0, 1] > 0.0


@given(
    beta=st.floats(1e-3, 10),
    kl=st.floats(-0.1, 10),
    target=st.floats(1e-3, 10),
    actions=st.integers(1, 100_000),
)
def test_the_coefficient_follows_zieglers_controller(
    beta: float, kl: float, target: float, actions: int
) -> None:
    error = float(np.clip((kl - target) / target, -0.2, 0.2))
    adapted = adapted_coefficient(beta, kl, target, actions, horizon=10_000)
    assert math.isclose(adapted, beta * (1 + error * min(actions / 10_000, 1)), rel_tol=1e-9)
    assert (adapted > beta) == (error > 0) or math.isclose(adapted, beta)
