"""What a user sees on bad input, and that nothing is lost by it."""

import gymnasium
import numpy as np
import pytest
from gymnasium.error import InvalidAction, ResetNeeded

import textenvs
from textenvs import DatasetError, OptionError
from textenvs.tasks import build_task

every_id = pytest.mark.parametrize("env_id", sorted(textenvs.IDS))


@every_id
@pytest.mark.parametrize("action", [-1, 10**6, 1.5, "a", None, True, np.array([1, 2])])
def test_an_impossible_action_is_named_and_changes_nothing(env_id, action):
    env = gymnasium.make(env_id).unwrapped
    env.reset(seed=0)
    twin = gymnasium.make(env_id).unwrapped
    twin.reset(seed=0)
    with pytest.raises(InvalidAction, match=rf"in \[0, {env.action_space.n}\)"):
        env.step(action)
    expert = twin.expert_action()
    np.testing.assert_array_equal(env.step(expert)[0], twin.step(expert)[0])


@every_id
@pytest.mark.parametrize("wrap", [int, np.int64, np.int32, np.array])
def test_every_integer_type_is_an_action(env_id, wrap):
    env = gymnasium.make(env_id).unwrapped
    env.reset(seed=0)
    env.step(wrap(env.expert_action()))


def test_an_illegal_action_is_named_with_the_legal_ones():
    env = gymnasium.make("TextNER-v0", illegal_action="raise").unwrapped
    _, info = env.reset(seed=0)
    illegal = env.task.labels.index("I-PER")
    with pytest.raises(
        InvalidAction, match=rf"action {illegal} \(token 'I-PER'\) is illegal .*'O'"
    ):
        env.step(illegal)
    np.testing.assert_array_equal(env.action_masks(), info["action_mask"] == 1)
    env.step(0)
    envs = gymnasium.make_vec("TextNER-v0", num_envs=3, illegal_action="raise")
    envs.reset(seed=0)
    with pytest.raises(InvalidAction, match=r"slot 1: action .* is illegal"):
        envs.step(np.array([0, illegal, 0]))
    envs.step(np.array([0, 0, 0]))


@every_id
def test_a_step_without_an_episode_needs_a_reset(env_id):
    env = gymnasium.make(env_id)
    with pytest.raises(ResetNeeded, match=r"reset"):
        env.step(0)
    with pytest.raises(ResetNeeded, match=r"no episode has begun: call env.reset"):
        env.unwrapped.step(0)
    with pytest.raises(ResetNeeded, match=r"no episode has begun"):
        env.unwrapped.expert_action()
    env.reset(seed=0)
    done = False
    while not done:
        done = env.step(env.unwrapped.expert_action())[2]
    with pytest.raises(ResetNeeded, match=r"the episode has ended: call env.reset"):
        env.step(0)
    env.reset()


@every_id
def test_a_vector_step_without_episodes_needs_a_reset(env_id):
    envs = gymnasium.make_vec(env_id, num_envs=2, autoreset_mode="Disabled")
    with pytest.raises(ResetNeeded, match=r"call env.reset"):
        envs.step(np.zeros(2, int))
    with pytest.raises(ResetNeeded, match=r"slots \[1\] have no episode"):
        envs.reset(options={"reset_mask": np.array([True, False])})
    envs.reset(seed=0)
    ended = np.zeros(2, bool)
    while not ended.any():
        ended = envs.step(envs.expert_actions())[2]
    with pytest.raises(ResetNeeded, match=r"episodes in slots \[.*\] have ended.*reset_mask"):
        envs.step(envs.expert_actions())


