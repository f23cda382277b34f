"""The lines to compare with: random and most frequent actions, a simple rule, the expert."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.vector import VectorEnv

from agents.environment import reference_actions
from agents.episodes import Episode
from agents.errors import AgentError


def highest_legal(
    scores_SA: npt.NDArray[Any],
    action_masks: npt.NDArray[Any] | None,
    observation: npt.NDArray[np.integer],
) -> Any:
    """The legal action of the highest score, of equals the first: one a slot, or one alone.

    Args:
        scores_SA: at least 0.
        action_masks: legal actions, (A,) or (S, A); None where all are.
        observation: (L,), or (S, L) for several slots.
    """
    if action_masks is not None:
        scores_SA = np.where(np.broadcast_to(action_masks, scores_SA.shape), scores_SA, -1)
    actions_S = scores_SA.argmax(axis=1)
    return actions_S if np.ndim(observation) == 2 else actions_S[0]


class RandomAgent:
    """Draws each legal action with the same probability.

    Args:
        n_actions: of the environment.
        seed: of the draws.
    """

    def __init__(self, n_actions: int, seed: int = 0) -> None:
        """Seed the generator."""
        self.n_actions = n_actions
        self._rng = np.random.default_rng(seed)

    def predict(
        self,
        observation: npt.NDArray[np.integer],
        state: None = None,
        episode_start: object = None,
        deterministic: bool = True,
        action_masks: npt.NDArray[Any] | None = None,
    ) -> tuple[Any, None]:
        """Actions for one observation or a batch; `deterministic` changes nothing."""
        del state, episode_start, deterministic
        slots = len(np.atleast_2d(observation))
        # The highest of independent uniform numbers is any legal action with the same probability.
        keys_SA = self._rng.random((slots, self.n_actions))
        return highest_legal(keys_SA, action_masks, observation), None


class MajorityAgent:
    """Takes the legal action that is the most frequent in some episodes; of equals, the first.

    Args:
        n_actions: of the environment.
        episodes: whose actions are counted, as of the expert on the training split.
    """

    def __init__(self, n_actions: int, episodes: Sequence[Episode]) -> None:
        """Count the actions."""
        self._counts_A = np.zeros(n_actions, np.int64)
        for episode in episodes:
            self._counts_A += np.bincount(episode.actions_T, minlength=n_actions)

    def predict(
        self,
        observation: npt.NDArray[np.integer],
        state: None = None,
        episode_start: object = None,
        deterministic: bool = True,
        action_masks: npt.NDArray[Any] | None = None,
    ) -> tuple[Any, None]:
        """Actions for one observation or a batch; `deterministic` changes nothing."""
        del state, episode_start, deterministic
        slots = len(np.atleast_2d(observation))
        counts_SA = np.broadcast_to(self._counts_A, (slots, len(self._counts_A)))
        return highest_legal(counts_SA, action_masks, observation), None


class ReferenceAgent:
    """Acts as the environment proposes, which it asks: `attach` the env before `predict`.

    Args:
        of: ``"expert"``: a reference policy, the upper line; ``"heuristic"``: a simple rule that a
            trained policy must beat.
    """

    def __init__(self, of: str = "expert") -> None:
        """Not attached yet; `evaluate` attaches its own environment."""
        self.of = of
        self._env: VectorEnv[Any, Any, Any] | None = None

    def attach(self, env: VectorEnv[Any, Any, Any]) -> None:
        """Take the vector environment that is asked."""
        self._env = env

    def predict(
        self,
        observation: npt.NDArray[np.integer],
        state: None = None,
        episode_start: object = None,
        deterministic: bool = True,
        action_masks: object = None,
    ) -> tuple[npt.NDArray[np.int64], None]:
        """The proposed actions in the attached environment's present states."""
        del observation, state, episode_start, deterministic, action_masks
        if self._env is None:
            raise AgentError("ReferenceAgent asks the environment: call attach(vector_env) first")
        return reference_actions(self._env, self.of), None
