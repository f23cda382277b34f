"""Recorded episodes come back as they were, and a file that does not fit is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import one_skill  # noqa: F401  registers its id
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from agents import AgentError, BCConfig, BehaviourCloning, RandomAgent, ReferenceAgent, evaluate
from agents.behaviour_cloning import step_weights
from agents.environment import Contract
from agents.episodes import Episode, pack
from agents.errors import RecordingError
from agents.recorded import load_episodes, record, save_episodes

TASK = {"answers": 2, "noise": 3, "words": 10, "examples": 400, "masked": True}
CONTRACT = Contract(action_tokens=(3, 4, 5), pad_token_id=0, vocab_size=9, max_tokens=12)


def random_episode(rng: np.random.Generator, masked: bool) -> Episode:
    steps = int(rng.integers(1, 5))
    positions_T = np.sort(rng.choice(12, size=steps, replace=False)).astype(np.int32)
    actions_T = rng.integers(3, size=steps).astype(np.int32)
    legal_TA = rng.random((steps, 3)) < 0.5
    legal_TA[np.arange(steps), actions_T] = True
    return Episode(
        tokens_L=rng.integers(9, size=positions_T[-1] + 1).astype(np.int32),
        positions_T=positions_T,
        actions_T=actions_T,
        rewards_T=rng.normal(size=steps),
        log_probs_T=rng.normal(size=steps).astype(np.float32),
        values_T=rng.normal(size=steps).astype(np.float32),
        legal_TA8=pack(legal_TA) if masked else None,
        bootstrap=float(rng.normal()),
        metrics={name: float(rng.normal()) for name in ("f1", "em") if rng.random() < 0.7},
    )


def same(one: Episode, other: Episode) -> bool:
    def parts(episode: Episode) -> list[Any]:
        fields = [getattr(episode, field.name) for field in dataclasses.fields(Episode)[:-1]]
        return [*fields, *(episode.cut or (None, None))]

    return all(
        np.array_equal(mine, theirs)
        and getattr(mine, "dtype", None) == getattr(theirs, "dtype", None)
        for mine, theirs in zip(parts(one), parts(other), strict=True)
    )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), count=st.integers(1, 6), masked=st.booleans())
def test_what_is_loaded_is_what_was_saved(
    seed: int, count: int, masked: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rng = np.random.default_rng(seed)
    episodes = [random_episode(rng, masked) for _ in range(count)]
    path = tmp_path_factory.mktemp("recorded") / "episodes.safetensors"
    save_episodes(path, episodes, CONTRACT)
    loaded = load_episodes(path, CONTRACT)
    assert len(loaded) == count
    assert all(map(same, loaded, episodes))


FAULTS: dict[str, tuple[dict[str, object], str]] = {
    "token": ({"tokens_L": np.array([1, 2, 9], np.int32)}, "tokens are outside of 0 to 8"),
    "long": ({"tokens_L": np.ones(13, np.int32)}, "there are 13 tokens; expected 1 to 12"),
    "order": ({"positions_T": np.array([2, 1], np.int32)}, "positions do not increase"),
    "last": ({"positions_T": np.array([0, 1], np.int32)}, "ends at 1, not at token 2"),
    "action": ({"actions_T": np.array([0, 3], np.int32)}, "actions are outside of 0 to 2"),
    "reward": ({"rewards_T": np.array([0.0, np.nan])}, "a reward is not finite"),
    "illegal": (
        {"legal_TA8": pack(np.array([[True, False, True], [False, True, False]]))},
        "action 1 is taken where it is illegal",
    ),
}
GOOD = Episode(
    tokens_L=np.array([1, 2, 3], np.int32),
    positions_T=np.array([1, 2], np.int32),
    actions_T=np.array([1, 0], np.int32),
    rewards_T=np.zeros(2),
    log_probs_T=np.zeros(2, np.float32),
    values_T=np.zeros(2, np.float32),
    legal_TA8=None,
    bootstrap=0.0,
    metrics={},
)


@pytest.mark.parametrize("fault", FAULTS)
def test_episodes_that_break_the_contract_are_refused(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes, message = FAULTS[fault]
    bad = dataclasses.replace(GOOD, **changes)  # type: ignore[arg-type]
    good = GOOD
    if fault == "illegal":
        good = dataclasses.replace(GOOD, legal_TA8=np.full((2, 1), 255, np.uint8))
    path = tmp_path / "episodes.safetensors"
    with pytest.raises(RecordingError, match=f"cannot save: in episode 1, .*{message}"):
        save_episodes(path, [good, bad], CONTRACT)
    assert not path.exists()
    monkeypatch.setattr("agents.recorded.check_episodes", lambda *arguments: None)
    save_episodes(path, [good, bad], CONTRACT)
    monkeypatch.undo()
    with pytest.raises(RecordingError, match=f"is damaged: in episode 1, .*{message}"):
        load_episodes(path, CONTRACT)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocab_size": 10}, "vocab_size is 10, but the agent was made for 9"),
        ({"action_tokens": (3, 4, 6)}, r"action_tokens\[2\] is 6"),
        ({"action_positions": (0, 1, 2)}, "has action_positions"),
    ],
)
def test_another_environments_episodes_are_refused(
    changes: dict[str, object], message: str, tmp_path: Path
) -> None:
    save_episodes(tmp_path / "a", [GOOD], CONTRACT)
    with pytest.raises(RecordingError, match=f"played in another environment: .*{message}"):
        load_episodes(tmp_path / "a", dataclasses.replace(CONTRACT, **changes))  # type: ignore[arg-type]


def test_masks_of_other_actions_are_refused() -> None:
    bad = dataclasses.replace(GOOD, legal_TA8=np.zeros((2, 2), np.uint8))
    with pytest.raises(RecordingError, match="masks have 16 bits; expected 3 actions"):
        save_episodes("nowhere", [bad], CONTRACT)


def test_files_that_are_none_of_ours_are_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"no recorded episodes at .*nowhere"):
        load_episodes(tmp_path / "nowhere", CONTRACT)
    with pytest.raises(RecordingError, match="there are no episodes"):
        save_episodes(tmp_path / "none", [], CONTRACT)
    (tmp_path / "text").write_text("hello")
    with pytest.raises(RecordingError, match=r"cannot read .*text"):
        load_episodes(tmp_path / "text", CONTRACT)
    save_file({"x": torch.zeros(1)}, tmp_path / "tensors")
    with pytest.raises(RecordingError, match="expected format episodes-1, got None"):
        load_episodes(tmp_path / "tensors", CONTRACT)


@pytest.mark.parametrize(
    "part", ["tokens", "token_counts", "step_counts", "positions_T", "actions_T", "bootstraps"]
)
@pytest.mark.parametrize("damage", ["missing", "short", "scalar", "negative", "float", "matrix"])
def test_damaged_tensors_are_named(part: str, damage: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    save_episodes(path, [GOOD, GOOD], CONTRACT)
    tensors = load_file(path)
    header = {"format": "episodes-1", "contract": json.dumps(dataclasses.asdict(CONTRACT))}
    tensor = tensors.pop(part)
    changed = {
        "short": tensor[:-1],
        "scalar": tensor[0],
        "negative": -tensor - 1,
        "float": tensor.double() + torch.nan,
        "matrix": tensor[None],
    }
    if damage != "missing":
        tensors[part] = changed[damage].contiguous()
    if (part, damage) == ("bootstraps", "negative"):
        return  # a number like any other
    save_file(tensors, path, header)
    with pytest.raises(RecordingError, match="damaged"):
        load_episodes(path, CONTRACT)


def test_metrics_of_an_episode_that_is_not_there_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "a"
    save_episodes(path, [dataclasses.replace(GOOD, metrics={"share": 1.0})], CONTRACT)
    header = {"format": "episodes-1", "contract": json.dumps(dataclasses.asdict(CONTRACT))}
    place = {"metric_places/share": torch.tensor([7], dtype=torch.int32)}
    save_file(load_file(path) | place, path, header)
    with pytest.raises(RecordingError, match="damaged"):
        load_episodes(path, CONTRACT)


@pytest.mark.parametrize("header", ["{", "[]", "{}", '{"action_tokens": 3}'])
def test_a_damaged_header_is_named(header: str, tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "a", {"format": "episodes-1", "contract": header})
    with pytest.raises(RecordingError, match="damaged"):
        load_episodes(tmp_path / "a", CONTRACT)


def test_a_clone_learns_from_recorded_episodes_as_from_the_expert(tmp_path: Path) -> None:
    path = tmp_path / "expert.safetensors"
    played = record(ReferenceAgent(), "OneSkill-v0", path, **TASK)
    assert len(played) == 400
    config = BCConfig(recorded=str(path), epochs=6, minibatch_tokens=512)
    agent = BehaviourCloning("OneSkill-v0", config, env_kwargs=TASK).learn(progress_bar=False)
    assert all(map(same, agent.demonstrations(), played))
    assert evaluate(agent, "OneSkill-v0", **TASK).score.low > 0.95


def test_only_good_episodes_are_learnt_from(tmp_path: Path) -> None:
    path = tmp_path / "random.safetensors"
    played = record(RandomAgent(10), "OneSkill-v0", path, episodes=60, **TASK)
    returns = sorted({episode.episode_return for episode in played})
    assert returns == [0, 0.5, 1]
    config = BCConfig(recorded=str(path), min_return=0.5)
    agent = BehaviourCloning("OneSkill-v0", config, env_kwargs=TASK)
    assert {episode.episode_return for episode in agent.demonstrations()} == {0.5, 1}
    agent = BehaviourCloning(
        "OneSkill-v0", dataclasses.replace(config, min_return=1.5), env_kwargs=TASK
    )
    with pytest.raises(AgentError, match=r"return of 1.5 or more \(min_return\): the highest is 1"):
        agent.learn(progress_bar=False)


def test_weights_rise_with_the_return_and_have_mean_1() -> None:
    better = dataclasses.replace(GOOD, rewards_T=np.array([0.0, 1.0]))
    longer = dataclasses.replace(
        better, actions_T=np.zeros(3, np.int32), rewards_T=np.array([1.0, 1.0, 0.0])
    )
    weights = step_weights([GOOD, better, longer], temperature=0.5)
    assert weights[1][0] / weights[0][0] == pytest.approx(np.exp(2))
    assert weights[2][0] / weights[1][0] == pytest.approx(np.exp(2))
    assert np.concatenate(weights).mean() == pytest.approx(1)
    assert [each.tolist() for each in step_weights([GOOD, longer], None)] == [[1, 1], [1, 1, 1]]


def test_weighing_by_return_prefers_what_paid(tmp_path: Path) -> None:
    """Of random play, the good half is imitated."""
    path = tmp_path / "random.safetensors"
    record(RandomAgent(10), "OneSkill-v0", path, deterministic=False, **TASK)
    scores = []
    for temperature in (None, 0.1):
        config = BCConfig(
            recorded=str(path), return_temperature=temperature, epochs=6, minibatch_tokens=512
        )
        agent = BehaviourCloning("OneSkill-v0", config, env_kwargs=TASK).learn(progress_bar=False)
        scores.append(evaluate(agent, "OneSkill-v0", **TASK).score)
    assert scores[1].low > scores[0].high
