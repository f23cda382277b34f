"""A task of one's own registers in one call and behaves as those of the suite."""

import pickle

import gymnasium
import numpy as np
import own_tasks
import pytest

import textenvs
from textenvs.tokenization.bpe import BPETokenizer
from textenvs.tokenization.pieces import PieceTokenizer


@pytest.fixture(autouse=True)
def registered():
    textenvs.register("own/Shout-v0", own_tasks.Shout)
    yield
    for env_id in [env_id for env_id in gymnasium.registry if env_id.startswith("own/")]:
        del gymnasium.registry[env_id]


def expert_return(env, index):
    env.reset(options={"index": index})
    total, done = 0.0, False
    while not done:
        _, reward, done, _, info = env.step(env.unwrapped.expert_action())
        total += reward
    return total, info


@pytest.mark.parametrize("reward", ["terminal", "dense"])
def test_the_expert_writes_the_answer(reward):
    env = gymnasium.make("own/Shout-v0", reward=reward)
    assert env.unwrapped.num_examples == 4
    for index, word in enumerate(own_tasks.Shout.words):
        total, info = expert_return(env, index)
        assert total == pytest.approx(1.0)
        assert info["text"] == word.upper()
        assert info["metrics"] == {"score": 1.0, "length": len(word)}


def test_dense_rewards_are_the_changes_of_the_score():
    env = gymnasium.make("own/Shout-v0", reward="dense", max_new_tokens=6).unwrapped
    env.reset(options={"index": 0})
    tokens = env.task.tokenizer.encode("TEX").ids
    rewards = [env.step(int(env.task.action_of_token[token]))[1] for token in tokens]
    text = env.task.tokenizer.decode(tokens)
    assert text == "TEX"
    assert sum(rewards) == pytest.approx(2 / 3)


def test_the_registration_is_a_recipe_of_strings():
    spec = gymnasium.spec("own/Shout-v0")
    assert spec.kwargs == {"task": "own_tasks:Shout"}
    env = gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(spec.to_json()))
    assert type(env.unwrapped.task) is own_tasks.Shout
    textenvs.register("own/Foreign-v0", "own_tasks:Foreign", max_new_tokens=2)
    assert gymnasium.make("own/Foreign-v0").unwrapped.task.max_steps == 2


def test_the_tokenizer_can_write_the_data():
    assert type(gymnasium.make("own/Shout-v0").unwrapped.task.tokenizer) is PieceTokenizer
    textenvs.register("own/Foreign-v0", own_tasks.Foreign)
    env = gymnasium.make("own/Foreign-v0")
    assert type(env.unwrapped.task.tokenizer) is BPETokenizer
    for index in range(3):
        assert expert_return(env, index)[0] == 1.0


def test_what_is_wrong_with_a_task_is_named():
    with pytest.raises(textenvs.DatasetError, match=r"Shout.load\('test'\) gave no examples"):
        gymnasium.make("own/Shout-v0", split="test")
    with pytest.raises(textenvs.OptionError, match=r"unknown option .* 'splt': did you mean 'spl"):
        gymnasium.make("own/Shout-v0", splt="train")
    textenvs.register("own/Wild-v0", own_tasks.Wild)
    env = gymnasium.make("own/Wild-v0")
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"Wild.score must give a number in \[0, 1\]"):
        env.step(env.unwrapped.task.eos_action)


def test_a_class_inside_a_function_is_refused():
    class Hidden(own_tasks.Shout):
        pass

    with pytest.raises(textenvs.OptionError, match="top level of a module"):
        textenvs.register("own/Hidden-v0", Hidden)


@pytest.mark.parametrize("task", [lambda: None, dict, 3, own_tasks])
def test_what_is_no_task_is_not_registered(task):
    with pytest.raises(textenvs.OptionError, match=r"a task is a subclass of textenvs\.Task, or"):
        textenvs.register("own/Other-v0", task)
    assert "own/Other-v0" not in gymnasium.registry


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("shout", r"unknown task 'shout'.*'module:Class'"),
        ("no_such_module:Shout", "No module named 'no_such_module'"),
        ("own_tasks:Shoot", "no attribute 'Shoot'"),
        ("os:getcwd", "expected a subclass of textenvs.Task"),
        ("collections:OrderedDict", "expected a subclass of textenvs.Task"),
    ],
)
def test_only_a_task_is_taken_for_a_task(name, message):
    """A name is looked up, and nothing that is no task is called."""
    textenvs.register("own/Other-v0", name)
    with pytest.raises(textenvs.OptionError, match=message):
        gymnasium.make("own/Other-v0")


def test_the_vector_environment_plays_it_too():
    envs = gymnasium.make_vec("own/Shout-v0", num_envs=3, reward="dense")
    envs.reset(seed=0, options={"index": np.array([0, 1, 2])})
    total = np.zeros(3)
    ended = np.zeros(3, bool)
    while not ended.all():
        _, rewards, done, _, _ = envs.step(envs.expert_actions())
        total += rewards * ~ended
        ended |= done
    np.testing.assert_allclose(total, 1.0)


def test_a_task_that_was_built_directly_says_why_it_does_not_pickle():
    env = textenvs.TextEnv(own_tasks.Shout())
    with pytest.raises(TypeError, match="a Shout that was built directly"):
        pickle.dumps(env)
