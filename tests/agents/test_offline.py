"""Episodes go into data sets of other libraries and come back as they were."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import one_skill  # noqa: F401  registers its id
import pytest
from gymnasium.vector import AutoresetMode
from test_recorded import CONTRACT, GOOD, same

from agents import (
    PPO,
    BCConfig,
    BehaviourCloning,
    PPOConfig,
    RandomAgent,
    RecordingError,
    ReferenceAgent,
    evaluate,
    record,
)
from agents.environment import Contract, make_env, read_contract
from agents.episodes import Cut, Episode, unpack
from agents.offline import from_minari, load_recorded, to_dataset, to_minari

# `OneSkill-v0` is registered as a class, which no data set can hold.
pytestmark = pytest.mark.filterwarnings("ignore:the data set cannot tell how OneSkill-v0 is made")
TASK: dict[str, Any] = {"answers": 2, "noise": 3, "words": 10, "examples": 300, "masked": True}


def contract_of(env_id: str, **options: Any) -> Contract:
    env = make_env(env_id, 1, AutoresetMode.DISABLED, **options)
    contract = read_contract(env)
    env.close()
    return contract


@pytest.fixture
def minari(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    library = pytest.importorskip(
        "minari", reason='needs Minari: pip install "textenvs[offline]" (Python 3.11 or later)'
    )
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return library


def expert(tmp_path: Path, env_id: str, episodes: int, **options: Any) -> list[Episode]:
    return record(ReferenceAgent(), env_id, tmp_path / "expert", episodes, **options)


@pytest.mark.parametrize("env_id", ["TextNER-v0", "TextQASpan-v0", "TextSummarization-v0"])
def test_what_is_loaded_from_minari_is_what_was_written(
    env_id: str, tmp_path: Path, minari: Any
) -> None:
    options: dict[str, Any] = {"size": 50, "reward": "dense"}
    episodes = expert(tmp_path, env_id, 12, **options)
    to_minari(episodes, "text/expert-v0", env_id, **options)
    loaded = from_minari("text/expert-v0", contract_of(env_id, **options))
    assert len(loaded) == 12
    assert all(map(same, loaded, episodes))


def test_what_an_agent_adds_comes_back_too(minari: Any, tmp_path: Path) -> None:
    """Its probabilities and values, an end by a time limit, metrics, and no masks."""
    agent = PPO("OneSkill-v0", PPOConfig(num_envs=4, steps=8), env_kwargs=TASK)
    contract = agent.contract
    rng = np.random.default_rng(0)
    episodes = [
        dataclasses.replace(
            each,
            log_probs_T=rng.normal(size=each.steps).astype(np.float32),
            values_T=rng.normal(size=each.steps).astype(np.float32),
            bootstrap=float(number % 2) / 3,
            legal_TA8=None,
            metrics={"PER/f1": float(rng.normal())} if number else {},
            cut=Cut(np.append(each.tokens_L, np.int32(5)), None) if number % 2 else None,
        )
        for number, each in enumerate(record(agent, "OneSkill-v0", tmp_path / "a", 6, **TASK))
    ]
    with pytest.warns(UserWarning, match="cannot tell how OneSkill-v0 is made, .* Callable found"):
        dataset = to_minari(episodes, "skill-v3", "OneSkill-v0", **TASK)
    assert all(map(same, from_minari("skill-v3", contract), episodes))
    ends = [(data.terminations.tolist(), data.truncations.tolist()) for data in dataset]
    assert ends == [([False, True], [False] * 2), ([False] * 2, [False, True])] * 3


def test_others_see_the_environments_own_observations(minari: Any, tmp_path: Path) -> None:
    episodes = expert(tmp_path, "TextNER-v0", 5, size=20)
    about = {"author": "us", "algorithm_name": "expert"}
    to_minari(episodes, "TextNER/expert-v0", "TextNER-v0", about=about, size=20)
    dataset = minari.load_dataset("TextNER/expert-v0")
    assert dataset.storage.metadata["author"] == {"us"}
    assert dataset.total_steps == sum(episode.steps for episode in episodes)
    env = dataset.recover_environment()
    assert env.unwrapped.num_examples == 20
    assert dataset.observation_space == env.observation_space
    assert dataset.action_space == env.action_space
    for number, data in enumerate(dataset):
        assert data.actions.dtype == np.int64
        observation, info = env.reset(options={"index": 4 * number})
        for step, action in enumerate(data.actions):
            np.testing.assert_array_equal(data.observations[step], observation)
            np.testing.assert_array_equal(data.infos["action_mask"][step], info["action_mask"])
            observation, reward, terminated, _, info = env.step(action)
            assert (reward, terminated) == (data.rewards[step], data.terminations[step])
        np.testing.assert_array_equal(data.observations[-1], observation)
        assert env.observation_space.contains(data.observations[-1])


def test_a_clone_learns_from_a_minari_data_set(minari: Any, tmp_path: Path) -> None:
    episodes = expert(tmp_path, "TextNER-v0", 60)
    to_minari(episodes, "ner/expert-v0", "TextNER-v0")
    config = BCConfig(recorded="minari:ner/expert-v0", epochs=4)
    agent = BehaviourCloning("TextNER-v0", config).learn(progress_bar=False)
    assert all(map(same, agent.demonstrations(), episodes))
    chance = evaluate(RandomAgent(agent.contract.n_actions), "TextNER-v0", episodes=50)
    assert evaluate(agent, "TextNER-v0", episodes=50).score.low > chance.score.high


# What other libraries write


def written_by_others(minari: Any, contract: Contract, **changes: Any) -> None:
    """One episode of two actions, `GOOD`'s, without anything of ours."""
    observations = np.full((3, contract.max_tokens), contract.pad_token_id, np.int32)
    for row, prefix in enumerate([[1, 2], [1, 2, 3], [1, 2, 3, 3]]):
        observations[row, : len(prefix)] = prefix
    fields = {
        "observations": observations,
        "actions": np.array([1, 0]),
        "rewards": np.zeros(2),
        "terminations": np.array([False, True]),
        "truncations": np.array([False, False]),
    }
    buffer = minari.data_collector.EpisodeBuffer(**(fields | changes))
    minari.create_dataset_from_buffers(
        "others-v0",
        [buffer],
        observation_space=gymnasium.spaces.Box(
            0, contract.vocab_size - 1, (contract.max_tokens,), np.int32
        ),
        action_space=gymnasium.spaces.Discrete(contract.n_actions),
    )


