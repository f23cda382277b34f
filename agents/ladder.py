"""Scores of a run's agent and of what it is compared with, on the same examples."""

from __future__ import annotations

import json
import time
from typing import Any

from gymnasium.vector import AutoresetMode, VectorEnv

from agents.agent import LanguageAgent
from agents.baselines import MajorityAgent, RandomAgent, ReferenceAgent
from agents.behaviour_cloning import BehaviourCloning
from agents.early_stopping import EarlyStopping
from agents.environment import Contract, make_env, proposes
from agents.errors import AgentError
from agents.evaluation import Result, evaluate
from agents.imitation import demonstrations
from agents.predictor import Predictor
from agents.report import Point, line_of, point_of, save_curve, save_results, table
from agents.run_files import CURVE, CURVE_IMAGE, PREDICTIONS, RESULTS, keep_lines
from agents.run_settings import Settings

MAJORITY_EPISODES = 500
"""Expert episodes that the most frequent action is counted on."""
CLONED = "cloned"
"""The label of what was learnt from demonstrations alone."""
START = "start"
"""The label of another agent that was started from."""


class Ladder:
    """Scores agents on the same examples of the validation and the test split.

    It holds an environment of each split, so that what environments share (the encoded examples)
    is made once in a run, and a split that is missing is known before training.

    Args:
        settings: of the run.
    """

    def __init__(self, settings: Settings) -> None:
        """Nothing is scored yet."""
        self.settings = settings
        self.options = settings.environment_options()
        self._kept = [
            self._made(split) for split in ({}, {"split": "validation"}, {"split": "test"})
        ]
        self.test: dict[str, Result] = {}
        self.validation: dict[str, Result] = {}
        self.points: list[Point] = []
        self._began = time.perf_counter()
        """When the training began, had it been without the scoring."""
        self.stopping = EarlyStopping(
            settings.out, every=settings.validate_every, patience=settings.patience
        )

    def _made(self, split: dict[str, str]) -> VectorEnv[Any, Any, Any]:
        """An environment of a split.

        Raises:
            AgentError: it does not take the options, or has no splits.
        """
        env_id, options = self.settings.env_id, split | self.options
        try:
            return make_env(env_id, 1, AutoresetMode.DISABLED, **options)
        except TypeError as error:
            raise AgentError(
                f"cannot make {env_id} with the options {options}: {error}. A run needs an "
                "environment that takes `split`: it trains on its default, chooses the best "
                "checkpoint on 'validation' and reports on 'test'"
            ) from error

    def validate(self, agent: Predictor) -> Result:
        """Score on the validation split."""
        return evaluate(
            agent,
            self.settings.env_id,
            split="validation",
            episodes=self.settings.validation_episodes,
            **self.options,
        )

    def score(self, label: str, agent: Predictor, **options: Any) -> Result:
        """Score on the test split and keep the result under a label.

        Args:
            label: of the agent.
            agent: plays.
            options: more for `evaluate`.
        """
        result = evaluate(
            agent,
            self.settings.env_id,
            split="test",
            episodes=self.settings.test_episodes,
            **options,
            **self.options,
        )
        self.test[label] = result
        print(
            f"{label}: {result.score_name} {result.score} on {len(result.examples)} test examples"
        )
        return result

    def score_both(self, label: str, agent: Predictor) -> None:
        """Score on the validation split too, for a line across the learning curve."""
        self.validation[label] = self.validate(agent)
        self.score(label, agent)

    def baselines(self, contract: Contract) -> None:
        """Score random and most frequent actions, the simple rule if there is one, the expert."""
        settings = self.settings
        shown = demonstrations(
            settings.env_id, self.options, contract, MAJORITY_EPISODES, None, settings.seeds.envs
        )
        self.score_both("random", RandomAgent(contract.n_actions, settings.seeds.actions))
        self.score_both("majority", MajorityAgent(contract.n_actions, shown))
        if proposes(self._kept[0], "heuristic"):
            self.score_both("heuristic", ReferenceAgent("heuristic"))
        self.score_both("expert", ReferenceAgent("expert"))

    def watch(self, agent: LanguageAgent) -> bool:
        """Add a point to the learning curve where one is due; whether to go on with training."""
        if agent.iteration % self.settings.validate_every == 0:
            self.add_point(agent)
        return not self.stopping.exhausted

    def add_point(self, agent: LanguageAgent) -> None:
        """Add the agent's validation score to the learning curve and to curve.jsonl.

        The checkpoint that scores best is kept in the folder `best`.
        """
        now = time.perf_counter()
        point = Point(agent.num_timesteps, self.validate(agent).score, now - self._began)
        self.points.append(point)
        with open(self.settings.out / CURVE, "a", encoding="utf-8") as file:
            file.write(json.dumps(line_of(point)) + "\n")
        self.stopping.record(agent, point.score.value)
        self._began += time.perf_counter() - now

    def start(self, agent: LanguageAgent, resumed: bool) -> None:
        """Begin the learning curve, or take up that of an interrupted run where its checkpoint is.

        Args:
            agent: new, or from the checkpoint.
            resumed: which of them.
        """
        path = self.settings.out / CURVE
        self._began = time.perf_counter()
        if not resumed:
            path.unlink(missing_ok=True)
            self.add_point(agent)
            return
        lines = keep_lines(path, "timesteps", agent.num_timesteps)
        self.points = [point_of(line) for line in lines]
        self._began -= self.points[-1].seconds if self.points else 0.0
        self.stopping.recall(agent)

    def finish(self, agent: LanguageAgent, seconds: float, label: str | None = None) -> None:
        """Score the agent's best weights on the test split; write and print the report.

        Args:
            agent: after its training; it is given its best weights.
            seconds: what the training took, scoring included.
            label: of the agent; its algorithm's name by default.
        """
        if self.points[-1].timesteps != agent.num_timesteps:
            self.add_point(agent)
        self.stopping.restore(agent)
        if label is None:
            label = CLONED if isinstance(agent, BehaviourCloning) else type(agent).__name__
        self.score(label, agent, predictions=self.settings.out / PREDICTIONS)
        self._report(agent, label, seconds)

    def _report(self, agent: LanguageAgent, label: str, seconds: float) -> None:
        """Print the table; write curve.png and results.json."""
        out, settings = self.settings.out, self.settings
        ladder = dict.fromkeys(("random", "majority", "heuristic", CLONED, START, label, "expert"))
        rows = {name: self.test[name] for name in ladder if name in self.test}
        score_name = rows["expert"].score_name
        episodes = len(rows["expert"].examples)
        print()
        print(table(rows, f"{settings.env}, test split, {episodes} episodes, 95 % intervals"))
        lines = {name: self.validation[name].score for name in rows if name in self.validation}
        name = type(agent).__name__ if label == CLONED else label
        title = f"{name} on {settings.env}, validation split"
        save_curve(out / CURVE_IMAGE, self.points, lines, title, score_name)
        facts = {
            "algorithm": name,
            "score_name": score_name,
            "parameters": sum(p.numel() for p in agent.model.parameters()),
            "timesteps": agent.num_timesteps,
            "best_timesteps": self.stopping.best_timesteps,
            "training_seconds": round(seconds, 1),
        }
        save_results(out / RESULTS, settings.facts(), rows, self.points, facts)
        print(f"\nin {out}: checkpoint, best, {CURVE_IMAGE}, {RESULTS}, {PREDICTIONS}, logs")
