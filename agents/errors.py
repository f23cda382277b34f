"""What can go wrong in training and acting, one class a cause."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class AgentError(ValueError):
    """Base of every error that agents raises for bad input."""


class ContractError(AgentError):
    """An environment that lacks a part of the token MDP that the agents build on."""


class ModelError(AgentError):
    """A model that does not exist, or that cannot play the environment."""


class CheckpointError(AgentError):
    """A checkpoint folder that is missing, incomplete or made by another algorithm."""


class RecordingError(AgentError):
    """Recorded episodes that are missing, damaged or of another environment."""


class EndpointError(AgentError):
    """An API of chat completions that refuses, does not answer, or answers something else."""


class TrainingDiverged(RuntimeError):
    """A loss, gradient or reward that is not finite: training has stopped.

    Attributes:
        step: environment steps (or, when cloning, expert actions) trained on before the bad one.
        batch_path: the file with the arrays of the batch that did it.
        checkpoint: the folder of the last checkpoint, which was good; None if none was written.
    """

    def __init__(self, what: str, step: int, batch_path: Path, checkpoint: Path | None) -> None:
        """Name the quantity, the step, the saved batch and the checkpoint."""
        self.step = step
        self.batch_path = batch_path
        self.checkpoint = checkpoint
        good = f"the last good checkpoint is in {checkpoint}"
        if checkpoint is None:
            good = "no checkpoint was written yet"
        super().__init__(
            f"training stopped at step {step}: {what} is not finite. The weights were not updated "
            f"with it. The batch is saved in {batch_path}; {good}"
        )


def nearest_first(name: str, known: Iterable[str]) -> str:
    """The known names as text, the closest match to `name` first.

    >>> nearest_first("tinny", ["small", "tiny"])
    "'tiny', 'small'"
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    names.sort(key=lambda other: other not in close)
    return ", ".join(map(repr, names))
