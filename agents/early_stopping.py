"""Early stopping: keep the checkpoint that scores best on held-out examples.

Prechelt 1998, "Early Stopping - But When?": training ends after so many scores in a row without a
better one.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from agents.agent import LanguageAgent
from agents.checkpoint import load_checkpoint
from agents.errors import AgentError
from agents.evaluation import evaluate
from agents.run_files import BEST, SCORES, keep_lines
from agents.state import load_weights


class EarlyStopping:
    """A callback for `LanguageAgent.learn`.

    The folder holds the best checkpoint in `best`, and each score in scores.jsonl. A resumed run
    goes on with the scores up to its checkpoint; an agent that has not learnt yet begins anew.

    Args:
        folder: of this run alone.
        split: of the examples to score on.
        every: iterations between scores.
        episodes: how many examples to score on; None for all.
        patience: scores in a row without a better one that end the training; None for never.
        env_kwargs: the environment's options; by default those that the agent trains with.

    Raises:
        AgentError: `every` or `patience` is below 1.
    """

    def __init__(
        self,
        folder: str | Path,
        split: str | None = "validation",
        every: int = 5,
        episodes: int | None = 200,
        patience: int | None = None,
        env_kwargs: dict[str, Any] | None = None,
    ) -> None:
        """Read nothing before the first call."""
        for name, value in (("every", every), ("patience", patience)):
            if value is not None and value < 1:
                raise AgentError(f"{name} is {value}; expected at least 1")
        self.folder = Path(folder)
        self.split = split
        self.every = every
        self.episodes = episodes
        self.patience = patience
        self.env_kwargs = env_kwargs
        self._scores: list[dict[str, Any]] | None = None

    def __call__(self, agent: LanguageAgent) -> bool:
        """Score the agent where it is due; False when there was no better score for long."""
        self._recalled(agent.iteration - 1)
        if agent.iteration % self.every == 0:
            self.record(agent, self.score(agent))
        return not self.exhausted

    def recall(self, agent: LanguageAgent) -> None:
        """Take up the scores of an interrupted training where the agent's checkpoint is."""
        self._recalled(agent.iteration)

    @property
    def exhausted(self) -> bool:
        """Whether the latest `patience` scores were not better than one before."""
        scores = self._scores or []
        return self.patience is not None and len(scores) - 1 - self._best() >= self.patience

    def score(self, agent: LanguageAgent) -> float:
        """The agent's main score on the held-out examples."""
        if agent.env_id is None:
            raise AgentError(
                "early stopping makes an environment of its own to score the agent in: give the "
                "agent the environment's id instead of an environment"
            )
        options = agent.env_kwargs if self.env_kwargs is None else self.env_kwargs
        options = {name: value for name, value in options.items() if name != "split"}
        result = evaluate(agent, agent.env_id, split=self.split, episodes=self.episodes, **options)
        return result.score.value

    def record(self, agent: LanguageAgent, score: float) -> None:
        """Take note of a score, and keep the agent if it is the best one so far.

        Callers that score by themselves call this, before the first iteration too, so that the
        start counts.

        Raises:
            AgentError: the score is NaN.
        """
        if math.isnan(score):
            raise AgentError("the score is NaN: no example has the environment's main metric")
        scores = self._recalled(agent.iteration - 1)
        scores.append(
            {"iteration": agent.iteration, "timesteps": agent.num_timesteps, "score": score}
        )
        if self._best() == len(scores) - 1:
            agent.save(self.folder / BEST)
        with open(self.folder / SCORES, "a", encoding="utf-8") as file:
            file.write(json.dumps(scores[-1]) + "\n")

    @property
    def best_score(self) -> float:
        """The highest score so far; -inf before the first."""
        return max((line["score"] for line in self._scores or []), default=float("-inf"))

    @property
    def best_timesteps(self) -> int:
        """The agent's timesteps at its highest score."""
        timesteps: int = (self._scores or [])[self._best()]["timesteps"]
        return timesteps

    def restore(self, agent: LanguageAgent) -> None:
        """Give the agent the weights that scored best.

        Raises:
            CheckpointError: none were kept, or they are another model's.
        """
        _, parts = load_checkpoint(self.folder / BEST)
        load_weights(agent.model, parts.get("model", {}), self.folder / BEST)
        agent.model.note_change()

    def _recalled(self, last: int) -> list[dict[str, Any]]:
        """The scores; on the first call those in the folder up to an iteration."""
        if self._scores is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._scores = keep_lines(self.folder / SCORES, "iteration", last)
        return self._scores

    def _best(self) -> int:
        """The place of the highest score, the first of equals; 0 where there is none."""
        scores = [line["score"] for line in self._scores or []]
        return scores.index(max(scores)) if scores else 0
