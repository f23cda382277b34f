"""A reward of the user's own sees the finished episode, once, and its faults are named."""

import dataclasses
import math

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import textenvs
from textenvs import Episode, OptionError

every_id = pytest.mark.parametrize("env_id", sorted(textenvs.IDS))


class Recorder:
    """Keeps the episodes that it is asked about; the reward is their number so far."""

    def __init__(self):
        self.episodes = []

    def __call__(self, episode):
        self.episodes.append(episode)
        return len(self.episodes) + 0.25


def legal(mask, rng):
    return int(rng.choice(np.flatnonzero(mask)))


@every_id
def test_the_episode_is_told_as_it_was(env_id):
    recorder = Recorder()
    env = gymnasium.make(env_id, reward=recorder, size=50)
    task = env.unwrapped.task
    rng = np.random.default_rng(0)
    for index in range(12):
        observation, info = env.reset(options={"index": index})
        actions, rewards, done = [], [], False
        while not done:
            assert len(recorder.episodes) == index, "it is asked when the episode is over"
            actions.append(legal(env.unwrapped.action_masks(), rng))
            observation, reward, done, _, info = env.step(actions[-1])
            rewards.append(reward)
        assert len(recorder.episodes) == index + 1
        assert rewards == [0.0] * (len(rewards) - 1) + [index + 1.25]
        episode = recorder.episodes[-1]
        assert isinstance(episode, Episode)
        assert type(episode.index) is int
        assert episode.index == index
        assert episode.example == task.examples[index]
        assert type(episode.example) is type(task.examples[index])
        assert episode.prompt == task.prompt_text(index)
        assert episode.text == info["text"]
        assert episode.metrics == info["metrics"]
        assert episode.tokens.dtype == np.int32
        length = len(episode.tokens)
        np.testing.assert_array_equal(observation[:length], episode.tokens)
        assert (observation[length:] == env.unwrapped.pad_token_id).all()
        assert episode.actions.tolist() == actions
        told = iter(episode.tokens.tolist())
        written = env.unwrapped.action_tokens[actions].tolist()
        assert all(token in told for token in written), "in this order, the task's own between"
        with pytest.raises(dataclasses.FrozenInstanceError):
            episode.text = ""


def test_a_function_that_changes_its_episode_changes_nothing_else():
    env = gymnasium.make("TextQA-v0", reward=lambda episode: episode.metrics.pop("f1")).unwrapped
    env.reset(seed=0)
    done = False
    while not done:
        _, reward, done, _, info = env.step(env.expert_action())
    assert reward == info["metrics"]["f1"] == 1.0


@every_id
def test_an_episode_is_its_receivers_to_keep(env_id):
    """What comes later changes nothing in it."""
    recorder = Recorder()
    env = gymnasium.make(env_id, reward=recorder, size=50)
    rng = np.random.default_rng(1)
    kept = []
    for index in range(6):
        env.reset(options={"index": index})
        done = False
        while not done:
            _, _, done, *_ = env.step(legal(env.unwrapped.action_masks(), rng))
        episode = recorder.episodes[-1]
        kept.append((episode.tokens.tolist(), episode.actions.tolist(), dict(episode.metrics)))
    for episode, (tokens, actions, metrics) in zip(recorder.episodes, kept, strict=True):
        assert (episode.tokens.tolist(), episode.actions.tolist()) == (tokens, actions)
        assert episode.metrics == metrics


