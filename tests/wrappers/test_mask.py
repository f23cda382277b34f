"""The mask in the observation, as other libraries look for it."""

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import textenvs
from textenvs import OptionError
from textenvs.wrappers import BagOfTokens, MaskedObservation, StringAction, VectorMaskedObservation

KEYS = {
    "tianshou": ("obs", "mask", np.bool_),
    "rllib": ("observations", "action_mask", np.float32),
    "torchrl": ("observation", "action_mask", np.bool_),
}
every_style = pytest.mark.parametrize("style", KEYS)


@every_style
@pytest.mark.parametrize("env_id", sorted(textenvs.IDS))
def test_check_env(env_id, style):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it advises against checking a wrapped environment
        check_env(MaskedObservation(gymnasium.make(env_id), style), skip_render_check=True)


@every_style
def test_the_mask_stands_beside_the_observation(style):
    name, mask, dtype = KEYS[style]
    env = MaskedObservation(gymnasium.make("TextNER-v0"), style)
    plain = gymnasium.make("TextNER-v0")
    (observation, info), (expected, _) = env.reset(seed=0), plain.reset(seed=0)
    done = False
    while not done:
        assert observation.keys() == {name, mask}
        np.testing.assert_array_equal(observation[name], expected)
        np.testing.assert_array_equal(observation[mask], plain.unwrapped.action_masks())
        assert observation[mask].dtype == dtype == env.observation_space[mask].dtype
        assert ("action_mask" in info) == (style != "tianshou")  # whose buffers bear no infos
        action = env.unwrapped.expert_action()
        (observation, _, done, _, info), (expected, *_) = env.step(action), plain.step(action)


def test_as_tianshou_and_rllib_apply_it():
    """The formulas of Tianshou's DQN and random policy, and of RLlib's example."""
    tianshou = MaskedObservation(gymnasium.make("TextNER-v0"), "tianshou")
    rllib = MaskedObservation(gymnasium.make("TextNER-v0"), "rllib")
    mask = tianshou.reset(seed=0)[0]["mask"]
    logits = np.linspace(-1, 1, len(mask))
    masked = logits + (1 - mask) * (logits.min() - logits.max() - 1)
    assert mask[masked.argmax()]
    logits[~mask] = -np.inf
    with np.errstate(divide="ignore"):
        added = np.log(rllib.reset(seed=0)[0]["action_mask"])
    np.testing.assert_array_equal(np.isneginf(added), ~mask)
    assert (added[mask] == 0).all()


def test_all_actions_are_legal_where_there_is_no_mask():
    env = MaskedObservation(gymnasium.make("TextNER-v0", constrain=False), "torchrl")
    assert "action_mask" in env.reset(seed=0)[0]
    free = MaskedObservation(_without_masks(), "torchrl")
    observation, info = free.reset(seed=0)
    assert info == {}
    assert observation["action_mask"].all()
    envs = VectorMaskedObservation(_without_masks(3), "torchrl")
    observations, _ = envs.reset(seed=0)
    assert observations["action_mask"].all()
    assert observations in envs.observation_space
    for _ in range(30):
        observations, _, ended, _, info = envs.step(np.full(3, 5))
        if ended.any():
            final = info["final_obs"][np.flatnonzero(ended)[0]]
            assert final["action_mask"].all()


def _without_masks(num_envs=None):
    options = {"constrain": False}
    if num_envs is None:
        return gymnasium.make("TextQA-v0", **options)
    return gymnasium.make_vec("TextQA-v0", num_envs=num_envs, **options)


@every_style
@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_the_vector_wrapper_is_a_loop_of_single_ones(mode, style):
    ours = VectorMaskedObservation(
        gymnasium.make_vec("TextNER-v0", num_envs=3, autoreset_mode=mode), style
    )
    loop = SyncVectorEnv(
        [lambda: MaskedObservation(gymnasium.make("TextNER-v0"), style)] * 3, autoreset_mode=mode
    )
    assert ours.single_observation_space == loop.single_observation_space
    assert ours.observation_space == loop.observation_space
    (observations, _), (expected, _) = ours.reset(seed=5), loop.reset(seed=5)
    rng = np.random.default_rng(0)
    finished = 0
    for _ in range(80):
        for key in expected:
            np.testing.assert_array_equal(observations[key], expected[key])
            assert observations[key].dtype == expected[key].dtype
        actions = rng.integers(ours.single_action_space.n, size=3)
        observations, _, ended, _, info = ours.step(actions)
        expected, _, _, _, loop_info = loop.step(actions)
        finished += int(ended.sum())
        if "final_obs" in loop_info:
            for mine, theirs in zip(info["final_obs"], loop_info["final_obs"], strict=True):
                assert (mine is None) == (theirs is None)
                for key in theirs or ():
                    np.testing.assert_array_equal(mine[key], theirs[key])
        if mode is AutoresetMode.DISABLED and ended.any():
            options = {"reset_mask": ended}
            observations, _ = ours.reset(options=options)
            expected, _ = loop.reset(options=options)
    assert finished > 3


def test_around_another_wrapper():
    env = MaskedObservation(BagOfTokens(gymnasium.make("TextNER-v0")), "tianshou")
    observation, _ = env.reset(seed=0)
    assert observation["obs"].shape == (env.unwrapped.task.vocab_size,)
    assert observation in env.observation_space


def test_a_spec_makes_the_wrapped_environment_again():
    env = MaskedObservation(gymnasium.make("TextNER-v0"), "rllib")
    spec = gymnasium.envs.registration.EnvSpec.from_json(env.spec.to_json())
    copy = gymnasium.make(spec)
    assert copy.reset(seed=1)[0].keys() == env.reset(seed=1)[0].keys()


def test_impossible_styles_and_actions():
    with pytest.raises(OptionError, match="unknown style 'rlib': did you mean 'rllib'"):
        MaskedObservation(gymnasium.make("TextNER-v0"), "rlib")
    with pytest.raises(OptionError, match=r"a mask is of Discrete actions, not of Unicode\(\)"):
        MaskedObservation(StringAction(gymnasium.make("TextNER-v0")), "rllib")
