"""What every environment must do, whatever its task."""

import json
import pickle
import random
import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from playing import legal_action, play
from stable_baselines3.common.env_checker import check_env as sb3_check_env

import textenvs

IDS = sorted(textenvs.IDS)
MODES = [mode.value for mode in AutoresetMode]

every_id = pytest.mark.parametrize("env_id", IDS)


@every_id
@pytest.mark.parametrize("reward", ["terminal", "dense"])
def test_gymnasium_check_env_passes_without_a_warning(env_id, reward):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(gymnasium.make(env_id, reward=reward, render_mode="ansi").unwrapped)
    assert [str(w.message) for w in caught] == []


@every_id
def test_sb3_check_env_passes_without_a_warning(env_id):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sb3_check_env(gymnasium.make(env_id), warn=True)
    assert [str(w.message) for w in caught] == []


@every_id
def test_spaces_and_actions_meet_the_contract(env_id):
    env = gymnasium.make(env_id)
    unwrapped = env.unwrapped
    space = env.observation_space
    assert space.dtype == np.int32
    assert space.shape == (unwrapped.task.max_tokens,)
    assert space.high.max() == unwrapped.task.vocab_size - 1
    assert unwrapped.action_tokens.shape == (env.action_space.n,)
    assert unwrapped.action_tokens.max() < unwrapped.task.vocab_size
    assert len(set(unwrapped.action_tokens.tolist())) == env.action_space.n
    observation, info = env.reset(seed=1)
    assert observation in space
    assert info["action_mask"].dtype == np.int8
    env.action_space.sample(info["action_mask"])
    assert unwrapped.action_masks().dtype == np.bool_
    np.testing.assert_array_equal(unwrapped.action_masks(), info["action_mask"] == 1)


@every_id
@pytest.mark.parametrize("legal", [True, False])
def test_an_action_appends_its_token_and_the_prefix_only_grows(env_id, legal):
    env = gymnasium.make(env_id)
    rng = np.random.default_rng(0)
    pad = env.unwrapped.pad_token_id
    for seed in range(20):
        observation, info = env.reset(seed=seed)
        done = False
        while not done:
            length = int(np.flatnonzero(observation != pad)[-1]) + 1
            choices = info["action_mask"] if legal else np.ones(env.action_space.n)
            action = legal_action(choices, rng)
            before = observation
            observation, _, done, truncated, info = env.step(action)
            assert not truncated
            np.testing.assert_array_equal(observation[:length], before[:length])
            assert observation[length] == env.unwrapped.action_tokens[action]


@every_id
@pytest.mark.parametrize("legal", [True, False])
@pytest.mark.parametrize("reward", ["terminal", "dense"])
def test_the_return_is_the_score_and_some_action_is_always_legal(env_id, legal, reward):
    env = gymnasium.make(env_id, reward=reward)
    rng = np.random.default_rng(3)
    for seed in range(60):
        _, info = env.reset(seed=seed)
        total, done = 0.0, False
        while not done:
            assert info["action_mask"].any()
            choices = info["action_mask"] if legal else np.ones(env.action_space.n)
            _, reward_now, done, _, info = env.step(legal_action(choices, rng))
            assert reward == "dense" or done or reward_now == 0.0
            total += reward_now
        score = info["metrics"][env.unwrapped.score_name]
        assert 0.0 <= score <= 1.0
        assert total == pytest.approx(score, abs=1e-12)


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
        assert reward == 1.0, (index, info["text"], env.unwrapped.task.examples[index])
        metrics.append(info["metrics"])
    scores = env.unwrapped.aggregate_metrics(
        {name: np.array([m[name] for m in metrics]) for name in metrics[0]}
    )
    assert scores[env.unwrapped.score_name] == 1.0


@every_id
def test_the_expert_acts_legally_from_any_state(env_id):
    env = gymnasium.make(env_id)
    rng = np.random.default_rng(5)
    for seed in range(40):
        _, info = env.reset(seed=seed)
        done = False
        while not done:
            assert info["action_mask"][env.unwrapped.expert_action()] == 1
            _, _, done, _, info = env.step(legal_action(info["action_mask"], rng))


