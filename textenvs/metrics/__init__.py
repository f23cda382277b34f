"""Published metrics, as functions and as `evaluate` modules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textenvs.errors import TextEnvsError, unknown

if TYPE_CHECKING:
    import evaluate

METRICS = ("entity_f1", "rouge_f1", "squad_f1")
"""The metrics that are packaged as `evaluate` modules."""


def load(name: str) -> evaluate.Metric:
    """A packaged metric as an `evaluate.Metric`; nothing is downloaded.

    Args:
        name: One of `METRICS`.

    Raises:
        OptionError: An unknown `name`.
        TextEnvsError: The `evaluate` library is missing.
    """
    if name not in METRICS:
        raise unknown("metric", name, METRICS)
    try:
        import evaluate
    except ImportError as error:
        raise TextEnvsError(
            'this needs the `evaluate` library: pip install "textenvs[metrics]"'
        ) from error
    return evaluate.load(str(Path(__file__).parent / name / f"{name}.py"))
