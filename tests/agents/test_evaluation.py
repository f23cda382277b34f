"""Each example once, aggregated by the task, with intervals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import one_skill
import pytest

from agents import PPO, AgentError, PPOConfig, RandomAgent, ReferenceAgent, evaluate
from agents.environment import Contract, check_same_contract
from agents.evaluation import bootstrap, mean_of_each
from agents.report import Point, save_results

OPTIONS = {"answers": 3, "fewest": 1, "examples": 40}


@pytest.mark.parametrize("num_envs", [1, 7, 64])
def test_every_example_is_scored_once_whatever_the_slots(num_envs: int) -> None:
    agent = PPO("OneSkill-v0", PPOConfig(num_envs=2), env_kwargs=OPTIONS)
    result = evaluate(agent, "OneSkill-v0", num_envs=num_envs, **OPTIONS)
    assert result.examples.tolist() == list(range(40))
    for index in (0, 13, 39):
        env = one_skill.OneSkillEnv(split="test", **OPTIONS)
        observation, _ = env.reset(options={"index": index})
        done = False
        while not done:
            action, _ = agent.predict(observation)
            observation, _, done, _, info = env.step(action)
        assert result.metrics["share"][index] == info["metrics"]["share"]
        assert result.texts[index] == info["text"]


def test_the_expert_reaches_the_maximum_and_chance_does_not() -> None:
    assert evaluate(ReferenceAgent(), "OneSkill-v0", **OPTIONS).score == (1, 1, 1)
    chance = evaluate(RandomAgent(8), "OneSkill-v0", **OPTIONS)
    assert chance.score_name == "share"
    assert 0 < chance.score.low < chance.score.value < chance.score.high < 0.4


def test_random_actions_are_legal_and_even() -> None:
    agent = RandomAgent(4)
    masks = np.tile([True, False, True, True], (6000, 1))
    actions, _ = agent.predict(np.zeros((6000, 3), np.int32), action_masks=masks)
    shares = np.bincount(actions, minlength=4) / 6000
    np.testing.assert_allclose(shares, [1 / 3, 0, 1 / 3, 1 / 3], atol=0.03)
    assert agent.predict(np.zeros(3, np.int32))[0].shape == ()


def test_some_examples_are_spread_over_the_split() -> None:
    result = evaluate(RandomAgent(8), "OneSkill-v0", episodes=4, **OPTIONS)
    assert result.examples.tolist() == [0, 10, 20, 30]
    with pytest.raises(AgentError, match="episodes is 0"):
        evaluate(RandomAgent(8), "OneSkill-v0", episodes=0, **OPTIONS)


def test_an_agent_for_another_environment_is_refused() -> None:
    agent = PPO("OneSkill-v0", PPOConfig(num_envs=2), env_kwargs=OPTIONS)
    with pytest.raises(AgentError, match="environment's vocab_size is 12, but the agent was made"):
        evaluate(agent, "OneSkill-v0", words=9, **OPTIONS)


def test_the_first_other_action_is_named() -> None:
    options = {"pad_token_id": 0, "vocab_size": 9, "max_tokens": 5}
    made_for = Contract(action_tokens=(3, 4, 5), **options)
    with pytest.raises(AgentError, match=r"action_tokens\[1\] is 7, but the agent was made for 4"):
        check_same_contract(Contract(action_tokens=(3, 7, 8), **options), made_for)
    with pytest.raises(AgentError, match="has 2 action_tokens, but the agent was made for 3"):
        check_same_contract(Contract(action_tokens=(3, 7), **options), made_for)


def test_episodes_without_a_metric_do_not_count_for_it(tmp_path: Path) -> None:
    metrics = {"some": np.array([1.0, np.nan, 3.0]), "none": np.full(3, np.nan)}
    scores = bootstrap(metrics, mean_of_each, 0)
    assert scores["some"] == (2, 1, 3)
    assert np.isnan(scores["none"]).all()
    save_results(tmp_path / "results.json", {}, {}, [Point(5, scores["none"])], {})
    curve = json.loads((tmp_path / "results.json").read_text())["curve"]
    assert curve == [{"timesteps": 5, "value": None, "low": None, "high": None}]


def test_an_expert_without_an_environment_says_what_to_do() -> None:
    with pytest.raises(AgentError, match="call attach"):
        ReferenceAgent().predict(np.zeros((1, 3), np.int32))


def test_intervals_cover_the_mean_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(40):
        sample = {"x": (rng.random(60) < 0.3).astype(float)}
        _, low, high = bootstrap(sample, mean_of_each, seed)["x"]
        covered += low <= 0.3 <= high
    assert covered >= 34


def test_a_score_need_not_be_a_mean() -> None:
    def ratio(metrics: dict[str, np.ndarray]) -> dict[str, float]:
        return {"ratio": float(metrics["hits"].sum() / metrics["tries"].sum())}

    metrics = {"hits": np.array([1.0, 0.0]), "tries": np.array([1.0, 3.0])}
    assert bootstrap(metrics, ratio, 0)["ratio"].value == 0.25