@every_id
def test_same_seed_same_episodes_in_another_process(env_id):
    code = (
        "import sys, hashlib, gymnasium, textenvs; sys.path.insert(0, 'tests/envs');"
        "from playing import play;"
        f"trace = play(gymnasium.make({env_id!r}, reward='dense'), 7, 8);"
        "print(hashlib.sha256(repr(trace).encode()).hexdigest())"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": hash_seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert runs[0] == runs[1] != ""
    first = play(gymnasium.make(env_id, reward="dense"), 7, 8)
    assert first == play(gymnasium.make(env_id, reward="dense"), 7, 8)
    assert first != play(gymnasium.make(env_id, reward="dense"), 8, 8)


@every_id
def test_an_environment_pickles_in_the_middle_of_an_episode(env_id):
    env = gymnasium.make(env_id, reward="dense")
    rng = np.random.default_rng(0)
    _, info = env.reset(seed=0)
    env.step(legal_action(info["action_mask"], rng))
    data = pickle.dumps(env)
    assert len(data) < 200_000, "a pickle holds the recipe of the data, not the data"
    copy = pickle.loads(data)
    action = env.unwrapped.expert_action()
    for ours, theirs in zip(env.step(action)[:4], copy.step(action)[:4], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(env.reset()[0], copy.reset()[0])


@every_id
def test_a_spec_survives_json(env_id):
    env = gymnasium.make(env_id, split="validation", reward="dense", data_seed=3)
    spec = gymnasium.envs.registration.EnvSpec.from_json(env.spec.to_json())
    copy = gymnasium.make(spec)
    assert json.loads(spec.to_json())["kwargs"]["split"] == "validation"
    assert play(copy, 1, 3) == play(env, 1, 3)


def assert_same(ours, theirs, path="info"):
    assert type(ours) is type(theirs), path
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys(), path
        for key in ours:
            assert_same(ours[key], theirs[key], f"{path}[{key!r}]")
    elif isinstance(ours, np.ndarray):
        assert ours.dtype == theirs.dtype, path
        assert ours.shape == theirs.shape, path
        if ours.dtype == object:
            for a, b in zip(ours, theirs, strict=True):
                np.testing.assert_array_equal(a, b, path)
        else:
            np.testing.assert_array_equal(ours, theirs, path)
    else:
        assert ours == theirs, path


@every_id
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("legal", [True, False])
@pytest.mark.parametrize("reward", ["terminal", "dense", "callable"])
def test_the_vector_environment_is_a_loop_of_single_ones(env_id, mode, legal, reward):
    """Bit by bit: observations, rewards, ends and every info, as SyncVectorEnv puts them."""
    if reward == "callable":
        reward = lambda episode: len(episode.text) + episode.tokens.sum() / 7 + episode.index  # noqa: E731
    kwargs = {"reward": reward, "size": 300}
    ours = gymnasium.make_vec(env_id, num_envs=5, autoreset_mode=mode, **kwargs)
    loop = SyncVectorEnv(
        [lambda: gymnasium.make(env_id, **kwargs)] * 5, autoreset_mode=AutoresetMode(mode)
    )
    assert ours.metadata["autoreset_mode"] is loop.metadata["autoreset_mode"]
    assert ours.observation_space == loop.observation_space
    assert ours.action_space == loop.action_space
    rng = np.random.default_rng(0)
    (obs, info), (loop_obs, loop_info) = ours.reset(seed=11), loop.reset(seed=11)
    ended = np.zeros(5, bool)
    finished = 0
    for _ in range(60):
        np.testing.assert_array_equal(obs, loop_obs)
        assert obs.dtype == loop_obs.dtype
        assert_same(info, loop_info)
        if mode == "Disabled" and ended.any():
            (obs, info), (loop_obs, loop_info) = (
                env.reset(options={"reset_mask": ended.copy()}) for env in (ours, loop)
            )
            ended[:] = False
            continue
        masks = ours.action_masks() if legal else np.ones_like(ours.action_masks())
        actions = np.array([legal_action(mask, rng) for mask in masks])
        obs, *ours_rest, info = ours.step(actions)
        loop_obs, *loop_rest, loop_info = loop.step(actions)
        for a, b in zip(ours_rest, loop_rest, strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype
        ended = ours_rest[1]
        finished += int(ended.sum())
    assert finished > 5


@every_id
def test_the_vector_expert_is_the_single_expert(env_id):
    envs = gymnasium.make_vec(env_id, num_envs=4, split="test")
    single = gymnasium.make(env_id, split="test")
    rng = np.random.default_rng(0)
    envs.reset(seed=0, options={"index": np.arange(4)})
    single.reset(options={"index": 2})
    done = False
    while not done:
        expert = envs.expert_actions()
        assert expert[2] == single.unwrapped.expert_action()
        assert envs.action_masks()[np.arange(4), expert].all()
        actions = np.array([legal_action(mask, rng) for mask in envs.action_masks()])
        envs.step(actions)
        done = single.step(int(actions[2]))[2]


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
def test_rendering_shows_the_prompt_the_answer_and_the_action(env_id, capsys):
    env = gymnasium.make(env_id, render_mode="ansi")
    env.reset(seed=0)
    index = int(env.unwrapped._episodes.indices[0])
    assert env.unwrapped.task.prompt_text(index).strip() in env.render()
    done = False
    while not done:
        _, _, done, _, info = env.step(env.unwrapped.expert_action())
    assert info["text"] in env.render()
    human = gymnasium.make(env_id, render_mode="human")
    human.reset(seed=0)
    human.step(human.unwrapped.expert_action())
    assert "step 1" in capsys.readouterr().out


@every_id
def test_environments_of_equal_options_share_their_data(env_id):
    first, second = gymnasium.make(env_id).unwrapped, gymnasium.make(env_id).unwrapped
    assert first.task is second.task
    assert first.task is gymnasium.make_vec(env_id, num_envs=2).unwrapped.task
    assert first.task is not gymnasium.make(env_id, split="test").unwrapped.task


@every_id
def test_no_global_random_state_is_touched(env_id):
    def legacy_state():
        return np.random.get_state()[1].tobytes()  # noqa: NPY002  # that it stays is the test

    before = random.getstate(), legacy_state()
    play(gymnasium.make(env_id), 3, 3)
    assert (random.getstate(), legacy_state()) == before
