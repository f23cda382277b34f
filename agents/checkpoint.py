"""Checkpoints: a folder with one JSON file that names the safetensors files that belong to it.

A save writes new tensor files under new names, then replaces `checkpoint.json` in one atomic step,
then deletes the files of the previous save. Whatever moment a process dies at, `checkpoint.json`
is whole and all that it names is there. Loading reads JSON and tensors, and runs no code.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from agents.errors import CheckpointError

CHECKPOINT = "checkpoint"
"""The folder in a run's folder."""
INDEX = "checkpoint.json"
FORMAT = 1

Tensors = Mapping[str, Tensor]
Record = TypeVar("Record")


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file's content as one step: readers see the old content or the new.

    Raises:
        OSError: it cannot be written; names the file.
    """
    name = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        _write(name, path, content)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from error


def _write(name: Path, path: Path, content: bytes) -> None:
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def save_checkpoint(folder: Path, facts: Mapping[str, Any], parts: Mapping[str, Tensors]) -> None:
    """Write a checkpoint; the previous one in the folder stays loadable until the new one is.

    Args:
        folder: made if needed.
        facts: whatever JSON can hold.
        parts: groups of tensors, one file each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink()
    generation = _generation(folder) + 1
    files = {part: f"{part}-{generation}.safetensors" for part in parts}
    for part, tensors in parts.items():
        contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
        write_atomically(folder / files[part], save(contiguous))
    index = {"format": FORMAT, "generation": generation, "files": files, **facts}
    write_atomically(folder / INDEX, (json.dumps(index, indent=2) + "\n").encode())
    for part in parts:
        for path in folder.glob(f"{part}-*.safetensors"):
            # A model of transformers in the same folder has files such as model-00001-of-00002.
            if path.name != files[part] and path.stem.removeprefix(f"{part}-").isdecimal():
                path.unlink()


def load_checkpoint(folder: Path) -> tuple[dict[str, Any], dict[str, dict[str, Tensor]]]:
    """The facts and the tensors of a checkpoint.

    Raises:
        CheckpointError: there is none, or it is damaged; says which file.
    """
    path = folder / INDEX
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"no checkpoint in {folder}: it has no {INDEX}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} is not JSON: {error}") from error
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise CheckpointError(f"{path} has no format {FORMAT}: it was not written by agents")
    files = index.get("files")
    if not isinstance(files, dict) or not all(isinstance(name, str) for name in files.values()):
        raise CheckpointError(f"{path} does not name its files: it is damaged")
    parts = {}
    for part, name in files.items():
        if Path(name).name != name:
            raise CheckpointError(f"{path} names the file {name!r} outside its folder")
        try:
            parts[part] = load_file(folder / name)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"cannot read {folder / name}: {error}") from error
    return index, parts


def _generation(folder: Path) -> int:
    """The highest generation of any file there, so that no file is ever written over."""
    numbers = [path.stem.rpartition("-")[2] for path in folder.glob("*-*.safetensors")]
    return max((int(number) for number in numbers if number.isdecimal()), default=0)


def from_json(record: type[Record], facts: Mapping[str, Any]) -> Record:
    """A dataclass of what JSON holds of it, which has lists for tuples.

    Raises:
        TypeError: a field is missing or unknown.
    """
    return record(
        **{
            name: tuple(value) if isinstance(value, list) else value
            for name, value in facts.items()
        }
    )
