"""How much of an agent's result is luck, and what chance is good for.

Bouthillier et al. 2021, "Accounting for Variance in Machine Learning Benchmarks": the same training
again and again, one source of chance drawn anew at a time, and then all of them. Beside it:
epsilon, temperature and top-p swept, the exploration strategies, greedy against sampled answers.

Trainings that are finished are not run again.

python -m benchmarks.randomness --jobs 2
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

import tyro
from scipy.stats import chi2, pearsonr

from agents import evaluate, load_agent
from agents.checkpoint import write_atomically
from agents.evaluation import Interval
from agents.provenance import provenance
from benchmarks.learning_table import seed_by_seed, spread
from benchmarks.recipes import RECIPES
from benchmarks.records import Record
from benchmarks.trained import exit_status
from benchmarks.variants import StudySettings, Trainings, Variant, train_study

ENV = "TextNER-v0"
PIPELINE = "--clone-episodes 300 --clone-epochs 16"
"""The clone is made in the run, so that its chance is the run's too."""
SOURCES = {
    "weights": "initial weights",
    "actions": "sampled actions",
    "batches": "order of the data in updates",
    "envs": "examples that come up",
}
"""What `agents.Seeds` draws by itself -> what it is."""
ALL = "all"
SOURCE_TRAININGS = Trainings(
    env=ENV,
    timesteps=60_000,
    seeds=range(1, 11),
    variants={
        **{
            f"ppo+{source}": Variant(
                algorithm="ppo", label=label, options=PIPELINE, seeded=f"--{source}-seed"
            )
            for source, label in SOURCES.items()
        },
        f"ppo+{ALL}": Variant(algorithm="ppo", label="all of them", options=PIPELINE),
    },
)
"""PPO, its sources of chance one by one and together."""
VALUE_BASED = "epsilon-greedy"
"""The agent that explores by action values."""
DENSE = "--reward dense --gamma 0.8"


class Sweep(NamedTuple):
    """A setting and its values."""

    name: str
    title: str
    algorithm: str
    options: str
    """With {} where the value stands."""
    values: tuple[float | str, ...]
    reference: float | str
    """The value that the others are compared with."""

    def variant(self, value: float | str) -> str:
        """The name of the trainings with a value."""
        return f"{self.algorithm}+{self.name}-{value}"


STRATEGY = Sweep(
    "strategy",
    "EpsilonGreedy: exploration strategies",
    VALUE_BASED,
    f"{DENSE} --exploration {{}}",
    ("epsilon-greedy", "boltzmann", "ucb", "top-k", "nucleus"),
    "epsilon-greedy",
)
SWEEPS = (
    Sweep(
        "epsilon",
        "EpsilonGreedy: share of random actions",
        VALUE_BASED,
        f"{DENSE} --epsilon-schedule constant --epsilon-start {{}}",
        (0.0, 0.02, 0.05, 0.1, 0.2, 0.4),
        0.0,
    ),
    Sweep(
        "temperature",
        "PPO: temperature of its sampling",
        "ppo",
        "--temperature {}",
        (0.5, 0.75, 1.0, 1.5, 2.0),
        1.0,
    ),
    Sweep(
        "top-p",
        "EpsilonGreedy, nucleus: top-p",
        VALUE_BASED,
        f"{DENSE} --exploration nucleus --top-p {{}}",
        (0.5, 0.8, 0.9, 0.95, 1.0),
        1.0,
    ),
    STRATEGY,
)
SWEPT_TRAININGS = Trainings(
    env=ENV,
    timesteps=60_000,
    seeds=range(3),
    clones={"bc": RECIPES[ENV].clone},
    variants={
        sweep.variant(value): Variant(
            algorithm=sweep.algorithm,
            label=str(value),
            options=sweep.options.format(value),
            start="bc",
        )
        for sweep in SWEEPS
        for value in sweep.values
    },
)
"""The settings of exploration, value by value."""
ANSWERS = "answers.jsonl"
SAMPLES = 5
"""Times that a test split is answered by sampling."""
ANSWER_TEMPERATURES = (0.5, 1.0)


