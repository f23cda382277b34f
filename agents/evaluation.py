"""Scores of an agent on a split: each example once, with bootstrap intervals."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv

from agents.checkpoint import write_atomically
from agents.environment import attribute, make_env, read_contract
from agents.errors import AgentError, nearest_first
from agents.playing import play_split
from agents.predictor import Predictor, as_predictor
from agents.rollout import Played

RESAMPLES = 1000
Aggregate = Callable[[dict[str, npt.NDArray[np.float64]]], dict[str, float]]


class Interval(NamedTuple):
    """A score and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """As text, with three decimals.

        >>> print(Interval(0.5, 0.4, 0.625))
        0.500 [0.400, 0.625]
        """
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, kw_only=True)
class Result:
    """What an agent reached on a split.

    Attributes:
        scores: the split's metrics with 95 % percentile-bootstrap intervals over episodes.
        score_name: the main one of them.
        examples: index of each episode's example.
        metrics: each episode's own metrics, in that order.
        texts: each episode's text.
        returns: each episode's undiscounted return.
        aggregate: the split's scores from its episodes' metrics and returns.
    """

    scores: dict[str, Interval]
    score_name: str
    examples: npt.NDArray[np.int64]
    metrics: dict[str, npt.NDArray[np.float64]]
    texts: list[str]
    returns: npt.NDArray[np.float64]
    aggregate: Aggregate = field(repr=False)

    @property
    def score(self) -> Interval:
        """The main score."""
        return self.scores[self.score_name]


def evaluate(
    agent: Predictor | str,
    env_id: str,
    split: str | None = "test",
    episodes: int | None = None,
    deterministic: bool = True,
    num_envs: int = 64,
    seed: int = 0,
    predictions: str | Path | None = None,
    **env_kwargs: Any,
) -> Result:
    """Play each example of a split once.

    Args:
        agent: who plays: any object with the method of `Predictor`, such as a model of
            stable-baselines3, or one that answers with text (`TextPredictor`); or the place of one,
            as ``"module:attribute"`` (see `as_predictor`).
        env_id: the environment.
        split: its split; None for an environment without this option.
        episodes: how many examples, spread evenly over the split; None for all.
        deterministic: passed on to `agent.predict`.
        num_envs: slots of the vector environment.
        seed: of what the task draws, and of the bootstrap.
        predictions: a file for what the agent said, as JSON Lines: one object an example, with
            index, prompt (null where the environment has no tokenizer), text, return and metrics.
        env_kwargs: the environment's other options.

    Raises:
        AgentError: there is no such agent, or it was made for another environment.
    """
    agent = as_predictor(agent)
    if split is not None:
        env_kwargs["split"] = split
    env = make_env(env_id, num_envs, AutoresetMode.DISABLED, **env_kwargs)
    try:
        examples, played = play_split(
            agent, env, read_contract(env), (env_id, env_kwargs), episodes, deterministic, seed
        )
        names = sorted({name for each in played for name in each.episode.metrics})
        metrics = {
            name: np.array([each.episode.metrics.get(name, np.nan) for each in played])
            for name in names
        }
        returns = np.array([each.episode.episode_return for each in played])
        aggregate = _with_return(attribute(env, "aggregate_metrics", mean_of_each))
        scores = bootstrap(metrics | {"return": returns}, aggregate, seed)
        score_name = str(attribute(env, "score_name", "return"))
        if predictions is not None:
            prompts = prompt_texts(env, played)
            write_predictions(Path(predictions), examples, prompts, played)
    finally:
        env.close()
    return Result(
        scores=scores,
        score_name=score_name if score_name in scores else "return",
        examples=examples,
        metrics=metrics,
        texts=[each.text for each in played],
        returns=returns,
        aggregate=aggregate,
    )


