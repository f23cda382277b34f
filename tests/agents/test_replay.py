"""Replay: what goes in comes out bit by bit, the oldest goes first, draws follow the formula."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agents.batching import make_batch
from agents.episodes import (
    Episode,
    episodes_to_tensors,
    pack,
    packed_masks,
    tensors_to_episodes,
    unpack,
)
from agents.replay import Replay, episode_errors


def an_episode(rng: np.random.Generator, steps: int, masked: bool = True) -> Episode:
    positions_T = np.cumsum(rng.integers(1, 4, steps)).astype(np.int32)
    legal_TA = rng.random((steps, 11)) < 0.5
    return Episode(
        tokens_L=rng.integers(0, 50, positions_T[-1] + 1).astype(np.int32),
        positions_T=positions_T,
        actions_T=rng.integers(0, 11, steps).astype(np.int32),
        rewards_T=rng.normal(size=steps),
        log_probs_T=rng.normal(size=steps).astype(np.float32),
        values_T=rng.normal(size=steps).astype(np.float32),
        legal_TA8=pack(legal_TA) if masked else None,
        bootstrap=float(rng.normal()),
        metrics={name: float(rng.normal()) for name in "abc" if rng.random() < 0.5},
    )


def same(one: Episode, other: Episode) -> bool:
    pairs = ((getattr(one, f.name), getattr(other, f.name)) for f in dataclasses.fields(Episode))
    return all(
        a.dtype == b.dtype and np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b
        for a, b in pairs
    )


@given(st.lists(st.integers(1, 6), max_size=6), st.booleans(), st.integers(0, 99))
def test_episodes_come_back_from_tensors_bit_by_bit(
    lengths: list[int], masked: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    episodes = [an_episode(rng, steps, masked) for steps in lengths]
    back = tensors_to_episodes(episodes_to_tensors(episodes))
    assert len(back) == len(episodes)
    assert all(same(one, other) for one, other in zip(episodes, back, strict=True))


def test_tensors_that_do_not_fit_are_refused() -> None:
    rng = np.random.default_rng(0)
    tensors = episodes_to_tensors([an_episode(rng, 3), an_episode(rng, 2)])
    with pytest.raises(KeyError):
        tensors_to_episodes({name: t for name, t in tensors.items() if name != "actions_T"})
    with pytest.raises(ValueError, match="do not divide"):
        tensors_to_episodes(tensors | {"actions_T": tensors["actions_T"][1:]})
    with pytest.raises(ValueError, match="behind its tokens"):
        tensors_to_episodes(tensors | {"positions_T": tensors["positions_T"] + 100})


def test_beside_masks_no_masks_are_masks_in_which_all_is_legal() -> None:
    rng = np.random.default_rng(0)
    episodes = [an_episode(rng, 3), an_episode(rng, 2, masked=False), an_episode(rng, 1)]
    masks = packed_masks(episodes)
    assert masks is not None
    assert masks[0] is episodes[0].legal_TA8
    legal_NA = make_batch(episodes, 11, torch.device("cpu")).legal_NA
    assert legal_NA is not None
    assert legal_NA[3:5].all()
    assert not legal_NA.all()
    back = tensors_to_episodes(episodes_to_tensors(episodes))
    assert same(back[2], episodes[2])
    assert unpack(back[1].legal_TA8, 11).all()  # type: ignore[arg-type]
    assert packed_masks(episodes[1:2]) is None


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(1, 40))
def test_the_oldest_go_first_and_demonstrations_stay(lengths: list[int], capacity: int) -> None:
    rng = np.random.default_rng(0)
    replay = Replay(capacity)
    kept = [an_episode(rng, 5), an_episode(rng, 1)]
    replay.add_demonstrations(kept)
    added = [an_episode(rng, steps) for steps in lengths]
    for start in range(0, len(added), 3):
        replay.add(added[start : start + 3])
    own = replay.episodes[2:]
    assert replay.steps == sum(episode.steps for episode in own)
    assert replay.steps <= capacity or len(own) == 1
    # One more of the old ones would not have fitted.
    dropped = len(added) - len(own)
    assert not dropped or replay.steps + added[dropped - 1].steps > capacity
    expected = kept + added[dropped:]
    for one, other in zip(replay.episodes, expected, strict=True):
        assert same(one, dataclasses.replace(other, metrics={}))
    assert len(replay.priorities_E) == len(replay.episodes)


def filled(exponent: float, lengths: list[int]) -> Replay:
    rng = np.random.default_rng(1)
    replay = Replay(10_000, exponent)
    replay.add([an_episode(rng, steps) for steps in lengths])
    return replay


def test_the_priority_is_that_of_the_paper() -> None:
    replay = filled(0.6, [2, 3, 1])
    errors = episode_errors(np.array([-0.5, 0.1, 0.2]), np.array([2, 1]))
    assert errors == pytest.approx([0.9 * 0.5 + 0.1 * 0.3, 0.2])
    replay.set_priorities(np.array([0, 2]), errors)
    assert replay.priorities_E == pytest.approx([0.481, 1.0, 0.201])
    replay.set_priorities(np.array([1]), np.array([4.0]))
    replay.add([an_episode(np.random.default_rng(2), 2)])
    assert replay.priorities_E[-1] == replay.priorities_E[1] == pytest.approx(4.001)


@given(st.lists(st.lists(st.floats(-9, 9), min_size=1, max_size=5), min_size=1, max_size=5))
def test_the_error_of_an_episode_is_nine_parts_its_largest(errors: list[list[float]]) -> None:
    lengths = np.array([len(each) for each in errors])
    expected = [0.9 * max(map(abs, e)) + 0.1 * sum(map(abs, e)) / len(e) for e in errors]
    assert episode_errors(np.concatenate(errors), lengths) == pytest.approx(expected)


@pytest.mark.parametrize("exponent", [0.0, 0.6, 1.0])
def test_draws_have_the_frequencies_and_weights_of_the_formula(exponent: float) -> None:
    replay = filled(exponent, [1, 2, 3, 4, 5])
    priorities = [0.1, 2.0, 0.5, 1.0, 0.7]
    replay.set_priorities(np.arange(5), np.array(priorities) - 1e-3)
    powers = np.array(priorities) ** exponent
    probabilities = powers / powers.sum()
    rng = np.random.default_rng(3)
    counts, steps = np.zeros(5), 0
    for _ in range(200):
        draw = replay.draw(100, rng, correction=0.4)
        counts += np.bincount(draw.places_E, minlength=5)
        steps += sum(replay.episodes[place].steps for place in draw.places_E)
        weights = (5 * probabilities[draw.places_E]) ** -0.4
        assert draw.weights_E == pytest.approx(weights / weights.max())
    assert counts / counts.sum() == pytest.approx(probabilities, abs=0.005)
    assert steps / 200 == pytest.approx(100, rel=0.03)


def test_stratified_draws_are_as_even_as_can_be() -> None:
    replay = filled(0.0, [2] * 10)
    draw = replay.draw(20, np.random.default_rng(0))
    assert sorted(draw.places_E) == list(range(10))
    assert (draw.weights_E == 1).all()
    assert len(replay.draw(0.1, np.random.default_rng(0)).places_E) == 1


def test_a_restored_replay_draws_the_same() -> None:
    replay = filled(0.7, [3, 1, 4])
    replay.add_demonstrations([an_episode(np.random.default_rng(5), 2)])
    replay.set_priorities(np.array([1]), np.array([0.3]))
    other = Replay(10_000, 0.7)
    other.restore(replay.tensors())
    assert other.demonstrations == 1
    assert other.steps == replay.steps
    assert all(same(*pair) for pair in zip(replay.episodes, other.episodes, strict=True))
    one, two = (r.draw(50, np.random.default_rng(0), 0.5) for r in (replay, other))
    assert np.array_equal(one.places_E, two.places_E)
    assert np.array_equal(one.weights_E, two.weights_E)
    with pytest.raises(ValueError, match="priorities"):
        other.restore(replay.tensors() | {"priorities": replay.tensors()["priorities"][1:]})
