"""Following the gradient of a mean loss over episodes' states, minibatch by minibatch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from agents.batching import Batch, Places, make_batch, microbatches, minibatches
from agents.episodes import Episode, arrays_of, total_steps
from agents.models.model import AgentModel
from agents.processes import Processes
from agents.schedules import scheduled
from agents.settings import TrainingConfig

Numbers = dict[str, float]
"""What is logged: name -> value."""
LossOf = Callable[[Batch, Places], tuple[Tensor, Numbers]]
"""The mean loss over a batch's states, and numbers to log; places say which episodes it holds."""


class NotFinite(ArithmeticError):
    """A quantity of the training is NaN or infinite.

    Attributes:
        what: the quantity.
        arrays: the batch that did it, for a file.
    """

    def __init__(self, what: str, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Name the quantity."""
        super().__init__(f"{what} is not finite")
        self.what = what
        self.arrays = arrays


class Minibatch(NamedTuple):
    """Some episodes and their loss.

    Attributes:
        episodes: all episodes.
        places: those of the minibatch.
        loss_of: the loss of some of them.
    """

    episodes: Sequence[Episode]
    places: Places
    loss_of: LossOf

    @property
    def chosen(self) -> list[Episode]:
        """The episodes of the minibatch."""
        return [self.episodes[place] for place in self.places]


class Descent:
    """AdamW on a model's weights.

    Several processes divide every minibatch, and all take the same step.

    Args:
        model: whose weights learn, those that are not frozen.
        config: learning rate, its schedule, and sizes.
        n_actions: of the environment.
        processes: this one and the others.

    Attributes:
        beside: what is learnt from beside every minibatch, such as demonstrations.
    """

    def __init__(
        self, model: AgentModel, config: TrainingConfig, n_actions: int, processes: Processes
    ) -> None:
        """Start with a fresh optimizer."""
        self.model = model
        self.config = config
        self.n_actions = n_actions
        self.processes = processes
        self.beside: Callable[[], Minibatch] | None = None
        self.optimizer = torch.optim.AdamW(
            [weight for weight in model.parameters() if weight.requires_grad],
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            eps=1e-5,
            fused=True,
        )
        self.optimizer.register_step_post_hook(lambda *_: model.note_change())

    @property
    def rate(self) -> float:
        """The learning rate."""
        return float(self.optimizer.param_groups[0]["lr"])

    def schedule(self, done: float) -> None:
        """Set the learning rate that is due where this share of the training is done."""
        config, rate = self.config, self.config.learning_rate
        if done < config.warmup:
            rate *= done / config.warmup
        else:
            rest = (done - config.warmup) / max(1.0 - config.warmup, 1e-9)
            rate = scheduled(config.learning_rate_schedule, rate, 0.0, rest)
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def once(
        self, episodes: Sequence[Episode], loss_of: LossOf, rng: np.random.Generator
    ) -> Iterator[Numbers]:
        """Pass over the episodes once; numbers to log after each minibatch's step.

        Args:
            episodes: to learn from.
            loss_of: the loss of some of them.
            rng: of their order.

        Raises:
            NotFinite: the loss or the gradient.
        """
        for places in minibatches(episodes, self.config.minibatch_tokens, rng):
            minibatch = Minibatch(episodes, places, loss_of)
            numbers = self.accumulate(minibatch)
            numbers["optimizer/gradient_norm"] = self.step(minibatch)
            yield numbers

    def accumulate(self, minibatch: Minibatch) -> Numbers:
        """The gradient of the mean loss over a minibatch's states; numbers to log.

        Raises:
            NotFinite: the loss.
        """
        self.optimizer.zero_grad(set_to_none=True)
        numbers = self._add_gradient(minibatch)
        if self.beside is not None:
            numbers |= self._add_gradient(self.beside())
        self.processes.sum_gradients(self.model.parameters())
        return self.processes.sum_numbers(numbers)

    def _add_gradient(self, minibatch: Minibatch) -> Numbers:
        """Add this process's part of the gradient to what is there."""
        states = total_steps(minibatch.chosen)
        totals: Numbers = {}
        own = minibatch._replace(places=self.processes.share(minibatch.places))
        for part in microbatches(own.chosen, self.config.microbatch_tokens):
            micro = own._replace(places=own.places[part])
            batch = make_batch(micro.chosen, self.n_actions, self.model.device)
            loss, numbers = micro.loss_of(batch, micro.places)
            if not torch.isfinite(loss):
                raise NotFinite("the loss", arrays_of(micro.chosen))
            share = len(batch.actions_N) / states
            (loss * share).backward()  # type: ignore[no-untyped-call]
            for name, value in numbers.items():
                totals[name] = totals.get(name, 0.0) + share * value
        return totals

    def step(self, minibatch: Minibatch) -> float:
        """Follow the gradient that `accumulate` left; its norm.

        Raises:
            NotFinite: the gradient.
        """
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.max_grad_norm)
        if not torch.isfinite(norm):
            raise NotFinite("the gradient", arrays_of(minibatch.chosen))
        self.optimizer.step()
        return float(norm)


def mean_numbers(each: Sequence[Numbers]) -> Numbers:
    """The mean of each number over those that have it."""
    names = dict.fromkeys(name for numbers in each for name in numbers)
    return {name: float(np.mean([n[name] for n in each if name in n])) for name in names}
