"""Run a training again, from what its folder tells, and say whether the curves are the same.

python -m benchmarks.reproduce runs/ner

On the machine and with the versions of the first time they are the same to the last bit; others
round otherwise, and what differs is shown.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from agents.provenance import PROVENANCE
from agents.run_files import CLONE, CURVE, METRICS, PREDICTIONS, RESULTS
from agents.threads import CHOSEN

MODULES = ("agents.train", "benchmarks.train_sb3")
"""What may have made a run, beside `textenvs train`, which is the first of them: a folder from a
stranger can name nothing else."""
COMPARED = (f"{CLONE}/{METRICS}", METRICS, CURVE, PREDICTIONS)
"""The files of a run whose lines must be the same."""
OWN = ("--out", "--resume", "--wandb")
"""Options that are not repeated."""
TIMES = ("time/", "seconds")
"""How the names begin of numbers that no two runs share."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Run a training again, and compare."""

    run: Annotated[Path, tyro.conf.Positional]
    """Its folder."""
    out: Path | None = None
    """A folder for the new run; by default a temporary one."""


class NotReproducible(Exception):
    """A folder does not tell how its run was made."""


def reproduce(run: Path, out: Path) -> list[str]:
    """Run a training again.

    Args:
        run: its folder.
        out: the new run's.

    Returns:
        What differs between the two; nothing where they are the same.

    Raises:
        NotReproducible: the folder holds no finished run of a training command, or that does not
            run any more.
    """
    origin = origin_of(run)
    if out.resolve() == run.resolve():
        raise NotReproducible(f"--out {out} is the run itself: choose another folder")
    command = [*command_of(origin, run), "--out", str(out)]
    threads = origin["machine"].get("chosen_threads")
    chosen = {} if threads is None else {CHOSEN: threads}
    others = {name: value for name, value in os.environ.items() if name != CHOSEN}
    print(f"running python {' '.join(command)}", flush=True)
    done = subprocess.run(  # noqa: S603  one of MODULES
        [sys.executable, *command], env=others | chosen, check=False
    )
    if done.returncode:
        raise NotReproducible(f"the command of {run} failed, with exit status {done.returncode}")
    differences = [
        difference
        for name in COMPARED
        if (run / name).exists() or (out / name).exists()
        for difference in differing_lines(name, lines_of(run / name), lines_of(out / name))
    ]
    scores, again = (json.loads((each / RESULTS).read_text("utf-8")) for each in (run, out))
    if scores["scores"] != again["scores"]:
        differences.append("the scores on the test split differ")
    return differences


def origin_of(run: Path) -> dict[str, Any]:
    """Where a run came from."""
    try:
        with open(run / PROVENANCE, encoding="utf-8") as lines:
            origin: dict[str, Any] = json.loads(next(lines))
        if not (run / RESULTS).exists():
            raise NotReproducible(f"the run in {run} is not finished: go on with it by --resume")
    except FileNotFoundError:
        raise NotReproducible(f"{run} holds no run: it has no {PROVENANCE}") from None
    return origin


def command_of(origin: dict[str, Any], run: Path) -> list[str]:
    """The arguments of `python` that made a run, but for those that the new one has otherwise."""
    command: list[str] = origin["command"]
    words = command[1:]
    if words[:3] == ["-m", "textenvs.cli", "train"]:
        words = ["-m", MODULES[0], *words[3:]]
    elif words[1:2] == ["train"] and Path(words[0]).stem == "textenvs":
        words = ["-m", MODULES[0], *words[2:]]
    if words[:1] != ["-m"] or words[1:2] not in ([module] for module in MODULES):
        raise NotReproducible(
            f"{run} was made by {' '.join(command[:3])}; expected textenvs train or one of "
            f"python -m {', python -m '.join(MODULES)}"
        )
    kept: list[str] = []
    rest = iter(words)
    for word in rest:
        name, equals, _ = word.partition("=")
        if name not in OWN:
            kept.append(word)
        elif name != "--resume" and not equals:
            next(rest)
    return kept


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The lines of a file of numbers, without the times; none where there is no file."""
    if not path.exists():
        return []
    return [
        {name: value for name, value in json.loads(line).items() if not name.startswith(TIMES)}
        for line in path.read_text(encoding="utf-8").splitlines()
    ]


def differing_lines(
    name: str, lines: list[dict[str, Any]], again: list[dict[str, Any]]
) -> list[str]:
    """Where two files of numbers differ first, and in how many lines."""
    if len(lines) != len(again):
        return [f"{name} had {len(lines)} lines and has {len(again)}"]
    pairs = enumerate(zip(lines, again, strict=True), start=1)
    others = [(number, *pair) for number, pair in pairs if not same(*pair)]
    if not others:
        return []
    number, line, new = others[0]
    step = line.get("step", line.get("timesteps"))
    place = f"in line {number}" if step is None else f"at step {step}"
    at = next(key for key in {**line, **new} if not same(line.get(key), new.get(key)))
    return [
        f"{name} differs in {len(others)} of {len(lines)} lines, first {place}: {at} was "
        f"{line.get(at)} and is {new.get(at)}"
    ]


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same, as NaN is to itself here."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def changes(origin: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What may explain a difference: commit, versions and machine that are others now."""
    found = []
    for group in ("git", "versions", "machine"):
        before, now = origin.get(group) or {}, new.get(group) or {}
        for name in sorted({*before, *now}):
            was, is_now = before.get(name), now.get(name)
            if was != is_now:
                found.append(f"{group}: {name} was {was} and is {is_now}")
    return found


def main() -> None:
    """Read the command line, run, and compare; the exit status is 1 where the runs differ."""
    settings = tyro.cli(Settings, prog="python -m benchmarks.reproduce", description=__doc__)
    with tempfile.TemporaryDirectory() as temporary:
        out = settings.out or Path(temporary)
        try:
            differences = reproduce(settings.run, out)
            others = changes(origin_of(settings.run), origin_of(out))
        except NotReproducible as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)
    if not differences:
        print(f"the same: numbers, curve, answers and scores of {settings.run}, but for times")
        return
    print("\n".join(["NOT the same:", *differences]))
    print("\n".join(["What is different now:", *(others or ["nothing that is recorded"])]))
    sys.exit(1)


if __name__ == "__main__":
    main()
