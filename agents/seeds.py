"""The sources of chance in a training, each with a seed of its own."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from agents.errors import AgentError


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """Where each source of chance begins, to vary one of them while the others stay.

    Attributes:
        weights: of new weights.
        actions: of what is explored and sampled.
        batches: of the order in which data is learnt from.
        envs: of the examples that come up, in demonstrations too, and of what tasks draw.

    Raises:
        AgentError: a seed is below 0.
    """

    weights: int
    actions: int
    batches: int
    envs: int

    def __post_init__(self) -> None:
        """Check the ranges."""
        for source, seed in asdict(self).items():
            if seed < 0:
                raise AgentError(f"the seed of {source} is {seed}; expected at least 0")

    @classmethod
    def same(cls, seed: int) -> Seeds:
        """One seed for all sources."""
        seed = int(seed)  # JSON, in which a checkpoint holds it, has no numbers of numpy
        return cls(weights=seed, actions=seed, batches=seed, envs=seed)
