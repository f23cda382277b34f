"""What a collection holds is what happened."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import one_skill
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from agents import PPO, PPOConfig
from agents.batching import evaluate, make_batch, minibatches
from agents.environment import make_env, prefix_lengths, read_contract
from agents.episodes import Episode, StepLog, total_steps, unpack
from agents.ppo import advantages_and_returns, make_targets, ppo_loss
from agents.rollout import Choose, play_examples

OPTIONS = {"answers": 3, "masked": True, "appends": 2}


def collect(agent: PPO, steps: int, finish: bool = False, seed: int = 0) -> list[Episode]:
    collector = agent.new_collector()
    collector.restart(seed)
    return collector.collect(steps, torch.Generator().manual_seed(seed), finish)


def small_agent(**env_kwargs: object) -> PPO:
    return PPO("OneSkill-v0", PPOConfig(num_envs=4), env_kwargs=OPTIONS | env_kwargs)


def test_episodes_replay_to_the_same_rewards_in_the_environment() -> None:
    agent = small_agent(fewest=1)
    episodes = collect(agent, 60)
    assert total_steps(episodes) >= 60
    for episode in episodes:
        env = one_skill.OneSkillEnv(**OPTIONS, fewest=1)
        prompts = (env.reset(options={"index": i})[0] for i in range(env.num_examples))
        start = int(episode.positions_T[0]) + 1
        index = next(
            i
            for i, prompt in enumerate(prompts)
            if prompt[:start].tolist() == episode.tokens_L[:start].tolist() and prompt[start] == 0
        )
        observation, info = env.reset(options={"index": index})
        assert episode.legal_TA8 is not None
        legal_TA = unpack(episode.legal_TA8, env.action_space.n)
        for t, action in enumerate(episode.actions_T):
            length = int(prefix_lengths(observation[None], 0)[0])
            assert episode.positions_T[t] == length - 1
            assert episode.tokens_L[:length].tolist() == observation[:length].tolist()
            assert legal_TA[t].tolist() == info["action_mask"].astype(bool).tolist()
            assert legal_TA[t, action]
            observation, reward, done, _, info = env.step(action)
            assert reward == episode.rewards_T[t]
        assert done
        assert episode.metrics == info["metrics"]


@pytest.mark.parametrize("options", [OPTIONS, {"answers": 2}])
def test_the_ratio_is_1_before_the_first_step(options: dict[str, object]) -> None:
    agent = PPO("OneSkill-v0", PPOConfig(num_envs=4), env_kwargs=options)
    episodes = collect(agent, 80)
    batch = make_batch(episodes, agent.contract.n_actions, agent.device)
    with torch.inference_mode():
        new = evaluate(agent.model, batch)
    advantages, returns = advantages_and_returns(episodes, agent.config)
    targets = make_targets(episodes, advantages, returns, agent.device)
    ratios_N = (new.log_probs - targets.old_log_probs).exp()
    torch.testing.assert_close(ratios_N, torch.ones_like(ratios_N), atol=1e-5, rtol=0)
    torch.testing.assert_close(new.values, targets.old_values, atol=1e-5, rtol=0)
    _, numbers = ppo_loss(new, targets, agent.config)
    assert numbers["policy/kl"] == pytest.approx(0, abs=1e-7)
    assert numbers["policy/clip_fraction"] == 0


def test_running_episodes_carry_on_and_none_is_lost() -> None:
    agent = small_agent(fewest=1)
    collector = agent.new_collector()
    collector.restart(0)
    generator = torch.Generator().manual_seed(0)
    pieces = [e for _ in range(6) for e in collector.collect(10, generator)]
    collector.restart(0)
    whole = collector.collect(total_steps(pieces), torch.Generator().manual_seed(0))
    assert [e.tokens_L.tolist() for e in pieces] == [e.tokens_L.tolist() for e in whole]
    assert [e.actions_T.tolist() for e in pieces] == [e.actions_T.tolist() for e in whole]


def test_finishing_adds_the_episodes_that_were_running() -> None:
    agent = small_agent(fewest=1)
    collector = agent.new_collector()
    collector.restart(0)
    cut = collector.collect(14, torch.Generator().manual_seed(0))
    running = int(collector._log.running_S.sum())
    finished = collect(agent, 14, finish=True)
    assert 0 < running == len(finished) - len(cut)
    assert [e.actions_T.tolist() for e in finished[: len(cut)]] == [
        e.actions_T.tolist() for e in cut
    ]


class ConstantValue(torch.nn.Module):
    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return torch.full((*hidden.shape[:-1], 1), 0.75)


class Nested(gymnasium.Env):
    """Prompts of 1 to 6 tokens, each of which begins with the one before; a step an episode."""

    observation_space = gymnasium.spaces.Box(0, 9, (7,), np.int32)
    action_space = gymnasium.spaces.Discrete(3)
    action_tokens = np.array([1, 2, 3])
    pad_token_id = 0
    episodes = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.length = 1 + self.episodes % 6
        self.episodes += 1
        return self._observation(self.length), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        return self._observation(self.length + 1), 0.0, True, False, {}

    def _observation(self, length: int) -> np.ndarray:
        return np.where(np.arange(7) < length, np.arange(3, 10), 0).astype(np.int32)


@pytest.mark.parametrize("model", ["encoder", "encoder-decoder"])
def test_a_prompt_is_one_whatever_was_read_before(model: str) -> None:
    agent = PPO(Nested(), PPOConfig(num_envs=1), model)
    episodes = collect(agent, 12)
    with torch.inference_mode():
        new = evaluate(agent.model, make_batch(episodes, agent.contract.n_actions, agent.device))
    old_log_probs = torch.from_numpy(np.concatenate([e.log_probs_T for e in episodes]))
    torch.testing.assert_close(new.log_probs, old_log_probs, atol=1e-5, rtol=0)


def test_truncation_bootstraps_and_termination_does_not() -> None:
    def limited() -> gymnasium.Env:
        return gymnasium.wrappers.TimeLimit(one_skill.OneSkillEnv(answers=3), 2)

    env = SyncVectorEnv([limited] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    agent = PPO(env, PPOConfig(num_envs=2))
    agent.model.value_head = ConstantValue()
    truncated = collect(agent, 8)
    assert [e.bootstrap for e in truncated] == [0.75] * len(truncated)
    assert {e.steps for e in truncated} == {2}
    agent = small_agent()
    agent.model.value_head = ConstantValue()
    assert {e.bootstrap for e in collect(agent, 20)} == {0.0}


class MaskedUntilTheEnd(one_skill.OneSkillEnv):
    """Tells what is legal but where nothing is left to do."""

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = super().step(action)
        if terminated:
            del info["action_mask"]
        return observation, reward, terminated, truncated, info


def test_masks_come_back_after_an_end_without_one() -> None:
    env = make_env(MaskedUntilTheEnd(masked=True), 1, AutoresetMode.DISABLED)
    seen: list[Any] = []

    def choose(now: Choose) -> np.ndarray:
        seen.append(now.legal_SA)
        assert now.legal_SA is not None
        return now.legal_SA.argmax(axis=1)

    played = play_examples(env, read_contract(env), np.arange(4), choose)
    assert [each.episode.episode_return for each in played] == [1.0] * 4
    assert len(seen) == 4


@pytest.mark.parametrize("num_envs", [1, 3, 8])
def test_each_example_is_played_once_in_its_place(num_envs: int) -> None:
    env = make_env("OneSkill-v0", num_envs, AutoresetMode.DISABLED, **OPTIONS)
    examples = np.array([5, 0, 7, 3, 11])
    played = play_examples(env, read_contract(env), examples, first_legal)
    for example, each in zip(examples, played, strict=True):
        prompt, _ = one_skill.OneSkillEnv(**OPTIONS).reset(options={"index": int(example)})
        length = int(prefix_lengths(prompt[None], 0)[0])
        assert each.episode.tokens_L[:length].tolist() == prompt[:length].tolist()
        assert each.text
        assert set(each.episode.metrics) == {"share"}


def first_legal(now: Choose) -> np.ndarray:
    assert now.legal_SA is not None
    return now.legal_SA.argmax(axis=1)


def test_minibatches_hold_every_episode_once_within_the_budget() -> None:
    episodes = collect(small_agent(noise=12), 300)
    groups = list(minibatches(episodes, 80, np.random.default_rng(0)))
    assert sorted(i for group in groups for i in group) == list(range(len(episodes)))
    for group in groups:
        longest = max(len(episodes[i].tokens_L) for i in group)
        assert len(group) == 1 or longest * len(group) <= 80
    again = list(minibatches(episodes, 80, np.random.default_rng(0)))
    assert [g.tolist() for g in groups] == [g.tolist() for g in again]


def test_the_log_forgets_finished_episodes_and_keeps_running_ones() -> None:
    log, rng = StepLog(3), np.random.default_rng(0)
    begun_S, most = np.zeros(3, int), 0
    for step in range(500):
        log.append(step=np.full(3, step))
        for slot in np.flatnonzero(rng.random(3) < 0.2):
            assert log.cut(slot)["step"].tolist() == list(range(begun_S[slot], step + 1))
            begun_S[slot] = step + 1
        log.forget_finished()
        most = max(most, step + 1 - int(begun_S.min()))
        assert log.rows <= 2 * most
        assert log.running_S.tolist() == (begun_S <= step).tolist()


def test_components_of_a_weighted_reward_are_among_the_metrics_that_are_logged() -> None:
    weights = {"f1": 1.0, "recall": 0.5}
    agent = PPO("TextNER-v0", PPOConfig(num_envs=2), env_kwargs={"reward": weights, "size": 20})
    for episode in collect(agent, 40):
        metrics = episode.metrics
        assert metrics["reward/f1"] == metrics["f1"]
        assert metrics["reward/recall"] == metrics["recall"]
        assert episode.episode_return == pytest.approx(metrics["f1"] + metrics["recall"] / 2)
