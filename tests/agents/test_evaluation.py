"""Each example once, aggregated by the task, with intervals."""

from __future__ import annotations

import json
from pathlib import Path

import gymnasium
import numpy as np
import one_skill
import pytest
from gymnasium.vector import AutoresetMode

from agents import PPO, AgentError, PPOConfig, RandomAgent, ReferenceAgent, evaluate
from agents.baselines import MajorityAgent
from agents.environment import Contract, check_same_contract, make_env, read_contract
from agents.episodes import Episode
from agents.evaluation import bootstrap, mean_of_each, paired_difference
from agents.imitation import play_expert
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


def test_the_majority_is_the_most_frequent_legal_action() -> None:
    result = record_expert()
    agent = MajorityAgent(8, result)
    counts_A = np.bincount(np.concatenate([e.actions_T for e in result]), minlength=8)
    observations = np.zeros((2, 3), np.int32)
    assert agent.predict(observations)[0].tolist() == [counts_A.argmax()] * 2
    legal_A = counts_A < counts_A.max()
    best = np.where(legal_A, counts_A, -1).argmax()
    assert agent.predict(observations[0], action_masks=legal_A)[0] == best
    assert MajorityAgent(3, []).predict(observations[0], action_masks=[0, 1, 1])[0] == 1


def record_expert() -> list[Episode]:
    env = make_env("OneSkill-v0", 4, AutoresetMode.DISABLED, **OPTIONS)
    return play_expert(env, read_contract(env), 40, seed=0)


def test_the_majority_scores_between_chance_and_the_expert() -> None:
    env = make_env("TextNER-v0", 16, AutoresetMode.DISABLED, size=200)
    contract = read_contract(env)
    agent = MajorityAgent(contract.n_actions, play_expert(env, contract, 100, seed=0))
    result = evaluate(agent, "TextNER-v0", episodes=40, size=200)
    assert result.score.value == 0  # the most frequent tag is O
    env = make_env("OneSkill-v0", 4, AutoresetMode.DISABLED, words=2)
    agent = MajorityAgent(2, play_expert(env, read_contract(env), 64, seed=0))
    assert 0.3 < evaluate(agent, "OneSkill-v0", words=2).score.value < 0.7


def test_predictions_are_written_one_line_an_example(tmp_path: Path) -> None:
    path = tmp_path / "new" / "predictions.jsonl"
    result = evaluate(ReferenceAgent(), "OneSkill-v0", predictions=path, episodes=7, **OPTIONS)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["index"] for line in lines] == result.examples.tolist()
    assert [line["text"] for line in lines] == result.texts
    assert [line["return"] for line in lines] == result.returns.tolist()
    assert [line["metrics"]["share"] for line in lines] == result.metrics["share"].tolist()
    assert lines[0]["prompt"] is None
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("env_id", ["TextQA-v0", "TextQASpan-v0", "TextNER-v0"])
def test_predictions_hold_the_prompts_text(env_id: str, tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    evaluate(ReferenceAgent(), env_id, predictions=path, episodes=3, size=50)
    env = gymnasium.make(env_id, split="test", size=50)
    tokenizer = env.unwrapped.task.tokenizer
    for line in map(json.loads, path.read_text().splitlines()):
        observation, _ = env.reset(options={"index": line["index"]})
        own = observation[(observation != tokenizer.pad_token_id)]
        words = tokenizer.decode(own[own < tokenizer.vocab_size].tolist())
        assert line["prompt"] == words
        assert line["text"]


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
    save_results(tmp_path / "results.json", {}, {}, [Point(5, scores["none"], 1.25)], {})
    curve = json.loads((tmp_path / "results.json").read_text())["curve"]
    assert curve == [{"timesteps": 5, "seconds": 1.2, "value": None, "low": None, "high": None}]


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


def test_a_paired_difference_is_surer_than_two_scores() -> None:
    expert = evaluate(ReferenceAgent(), "OneSkill-v0", **OPTIONS)
    chance = evaluate(RandomAgent(8), "OneSkill-v0", **OPTIONS)
    difference = paired_difference(expert, chance)
    assert difference.value == pytest.approx((expert.returns - chance.returns).mean())
    assert difference.low > 0.5
    assert paired_difference(chance, chance) == (0, 0, 0)
    few = evaluate(RandomAgent(8), "OneSkill-v0", episodes=4, **OPTIONS)
    with pytest.raises(AgentError, match="different examples"):
        paired_difference(expert, few)


def test_a_score_need_not_be_a_mean() -> None:
    def ratio(metrics: dict[str, np.ndarray]) -> dict[str, float]:
        return {"ratio": float(metrics["hits"].sum() / metrics["tries"].sum())}

    metrics = {"hits": np.array([1.0, 0.0]), "tries": np.array([1.0, 3.0])}
    assert bootstrap(metrics, ratio, 0)["ratio"].value == 0.25