@every_id
@pytest.mark.parametrize("mode", [mode.value for mode in AutoresetMode])
def test_the_vector_environment_asks_once_for_each_episode(env_id, mode):
    recorder = Recorder()
    envs = gymnasium.make_vec(env_id, num_envs=4, autoreset_mode=mode, reward=recorder, size=50)
    rng = np.random.default_rng(0)
    _, info = envs.reset(seed=3)
    finished = 0
    for _ in range(120):
        masks = envs.action_masks()
        _, rewards, ended, _, info = envs.step(np.array([legal(mask, rng) for mask in masks]))
        final = info["final_info"] if mode == "SameStep" and ended.any() else info
        of_step = recorder.episodes[finished:]
        assert len(of_step) == ended.sum()
        np.testing.assert_array_equal(rewards != 0, ended)
        for number, slot in enumerate(np.flatnonzero(ended).tolist()):
            episode = of_step[number]
            assert rewards[slot] == finished + number + 1.25
            assert episode.text == final["text"][slot]
            assert episode.metrics == {
                name: values[slot]
                for name, values in final["metrics"].items()
                if not name.startswith("_")
            }
        finished += int(ended.sum())
        if mode == "Disabled" and ended.any():
            envs.reset(options={"reset_mask": ended})
    assert finished > 8


@every_id
@pytest.mark.parametrize("value", [1, np.float32(0.5), np.int64(3), np.float64(-2), math.inf])
def test_any_number_is_a_reward(env_id, value):
    env = gymnasium.make(env_id, reward=lambda episode: value).unwrapped
    env.reset(seed=0)
    done = False
    while not done:
        _, reward, done, _, _ = env.step(env.expert_action())
    assert type(reward) is float
    assert reward == value


@every_id
@pytest.mark.parametrize("value", ["good", None, [1.0], np.ones(1), 1j])
@pytest.mark.parametrize("num_envs", [None, 2])
def test_what_is_no_number_is_named(env_id, value, num_envs):
    name = type(value).__name__
    if num_envs is None:
        env = gymnasium.make(env_id, reward=lambda episode: value).unwrapped
    else:
        env = gymnasium.make_vec(env_id, num_envs=2, reward=lambda episode: value)
    env.reset(seed=0)

    def play():
        for _ in range(200):
            env.step(env.expert_action() if num_envs is None else env.expert_actions())

    with pytest.raises(TypeError, match=f"the reward function must return a number, got {name}"):
        play()


def test_an_error_of_the_reward_function_is_the_users_to_see_and_a_reset_goes_on():
    """One failure of a remote reward model must not cost the environment."""
    calls = []

    def reward(episode):
        calls.append(episode.index)
        if len(calls) == 1:
            raise ConnectionError("the reward model is away")
        return 1.0

    env = gymnasium.make("TextQASpan-v0", reward=reward).unwrapped
    envs = gymnasium.make_vec("TextQASpan-v0", num_envs=2, reward=reward)
    env.reset(seed=0)
    env.step(env.expert_action())
    with pytest.raises(ConnectionError, match="away"):
        env.step(env.expert_action())
    env.reset(seed=1)
    env.step(env.expert_action())
    assert env.step(env.expert_action())[1:3] == (1.0, True)
    calls.clear()
    envs.reset(seed=0)
    envs.step(envs.expert_actions())
    with pytest.raises(ConnectionError, match="away"):
        envs.step(envs.expert_actions())
    envs.reset(seed=1)
    envs.step(envs.expert_actions())
    assert envs.step(envs.expert_actions())[1].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("mode", ["SameStep", "NextStep", "Disabled"])
def test_episodes_have_ended_though_their_reward_failed(mode):
    """Stepping on must not act beyond their ends."""
    calls = []

    def reward(episode):
        calls.append(episode.index)
        if len(calls) == 1:
            raise ConnectionError("the reward model is away")
        return 1.0

    envs = gymnasium.make_vec("TextQASpan-v0", num_envs=2, reward=reward, autoreset_mode=mode)
    envs.reset(seed=0)
    envs.step(envs.expert_actions())
    with pytest.raises(ConnectionError, match="away"):
        envs.step(envs.expert_actions())
    if mode == "Disabled":
        with pytest.raises(ResetNeeded, match=r"slots \[0, 1\] have ended"):
            envs.step(envs.expert_actions())
    else:  # as after any end with NextStep: this step begins the next episodes
        assert not envs.step(envs.expert_actions())[2].any()
        envs.step(envs.expert_actions())
        assert envs.step(envs.expert_actions())[1].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("reward", ["Dense", "", "densee"])
