"""Imitating demonstrations beside learning from rewards."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import gymnasium
import numpy as np
import one_skill  # noqa: F401  registers its id
import pytest
import torch
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import PPO, AgentError, PPOConfig, ReferenceAgent
from agents.agent import LanguageAgent
from agents.batching import make_batch
from agents.environment import make_env, read_contract
from agents.imitation import Imitation, cloning_loss, margin_loss, play_expert
from agents.models.model import Heads
from agents.recorded import record
from agents.reinforce import REINFORCE, REINFORCEConfig
from agents.state import weights

TASK = {"answers": 2, "noise": 3, "words": 10, "examples": 400, "masked": True}
QUICK = REINFORCEConfig(
    steps=64, num_envs=4, minibatch_tokens=256, checkpoint_every=2, imitation_episodes=30
)
WEIGHTED = dataclasses.replace(QUICK, imitation_weight=0.5)


def same_weights(one: LanguageAgent, other: LanguageAgent) -> bool:
    theirs = weights(other.model)
    return all(torch.equal(tensor, theirs[name]) for name, tensor in weights(one.model).items())


def test_the_expert_plays_different_examples_to_their_maximum() -> None:
    env = make_env("OneSkill-v0", 8, AutoresetMode.DISABLED, **TASK)
    episodes = play_expert(env, read_contract(env), 50, seed=3)
    assert [episode.episode_return for episode in episodes] == [1] * 50
    again = play_expert(env, read_contract(env), 50, seed=3)
    assert all(np.array_equal(a.tokens_L, b.tokens_L) for a, b in zip(episodes, again, strict=True))
    assert len(play_expert(env, read_contract(env), 1000, seed=3)) == 400


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), heads=st.integers(1, 2), masked=st.booleans())
def test_the_margin_loss_is_its_definition(seed: int, heads: int, masked: bool) -> None:
    rng = np.random.default_rng(seed)
    values_KNA = rng.normal(size=(heads, 4, 5)) * 0.2
    actions_N = rng.integers(5, size=4)
    legal_NA = np.ones((4, 5), bool)
    if masked:
        legal_NA = rng.random((4, 5)) < 0.5
        legal_NA[np.arange(4), actions_N] = True
    losses_N = margin_loss(
        torch.from_numpy(values_KNA),
        torch.from_numpy(actions_N),
        torch.from_numpy(legal_NA) if masked else None,
        margin=0.3,
    )
    for n, taken in enumerate(actions_N):
        expected = 0.0
        for k in range(heads):
            raised = [values_KNA[k, n, a] + 0.3 * (a != taken) for a in range(5) if legal_NA[n, a]]
            expected += max(raised) - values_KNA[k, n, taken]
        assert float(losses_N[n]) == pytest.approx(expected)


def test_an_action_ahead_by_the_margin_has_no_gradient() -> None:
    values_KNA = torch.tensor([[[0.5, 0.1, 0.0], [0.5, 0.45, 0.0]]], requires_grad=True)
    margin_loss(values_KNA, torch.tensor([0, 0]), None, margin=0.1).sum().backward()
    assert values_KNA.grad is not None
    assert values_KNA.grad[0].tolist() == [[0, 0, 0], [-1, 1, 0]]


def test_every_demonstration_is_shown_before_any_again() -> None:
    agent = REINFORCE("OneSkill-v0", QUICK, env_kwargs=TASK)
    env = make_env("OneSkill-v0", 8, AutoresetMode.DISABLED, **TASK)
    imitation = Imitation(play_expert(env, agent.contract, 30, 0), agent.model, False, 1.0)
    shown = imitation.minibatches(60, np.random.default_rng(0))
    for _ in range(2):
        seen: list[int] = []
        while len(seen) < 30:
            seen += next(shown).places.tolist()
        assert sorted(seen) == list(range(30))


def gradients(agent: LanguageAgent) -> dict[str, torch.Tensor]:
    return {
        name: torch.zeros_like(p) if p.grad is None else p.grad.clone()
        for name, p in agent.model.named_parameters()
    }


def test_the_gradient_is_the_algorithms_plus_the_weighted_cloning_gradient() -> None:
    """One update of one minibatch, its step left out."""
    found = []
    for config in (QUICK, WEIGHTED):
        config = dataclasses.replace(config, minibatch_tokens=100_000)
        agent = REINFORCE("OneSkill-v0", config, env_kwargs=TASK)
        agent.descent.step = lambda *arguments: 0.0  # type: ignore[method-assign]
        agent.learn(64, progress_bar=False)
        found.append(gradients(agent))
    agent.descent.optimizer.zero_grad()
    assert agent._imitation is not None
    batch = make_batch(agent._imitation.episodes, agent.contract.n_actions, agent.device)
    cloning_loss(agent.model, batch).mean().backward()
    for name, gradient in gradients(agent).items():
        torch.testing.assert_close(
            found[1][name], found[0][name] + 0.5 * gradient, atol=1e-6, rtol=1e-4
        )


def test_a_value_agent_imitates_by_margins() -> None:
    class WithActionValues(REINFORCE):
        def heads(self, contract: object) -> Heads:
            return Heads(q="plain")

    agent = WithActionValues("OneSkill-v0", WEIGHTED, env_kwargs=TASK)
    agent.learn(64, progress_bar=False)
    assert agent._imitation is not None
    assert agent._imitation.by_values
    assert agent.model.q_head is not None
    moved = [p.grad is not None and bool(p.grad.any()) for p in agent.model.q_head.parameters()]
    assert any(moved)


@pytest.mark.parametrize(
    ("algorithm", "config"),
    [
        (REINFORCE, WEIGHTED),
        (PPO, PPOConfig(steps=64, num_envs=4, imitation_weight=1.0, imitation_episodes=30)),
    ],
)
def test_imitation_is_logged(algorithm: type[LanguageAgent], config: object) -> None:
    agent = algorithm("OneSkill-v0", config, env_kwargs=TASK)
    numbers = agent.learn(64, progress_bar=False).iterate()  # type: ignore[attr-defined]
    assert numbers["imitation/loss"] > 0


class Interrupted(Exception):
    pass


def test_a_resumed_run_with_imitation_is_the_uninterrupted_one(tmp_path: Path) -> None:
    def agent() -> REINFORCE:
        return REINFORCE("OneSkill-v0", WEIGHTED, seed=1, env_kwargs=TASK)

    def interrupt(agent: REINFORCE) -> None:
        if agent.iteration == 3:
            raise Interrupted

    whole = agent().learn(400, progress_bar=False)
    with pytest.raises(Interrupted):
        agent().learn(400, progress_bar=False, callback=interrupt, run_dir=tmp_path)
    resumed = REINFORCE.load(tmp_path / "checkpoint").learn(progress_bar=False)
    assert resumed.num_timesteps == whole.num_timesteps
    assert same_weights(resumed, whole)
    plain = REINFORCE("OneSkill-v0", QUICK, seed=1, env_kwargs=TASK)
    assert not same_weights(plain.learn(400, progress_bar=False), whole)


def test_an_agent_of_an_environment_object_needs_recorded_episodes(tmp_path: Path) -> None:
    env = gymnasium.make("OneSkill-v0", **TASK)
    with pytest.raises(AgentError, match=r"give the agent the environment's id .* or name a file"):
        REINFORCE(env, WEIGHTED).learn(64, progress_bar=False)
    path = tmp_path / "expert"
    record(ReferenceAgent(), "OneSkill-v0", path, episodes=20, **TASK)
    config = dataclasses.replace(WEIGHTED, imitation_recorded=str(path))
    agent = REINFORCE(env, config).learn(64, progress_bar=False)
    assert agent._imitation is not None
    assert len(agent._imitation.episodes) == 20


@pytest.mark.parametrize("options", [{"imitation_weight": -1.0}, {"imitation_episodes": 0}])
def test_impossible_settings_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(AgentError, match="expected"):
        REINFORCEConfig(**options)
