"""How costs grow with slots, prefix length, vocabulary and model size: fitted exponents.

A cost that grows as size ** k is a line of slope k where both are logarithmic. Every cost has a
part that does not grow, so that the slope is less at small sizes than in the end: the last doubling
stands beside the fit, which shows what is coming.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from scipy.stats import linregress
from scipy.stats import t as student
from transformers import GPT2Config, GPT2LMHeadModel

from agents.ppo import PPO, PPOConfig
from benchmarks.answering import MeasuredQA
from benchmarks.gpu import wide_tokenizer
from textenvs.vector_env import TextVectorEnv

Axis: TypeAlias = Literal["slots", "prefix", "vocabulary", "width"]
ANSWER_TOKENS = 12
HEAD_WIDTH = 32


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What is measured in: one of these grows at a time.

    Attributes:
        slots: Of the vector environment.
        prefix: Tokens of every prompt.
        vocabulary: Tokens that there are, all of them actions.
        width: Of the model's hidden states, in 2 layers.
    """

    slots: int = 16
    prefix: int = 64
    vocabulary: int = 2_000
    width: int = 128

    def envs(self) -> TextVectorEnv:
        """The environment, with all examples encoded."""
        task = MeasuredQA(
            self.prefix,
            ANSWER_TOKENS,
            ragged=False,
            count=4 * self.slots,
            tokenizer=wide_tokenizer(self.vocabulary),
        )
        for index in range(task.num_examples):
            task.row(index)
        return TextVectorEnv(task, num_envs=self.slots)

    def agent(self) -> PPO:
        """PPO with a new GPT-2 of this width."""
        envs = self.envs()
        config = GPT2Config(
            vocab_size=self.vocabulary,
            n_positions=envs.task.max_tokens,
            n_embd=self.width,
            n_layer=2,
            n_head=self.width // HEAD_WIDTH,
            bos_token_id=None,
            eos_token_id=None,
        )
        torch.manual_seed(0)
        settings = PPOConfig(num_envs=self.slots, epochs=1, target_kl=None)
        return PPO(envs, settings, model=GPT2LMHeadModel(config), device="cpu")


SIZES: Mapping[Axis, tuple[int, ...]] = {
    "slots": (8, 16, 32, 64, 128),
    "prefix": (64, 128, 256, 512, 1024),
    "vocabulary": (2_000, 4_000, 8_000, 16_000, 32_000),
    "width": (64, 128, 256, 512),
}
UNITS: dict[Axis, str] = {
    "slots": "slots",
    "prefix": "tokens of a prompt",
    "vocabulary": "tokens of the vocabulary",
    "width": "width of the model",
}


class Growth(NamedTuple):
    """A cost over a size.

    Attributes:
        what: What costs.
        over: What grows.
        sizes: Of it.
        seconds: For each size, one a round.
        exponent: Of the power law that fits best.
        low: Of its 95 % interval.
        high: Of it.
        last: The exponent between the medians of the last two sizes.
    """

    what: str
    over: Axis
    sizes: tuple[int, ...]
    seconds: tuple[tuple[float, ...], ...]
    exponent: float
    low: float
    high: float
    last: float


def growth(
    what: str, over: Axis, sizes: Sequence[int], seconds: Sequence[Sequence[float]]
) -> Growth:
    """Fit a power law to the medians; what departs from it counts once a size, not once a round.

    Args:
        what: costs.
        over: what grows.
        sizes: at least three.
        seconds: for each size, one a round.

    >>> found = growth("work", "slots", (1, 2, 4), [[1.0, 1.1], [4.0, 4.1], [16.0, 16.1]])
    >>> print(round(found.exponent, 1), round(found.last, 1))
    2.0 2.0
    """
    medians = [median(each) for each in seconds]
    fit = linregress(np.log(sizes), np.log(medians))
    half = float(student.ppf(0.975, len(sizes) - 2)) * fit.stderr
    *_, before, end = medians
    last = math.log(end / before) / math.log(sizes[-1] / sizes[-2])
    rounds = tuple(tuple(map(float, each)) for each in seconds)
    slope = float(fit.slope)
    return Growth(what, over, tuple(sizes), rounds, slope, slope - half, slope + half, last)


def scaling(rounds: int, sizes: Mapping[Axis, tuple[int, ...]]) -> Iterator[Growth]:
    """Steps of the environment, of acting, and updates, over all axes.

    Args:
        rounds: How many; in each all sizes have their turn.
        sizes: Axis -> sizes.
    """
    for over, values in sizes.items():
        scenes = [replace(Scene(), **{over: value}) for value in values]
        costs = [costs_of(scene) for scene in scenes]
        for what in costs[0]:
            for cost in costs:
                cost[what]()
            taken = [[cost[what]() for cost in costs] for _ in range(rounds)]
            yield growth(what, over, values, list(zip(*taken, strict=True)))


def costs_of(scene: Scene) -> dict[str, Callable[[], float]]:
    """What costs -> measures the seconds that it takes."""
    agent = scene.agent()
    collector = agent.new_collector()
    collector.restart(seed=0)
    generator = torch.Generator().manual_seed(0)
    rng = np.random.default_rng(0)
    answers = scene.slots * ANSWER_TOKENS
    episodes: list[Any] = []

    def act() -> float:
        start = time.perf_counter()
        episodes[:] = collector.collect(answers, generator)
        return (time.perf_counter() - start) / ANSWER_TOKENS

    def update() -> float:
        start = time.perf_counter()
        agent.update(episodes, rng)
        return time.perf_counter() - start

    costs: dict[str, Callable[[], float]] = {"acting, a step of all slots": act, "update": update}
    if scene.width == Scene.width:
        costs = {"environment, a step of all slots": environment_step(scene)} | costs
    return costs


def environment_step(scene: Scene) -> Callable[[], float]:
    """Measures a step of all slots by random actions."""
    envs = scene.envs()
    envs.reset(seed=0)
    steps = 20 * ANSWER_TOKENS
    actions_TS = np.random.default_rng(0).integers(scene.vocabulary - 1, size=(steps, scene.slots))

    def step() -> float:
        start = time.perf_counter()
        for actions_S in actions_TS:
            envs.step(actions_S)
        return (time.perf_counter() - start) / steps

    return step


def growth_of(facts: Mapping[str, Any]) -> Growth:
    """The growth whose fields these are, as JSON has them.

    Raises:
        TypeError: they are not.
    """
    seconds = tuple(tuple(each) for each in facts["seconds"])
    return Growth(**{**facts, "sizes": tuple(facts["sizes"]), "seconds": seconds})


def growth_table(growths: Sequence[Growth]) -> str:
    """Markdown: a line a cost and size."""
    lines = [
        "| cost | over | sizes | milliseconds | exponent [95 %] | last doubling |",
        "|---|---|---|---|---|---|",
    ]
    for g in growths:
        sizes = ", ".join(f"{size:,}" for size in g.sizes)
        taken = ", ".join(f"{1e3 * median(each):.3g}" for each in g.seconds)
        lines.append(
            f"| {g.what} | {UNITS[g.over]} | {sizes} | {taken} | {g.exponent:.2f} [{g.low:.2f}, "
            f"{g.high:.2f}] | {g.last:.2f} |"
        )
    return "\n".join(lines)
