"""Where a training's numbers go: metrics.jsonl, TensorBoard, Weights & Biases, the terminal."""

from __future__ import annotations

import importlib.util
import json
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import get_terminal_size
from types import TracebackType
from typing import Any, Protocol

from agents.checkpoint import write_atomically
from agents.errors import AgentError
from agents.progress import TALLEST, Leg, LiveView, ProgressBar, ProgressLines, Show
from agents.run_files import CURVE, METRICS, keep_lines

WANDB_ID = "wandb-id.txt"


class Sink(Protocol):
    """Takes the numbers of each iteration."""

    def record(self, step: int, numbers: Mapping[str, float]) -> None:
        """Take one iteration's numbers.

        Args:
            step: the run's step that it led to.
            numbers: name -> value; names with a slash belong to a group.
        """

    def close(self) -> None:
        """Finish."""


class RunLog:
    """Passes the numbers of each iteration to some sinks, and closes them in the end.

    Args:
        sinks: where numbers go.
    """

    def __init__(self, sinks: Sequence[Sink]) -> None:
        """Take the sinks, which are open."""
        self.sinks = sinks

    def __enter__(self) -> RunLog:
        """Close the sinks at the end of the `with` block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the sinks."""
        for sink in self.sinks:
            sink.close()

    def record(self, step: int, numbers: Mapping[str, float]) -> None:
        """Pass one iteration's numbers on; see `Sink`."""
        for sink in self.sinks:
            sink.record(step, numbers)


def open_log(
    leg: Leg,
    folder: Path | None,
    shown: Mapping[str, str],
    progress: bool | Show = True,
    wandb: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> RunLog:
    """The log of a training.

    Args:
        leg: the training; what was logged beyond its present step is dropped.
        folder: gets metrics.jsonl and, where TensorBoard is installed, its events; None writes no
            files.
        shown: the numbers to show, name -> format.
        progress: what to show; True for "auto", False for "none".
        wandb: a project of Weights & Biases to log to.
        settings: of the run, for Weights & Biases.

    Raises:
        AgentError: Weights & Biases is wanted but not installed.
    """
    sinks: list[Sink] = []
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        sinks.append(JsonLines(folder / METRICS, leg.step))
        if importlib.util.find_spec("tensorboard") is not None:
            sinks.append(TensorBoard(folder / "tensorboard", leg.step))
    if wandb is not None:
        sinks.append(WeightsAndBiases(wandb, folder, settings or {}, new=leg.step == 0))
    sinks += progress_sinks(progress, leg, folder, shown)
    return RunLog(sinks)


def progress_sinks(
    progress: bool | Show, leg: Leg, folder: Path | None, shown: Mapping[str, str]
) -> list[Sink]:
    """What shows a training's progress: at most one sink; see `open_log` for the arguments."""
    if progress in (False, "none"):
        return []
    if progress in (True, "auto"):
        progress = "lines"
        if sys.stderr.isatty():
            # The file is there before the training where somebody scores on the way.
            scored = folder is not None and (folder / CURVE).exists()
            progress = "live" if scored and get_terminal_size().lines >= TALLEST else "bar"
    if progress == "live" and folder is not None:
        return [LiveView(leg, shown, folder / CURVE)]
    return [ProgressLines(leg, shown) if progress == "lines" else ProgressBar(leg, shown)]


class JsonLines:
    """One JSON object an iteration.

    Args:
        path: of the file.
        step: the run's present step; later lines are dropped.
    """

    def __init__(self, path: Path, step: int) -> None:
        """Keep what was logged up to the present step."""
        self.path = path
        keep_lines(path, "step", step)

    def record(self, step: int, numbers: Mapping[str, float]) -> None:
        """Append a line."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **numbers}) + "\n")

    def close(self) -> None:
        """Nothing is open."""


class TensorBoard:
    """Event files.

    Args:
        folder: where they go.
        step: the run's present step; later events are hidden.
    """

    def __init__(self, folder: Path, step: int) -> None:
        """Open a file."""
        from torch.utils.tensorboard.writer import SummaryWriter

        self._writer: Any = SummaryWriter(log_dir=str(folder), purge_step=step + 1)

    def record(self, step: int, numbers: Mapping[str, float]) -> None:
        """Add a scalar a number."""
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


class WeightsAndBiases:
    """A run of Weights & Biases; `WANDB_MODE=offline` keeps it in the folder.

    Args:
        project: its project.
        folder: of the training: gets the run's files and its id, by which a resumed training goes
            on in the same run.
        settings: shown with the run.
        new: whether the training begins, whatever run the folder was another training's.

    Raises:
        AgentError: wandb is not installed.
    """

    def __init__(
        self, project: str, folder: Path | None, settings: Mapping[str, Any], new: bool
    ) -> None:
        """Begin or go on."""
        try:
            import wandb
        except ImportError as error:
            raise AgentError("logging to Weights & Biases needs it: pip install wandb") from error
        run_id = None if folder is None else remembered_id(folder / WANDB_ID, new)
        self._run = wandb.init(
            project=project,
            dir=folder,
            id=run_id,
            resume="allow",
            config=dict(settings),
            settings=wandb.Settings(silent=True),
        )
        # A resumed training logs some steps again, which wandb's own count would refuse.
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def record(self, step: int, numbers: Mapping[str, float]) -> None:
        """Log the numbers over the run's steps."""
        self._run.log({"step": step, **numbers})

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


def remembered_id(path: Path, new: bool) -> str:
    """The id in a file; a new one, which is written there, where one is wanted or none is there."""
    if new or not path.exists():
        write_atomically(path, secrets.token_hex(8).encode())
    return path.read_text(encoding="utf-8")
