"""A token MDP with one skill: repeat the prompt's marked tokens.

The prompt is `[MARK, x, y, noise...]` in which the tokens after each MARK are the ones to say. It
meets the contract of the environments without textenvs, so that the agents' tests need nothing
else; after every action the environment appends a COMMA of its own.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

PAD, MARK, COMMA, FIRST_WORD = 0, 1, 2, 3


class OneSkillEnv(gymnasium.Env[Any, Any]):
    """Say the marked words in their order (`fewest` to `answers`); the reward is the share said."""

    def __init__(
        self,
        words: int = 8,
        noise: int = 3,
        answers: int = 1,
        fewest: int | None = None,
        masked: bool = False,
        appends: int = 1,
        examples: int = 64,
        split: str = "train",
    ) -> None:
        self.words, self.noise, self.answers = words, noise, answers
        self.fewest = answers if fewest is None else fewest
        self.masked, self.appends = masked, appends
        self.num_examples = examples
        self.pad_token_id = PAD
        self.score_name = "share"
        self.action_tokens = np.arange(FIRST_WORD, FIRST_WORD + words)[::-1].copy()
        longest = noise + 2 * answers + answers * (1 + appends) + 1
        self.observation_space = spaces.Box(0, FIRST_WORD + words - 1, (longest,), np.int32)
        self.action_space = spaces.Discrete(words)
        self._offset = {"train": 0, "validation": 10_000, "test": 20_000}[split]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        index = (options or {}).get("index")
        if index is None:
            index = int(self.np_random.integers(self.num_examples))
        rng = np.random.default_rng([self._offset, index])
        answers = rng.integers(self.fewest, self.answers + 1)
        words = FIRST_WORD + rng.integers(self.words, size=answers)
        noise = FIRST_WORD + rng.integers(self.words, size=rng.integers(1, self.noise + 1))
        marked = [token for word in words for token in (MARK, int(word))]
        self._answer = [int(word) for word in words]
        self._prefix = [*map(int, noise), *marked, COMMA]
        self._said: list[int] = []
        return self._observation(), self._info()

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        token = int(self.action_tokens[int(action)])
        self._said.append(token)
        self._prefix += [token, *[COMMA] * self.appends]
        done = len(self._said) == len(self._answer)
        info = self._info()
        reward = 0.0
        if done:
            hits = sum(a == b for a, b in zip(self._said, self._answer, strict=True))
            reward = hits / len(self._answer)
            info |= {"metrics": {"share": reward}, "text": " ".join(map(str, self._said))}
        return self._observation(), reward, done, False, info

    def action_masks(self) -> np.ndarray:
        """The words that the prompt marks."""
        return np.isin(self.action_tokens, self._answer)

    def expert_action(self) -> int:
        wanted = self._answer[min(len(self._said), len(self._answer) - 1)]
        return int(np.flatnonzero(self.action_tokens == wanted)[0])

    def aggregate_metrics(self, metrics: dict[str, np.ndarray]) -> dict[str, float]:
        return {name: float(np.mean(values)) for name, values in metrics.items()}

    def _observation(self) -> np.ndarray:
        observation = np.full(self.observation_space.shape, PAD, np.int32)
        observation[: len(self._prefix)] = self._prefix
        return observation

    def _info(self) -> dict[str, Any]:
        return {"action_mask": self.action_masks().astype(np.int8)} if self.masked else {}


if "OneSkill-v0" not in gymnasium.registry:
    gymnasium.register("OneSkill-v0", OneSkillEnv)