@pytest.mark.filterwarnings("ignore:.*None")
def test_data_sets_of_others_are_read(minari: Any) -> None:
    written_by_others(minari, CONTRACT)
    (episode,) = from_minari("others-v0", CONTRACT)
    assert same(episode, GOOD)


@pytest.mark.filterwarnings("ignore:.*None")
def test_masks_of_others_are_read(minari: Any) -> None:
    legal = np.array([[0, 1, 1], [1, 0, 0], [1, 1, 1]], np.int8)
    written_by_others(minari, CONTRACT, infos={"action_mask": legal})
    (episode,) = from_minari("others-v0", CONTRACT)
    assert episode.legal_TA8 is not None
    assert unpack(episode.legal_TA8, 3).tolist() == legal[:2].astype(bool).tolist()


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "other": ({"observations": np.eye(3, 12, dtype=np.int32)}, "is no prefix of the last one"),
    "short": ({"observations": np.ones((2, 12), np.int32)}, "2 actions; expected one more"),
    "still": ({"observations": np.ones((3, 12), np.int32)}, "positions do not increase"),
    "illegal": (
        {"infos": {"action_mask": np.array([[1, 0, 0]] * 3, np.int8)}},
        "action 1 is taken where it is illegal",
    ),
}


@pytest.mark.filterwarnings("ignore:.*None")
@pytest.mark.parametrize("fault", FAULTS)
def test_data_sets_that_break_the_contract_are_refused(fault: str, minari: Any) -> None:
    changes, message = FAULTS[fault]
    written_by_others(minari, CONTRACT, **changes)
    with pytest.raises(RecordingError, match=f"others-v0 is damaged.*: .*{message}"):
        from_minari("others-v0", CONTRACT)


