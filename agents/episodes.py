"""Recorded episodes: token ids once, and a few numbers a step.

Shapes: S slots, T steps of an episode, L tokens of its last acted-on prefix, A actions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from agents.environment import Ints, Mask


class Cut(NamedTuple):
    """The state in which an episode was truncated.

    Attributes:
        tokens_L: int32, its prefix, of a length of its own.
        legal_A8: uint8, its legal actions packed by `numpy.packbits`; None if all are.
    """

    tokens_L: npt.NDArray[np.int32]
    legal_A8: npt.NDArray[np.uint8] | None


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One finished episode. Its states are the prefixes of `tokens_L` that end at `positions_T`.

    Attributes:
        tokens_L: int32, the prefix in which the last action was taken.
        positions_T: int32, the last token's position in each state acted on, increasing to L - 1.
        actions_T: int32.
        rewards_T: float64.
        log_probs_T: float32, of each action when it was taken.
        values_T: float32, estimate of each state when it was acted on.
        legal_TA8: uint8, legal actions packed by `numpy.packbits`; None if all always are.
        bootstrap: value after the last step: 0 after termination, an estimate after truncation.
        metrics: the task's metrics at the end.
        cut: where it was truncated; None after termination.
    """

    tokens_L: npt.NDArray[np.int32]
    positions_T: npt.NDArray[np.int32]
    actions_T: npt.NDArray[np.int32]
    rewards_T: npt.NDArray[np.float64]
    log_probs_T: npt.NDArray[np.float32]
    values_T: npt.NDArray[np.float32]
    legal_TA8: npt.NDArray[np.uint8] | None
    bootstrap: float
    metrics: dict[str, float]
    cut: Cut | None = None

    @property
    def steps(self) -> int:
        """Number of actions."""
        return len(self.actions_T)

    @property
    def episode_return(self) -> float:
        """Undiscounted sum of the rewards."""
        return float(self.rewards_T.sum())


class StepLog:
    """The steps of all slots in the order they were taken, in arrays that grow.

    An episode is a run of rows in one slot's column.
    """

    def __init__(self, num_slots: int) -> None:
        """Start empty."""
        self.rows = 0
        self._starts_S = np.zeros(num_slots, np.int64)
        self._columns: dict[str, npt.NDArray[Any]] = {}

    @property
    def running_S(self) -> Mask:
        """The slots whose episode has begun and not ended."""
        return self._starts_S < self.rows

    def append(self, **fields: npt.NDArray[Any]) -> None:
        """Add one step of every slot; each field has shape (S, ...)."""
        for name, array in fields.items():
            column = self._columns.get(name)
            if column is None or self.rows == len(column):
                grown = np.zeros((max(64, 2 * self.rows), *array.shape), array.dtype)
                if column is not None:
                    grown[: self.rows] = column
                self._columns[name] = column = grown
            column[self.rows] = array
        self.rows += 1

    def cut(self, slot: int) -> dict[str, npt.NDArray[Any]]:
        """The fields of the slot's episode that ended with the last step; starts its next one."""
        start = int(self._starts_S[slot])
        self._starts_S[slot] = self.rows
        return {name: rows[start : self.rows, slot].copy() for name, rows in self._columns.items()}

    def restart(self) -> None:
        """Forget all steps: every slot begins a new episode."""
        self.rows = 0
        self._starts_S[:] = 0

    def forget_finished(self) -> None:
        """Drop the rows that belong to no running episode, once they are half of all."""
        first = int(self._starts_S.min())
        if 2 * first < self.rows:
            return
        for column in self._columns.values():
            column[: self.rows - first] = column[first : self.rows]
        self.rows -= first
        self._starts_S -= first


def make_episode(
    fields: dict[str, npt.NDArray[Any]],
    final_observation_L: npt.NDArray[np.integer],
    bootstrap: float,
    metrics: dict[str, float],
    cut: Cut | None = None,
) -> Episode:
    """Put together an episode of the steps in `fields` (see `StepLog.cut`).

    As a prefix grows only at its end, the final observation holds all earlier states.
    """
    positions_T = fields["positions"].astype(np.int32)
    steps = len(positions_T)
    return Episode(
        tokens_L=final_observation_L[: positions_T[-1] + 1].astype(np.int32),
        positions_T=positions_T,
        actions_T=fields["actions"].astype(np.int32),
        rewards_T=fields["rewards"].astype(np.float64),
        log_probs_T=fields.get("log_probs", np.zeros(steps)).astype(np.float32),
        values_T=fields.get("values", np.zeros(steps)).astype(np.float32),
        legal_TA8=fields.get("legal"),
        bootstrap=bootstrap,
        metrics=metrics,
        cut=cut,
    )