@every_id
@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (np.zeros(3, int), r"2 integers in .* shape \(3,\)"),
        (np.zeros(2), "float64"),
        (np.array([0, 10**6]), "action 1000000 of slot 1 is out of range"),
        (np.array([-1, 0]), "action -1 of slot 0 is out of range"),
    ],
)
def test_impossible_vector_actions_are_named(env_id, actions, message):
    envs = gymnasium.make_vec(env_id, num_envs=2)
    before, _ = envs.reset(seed=0)
    with pytest.raises(InvalidAction, match=message):
        envs.step(actions)
    np.testing.assert_array_equal(envs._episodes.observation(np.arange(2)), before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"datasett": "x"}, "unknown option .*'datasett': did you mean 'dataset'.*'split'"),
        ({"split": "tset"}, "unknown split .*'tset': did you mean 'test'"),
        ({"split": "all"}, "unknown split of the built-in data 'all'.*'train'"),
        ({"reward": "sparse"}, "unknown reward 'sparse'.*'dense', 'terminal'"),
        ({"reward": 3}, "reward must be 'terminal', 'dense', a function"),
        ({"illegal_action": "rais"}, "unknown illegal_action 'rais': did you mean 'raise'"),
        ({"max_prompt_tokens": 0}, "max_prompt_tokens must be an integer of at least 1, got 0"),
        ({"max_prompt_tokens": 2}, "max_prompt_tokens=2 leaves no room"),
        ({"on_error": "ignore"}, "unknown on_error 'ignore'"),
        ({"tokenizer": "bpe:x"}, "bpe:"),
        ({"size": 0}, "size must be an integer of at least 1, got 0"),
        ({"data_seed": "x"}, "data_seed must be an integer of at least 0, got 'x'"),
        ({"size": 2.5}, "size must be an integer of at least 1, got 2.5"),
    ],
)
def test_an_unknown_option_or_value_is_named(options, message):
    with pytest.raises(OptionError, match=message):
        gymnasium.make("TextQA-v0", **options)


def test_unknown_names_list_those_that_exist():
    with pytest.raises(OptionError, match=r"unknown task 'qaa': did you mean 'qa'"):
        build_task("qaa")
    with pytest.raises(OptionError, match=r"unknown autoreset_mode 'Same'.*'SameStep'"):
        gymnasium.make_vec("TextQA-v0", autoreset_mode="Same")
    with pytest.raises(OptionError, match=r"num_envs must be at least 1, got 0"):
        gymnasium.make_vec("TextQA-v0", num_envs=0)
    with pytest.raises(OptionError, match=r"max_new_tokens must be an integer of at least 1"):
        gymnasium.make("TextQA-v0", max_new_tokens=0)
    with pytest.raises(OptionError, match=r"render_mode"):
        gymnasium.make("TextQA-v0").unwrapped.render()


@pytest.mark.parametrize("index", [-1, 50_000, "0", 1.0, True])
def test_an_impossible_example_is_named(index):
    with pytest.raises(OptionError, match=r"index must be an integer in \[0, 50000\)"):
        gymnasium.make("TextQA-v0").reset(options={"index": index})


def test_impossible_reset_options_are_named():
    env, envs = gymnasium.make("TextQA-v0"), gymnasium.make_vec("TextQA-v0", num_envs=2)
    with pytest.raises(OptionError, match=r"unknown reset option 'indx': did you mean 'index'"):
        env.reset(options={"indx": 0})
    with pytest.raises(OptionError, match=r"index must be in \[0, 50000\), got 50000"):
        envs.reset(options={"index": np.array([0, 50_000])})
    with pytest.raises(OptionError, match=r"integer or an array \(2,\)"):
        envs.reset(options={"index": np.array([0, 1, 2])})
    with pytest.raises(OptionError, match=r"reset_mask must be a bool array of shape \(2,\)"):
        envs.reset(options={"reset_mask": np.array([False, False])})
    with pytest.raises(OptionError, match=r"expected 2 seeds"):
        envs.reset(seed=[1, 2, 3])


def test_a_missing_file_lists_what_is_there(tmp_path):
    (tmp_path / "squad.json").write_text("{}", "utf-8")
    with pytest.raises(DatasetError, match=r"squadd\.json.*'squad\.json'"):
        gymnasium.make("TextQA-v0", dataset=str(tmp_path / "squadd.json"))


def test_a_reward_that_is_no_number_is_an_error():
    env = gymnasium.make("TextQASpan-v0", reward=lambda episode: "good")
    env.reset(seed=0)
    env.step(env.unwrapped.expert_action())
    with pytest.raises(TypeError, match=r"the reward function must return a number, got str"):
        env.step(env.unwrapped.expert_action())


@pytest.mark.parametrize("env_id", ["TextQA-v0", "TextQASpan-v0", "TextNER-v0", "TextDialogue-v0"])
def test_a_flag_is_true_or_false(env_id):
    with pytest.raises(OptionError, match="constrain must be True or False, got 'no'"):
        gymnasium.make(env_id, constrain="no")
