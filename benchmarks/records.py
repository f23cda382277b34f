"""Results as JSON lines: one a training, with all that is needed to repeat it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from agents.checkpoint import write_atomically
from agents.provenance import PROVENANCE, commit_of
from benchmarks.cells import Cell
from benchmarks.suites import CLONE

RESULTS = Path(__file__).parent / "results"
"""The committed ones."""
CLONED = "cloned"
"""How `agents.train` labels what its start, a clone, scores."""


class CurvePoint(NamedTuple):
    """A point of a learning curve, on the validation split."""

    timesteps: int
    """Actions so far."""
    seconds: float
    """Of training so far."""
    value: float
    """Of the main score."""


class Record(NamedTuple):
    """What came of one training.

    The fields of the same names in results.json, where they are not explained here.
    """

    env: str
    agent: str
    """The algorithm's short name, such as sb3-ppo."""
    label: str
    """The algorithm's name for people."""
    seed: int
    score_name: str
    scores: dict[str, dict[str, dict[str, float]]]
    """Label -> metric -> value, low, high, on the test split: of it, its start and the ladder."""
    episodes: int
    """Of the test split."""
    curve: list[CurvePoint]
    timesteps: int
    training_seconds: float
    parameters: int
    commands: list[str]
    """Those of the cells that it builds on, and its own."""
    provenance: dict[str, Any]
    """See `agents.provenance`; of its first start."""

    @property
    def own_label(self) -> str:
        """Where its own scores are in `scores`."""
        return CLONED if self.agent == CLONE else self.label

    def score(self, label: str | None = None, metric: str | None = None) -> float:
        """A score on the test split.

        Args:
            label: whose; its own by default.
            metric: which; the main one by default.
        """
        of = self.scores[self.own_label if label is None else label]
        return of[self.score_name if metric is None else metric]["value"]

    def commit(self) -> str:
        """What it was trained with; "unknown" if no repository said."""
        return commit_of(self.provenance)


def record_of(cell: Cell) -> Record:
    """The record of a finished cell."""
    facts = cell.results()
    with open(cell.folder / PROVENANCE, encoding="utf-8") as lines:
        origin = json.loads(next(lines))
    label = facts["algorithm"]
    commands = [shlex.join(["python", *arguments]) for arguments in cell.commands]
    return Record(
        env=cell.env,
        agent=cell.agent,
        label=label,
        seed=cell.seed,
        score_name=facts["score_name"],
        scores=rounded(facts["scores"]),
        episodes=facts["episodes"][CLONED if cell.agent == CLONE else label],
        curve=[CurvePoint(p["timesteps"], p["seconds"], p["value"]) for p in facts["curve"]],
        timesteps=facts["timesteps"],
        training_seconds=facts["training_seconds"],
        parameters=facts["parameters"],
        commands=commands,
        provenance=origin,
    )


def rounded(scores: dict[str, Any]) -> dict[str, Any]:
    """Scores with 5 decimals, which is more than they are sure to."""
    return {
        label: {
            metric: {bound: round(number, 5) for bound, number in score.items()}
            for metric, score in of.items()
        }
        for label, of in scores.items()
    }


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write a file of records."""
    lines = [json.dumps(record._asdict(), allow_nan=False) + "\n" for record in records]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, "".join(lines).encode())


def read_records(paths: Sequence[Path]) -> list[Record]:
    """The records of some files.

    Raises:
        ValueError: a line is none; says which.
    """
    found = []
    for path in paths:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                facts = json.loads(line)
                curve = [CurvePoint(*point) for point in facts.pop("curve")]
                found.append(Record(**facts, curve=curve))
            except (json.JSONDecodeError, TypeError, KeyError) as error:
                raise ValueError(f"{path}, line {number} is no record: {error}") from error
    return found