def pack(legal_SA: Mask) -> npt.NDArray[np.uint8]:
    """Eight actions a byte."""
    return np.packbits(legal_SA, axis=-1)


def unpack(legal_NA8: npt.NDArray[np.uint8], n_actions: int) -> Mask:
    """The inverse of `pack`."""
    return np.unpackbits(legal_NA8, axis=-1, count=n_actions).astype(np.bool_)


def packed_masks(episodes: Sequence[Episode]) -> list[npt.NDArray[np.uint8]] | None:
    """The legal actions of each episode's states, packed; None where all are legal in all episodes.

    Among others that have masks, an episode without any gets ones in which all actions are legal:
    demonstrations may come from an environment that forbids nothing.
    """
    width = max((e.legal_TA8.shape[1] for e in episodes if e.legal_TA8 is not None), default=0)
    if not width:
        return None
    return [
        np.full((e.steps, width), 255, np.uint8) if e.legal_TA8 is None else e.legal_TA8
        for e in episodes
    ]


def final_metrics(info: dict[str, Any], slot: int) -> dict[str, float]:
    """The metrics of the episode that ended in a slot, from a vector env's info at that step.

    Under SAME_STEP they are in `final_info`, under DISABLED in the info itself. The components of
    a weighted reward are among them as ``reward/NAME``.
    """
    final = info.get("final_info", info)
    return {
        f"{prefix}{name}": float(values[slot])
        for prefix, group in (("", "metrics"), ("reward/", "reward_components"))
        for name, values in final.get(group, {}).items()
        if not name.startswith("_") and final[group][f"_{name}"][slot]
    }


def final_text(info: dict[str, Any], slot: int) -> str:
    """The text of the episode that ended in a slot; empty where the environment gives none."""
    texts = info.get("final_info", info).get("text")
    return "" if texts is None or texts[slot] is None else str(texts[slot])


def mean_metrics(episodes: Sequence[Episode]) -> dict[str, float]:
    """The mean of each metric over the episodes that have it."""
    names = sorted({name for episode in episodes for name in episode.metrics})
    return {
        name: float(np.mean([e.metrics[name] for e in episodes if name in e.metrics]))
        for name in names
    }


def total_steps(episodes: Sequence[Episode]) -> int:
    """Number of actions in all episodes."""
    return sum(episode.steps for episode in episodes)


def examples_in_order(count: int, available: int) -> Ints:
    """`count` different example indices spread evenly over those available, in order.

    >>> examples_in_order(3, 10)
    array([0, 3, 6])
    """
    return np.arange(count, dtype=np.int64) * available // count


def arrays_of(episodes: Sequence[Episode]) -> dict[str, npt.NDArray[Any]]:
    """The episodes' arrays by name and number, for a file."""
    return {
        f"{field.rpartition('_')[0]}_{number}": getattr(episode, field)
        for number, episode in enumerate(episodes)
        for field in (
            "tokens_L",
            "positions_T",
            "actions_T",
            "rewards_T",
            "log_probs_T",
            "values_T",
        )
    }


STEP_FIELDS: Mapping[str, type[np.generic]] = {
    "positions_T": np.int32,
    "actions_T": np.int32,
    "rewards_T": np.float64,
    "log_probs_T": np.float32,
    "values_T": np.float32,
}
"""The numbers that an episode has of every step."""


