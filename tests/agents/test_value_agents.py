"""Agents that act by learnt action values: their targets, and that they learn the one skill."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import one_skill  # noqa: F401  registers OneSkill-v0
import pytest
import torch
from torch import Tensor

from agents import TrainingDiverged, evaluate
from agents.action_values import (
    expected_values,
    legal_values,
    next_values,
)
from agents.batching import make_batch
from agents.environment import Contract
from agents.episodes import Episode, pack, unpack
from agents.epsilon_greedy import EpsilonGreedy, EpsilonGreedyConfig
from agents.errors import AgentError
from agents.exploration import EpsilonStrategy
from agents.q_learning import QLearning, QLearningConfig
from agents.sarsa import SARSA, SARSAConfig
from agents.state import weights
from agents.value_fitting import FittedValueAgent, FittedValueConfig, TargetsOf, regression

EASY = {"answers": 2, "noise": 1, "words": 4}
TASK = {"answers": 2, "noise": 3, "words": 6, "masked": True, "examples": 40}
SMALL: dict[str, Any] = {
    "steps": 48,
    "num_envs": 4,
    "minibatch_tokens": 256,
    "epochs": 1,
    "checkpoint_every": 2,
}
AGENTS: list[tuple[type[FittedValueAgent], FittedValueConfig]] = [
    (EpsilonGreedy, EpsilonGreedyConfig(**SMALL)),
    (EpsilonGreedy, EpsilonGreedyConfig(**SMALL, exploration="ucb", q_head="plain")),
    (SARSA, SARSAConfig(**SMALL, exploration="boltzmann")),
    (SARSA, SARSAConfig(**SMALL, expected=True)),
    (QLearning, QLearningConfig(**SMALL, twins=True)),
]
every_agent = pytest.mark.parametrize(
    ("algorithm", "config"), AGENTS, ids=["mc", "mc-ucb", "sarsa", "expected-sarsa", "q-twins"]
)


def same_weights(one: FittedValueAgent, other: FittedValueAgent) -> bool:
    theirs = weights(other.model)
    return all(torch.equal(tensor, theirs[name]) for name, tensor in weights(one.model).items())


def episodes_by_hand(seed: int = 0, n_actions: int = 6) -> list[Episode]:
    """Episodes of unequal length with rewards at every step; the second one was truncated."""
    rng = np.random.default_rng(seed)
    episodes = []
    for number, steps in enumerate((3, 1, 4)):
        actions_T = rng.integers(n_actions, size=steps)
        legal_TA = rng.random((steps, n_actions)) < 0.5
        legal_TA[np.arange(steps), actions_T] = True
        episodes.append(
            Episode(
                tokens_L=rng.integers(1, 9, size=2 + 2 * steps).astype(np.int32),
                positions_T=np.arange(3, 3 + 2 * steps, 2, dtype=np.int32),
                actions_T=actions_T.astype(np.int32),
                rewards_T=rng.normal(size=steps),
                log_probs_T=np.zeros(steps, np.float32),
                values_T=np.zeros(steps, np.float32),
                legal_TA8=pack(legal_TA),
                bootstrap=0.7 if number == 1 else 0.0,
                metrics={},
            )
        )
    return episodes


Floats = npt.NDArray[np.float64]
NextValue = Callable[[Episode, int, Floats], float]


def slow_targets(
    episodes: list[Episode], values_NA: Floats, gamma: float, next_value: NextValue
) -> list[float]:
    """One-step targets by a loop; `next_value` is given an episode, the next step, and its Q."""
    targets, n = [], 0
    for episode in episodes:
        for t in range(episode.steps):
            last = t == episode.steps - 1
            following = episode.bootstrap if last else next_value(episode, t + 1, values_NA[n + 1])
            targets.append(float(episode.rewards_T[t] + gamma * following))
            n += 1
    return targets


def legal_at(episode: Episode, t: int) -> npt.NDArray[np.bool_]:
    assert episode.legal_TA8 is not None
    return unpack(episode.legal_TA8, 6)[t]


def taken(episode: Episode, t: int, values_A: Floats) -> float:
    return float(values_A[episode.actions_T[t]])


def greatest(episode: Episode, t: int, values_A: Floats) -> float:
    return max(float(v) for v, legal in zip(values_A, legal_at(episode, t), strict=True) if legal)


def expected(episode: Episode, t: int, values_A: Floats) -> float:
    """Under epsilon 0.3."""
    legal = values_A[legal_at(episode, t)]
    return float(0.3 * legal.mean() + 0.7 * legal.max())


class Targets(Exception):
    """Carries what an update would have fitted to."""


def targets_in_update(
    agent: FittedValueAgent, episodes: list[Episode], values_NA: Tensor, order: list[int]
) -> Tensor:
    """The targets that an update computes for some of the episodes from these action values."""
    found: list[Tensor] = []

    def fit(given: Any, targets_of: TargetsOf, rng: Any) -> dict[str, float]:
        batch = make_batch([given[place] for place in order], 6, torch.device("cpu"))
        found.append(
            targets_of(legal_values(values_NA[None], batch.legal_NA), batch, np.array(order))
        )
        return {}

    agent.fit = fit  # type: ignore[method-assign]
    agent.update(episodes, np.random.default_rng(0))
    return found[0]


CONTRACT = Contract(action_tokens=(3, 4, 5, 6, 7, 8), pad_token_id=0, vocab_size=9, max_tokens=12)


@pytest.mark.parametrize(
    ("algorithm", "config", "next_value"),
    [
        (SARSA, SARSAConfig(gamma=0.8), taken),
        (SARSA, SARSAConfig(gamma=0.8, expected=True, epsilon_start=0.3), expected),
        (QLearning, QLearningConfig(gamma=0.8), greatest),
    ],
)
def test_one_step_targets_are_those_of_a_loop(
    algorithm: type[FittedValueAgent], config: FittedValueConfig, next_value: NextValue
) -> None:
    agent = algorithm(None, config, contract=CONTRACT)
    episodes, order = episodes_by_hand(), [2, 0, 1]
    chosen = [episodes[place] for place in order]
    values_NA = torch.randn(8, 6, generator=torch.Generator().manual_seed(1))
    got = targets_in_update(agent, episodes, values_NA, order)
    wanted = slow_targets(chosen, values_NA.double().numpy(), 0.8, next_value)
    assert got.tolist() == pytest.approx(wanted, abs=1e-5)


def test_monte_carlo_targets_are_the_returns() -> None:
    agent = EpsilonGreedy(None, EpsilonGreedyConfig(gamma=0.8), contract=CONTRACT)
    episodes, order = episodes_by_hand(), [2, 0, 1]
    got = targets_in_update(agent, episodes, torch.zeros(8, 6), order)
    wanted = []
    for episode in (episodes[place] for place in order):
        for t in range(episode.steps):
            rest = [*episode.rewards_T[t:], episode.bootstrap]
            wanted.append(sum(0.8**k * reward for k, reward in enumerate(rest)))
    assert got.tolist() == pytest.approx(wanted, abs=1e-5)


def test_the_next_value_of_a_last_state_is_the_bootstrap() -> None:
    rows_N = torch.tensor([0, 0, 1, 2, 2])
    got = next_values(torch.arange(5.0), rows_N, torch.tensor([10.0, 20.0, 30.0]))
    assert got.tolist() == [1, 10, 20, 4, 30]


def test_expected_values_leave_out_what_is_illegal() -> None:
    values_NA = torch.tensor([[1.0, -torch.inf, 3.0]])
    assert expected_values(values_NA, EpsilonStrategy(0.5)(values_NA)).tolist() == [2.5]


def test_twins_are_both_fitted_and_the_lower_one_is_acted_by() -> None:
    values_KNA = torch.tensor([[[1.0, 5.0]], [[2.0, 4.0]]], requires_grad=True)
    assert legal_values(values_KNA, torch.tensor([[True, False]])).tolist() == [[1, -np.inf]]
    loss, numbers = regression(values_KNA, torch.tensor([0]), torch.tensor([1.5]), huber_delta=1.0)
    assert loss.item() == pytest.approx(0.25)
    assert numbers["q/mean"] == 1.5
    loss.backward()
    assert values_KNA.grad is not None
    assert values_KNA.grad.tolist() == [[[-0.5, 0]], [[0.5, 0]]]


def test_large_errors_count_linearly() -> None:
    values_KNA = torch.tensor([[[0.0]]])
    losses = [
        float(regression(values_KNA, torch.tensor([0]), torch.tensor([3.0]), delta)[0])
        for delta in (1.0, 10.0)
    ]
    assert losses == [2.5, 4.5]


@every_agent
def test_same_seed_same_bytes(algorithm: type[FittedValueAgent], config: FittedValueConfig) -> None:
    agents = [
        algorithm("OneSkill-v0", config, seed=seed, env_kwargs=TASK).learn(100, progress_bar=False)
        for seed in (3, 3, 4)
    ]
    assert same_weights(agents[0], agents[1])
    assert not same_weights(agents[0], agents[2])


class Interrupted(Exception):
    pass


@every_agent
def test_a_resumed_run_is_the_uninterrupted_one(
    algorithm: type[FittedValueAgent], config: FittedValueConfig, tmp_path: Path
) -> None:
    whole = algorithm("OneSkill-v0", config, seed=1, env_kwargs=TASK)
    whole.learn(200, progress_bar=False)

    def interrupt(agent: FittedValueAgent) -> None:
        if agent.iteration == 3:
            raise Interrupted

    part = algorithm("OneSkill-v0", config, seed=1, env_kwargs=TASK)
    with pytest.raises(Interrupted):
        part.learn(200, progress_bar=False, callback=interrupt, run_dir=tmp_path)
    resumed = algorithm.load(tmp_path / "checkpoint")
    assert resumed.iteration == 2
    resumed.learn(progress_bar=False)
    assert resumed.num_timesteps == whole.num_timesteps
    assert same_weights(resumed, whole)
    for name, tensor in whole.progress_tensors().items():
        assert torch.equal(resumed.progress_tensors()[name], tensor)


def test_visits_are_counted_while_training_and_not_while_predicting() -> None:
    config = EpsilonGreedyConfig(**SMALL, exploration="ucb")
    agent = EpsilonGreedy("OneSkill-v0", config, env_kwargs=TASK)
    agent.learn(48, progress_bar=False)
    counts = agent.progress_tensors()["visits"][:, 2]
    assert counts.sum() >= agent.num_timesteps
    env = gymnasium.make("OneSkill-v0", **TASK)
    observation, info = env.reset(seed=0)
    agent.predict(observation, deterministic=False, action_masks=info["action_mask"])
    assert torch.equal(agent.progress_tensors()["visits"][:, 2], counts)


def test_the_training_explores_and_the_prediction_does_not() -> None:
    config = EpsilonGreedyConfig(**SMALL, epsilon_start=1.0, epsilon_schedule="constant")
    agent = EpsilonGreedy("OneSkill-v0", config, env_kwargs=TASK)
    collector = agent.new_collector()
    collector.restart(0)
    played = collector.collect(400, torch.Generator().manual_seed(0))
    for episode in played:
        assert episode.legal_TA8 is not None
        legal_TA = unpack(episode.legal_TA8, 6)
        assert legal_TA[np.arange(episode.steps), episode.actions_T].all()
        np.testing.assert_allclose(np.exp(episode.log_probs_T), 1 / legal_TA.sum(axis=1), rtol=1e-5)
    env = gymnasium.make("OneSkill-v0", **TASK)
    observation, info = env.reset(seed=0)
    masks = {"action_masks": info["action_mask"]}
    best = {int(agent.predict(observation, **masks)[0]) for _ in range(10)}
    drawn = {int(agent.predict(observation, deterministic=False, **masks)[0]) for _ in range(20)}
    assert len(best) == 1
    assert len(drawn) == int(info["action_mask"].sum())


def test_action_values_that_are_nan_stop_training(tmp_path: Path) -> None:
    agent = QLearning("OneSkill-v0", QLearningConfig(**SMALL), env_kwargs=TASK)
    assert agent.model.q_head is not None
    with torch.no_grad():
        next(iter(agent.model.q_head.parameters())).fill_(float("nan"))
    with pytest.raises(TrainingDiverged, match="not finite"):
        agent.learn(100, progress_bar=False, run_dir=tmp_path)


def test_expected_sarsa_does_not_go_with_visit_counts() -> None:
    with pytest.raises(AgentError, match="choose another exploration"):
        SARSAConfig(expected=True, exploration="ucb")
    assert dataclasses.asdict(SARSAConfig())["expected"] is False


@pytest.mark.parametrize(
    ("algorithm", "config"),
    [
        (EpsilonGreedy, EpsilonGreedyConfig),
        (SARSA, SARSAConfig),
        (SARSA, partial(SARSAConfig, expected=True)),
        (QLearning, QLearningConfig),
    ],
    ids=["mc", "sarsa", "expected-sarsa", "q"],
)
def test_it_learns_from_scratch(
    algorithm: type[FittedValueAgent], config: Callable[..., FittedValueConfig]
) -> None:
    settings = config(
        steps=256,
        learning_rate=1e-3,
        learning_rate_schedule="constant",
        minibatch_tokens=512,
        epochs=8,
        epsilon_start=0.5,
    )
    agent = algorithm("OneSkill-v0", settings, env_kwargs=EASY)
    start = evaluate(agent, "OneSkill-v0", **EASY).score
    agent.learn(1600, progress_bar=False)
    end = evaluate(agent, "OneSkill-v0", **EASY).score
    assert start.high < 0.8
    assert end.low > 0.9