@pytest.mark.filterwarnings("ignore:.*None")
@pytest.mark.parametrize("changes", [{"max_tokens": 13}, {"action_tokens": (3, 4)}])
def test_other_spaces_are_refused(changes: dict[str, Any], minari: Any) -> None:
    written_by_others(minari, CONTRACT)
    other = dataclasses.replace(CONTRACT, **changes)
    with pytest.raises(RecordingError, match=f"expected {other.max_tokens} token ids and Discrete"):
        from_minari("others-v0", other)


def test_another_environments_episodes_are_refused(minari: Any, tmp_path: Path) -> None:
    episodes = expert(tmp_path, "OneSkill-v0", 3, **TASK)
    to_minari(episodes, "a-v0", "OneSkill-v0", **TASK)
    contract = contract_of("OneSkill-v0", **TASK)
    swapped = dataclasses.replace(contract, action_tokens=contract.action_tokens[::-1])
    with pytest.raises(
        RecordingError, match=r"played in another environment: .*action_tokens\[0\]"
    ):
        from_minari("a-v0", swapped)
    with pytest.raises(RecordingError, match="cannot export: in episode 0"):
        to_minari(episodes, "b-v0", "OneSkill-v0", words=2)


def test_names_are_checked(minari: Any, tmp_path: Path) -> None:
    episodes = expert(tmp_path, "OneSkill-v0", 3, **TASK)
    for name in ("expert", "../expert-v0"):
        with pytest.raises(RecordingError, match="expected a new name that ends with a version"):
            to_minari(episodes, name, "OneSkill-v0", **TASK)
    to_minari(episodes, "expert-v0", "OneSkill-v0", **TASK)
    with pytest.raises(RecordingError, match="expert-v0 already exists"):
        to_minari(episodes, "expert-v0", "OneSkill-v0", **TASK)
    with pytest.raises(RecordingError, match=r"no Minari data set 'exprt-v0' .* are: 'expert-v0'"):
        load_recorded("minari:exprt-v0", contract_of("OneSkill-v0", **TASK))


def test_a_file_is_a_file(tmp_path: Path) -> None:
    episodes = expert(tmp_path, "OneSkill-v0", 3, **TASK)
    contract = contract_of("OneSkill-v0", **TASK)
    assert all(map(same, load_recorded(str(tmp_path / "expert"), contract), episodes))


def test_without_minari_the_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "minari", None)
    with pytest.raises(RecordingError, match=r'Python 3.11 or later: pip install "textenvs\[off'):
        from_minari("a-v0", CONTRACT)


# Hugging Face's


def test_rows_hold_the_episodes(tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason='needs datasets: pip install "textenvs[offline]"')
    episodes = expert(tmp_path, "TextNER-v0", 4, size=20)
    dataset = to_dataset(episodes)
    assert len(dataset) == 4
    dataset.to_json(tmp_path / "episodes.jsonl")
    lines = (tmp_path / "episodes.jsonl").read_text().splitlines()
    for row, line, episode in zip(dataset, lines, episodes, strict=True):
        assert row["tokens"] == episode.tokens_L.tolist()
        assert row["actions"] == episode.actions_T.tolist()
        assert row["rewards"] == episode.rewards_T.tolist()
        assert row["legal"] == episode.legal_TA8.tolist()  # type: ignore[union-attr]
        assert row["return"] == episode.episode_return
        assert row["metrics"] == episode.metrics
        assert json.loads(line) == row
    with pytest.raises(RecordingError, match="there are no episodes"):
        to_dataset([])