class Answers(NamedTuple):
    """What one trained agent scores on the test split when it answers in one way."""

    seed: int
    """Of its training."""
    started: str
    """When that began, which tells it from another with this seed."""
    temperature: float
    """Of the sampling; 0 for the likeliest actions."""
    episodes: int
    """That each score is of."""
    scores: list[float]
    """One each time that the split was answered."""
    origin: dict[str, Any] | None = None
    """See `agents.provenance`; None where it was not recorded."""

    def key(self) -> tuple[int, str, int]:
        """Which agent answered how much."""
        return self.seed, self.started, self.episodes


def answer(out: Path, runs: Sequence[Record], episodes: int | None) -> list[Answers]:
    """Let trained agents answer greedily and by sampling; kept where it was done before.

    Args:
        out: the study's folder.
        runs: their trainings, of `SOURCE_TRAININGS`.
        episodes: of the test split; None for all.
    """
    path = out / ANSWERS
    kept = read_answers(path) if path.exists() else []
    asked = [(run.seed, run.provenance["started"], episodes or run.episodes) for run in runs]
    for run, (seed, started, count) in zip(runs, asked, strict=True):
        if (seed, started, count) not in map(Answers.key, kept):
            kept += _answers(out / ENV / run.agent / str(seed), run, count)
            lines = [json.dumps(each._asdict()) + "\n" for each in kept]
            write_atomically(path, "".join(lines).encode())
    return [each for each in kept if each.key() in asked]


def _answers(folder: Path, run: Record, episodes: int) -> Iterator[Answers]:
    """Of the agent in a run's folder."""
    agent = load_agent(folder / "best")
    for temperature in (0.0, *ANSWER_TEMPERATURES):
        agent.model.temperature = temperature or 1.0
        scores = [
            evaluate(
                agent,
                ENV,
                split="test",
                episodes=episodes,
                deterministic=temperature == 0,
                seed=sample,
            ).score.value
            for sample in range(SAMPLES if temperature else 1)
        ]
        started = run.provenance["started"]
        yield Answers(run.seed, started, temperature, episodes, scores, provenance())


def read_answers(path: Path) -> list[Answers]:
    """What `answer` wrote.

    Raises:
        ValueError: a line is none; says which.
    """
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            found.append(Answers(**json.loads(line)))
        except (json.JSONDecodeError, TypeError) as error:
            raise ValueError(f"{path}, line {number} holds no answers: {error}") from error
    return found


def deviation(scores: Sequence[float]) -> Interval:
    """The standard deviation of at least two scores, with its 95 % interval if they are normal.

    Then n - 1 times their variance over the true one is chi-squared.

    >>> print(deviation([0.5, 0.6, 0.7, 0.8]))
    0.129 [0.073, 0.481]
    """
    freedom = len(scores) - 1
    found = stdev(scores)
    low, high = (
        found * math.sqrt(freedom / float(chi2.ppf(share, freedom))) for share in (0.975, 0.025)
    )
    return Interval(found, low, high)


def correlation(records: Sequence[Record], name: str, other: str) -> Interval | None:
    """Pearson's, of two variants' scores, seed by seed, with Fisher's 95 % interval.

    None for fewer than the four seeds that the interval takes, and for equal scores.
    """
    found = [{run.seed: run.score() for run in variant_runs(records, n)} for n in (name, other)]
    seeds = sorted(found[0].keys() & found[1].keys())
    values = [[scores[seed] for seed in seeds] for scores in found]
    if len(seeds) < 4 or not all(map(stdev, values)):
        return None
    fit = pearsonr(*values)
    bounds = fit.confidence_interval(0.95)
    return Interval(float(fit.statistic), float(bounds.low), float(bounds.high))


