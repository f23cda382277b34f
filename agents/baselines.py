"""The lines of every report to compare with: random legal actions, a simple rule, the expert."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.vector import VectorEnv

from agents.environment import reference_actions
from agents.errors import AgentError


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
        if action_masks is not None:
            keys_SA = np.where(np.broadcast_to(action_masks, keys_SA.shape), keys_SA, -1.0)
        actions_S = keys_SA.argmax(axis=1)
        return (actions_S if np.ndim(observation) == 2 else actions_S[0]), None


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