def paired_difference(one: Result, other: Result, score: str = "return", seed: int = 0) -> Interval:
    """How much higher a score of `one` is than that of `other` on the same examples.

    Examples are resampled with what both agents made of them, so that the interval is narrower than
    those of the two scores: what makes an example hard for both cancels out.

    Args:
        one: of an agent.
        other: of another.
        score: the mean return, or any other of their scores.
        seed: of the resampling.

    Raises:
        AgentError: they played different examples, or have no such score.
    """
    if not np.array_equal(one.examples, other.examples):
        raise AgentError("the agents played different examples: evaluate both on the same ones")
    results = {"one/": one, "other/": other}
    for result in results.values():
        if score not in result.scores:
            known = nearest_first(score, result.scores)
            raise AgentError(f"there is no score {score!r}; there are {known}")

    def difference(columns: dict[str, npt.NDArray[np.float64]]) -> dict[str, float]:
        values = [
            result.aggregate(
                {
                    name.removeprefix(side): column
                    for name, column in columns.items()
                    if name.startswith(side)
                }
            )[score]
            for side, result in results.items()
        ]
        return {score: values[0] - values[1]}

    columns = {
        f"{side}{name}": column
        for side, result in results.items()
        for name, column in (result.metrics | {"return": result.returns}).items()
    }
    return bootstrap(columns, difference, seed)[score]


def prompt_texts(env: VectorEnv[Any, Any, Any], played: list[Played]) -> list[str | None]:
    """The prompt of each episode, as far as the environment's tokenizer has its tokens.

    Labels and the like, which a task adds beyond the tokenizer's vocabulary, are left out.
    """
    tokenizer = getattr(attribute(env, "task", None), "tokenizer", None)
    if tokenizer is None:
        return [None] * len(played)
    prompts = [each.episode.tokens_L[: each.episode.positions_T[0] + 1] for each in played]
    texts: list[str | None] = tokenizer.decode_batch(
        [tokens_L[tokens_L < tokenizer.vocab_size].tolist() for tokens_L in prompts]
    )
    return texts


def write_predictions(
    path: Path,
    examples: npt.NDArray[np.int64],
    prompts: list[str | None],
    played: list[Played],
) -> None:
    """Write JSON Lines, one object an example, atomically."""
    lines = [
        {
            "index": int(index),
            "prompt": prompt,
            "text": each.text,
            "return": each.episode.episode_return,
            "metrics": each.episode.metrics,
        }
        for index, prompt, each in zip(examples, prompts, played, strict=True)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    write_atomically(path, text.encode())


def mean_of_each(metrics: dict[str, npt.NDArray[np.float64]]) -> dict[str, float]:
    """The mean of each metric over the episodes that have it; NaN where none has."""
    return {name: _mean(values[~np.isnan(values)]) for name, values in metrics.items()}


def _mean(values: npt.NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else float("nan")


def bootstrap(
    metrics: dict[str, npt.NDArray[np.float64]], aggregate: Aggregate, seed: int
) -> dict[str, Interval]:
    """Scores with 95 % percentile intervals from resampled episodes (Efron 1979).

    Args:
        metrics: each episode's metrics.
        aggregate: the score of some episodes; it need not be a mean.
        seed: of the resampling.
    """
    episodes = len(next(iter(metrics.values())))
    rng = np.random.default_rng(seed)
    resampled: dict[str, list[float]] = {}
    for _ in range(RESAMPLES):
        picked = rng.integers(episodes, size=episodes)
        for name, value in aggregate(
            {key: column[picked] for key, column in metrics.items()}
        ).items():
            resampled.setdefault(name, []).append(value)
    return {
        name: Interval(value, *_middle(np.array(resampled[name])))
        for name, value in aggregate(metrics).items()
    }


def _middle(resampled: npt.NDArray[np.float64]) -> tuple[float, float]:
    """The ends of the middle 95 % of the scores that there are."""
    known = resampled[~np.isnan(resampled)]
    low, high = np.percentile(known, [2.5, 97.5]) if known.size else (np.nan, np.nan)
    return float(low), float(high)


def _with_return(aggregate: Aggregate) -> Aggregate:
    """The task's scores and the mean return, which every environment has."""

    def scores(metrics: dict[str, npt.NDArray[np.float64]]) -> dict[str, float]:
        own = {name: column for name, column in metrics.items() if name != "return"}
        found = dict(aggregate(own)) if own else {}
        return found | {"return": float(metrics["return"].mean())}

    return scores
