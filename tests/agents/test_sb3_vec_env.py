"""TextVecEnv is what single environments in stable-baselines3's own vector environment are."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import one_skill
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TimeLimit

import textenvs
from agents.errors import AgentError

pytest.importorskip("stable_baselines3", reason='needs it: pip install "textenvs[sb3]"')
pytest.importorskip("sb3_contrib", reason='needs it: pip install "textenvs[sb3]"')

from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecMonitor, VecNormalize

from agents.sb3 import (
    TextVecEnv,
)

EASY = {"answers": 2, "noise": 2, "words": 5}
every_id = pytest.mark.parametrize("env_id", textenvs.IDS)


@every_id
@pytest.mark.parametrize("constrain_to_mask", [True, False])
def test_trajectories_are_those_of_single_environments(
    env_id: str, constrain_to_mask: bool
) -> None:
    options = {"size": 30}
    native = TextVecEnv(env_id, 3, **options)
    singles = DummyVecEnv([lambda: gymnasium.make(env_id, **options)] * 3)
    assert native.observation_space == singles.observation_space
    assert native.action_space == singles.action_space
    rng = np.random.default_rng(0)
    assert native.seed(7) == singles.seed(7) == [7, 8, 9]
    observations = native.reset()
    np.testing.assert_array_equal(observations, singles.reset())
    assert native.observation_space.contains(observations[0])
    ends = 0
    for _ in range(60):
        assert is_masking_supported(native)
        masks = get_action_masks(native)
        np.testing.assert_array_equal(masks, get_action_masks(singles))
        legal = masks if constrain_to_mask else np.ones_like(masks)
        actions = np.array([rng.choice(np.flatnonzero(row)) for row in legal])
        for one, other in zip(native.step(actions), singles.step(actions), strict=True):
            if isinstance(one, list):
                for mine, theirs in zip(one, other, strict=True):
                    ended = "terminal_observation" in theirs
                    ends += ended
                    assert mine.keys() == (theirs.keys() if ended else set())
                    for key in mine:
                        np.testing.assert_array_equal(mine[key], theirs[key])
            else:
                np.testing.assert_array_equal(one, other)
                assert one.dtype == other.dtype
    assert ends


def test_seeds_and_options_hold_for_one_reset() -> None:
    env = TextVecEnv("TextNER-v0", 3, size=30)
    env.set_options({"index": 4})
    same = env.reset()
    assert (same == same[0]).all()
    env.set_options([{"index": 4}, {"index": 5}, {"index": 4}])
    several = env.reset()
    np.testing.assert_array_equal(several[[0, 2]], same[[0, 0]])
    assert (several[1] != same[1]).any()
    env.seed(3)
    seeded = env.reset()
    assert (seeded != env.reset()).any()
    env.seed(3)
    np.testing.assert_array_equal(seeded, env.reset())
    env.set_options([{"index": 4}, {}, {}])
    with pytest.raises(AgentError, match="same names for all slots"):
        env.reset()


def test_attributes_and_methods_are_those_of_the_slots() -> None:
    env = TextVecEnv("TextNER-v0", 3, size=30)
    env.reset()
    assert env.get_attr("pad_token_id") == [0, 0, 0]
    assert env.get_attr("pad_token_id", [0, 2]) == [0, 0]
    assert not env.has_attr("no_such_thing")
    assert env.env_is_wrapped(TimeLimit) == [False] * 3
    env.set_attr("illegal_action", "raise")
    assert env.get_attr("illegal_action", 1) == ["raise"]
    with pytest.raises(AgentError, match="leave out the indices"):
        env.set_attr("illegal_action", "allow", 1)
    assert len(env.env_method("expert_action", indices=[0, 1])) == 2
    with pytest.raises(AttributeError, match="action_masks, expert_action"):
        env.env_method("close")
    env.close()


def test_time_limits_truncate_as_in_single_environments() -> None:
    def limited() -> gymnasium.Env[Any, Any]:
        return TimeLimit(gymnasium.make("TextNER-v0", size=30), 3)

    envs = [
        TextVecEnv(SyncVectorEnv([limited] * 2, autoreset_mode=AutoresetMode.SAME_STEP)),
        DummyVecEnv([limited] * 2),
    ]
    for env in envs:
        env.seed(0)
        env.reset()
    for _ in range(3):
        first, second = (env.step(np.zeros(2, np.int64)) for env in envs)
    assert first[2].all()
    for mine, theirs in zip(first[3], second[3], strict=True):
        assert mine["TimeLimit.truncated"] is theirs["TimeLimit.truncated"] is True
        np.testing.assert_array_equal(mine["terminal_observation"], theirs["terminal_observation"])
    assert envs[0].env_is_wrapped(TimeLimit) == [True, True]
    assert envs[0].get_attr("pad_token_id") == [0, 0]
    envs[0].set_attr("marked", 1, [1])
    assert envs[0].has_attr("marked") is False
    masks = [env.env_method("action_masks") for env in envs]
    np.testing.assert_array_equal(*masks)


def test_observations_tell_how_long_their_prompt_is() -> None:
    env = TextVecEnv("OneSkill-v0", 4, prompt_length=True, **EASY)
    observation = env.reset()
    assert env.observation_space.contains({key: rows[0] for key, rows in observation.items()})
    ends = 0
    for _ in range(12):
        before = observation
        observation, _, dones, infos = env.step(np.zeros(4, np.int64))
        for slot, done in enumerate(dones):
            prompt = before["prompt_length"][slot]
            assert before["tokens"][slot, prompt - 1] == one_skill.COMMA
            after = infos[slot]["terminal_observation"] if done else observation
            np.testing.assert_array_equal(after["prompt_length"][... if done else slot], prompt)
            ends += done
    assert ends


class Expert:
    """Plays as the environment itself proposes."""

    def __init__(self, env: VecEnv) -> None:
        self.env = env

    def predict(self, observation: Any, **kwargs: Any) -> tuple[Any, None]:
        return np.array(self.env.env_method("expert_action")), None


@pytest.mark.parametrize("reward", ["terminal", "dense"])
def test_returns_are_those_of_whole_episodes(reward: str) -> None:
    plain = TextVecEnv("TextNER-v0", 4, size=30, reward=reward)
    normalized = VecNormalize(plain, norm_obs=False, norm_reward=True)
    for env in (VecMonitor(plain), VecMonitor(plain, info_keywords=("text",))):
        returns, lengths = evaluate_policy(Expert(env), env, 20, return_episode_rewards=True)
        assert np.allclose(returns, 1)
        assert max(lengths) > 1
    env = VecNormalize(VecMonitor(plain), norm_obs=False, norm_reward=True)
    assert evaluate_policy(Expert(env), env, 20)[0] == pytest.approx(1)
    assert evaluate_policy(Expert(normalized), normalized, 20, warn=False)[0] != pytest.approx(1)
