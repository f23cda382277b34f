"""Episodes that a time limit cuts: what they keep of their end, and what is learnt from it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import one_skill
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from agents import A2C, DQN, PPO, A2CConfig, DQNConfig, EpsilonGreedy, PPOConfig
from agents.agent import LanguageAgent
from agents.batching import Batch, final_states, make_batch, read
from agents.episodes import Cut, Episode, episodes_to_tensors, pack, tensors_to_episodes
from agents.errors import RecordingError
from agents.recorded import load_episodes, save_episodes
from agents.rollout import Collector

LIMIT = 2


def limited(slots: int = 2, **options: Any) -> SyncVectorEnv:
    """Three words are asked for, and two can be said."""

    def single() -> gymnasium.Env[Any, Any]:
        env = one_skill.OneSkillEnv(answers=3, masked=True, **options)
        return gymnasium.wrappers.TimeLimit(env, LIMIT)

    return SyncVectorEnv([single] * slots, autoreset_mode=AutoresetMode.SAME_STEP)


def collect(agent: LanguageAgent, steps: int = 12) -> list[Episode]:
    collector: Collector = agent.new_collector()
    collector.restart(seed=0)
    return collector.collect(steps, torch.Generator().manual_seed(0))


def final_state(agent: LanguageAgent, episode: Episode) -> Batch:
    found = final_states([episode], agent.contract.n_actions, agent.device)
    assert found is not None
    return found[1]


def test_the_state_in_which_an_episode_is_cut_is_kept() -> None:
    agent = PPO(limited(), PPOConfig(num_envs=2))
    for episode in collect(agent):
        assert episode.steps == LIMIT
        assert episode.cut is not None
        last = agent.contract.action_tokens[episode.actions_T[-1]]
        expected = [*episode.tokens_L, last, one_skill.COMMA]
        assert episode.cut.tokens_L.tolist() == expected
        assert episode.legal_TA8 is not None
        np.testing.assert_array_equal(episode.cut.legal_A8, episode.legal_TA8[0])
    ending = PPO("OneSkill-v0", PPOConfig(num_envs=2))
    assert all(episode.cut is None for episode in collect(ending))


def test_values_that_are_shifted_are_so_behind_a_cut_as_well() -> None:
    agent = A2C(limited(), A2CConfig(num_envs=2))
    episodes = collect(agent)
    ended = dataclasses.replace(episodes[0], cut=None, bootstrap=0.0)
    given = [dataclasses.replace(e, rewards_T=e.rewards_T + 1.0) for e in [*episodes, ended]]
    learnt = agent.as_learnt_from(given)
    shift = learnt[0].values_T[0] - given[0].values_T[0]
    assert shift > 0.5
    for now, before in zip(learnt[:-1], given, strict=False):
        assert now.bootstrap - before.bootstrap == pytest.approx(shift, abs=1e-5)
        final = final_state(agent, now)
        with torch.no_grad():
            value = float(agent.model.values(read(agent.model, final)))
        assert now.bootstrap == pytest.approx(value, abs=1e-5)
    assert learnt[-1].bootstrap == 0.0


@pytest.mark.parametrize("double", [False, True])
def test_dqn_asks_the_target_network_what_a_cut_state_is_worth(double: bool) -> None:
    agent = DQN(limited(), DQNConfig(num_envs=2, gamma=0.9, n_step=1, double=double))
    episodes = collect(agent)
    with torch.no_grad():
        for weight in agent.target.q_head.parameters():  # type: ignore[union-attr]
            weight += 0.5 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    batch = make_batch(episodes, agent.contract.n_actions, agent.device)
    with torch.no_grad():
        online = agent.model.q_values(read(agent.model, batch), batch.legal_NA)
    targets = agent._targets(online, batch, episodes)
    for episode, target in zip(episodes, targets[LIMIT - 1 :: LIMIT], strict=True):
        assert episode.cut is not None
        tokens_1L = torch.from_numpy(episode.cut.tokens_L.astype(np.int64))[None]
        length = tokens_1L.shape[1]
        first, prompt = torch.zeros(1, dtype=torch.long), int(episode.positions_T[0]) + 1
        legal_1A = torch.from_numpy(
            np.unpackbits(episode.cut.legal_A8, count=agent.contract.n_actions).astype(bool)
        )[None]
        with torch.no_grad():
            theirs, ours = (
                model.q_values(
                    model.read(tokens_1L, torch.tensor([prompt]), first, first + length - 1),
                    legal_1A,
                )[0, 0]
                for model in (agent.target, agent.model)
            )
        judge = ours if double else theirs
        best = int(judge.masked_fill(~legal_1A[0], -torch.inf).argmax())
        expected = episode.rewards_T[-1] + 0.9 * float(theirs[best])
        assert float(target) == pytest.approx(expected, abs=1e-5)


def test_fitted_values_begin_behind_cuts_as_well() -> None:
    agent = EpsilonGreedy(limited())
    episodes = [dataclasses.replace(e, rewards_T=e.rewards_T + 1.0) for e in collect(agent)]
    learnt = agent.as_learnt_from(episodes)
    for episode in learnt:
        final = final_state(agent, episode)
        with torch.no_grad():
            values = agent.model.q_values(read(agent.model, final), final.legal_NA)[0, 0]
        legal = final.legal_NA[0]  # type: ignore[index]
        assert episode.bootstrap == pytest.approx(float(values[legal].max()), abs=1e-5)
        assert episode.bootstrap > 0.5


@pytest.mark.parametrize("masked", [False, True])
def test_cuts_come_back_from_tensors_and_files(masked: bool, tmp_path: Path) -> None:
    agent = PPO(limited(), PPOConfig(num_envs=2))
    episodes = collect(agent)
    if not masked:
        episodes = [
            dataclasses.replace(e, legal_TA8=None, cut=Cut(e.cut.tokens_L, None))  # type: ignore[union-attr]
            for e in episodes
        ]
    episodes[1] = dataclasses.replace(episodes[1], cut=None, bootstrap=0.0)
    save_episodes(tmp_path / "cut", episodes, agent.contract)
    for back in (
        tensors_to_episodes(episodes_to_tensors(episodes)),
        load_episodes(tmp_path / "cut", agent.contract),
    ):
        for one, other in zip(back, episodes, strict=True):
            assert (one.cut is None) == (other.cut is None)
            if one.cut is not None and other.cut is not None:
                np.testing.assert_array_equal(one.cut.tokens_L, other.cut.tokens_L)
                assert one.cut.tokens_L.dtype == np.int32
                np.testing.assert_array_equal(one.cut.legal_A8, other.cut.legal_A8)


@pytest.mark.parametrize(
    ("tokens", "legal", "message"),
    [
        ([3], None, "the state in which it was cut has 1 tokens"),
        ([7] * 12, None, "does not follow on the others"),
        (None, [True] * 30, "the mask where it was cut has 32 bits"),
    ],
)
def test_a_cut_that_does_not_fit_is_refused(
    tokens: list[int] | None, legal: list[bool] | None, message: str, tmp_path: Path
) -> None:
    agent = PPO(limited(), PPOConfig(num_envs=2))
    episode = collect(agent)[0]
    assert episode.cut is not None
    tokens_L = episode.cut.tokens_L if tokens is None else np.array(tokens, np.int32)
    legal_A8 = None if legal is None else pack(np.array(legal))
    damaged = dataclasses.replace(episode, cut=Cut(tokens_L, legal_A8))
    with pytest.raises(RecordingError, match=message):
        save_episodes(tmp_path / "cut", [damaged], agent.contract)


@pytest.mark.parametrize("agent_type", [PPO, DQN])
def test_agents_learn_where_a_time_limit_cuts(agent_type: Any, tmp_path: Path) -> None:
    """And a run of whole episodes is resumed exactly, cuts in the replay and all."""
    options = {"num_envs": 2, "steps": 16, "checkpoint_every": 1}
    if agent_type is DQN:
        options |= {"learning_starts": 16}
    config = agent_type.config_type(**options)
    agent = agent_type(limited(), config)
    agent.learn(64, progress_bar=False, run_dir=tmp_path)
    resumed = agent_type.load(tmp_path / "checkpoint", env=limited())
    for each in (agent, resumed):
        each.learn(32, progress_bar=False)
    theirs = dict(resumed.model.named_parameters())
    for name, weight in agent.model.named_parameters():
        assert torch.equal(weight, theirs[name])