def variant_runs(records: Sequence[Record], name: str) -> list[Record]:
    """A variant's trainings."""
    return [run for run in records if run.agent == name]


def scores_of(records: Sequence[Record], name: str) -> list[float]:
    """The test scores of a variant's trainings."""
    return [run.score() for run in variant_runs(records, name)]


def sources_table(records: Sequence[Record]) -> str:
    """Markdown: the scores' deviation by what is drawn anew.

    Beside it how the scores go with those where all is drawn anew, which of the source in question
    has the same draw in the same seed: 1 if that decides alone.
    """
    lines = [
        "| drawn anew | mean | lowest | highest | standard deviation [95 %] | "
        "correlation with all of them, seed by seed [95 %] | trainings |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, variant in SOURCE_TRAININGS.variants.items():
        scores = scores_of(records, name)
        if len(scores) < 2:
            continue
        found = None if name == f"ppo+{ALL}" else correlation(records, name, f"ppo+{ALL}")
        lines.append(
            f"| {variant.label} | {mean(scores):.3f} | {min(scores):.3f} | {max(scores):.3f} | "
            f"{deviation(scores)} | {found or ''} | {len(scores)} |"
        )
    return "\n".join(lines)


def sweep_table(sweep: Sweep, records: Sequence[Record]) -> str:
    """Markdown: a line a value; means over seeds with 95 % t intervals.

    Differences are between trainings of the same seed, from the same clone.
    """
    lines = [
        f"| {sweep.title} | score on the test split [95 %] | "
        f"difference from {sweep.reference}, seed by seed [95 %] | seeds |",
        "|---|---|---|---|",
    ]
    reference = variant_runs(records, sweep.variant(sweep.reference))
    for value in sweep.values:
        runs = variant_runs(records, sweep.variant(value))
        if runs:
            difference = seed_by_seed(runs, reference)
            scores = spread([run.score() for run in runs], 0, 1)
            lines.append(f"| {value} | {scores} | {difference} | {len(runs)} |")
    return "\n".join(lines)


def answers_table(answers: Sequence[Answers]) -> str:
    """Markdown: greedy and sampled answers of the same agents."""
    lines = [
        "| answers | mean over agents [95 %] | deviation between agents | "
        "deviation between samples of an agent | agents |",
        "|---|---|---|---|---|",
    ]
    for temperature in (0.0, *ANSWER_TEMPERATURES):
        own = [each.scores for each in answers if each.temperature == temperature]
        if len(own) < 2:
            continue
        name = f"sampled, temperature {temperature}" if temperature else "the likeliest actions"
        means = [mean(scores) for scores in own]
        within = ""
        if temperature:
            within = f"{math.sqrt(mean(stdev(scores) ** 2 for scores in own)):.4f}"
        lines.append(
            f"| {name} | {spread(means, 0, 1)} | {stdev(means):.4f} | {within} | {len(own)} |"
        )
    return "\n".join(lines)


def tables(records: Sequence[Record], answers: Sequence[Answers]) -> str:
    """Markdown: all of them."""
    parts = [sources_table(records), answers_table(answers)]
    parts += [sweep_table(sweep, records) for sweep in SWEEPS]
    return "\n\n".join(parts)


@dataclass(frozen=True, kw_only=True)
class Settings(StudySettings):
    """Train the same agent again and again, and see what chance does."""

    out: Path = Path("runs/randomness")
    episodes: int | None = None
    """Of the test split, for answers of trained agents; None for all."""


def run(settings: Settings) -> int:
    """Train, let agents answer, print the tables; the exit status."""
    records, failed = train_study((SOURCE_TRAININGS, SWEPT_TRAININGS), settings)
    together = [record for record in records if record.agent == f"ppo+{ALL}"]
    print(tables(records, answer(settings.folder, together, settings.episodes)))
    return exit_status(failed)


if __name__ == "__main__":
    sys.exit(run(tyro.cli(Settings, prog="python -m benchmarks.randomness", description=__doc__)))
