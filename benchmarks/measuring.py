"""Two things measured in turn, so that a busy machine disturbs both alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal, TypeAlias

Rates: TypeAlias = "tuple[float, ...]"


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """How fast one thing is beside another.

    Attributes:
        what: What was measured.
        unit: Of its rates and of the other's.
        rates: One a round.
        against: What it is compared with.
        against_rates: One a round.
        required: The least that is asked for; None for nothing.
        required_of: Whether that is a ratio, or a rate in `unit`.
        at_most: Less is better, and ``required`` is the most that is allowed.
        notes: Further facts, for the file.
    """

    what: str
    unit: str
    rates: Rates
    against: str
    against_rates: Rates
    required: float | None = None
    required_of: Literal["ratio", "rate"] = "ratio"
    at_most: bool = False
    notes: dict[str, Any] | None = None

    @property
    def rate(self) -> float:
        """The median round's."""
        return median(self.rates)

    @property
    def against_rate(self) -> float:
        """The median round's."""
        return median(self.against_rates)

    @property
    def ratio(self) -> float:
        """Of the two medians."""
        return self.rate / self.against_rate

    @property
    def round_ratios(self) -> Rates:
        """The ratio in each round: their range shows the noise."""
        return tuple(a / b for a, b in zip(self.rates, self.against_rates, strict=True))

    @property
    def met(self) -> bool | None:
        """Whether the requirement is; None where there is none."""
        if self.required is None:
            return None
        found = self.ratio if self.required_of == "ratio" else self.rate
        return found <= self.required if self.at_most else found >= self.required


def beside(
    what: str,
    unit: str,
    one: Callable[[], float],
    against: str,
    other: Callable[[], float],
    rounds: int,
    **facts: Any,
) -> Measurement:
    """Measure two things by `in_turn`; ``facts`` are the measurement's further fields."""
    rates, against_rates = in_turn(one, other, rounds)
    return Measurement(
        what=what, unit=unit, rates=rates, against=against, against_rates=against_rates, **facts
    )


def in_turn(
    one: Callable[[], float], other: Callable[[], float], rounds: int
) -> tuple[Rates, Rates]:
    """Measure two things alternately, after one round of each that does not count.

    Args:
        one: A round of it; returns its rate.
        other: A round of the other.
        rounds: How many of each count.

    Returns:
        The rates of either, one a round.
    """
    one()
    other()
    pairs = [(one(), other()) for _ in range(rounds)]
    return tuple(a for a, _ in pairs), tuple(b for _, b in pairs)