def episodes_to_tensors(episodes: Sequence[Episode]) -> dict[str, Tensor]:
    """The episodes end to end as a few flat tensors, for a file or another process.

    `tensors_to_episodes` gives them back bit by bit; an episode without masks of legal actions
    gets some where others have them (see `packed_masks`).
    """
    flat = {
        "tokens": _end_to_end([e.tokens_L for e in episodes], np.int32),
        "token_counts": np.array([len(e.tokens_L) for e in episodes], np.int32),
        "step_counts": np.array([e.steps for e in episodes], np.int32),
        "bootstraps": np.array([e.bootstrap for e in episodes], np.float64),
    }
    for field, kind in STEP_FIELDS.items():
        flat[field] = _end_to_end([getattr(e, field) for e in episodes], kind)
    masks = packed_masks(episodes)
    if masks is not None:
        flat["legal_TA8"] = np.concatenate(masks)
    for name in sorted({name for e in episodes for name in e.metrics}):
        having = [place for place, e in enumerate(episodes) if name in e.metrics]
        flat[f"metric_places/{name}"] = np.array(having, np.int32)
        values = [episodes[place].metrics[name] for place in having]
        flat[f"metrics/{name}"] = np.array(values, np.float64)
    cuts = [(place, e.cut) for place, e in enumerate(episodes) if e.cut is not None]
    if cuts:
        flat["cut_places"] = np.array([place for place, _ in cuts], np.int32)
        flat["cut_counts"] = np.array([len(cut.tokens_L) for _, cut in cuts], np.int32)
        flat["cut_tokens"] = _end_to_end([cut.tokens_L for _, cut in cuts], np.int32)
        width = max((len(c.legal_A8) for _, c in cuts if c.legal_A8 is not None), default=0)
        if width:
            every = np.full(width, 255, np.uint8)
            masks_CA8 = [every if cut.legal_A8 is None else cut.legal_A8 for _, cut in cuts]
            flat["cut_legal"] = np.stack(masks_CA8)
    return {name: torch.from_numpy(array) for name, array in flat.items()}


def tensors_to_episodes(tensors: Mapping[str, Tensor]) -> list[Episode]:
    """The inverse of `episodes_to_tensors`.

    Raises:
        KeyError: a tensor is missing.
        ValueError: they do not fit together.
    """
    flat = {name: tensor.numpy() for name, tensor in tensors.items()}
    token_counts_E, step_counts_E = flat["token_counts"], flat["step_counts"]
    columns = {
        field: _divided(flat[field].astype(kind, copy=False), step_counts_E)
        for field, kind in STEP_FIELDS.items()
    }
    columns["tokens_L"] = _divided(flat["tokens"].astype(np.int32, copy=False), token_counts_E)
    if "legal_TA8" in flat:
        columns["legal_TA8"] = _divided(flat["legal_TA8"], step_counts_E)
    metrics: list[dict[str, float]] = [{} for _ in step_counts_E]
    for key, values in flat.items():
        kind_of, _, name = key.partition("/")
        if kind_of == "metrics":
            for place, value in zip(flat[f"metric_places/{name}"], values, strict=True):
                metrics[place][name] = float(value)
    cuts = _cuts(flat)
    if cuts and not set(cuts) <= set(range(len(step_counts_E))):
        raise ValueError(f"episodes {sorted(cuts)} are cut, of {len(step_counts_E)}")
    episodes = []
    for place, bootstrap in enumerate(flat["bootstraps"]):
        fields: dict[str, Any] = {field: arrays[place] for field, arrays in columns.items()}
        if fields["positions_T"].max(initial=0) >= len(fields["tokens_L"]):
            raise ValueError(f"a state of episode {place} lies behind its tokens")
        fields.setdefault("legal_TA8", None)
        fields |= {"metrics": metrics[place], "cut": cuts.get(place)}
        episodes.append(Episode(**fields, bootstrap=float(bootstrap)))
    return episodes


def _cuts(flat: Mapping[str, npt.NDArray[Any]]) -> dict[int, Cut]:
    """Place of an episode -> where it was truncated, for those that were."""
    if "cut_places" not in flat:
        return {}
    tokens = _divided(flat["cut_tokens"].astype(np.int32, copy=False), flat["cut_counts"])
    masks: Sequence[npt.NDArray[np.uint8] | None] = [None] * len(tokens)
    if "cut_legal" in flat:
        masks = list(flat["cut_legal"])
    return {
        int(place): Cut(tokens_L, legal_A8)
        for place, tokens_L, legal_A8 in zip(flat["cut_places"], tokens, masks, strict=True)
    }


def _end_to_end(arrays: Sequence[npt.NDArray[Any]], kind: type[np.generic]) -> npt.NDArray[Any]:
    return np.concatenate([np.zeros(0, kind), *arrays])


def _divided(rows: npt.NDArray[Any], counts_E: npt.NDArray[np.integer]) -> list[npt.NDArray[Any]]:
    """Runs of so many rows each, as copies of their own."""
    if counts_E.min(initial=1) < 1 or counts_E.sum() != len(rows):
        raise ValueError(f"{len(rows)} rows do not divide into runs of {counts_E.tolist()[:8]}...")
    ends_E = np.cumsum(counts_E)
    return [rows[end - count : end].copy() for end, count in zip(ends_E, counts_E, strict=True)]
