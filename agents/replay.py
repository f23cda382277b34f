"""Replay of whole episodes, uniformly or by priority.

An episode is kept as its token ids, once, and a few numbers a step. The unit that is drawn is an
episode, as one forward pass gives all of its states.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from agents.batching import Places
from agents.environment import Ints
from agents.episodes import Episode, episodes_to_tensors, tensors_to_episodes
from agents.returns import Floats

SHARE_OF_MAX = 0.9
"""How much the largest error of an episode counts in its priority; the mean has the rest."""
LEAST_ERROR = 1e-3
"""Is added to every priority, so that no episode is lost."""


class Draw(NamedTuple):
    """Episodes that were drawn.

    Attributes:
        places_E: where they are in `Replay.episodes`; the same one may be there twice.
        weights_E: importance weights, the largest is 1.
    """

    places_E: Places
    weights_E: Floats


class Replay:
    """The latest episodes, and demonstrations that stay for good.

    Proportional prioritisation (Schaul et al. 2016, "Prioritized Experience Replay", section 3.3)
    with an episode as the unit: P(e) = p_e^alpha / sum of p^alpha, w_e = (E P(e))^-beta / max w.
    The priority of an episode is 0.9 times the largest of its steps' absolute TD errors plus 0.1
    times their mean (Kapturowski et al. 2019, "Recurrent Experience Replay in Distributed
    Reinforcement Learning", section 2.3). A new one gets the highest that there is, so that it is
    soon seen. With alpha = 0 all episodes, and so all steps, are equally likely.

    Args:
        capacity: steps to hold beside the demonstrations; the oldest episodes go first.
        exponent: alpha.

    Attributes:
        episodes: demonstrations first, then from the oldest to the newest; metrics are dropped.
        demonstrations: how many of them are demonstrations.
        priorities_E: p.
    """

    def __init__(self, capacity: int, exponent: float = 0.0) -> None:
        """Start empty."""
        self.capacity = capacity
        self.exponent = exponent
        self.episodes: list[Episode] = []
        self.demonstrations = 0
        self.priorities_E: Floats = np.zeros(0)
        self._lengths_E: Ints = np.zeros(0, np.int64)

    @property
    def steps(self) -> int:
        """Actions in all episodes but the demonstrations."""
        return int(self._lengths_E[self.demonstrations :].sum())

    def add(self, episodes: Sequence[Episode]) -> None:
        """Take new episodes in, and let the oldest go where there is no room; the newest stays."""
        self._insert(len(self.episodes), episodes)
        first = self.demonstrations
        newest_first_E = self._lengths_E[first:][::-1]
        held = max(1, int((np.cumsum(newest_first_E) <= self.capacity).sum()))
        old = slice(first, len(self.episodes) - held)
        del self.episodes[old]
        self.priorities_E = np.delete(self.priorities_E, old)
        self._lengths_E = np.delete(self._lengths_E, old)

    def add_demonstrations(self, episodes: Sequence[Episode]) -> None:
        """Take episodes in for good."""
        self._insert(self.demonstrations, episodes)
        self.demonstrations += len(episodes)

    def _insert(self, place: int, episodes: Sequence[Episode]) -> None:
        bare = [dataclasses.replace(episode, metrics={}) for episode in episodes]
        highest = self.priorities_E.max(initial=0.0) or 1.0
        self.episodes[place:place] = bare
        self.priorities_E = np.insert(self.priorities_E, place, np.full(len(bare), highest))
        self._lengths_E = np.insert(self._lengths_E, place, [e.steps for e in bare])

    def draw(self, steps: float, rng: np.random.Generator, correction: float = 1.0) -> Draw:
        """Draw episodes that have `steps` steps in all, as expected; at least one episode.

        Draws are stratified: the k-th of n comes from the k-th n-th of the probability mass.

        Args:
            steps: how many.
            rng: of the draws.
            correction: beta: 1 makes up for the priorities in full, 0 not at all.
        """
        probabilities_E = self.probabilities()
        count = max(1, round(steps / float(probabilities_E @ self._lengths_E)))
        marks_E = (np.arange(count) + rng.random(count)) / count
        places_E = np.searchsorted(np.cumsum(probabilities_E), marks_E, side="right")
        places_E = np.minimum(places_E, len(self.episodes) - 1)
        weights_E = (len(self.episodes) * probabilities_E[places_E]) ** -correction
        return Draw(places_E, weights_E / weights_E.max())

    def probabilities(self) -> Floats:
        """Of each episode to be drawn, (E,)."""
        powers_E: Floats = self.priorities_E**self.exponent
        probabilities_E: Floats = powers_E / powers_E.sum()
        return probabilities_E

    def set_priorities(self, places_E: Places, errors_E: Floats) -> None:
        """Renew the priorities of some episodes by their TD errors (see `episode_errors`)."""
        self.priorities_E[places_E] = errors_E + LEAST_ERROR

    def tensors(self) -> dict[str, Tensor]:
        """All that is kept, as `restore` takes it."""
        return {
            **episodes_to_tensors(self.episodes),
            "priorities": torch.from_numpy(self.priorities_E.copy()),
            "demonstrations": torch.tensor(self.demonstrations),
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Hold what `tensors` gave.

        Raises:
            KeyError, ValueError: they are not what a replay writes.
        """
        episodes = tensors_to_episodes(tensors)
        priorities_E = tensors["priorities"].numpy().astype(np.float64)
        demonstrations = int(tensors["demonstrations"])
        if len(priorities_E) != len(episodes) or not 0 <= demonstrations <= len(episodes):
            raise ValueError(f"{len(priorities_E)} priorities for {len(episodes)} episodes")
        self.episodes, self.priorities_E = episodes, priorities_E
        self.demonstrations = demonstrations
        self._lengths_E = np.array([episode.steps for episode in episodes], np.int64)


def episode_errors(errors_N: Floats, lengths_E: npt.NDArray[np.integer]) -> Floats:
    """The TD error of each episode as a whole, from those of its steps; see `Replay`.

    >>> episode_errors(np.array([1.0, -3.0, 0.5]), np.array([2, 1]))
    array([2.9, 0.5])

    Args:
        errors_N: of the steps, episode after episode.
        lengths_E: steps of each episode.
    """
    sizes_N = np.abs(errors_N)
    starts_E = np.cumsum(lengths_E) - lengths_E
    means_E = np.add.reduceat(sizes_N, starts_E) / lengths_E
    largest_E = np.maximum.reduceat(sizes_N, starts_E)
    errors_E: Floats = SHARE_OF_MAX * largest_E + (1.0 - SHARE_OF_MAX) * means_E
    return errors_E
