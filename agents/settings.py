"""Settings that algorithms share. Each algorithm's config is one of these with its own added."""

from __future__ import annotations

from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from agents.errors import AgentError, nearest_first
from agents.schedules import Schedule


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Settings of every algorithm that trains a model."""

    num_envs: int = 32
    """Slots of the vector environment."""
    minibatch_tokens: int = 2048
    """Padded tokens of a minibatch, prompts included."""
    microbatch_tokens: int | None = None
    """At most so many padded tokens in one forward pass: gradients are summed up to a minibatch.
    None for whole minibatches."""
    learning_rate: float = 5e-4
    """Of AdamW, at its highest."""
    learning_rate_schedule: Schedule = "linear"
    """How the learning rate falls over the training: constant, linear (to 0), cosine (to 0)."""
    warmup: float = 0.0
    """Share of the training over which the learning rate first rises from 0."""
    weight_decay: float = 0.0
    """Of AdamW."""
    max_grad_norm: float = 0.5
    """The gradient is scaled down to this norm."""

    def __post_init__(self) -> None:
        """Check types, choices and ranges."""
        for name, hint in get_type_hints(type(self)).items():
            expect_type(name, getattr(self, name), hint)
        self.expect_at_least_one("num_envs", "minibatch_tokens")
        if self.microbatch_tokens is not None:
            self.expect_at_least_one("microbatch_tokens")
        self.expect_above_zero("learning_rate", "max_grad_norm")
        self.expect_between(0, 1, "warmup")
        self.expect_between(0, float("inf"), "weight_decay")

    def expect_at_least_one(self, *names: str) -> None:
        """Raise an AgentError for a count below 1."""
        for name in names:
            if getattr(self, name) < 1:
                raise AgentError(f"{name} is {getattr(self, name)}; expected at least 1")

    def expect_above_zero(self, *names: str) -> None:
        """Raise an AgentError for a number that is not above 0."""
        for name in names:
            if not getattr(self, name) > 0:
                raise AgentError(f"{name} is {getattr(self, name)}; expected a number above 0")

    def expect_between(self, low: float, high: float, *names: str) -> None:
        """Raise an AgentError for a number outside of a range."""
        for name in names:
            if not low <= getattr(self, name) <= high:
                raise AgentError(f"{name} is {getattr(self, name)}; expected {low} to {high}")


@dataclass(frozen=True, kw_only=True)
class RolloutConfig(TrainingConfig):
    """Settings of the algorithms that learn from what they play."""

    steps: int = 2048
    """Actions to collect, in whole episodes, before each update."""
    gamma: float = 1.0
    """Discount."""
    checkpoint_every: int = 10
    """Iterations between checkpoints, of which the first iteration leaves one too; at each, running
    episodes end and new ones begin."""
    imitation_weight: float = 0.0
    """Weight, in every minibatch's loss, of imitating a minibatch of demonstrations; 0 for none."""
    imitation_episodes: int = 300
    """Examples whose expert episodes are the demonstrations."""
    imitation_recorded: str | None = None
    """A file of recorded episodes to imitate instead of the expert's; or minari:ID, a data set of
    Minari."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        self.expect_at_least_one("steps", "checkpoint_every", "imitation_episodes")
        self.expect_between(0, 1, "gamma")
        self.expect_between(0, float("inf"), "imitation_weight")


@dataclass(frozen=True, kw_only=True)
class PolicyConfig(RolloutConfig):
    """Settings of the algorithms that improve the policy itself."""

    temperature: float = 1.0
    """The policy is the softmax of the model's scores divided by it, in acting and in learning. A
    clone of an expert that says things in many ways is best begun with below 1: what it samples is
    then as good as what it finds likeliest."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        self.expect_above_zero("temperature")


def expect_type(name: str, value: object, hint: Any) -> None:
    """Raise an AgentError for a setting that is not of its type, or none of its choices.

    A number of numpy is none here: JSON, in which checkpoints hold settings, does not know it.
    Types beyond numbers, text, None and choices are not checked.

    >>> expect_type("epochs", 2.5, int | None)
    Traceback (most recent call last):
    agents.errors.AgentError: epochs is 2.5; expected int or None
    """
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    types = tuple(kind for kind in kinds if kind in (int, float, str, bool, NoneType))
    choices = [c for kind in kinds if get_origin(kind) is Literal for c in get_args(kind)]
    if not types and not choices:
        return
    if value in choices or isinstance(value, types) or (float in types and type(value) is int):
        return
    wanted = [kind.__name__ for kind in types if kind is not NoneType]
    wanted += [f"one of {nearest_first(str(value), choices)}"] if choices else []
    wanted += ["None"] if NoneType in types else []
    raise AgentError(f"{name} is {value!r}; expected {' or '.join(wanted)}")