@pytest.mark.parametrize("make", [gymnasium.make, gymnasium.make_vec])
def test_an_unknown_reward_lists_those_that_exist(reward, make):
    with pytest.raises(OptionError, match=r"unknown reward .*Known: 'dense', 'terminal'"):
        make("TextNER-v0", reward=reward)


@pytest.mark.parametrize("reward", [None, 1.0, ["dense"]])
@pytest.mark.parametrize("make", [gymnasium.make, gymnasium.make_vec])
def test_what_is_neither_name_nor_function_is_named(reward, make):
    with pytest.raises(OptionError, match="reward must be 'terminal', 'dense', a function"):
        make("TextNER-v0", reward=reward)


def brevity(episode):
    return 1 / (1 + len(episode.text))


def test_weighted_components_add_up_and_each_is_told():
    weights = {"f1": 0.7, "exact_match": 0, "brevity": (-0.5, brevity)}
    env = gymnasium.make("TextQA-v0", reward=weights).unwrapped
    rng = np.random.default_rng(0)
    for seed in range(20):
        _, info = env.reset(seed=seed)
        done = False
        while not done:
            assert "reward_components" not in info
            _, reward, done, _, info = env.step(legal(env.unwrapped.action_masks(), rng))
            assert done or reward == 0
        told = info["reward_components"]
        assert list(told) == list(weights)
        assert told["f1"] == info["metrics"]["f1"]
        assert told["exact_match"] == info["metrics"]["exact_match"]
        assert told["brevity"] == 1 / (1 + len(info["text"]))
        assert reward == pytest.approx(0.7 * told["f1"] - 0.5 * told["brevity"], abs=1e-12)


@pytest.mark.parametrize("mode", ["SameStep", "NextStep"])
def test_components_of_the_vector_environment_are_those_of_single_ones(mode):
    weights = {"f1": 0.7, "brevity": (-0.5, brevity)}
    ours = gymnasium.make_vec("TextQASpan-v0", num_envs=3, reward=weights, autoreset_mode=mode)
    loop = SyncVectorEnv(
        [lambda: gymnasium.make("TextQASpan-v0", reward=weights)] * 3,
        autoreset_mode=AutoresetMode(mode),
    )
    ours.reset(seed=0)
    loop.reset(seed=0)
    seen = 0
    for _ in range(7):
        actions = ours.expert_actions()
        *_, info = ours.step(actions)
        *_, loop_info = loop.step(actions)
        told, of_loop = (i.get("final_info", i).get("reward_components") for i in (info, loop_info))
        assert (told is None) == (of_loop is None)
        if told is not None:
            seen += 1
            assert told.keys() == of_loop.keys()
            for name in told:
                np.testing.assert_array_equal(told[name], of_loop[name])
    assert seen > 1


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        ({}, "no components"),
        ({"f2": 1.0}, r"unknown metric in reward 'f2': did you mean 'f1'\?"),
        ({"f1": "1"}, "reward component 'f1': expected a finite weight"),
        ({"f1": math.nan}, "reward component 'f1': expected a finite weight"),
        ({"f1": (1.0, max, 2)}, "reward component 'f1': expected a finite weight"),
        ({"f1": (1.0, "f1")}, "reward component 'f1': 'f1' is no function"),
    ],
)
def test_impossible_components_are_named(reward, message):
    with pytest.raises(OptionError, match=message):
        gymnasium.make("TextQA-v0", reward=reward)


def test_weights_of_metrics_survive_json():
    env = gymnasium.make("TextQA-v0", reward={"f1": 0.5, "exact_match": 0.5})
    copy = gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert copy.spec.kwargs["reward"] == {"f1": 0.5, "exact_match": 0.5}
