"""What every environment of the suite must do: all of `textenvs.check`, and more."""

import pickle
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.env_checker import check_env as sb3_check_env

import textenvs
from textenvs.checking import CHECKS

IDS = sorted(textenvs.IDS)
NOT_OFFERED = {"TextSummarization-v0": {"masks", "illegal_actions"}}
SUCCESS = {"TextDialogue-v0": 0.98}  # the least mean score of an expert that is not perfect

every_id = pytest.mark.parametrize("env_id", IDS)


@every_id
@pytest.mark.parametrize("check", CHECKS)
def test_every_check_passes(env_id, check):
    report = textenvs.check(env_id, checks=[check])
    expected = "skipped" if check in NOT_OFFERED.get(env_id, ()) else "passed"
    assert report.results[0].status == expected, str(report)


@every_id
@pytest.mark.parametrize("check", ["gymnasium_api", "prefix_grows", "pickling", "spec_json"])
def test_checks_pass_with_other_options(env_id, check):
    options = {"reward": "dense", "split": "validation", "data_seed": 3}
    report = textenvs.check(env_id, checks=[check], **options)
    assert report.results[0].status == "passed", str(report)


def own_reward(episode):
    return len(episode.text) + episode.tokens.sum() / 7 + episode.index


@every_id
@pytest.mark.parametrize("mode", ["vector_same_step", "vector_next_step", "vector_disabled"])
def test_a_reward_function_gets_the_same_episodes_in_a_vector_environment(env_id, mode):
    report = textenvs.check(env_id, checks=[mode], reward=own_reward)
    assert report.results[0].status == "passed", str(report)


@every_id
def test_sb3_check_env_passes_without_a_warning(env_id):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sb3_check_env(gymnasium.make(env_id), warn=True)
    assert [str(w.message) for w in caught] == []


@every_id
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_the_expert_reaches_the_maximum_by_legal_actions(env_id, split):
    env = gymnasium.make(env_id, split=split, illegal_action="raise")
    metrics = []
    for index in range(200):
        env.reset(options={"index": index})
        done = False
        while not done:
            _, reward, done, _, info = env.step(env.unwrapped.expert_action())
        if env_id not in SUCCESS:
            assert reward == 1.0, (index, info["text"], env.unwrapped.task.examples[index])
        metrics.append(info["metrics"])
    scores = env.unwrapped.aggregate_metrics(
        {name: np.array([m[name] for m in metrics]) for name in metrics[0]}
    )
    assert scores[env.unwrapped.score_name] >= SUCCESS.get(env_id, 1.0)


@every_id
def test_a_pickle_holds_the_recipe_of_the_data_and_not_the_data(env_id):
    env = gymnasium.make(env_id)
    env.reset(seed=0)
    assert len(pickle.dumps(env)) < 200_000


@every_id
def test_reset_takes_an_example_and_draws_uniformly(env_id):
    env = gymnasium.make(env_id, size=4)
    assert env.unwrapped.num_examples == 4
    starts = [env.reset(options={"index": index})[0].tobytes() for index in range(4)]
    assert len(set(starts)) == 4
    env.reset(seed=0)
    drawn = [starts.index(env.reset()[0].tobytes()) for _ in range(400)]
    assert np.bincount(drawn).min() > 70
    envs = gymnasium.make_vec(env_id, num_envs=4, size=4)
    rows, _ = envs.reset(options={"index": np.array([3, 1, 0, 2])})
    assert [starts.index(row.tobytes()) for row in rows] == [3, 1, 0, 2]
    rows, _ = envs.reset(options={"index": 2})
    assert [starts.index(row.tobytes()) for row in rows] == [2, 2, 2, 2]


@every_id
def test_the_default_of_the_vector_environment_wastes_no_step(env_id):
    envs = gymnasium.make_vec(env_id, num_envs=2)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP


@every_id
def test_environments_of_equal_options_share_their_data(env_id):
    first, second = gymnasium.make(env_id).unwrapped, gymnasium.make(env_id).unwrapped
    assert first.task is second.task
    assert first.task is gymnasium.make_vec(env_id, num_envs=2).unwrapped.task
    assert first.task is not gymnasium.make(env_id, split="test").unwrapped.task
