"""Scores of an agent on a split: each example once, with bootstrap intervals."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv

from agents.environment import Contract, attribute, check_same_contract, make_env, read_contract
from agents.episodes import examples_in_order
from agents.errors import AgentError
from agents.rollout import Choose, play_examples

RESAMPLES = 1000
Aggregate = Callable[[dict[str, npt.NDArray[np.float64]]], dict[str, float]]


class Predictor(Protocol):
    """Anything that chooses actions: agents, baselines, stable-baselines3's models."""

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[Any, Any]:
        """Actions for a batch of observations, and the state for the next call.

        One that also takes `action_masks` is given the legal actions.
        """


@runtime_checkable
class NeedsEnv(Protocol):
    """A predictor that looks into the environment, as the expert does."""

    def attach(self, env: VectorEnv[Any, Any, Any]) -> None:
        """Take the vector environment in which it is about to play."""


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
    """

    scores: dict[str, Interval]
    score_name: str
    examples: npt.NDArray[np.int64]
    metrics: dict[str, npt.NDArray[np.float64]]
    texts: list[str]
    returns: npt.NDArray[np.float64]

    @property
    def score(self) -> Interval:
        """The main score."""
        return self.scores[self.score_name]


def evaluate(
    agent: Predictor,
    env_id: str,
    split: str | None = "test",
    episodes: int | None = None,
    deterministic: bool = True,
    num_envs: int = 64,
    seed: int = 0,
    **env_kwargs: Any,
) -> Result:
    """Play each example of a split once.

    Args:
        agent: who plays.
        env_id: the environment.
        split: its split; None for an environment without this option.
        episodes: how many examples, spread evenly over the split; None for all.
        deterministic: passed on to `agent.predict`.
        num_envs: slots of the vector environment.
        seed: of what the task draws, and of the bootstrap.
        env_kwargs: the environment's other options.

    Raises:
        AgentError: the agent was made for another environment.
    """
    if episodes is not None and episodes < 1:
        raise AgentError(f"episodes is {episodes}; expected at least 1, or None for all")
    if split is not None:
        env_kwargs["split"] = split
    env = make_env(env_id, num_envs, AutoresetMode.DISABLED, **env_kwargs)
    try:
        contract, made_for = read_contract(env), getattr(agent, "contract", None)
        if isinstance(made_for, Contract):
            check_same_contract(contract, made_for)
        available = int(attribute(env, "num_examples"))
        count = available if episodes is None else min(episodes, available)
        examples = examples_in_order(count, available)
        played = play_examples(env, contract, examples, _chooser(agent, env, deterministic), seed)
        names = sorted({name for each in played for name in each.episode.metrics})
        metrics = {
            name: np.array([each.episode.metrics.get(name, np.nan) for each in played])
            for name in names
        }
        returns = np.array([each.episode.episode_return for each in played])
        aggregate = attribute(env, "aggregate_metrics", mean_of_each)
        scores = bootstrap(metrics | {"return": returns}, _with_return(aggregate), seed)
        score_name = str(attribute(env, "score_name", "return"))
    finally:
        env.close()
    return Result(
        scores=scores,
        score_name=score_name if score_name in scores else "return",
        examples=examples,
        metrics=metrics,
        texts=[each.text for each in played],
        returns=returns,
    )


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


def _chooser(
    agent: Predictor, env: VectorEnv[Any, Any, Any], deterministic: bool
) -> Callable[[Choose], npt.NDArray[np.integer]]:
    """The agent as `play_examples` calls it: it keeps the state and passes masks on."""
    if isinstance(agent, NeedsEnv):
        agent.attach(env)
    takes_masks = "action_masks" in inspect.signature(agent.predict).parameters
    state: Any = None

    def choose(now: Choose) -> npt.NDArray[np.integer]:
        nonlocal state
        masks = {"action_masks": now.legal_SA} if takes_masks else {}
        actions_S, state = agent.predict(
            now.observations_SL,
            state=state,
            episode_start=now.started_S,
            deterministic=deterministic,
            **masks,
        )
        return np.asarray(actions_S)

    return choose
