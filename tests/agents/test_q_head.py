"""How action values follow from scores, and where they begin."""

from __future__ import annotations

import numpy as np
import one_skill  # noqa: F401  registers OneSkill-v0
import pytest
import torch

from agents import BCConfig, BehaviourCloning
from agents.action_values import (
    NARROWEST,
    legal_values,
    narrowing,
    taken_values,
)
from agents.batching import make_batch, read
from agents.models.heads import QForm
from agents.q_learning import QLearning, QLearningConfig

TASK = {"answers": 2, "noise": 3, "words": 6, "masked": True, "examples": 40}


def test_action_values_begin_in_the_order_of_the_policy_that_was_cloned() -> None:
    clone = BehaviourCloning("OneSkill-v0", BCConfig(epochs=1), env_kwargs=TASK)
    clone.learn(progress_bar=False)
    played = clone.demonstrations()[:10]
    batch = make_batch(played, 6, clone.device)
    forms = ({}, {"q_head": "dueling"}, {"q_head": "plain", "twins": True})
    for config in (QLearningConfig(**form) for form in forms):
        agent = QLearning("OneSkill-v0", config, clone.model, env_kwargs=TASK)
        states = read(agent.model, batch)
        best_N = legal_values(agent.model.logits(states)[None], batch.legal_NA).argmax(dim=-1)
        for values_NA in agent.model.q_values(states, batch.legal_NA):
            order_NA = legal_values(values_NA[None], batch.legal_NA).argmax(dim=-1)
            assert torch.equal(order_NA, best_N)


def test_softmax_values_are_probabilities_at_first() -> None:
    agent = QLearning("OneSkill-v0", QLearningConfig(), env_kwargs=TASK)
    collector = agent.new_collector()
    collector.restart(0)
    batch = make_batch(collector.collect(20, torch.Generator().manual_seed(0)), 6, agent.device)
    assert batch.legal_NA is not None
    states = read(agent.model, batch)
    weights_NA = agent.model.logits(states).exp() * batch.legal_NA
    values_NA = agent.model.q_values(states, batch.legal_NA)[0]
    assert torch.allclose(values_NA, weights_NA / weights_NA.sum(dim=1, keepdim=True), atol=1e-6)


def test_action_values_begin_right_on_average() -> None:
    for config in (QLearningConfig(twins=True), QLearningConfig(q_head="plain")):
        agent = QLearning("OneSkill-v0", config, env_kwargs=TASK)
        assert agent.model.q_head is not None
        collector = agent.new_collector()
        collector.restart(0)
        episodes = collector.collect(100, torch.Generator().manual_seed(0))
        returns = [value for e in episodes for value in [e.episode_return] * e.steps]
        agent.begin_at_the_returns(episodes)
        batch = make_batch(episodes, 6, agent.device)
        values_KNA = agent.model.q_values(read(agent.model, batch), batch.legal_NA)
        for mean in taken_values(values_KNA, batch.actions_N).mean(dim=1).tolist():
            assert mean == pytest.approx(np.mean(returns), abs=1e-5)


@pytest.mark.parametrize("form", ["softmax", "dueling"])
def test_action_values_begin_as_far_apart_as_the_returns(form: QForm) -> None:
    """Of a clone whose values lie too far apart; their order stays."""
    clone = BehaviourCloning("OneSkill-v0", BCConfig(epochs=6), env_kwargs=TASK)
    clone.learn(progress_bar=False)
    config = QLearningConfig(epsilon_start=0.5, epsilon_end=0.5, num_envs=8, q_head=form)
    agent = QLearning("OneSkill-v0", config, clone.model, env_kwargs=TASK)
    assert agent.model.q_head is not None
    with torch.no_grad():
        agent.model.q_head.scale.fill_(2.0)
    collector = agent.new_collector()
    collector.restart(0)
    played = collector.collect(2000, torch.Generator().manual_seed(0))
    batch = make_batch(played, 6, agent.device)
    returns_N = np.array([e.episode_return for e in played for _ in range(e.steps)])

    @torch.inference_mode()
    def slope() -> float:
        values_KNA = agent.model.q_values(read(agent.model, batch), batch.legal_NA)
        values_N = taken_values(values_KNA, batch.actions_N)[0]
        return float(np.polyfit(values_N.numpy(), returns_N, 1)[0])

    assert 0.1 < slope() < 0.9
    agent.begin_at_the_returns(played)
    assert slope() == pytest.approx(1.0, rel=1e-3)
    states = read(agent.model, batch)
    best_N = legal_values(agent.model.logits(states)[None], batch.legal_NA).argmax(dim=-1)
    values_NA = legal_values(agent.model.q_values(states, batch.legal_NA), batch.legal_NA)
    assert torch.equal(values_NA.argmax(dim=-1), best_N)


def test_narrowing_needs_evidence() -> None:
    values_N = torch.tensor([0.0, 2.0] * 50)
    noise_N = torch.tensor([1.0, -1.0, -1.0, 1.0] * 25)
    assert narrowing(values_N / 4 + noise_N / 100, values_N) == pytest.approx(0.25)
    assert narrowing(values_N / 40 + noise_N / 100, values_N) == NARROWEST
    assert narrowing(3 * values_N, values_N) == 1.0
    assert narrowing(values_N / 40 + noise_N, values_N) == 1.0
    assert narrowing(noise_N, torch.ones(100)) == 1.0
