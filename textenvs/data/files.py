"""Data files: reading their text, finding the file of a split, splitting one file three ways."""

from __future__ import annotations

import difflib
import functools
import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from textenvs.errors import DatasetError, unknown

E = TypeVar("E")

OnError = Literal["raise", "skip"]

SPLITS = ("train", "validation", "test", "all")
"""The names a split can have; ``"all"`` is every example of the data set."""

FILE_NAMES = {
    "train": ("train",),
    "validation": ("validation", "dev", "valid", "val"),
    "test": ("test",),
}
"""What ``{split}`` may stand for in a file's name, in the order of trying."""

_PLACEHOLDER = "{split}"
_MAX_CACHED_FILES = 32
_cache: OrderedDict[Hashable, tuple[tuple[int, int], list[Any]]] = OrderedDict()
_cache_lock = threading.RLock()


def load_split(
    dataset: str | os.PathLike[str],
    split: str,
    read: Callable[[Path], list[E]],
    key: Callable[[E], str],
) -> list[E]:
    """The examples of one split of a data set kept in files.

    A path with ``{split}`` in it names a file for each split (``"wnut17.{split}.conll"``; for
    ``validation``, a file named with dev, valid or val will do), and ``"all"`` joins those that
    exist. A plain path is one file, split 80/10/10 by a hash of `key`, so that examples with equal
    keys are in the same split, in every process and on every machine; ``"all"`` is the whole file.

    A file is read once per process, until it changes; the examples are shared, the list is not.

    Args:
        dataset: Path to a file, or a path with ``{split}``.
        split: ``"train"``, ``"validation"``, ``"test"`` or ``"all"``.
        read: The reader of the file's format.
        key: What must not be in two splits at once: the passage of a question, a sentence.

    Raises:
        OptionError: `split` is none of the four.
        DatasetError: The file does not exist or cannot be read, or the split is empty.
    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    pattern = os.path.expanduser(os.fspath(dataset))
    if _PLACEHOLDER in pattern:
        examples = [e for path in _split_files(pattern, split) for e in _read_once(path, read)]
        if not examples:
            raise DatasetError(f"{pattern}: split {split!r} has no examples")
        return examples
    path = Path(pattern)
    if not path.is_file():
        raise _missing(path)
    return divide(_read_once(path, read), split, key, str(path))


def divide(examples: list[E], split: str, key: Callable[[E], str], name: str) -> list[E]:
    """One part of a data set that has no splits of its own, by a hash of each example's `key`.

    Raises:
        DatasetError: Nothing falls into that part.
    """
    if split == "all":
        return list(examples)
    parts: dict[str, str] = {}
    chosen = []
    for example in examples:
        group = key(example)
        if group not in parts:
            parts[group] = assign_split(group)
        if parts[group] == split:
            chosen.append(example)
    if not chosen:
        raise DatasetError(
            f"{name}: split {split!r} is empty: there are {len(examples)} examples in {len(parts)} "
            "groups (such as passages), too few for an 80/10/10 split to reach every part. "
            "Use split='all', or keep a file for each split and name them with '{split}' in the "
            "path, such as 'data.{split}.json'"
        )
    return chosen


def assign_split(key: str) -> str:
    """The split to which a key belongs: train for 80 % of keys, validation and test for 10 % each.

    Depends on the key alone: not on the process, the machine, or the other keys.

    >>> assign_split("The cat sat on the mat.")
    'train'
    """
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    bucket = int.from_bytes(digest, "big") % 10
    return "train" if bucket < 8 else "validation" if bucket == 8 else "test"


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, a byte order mark left out and line ends untouched.

    Raises:
        DatasetError: The file does not exist, cannot be opened, is empty, or is not UTF-8.
    """
    if not path.is_file():
        raise _missing(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DatasetError(
            f"{path}:{line}: expected UTF-8 text, got byte 0x{data[error.start]:02x} at offset "
            f"{error.start} ({error.reason}); convert the file to UTF-8"
        ) from error
    if not text.strip():
        raise DatasetError(f"{path}: the file is empty")
    return text


def check_on_error(on_error: str) -> None:
    """Raise `OptionError` unless `on_error` is ``"raise"`` or ``"skip"``."""
    if on_error not in ("raise", "skip"):
        raise unknown("on_error", on_error, ("raise", "skip"))


def _split_files(pattern: str, split: str) -> list[Path]:
    """The files of a split, in which ``"all"`` stands for every split that has a file."""
    if split == "all":
        found = [path for name in FILE_NAMES if (path := _first_file(pattern, name)) is not None]
        if not found:
            raise _missing(Path(pattern))
        return found
    path = _first_file(pattern, split)
    if path is None:
        names = FILE_NAMES[split]
        raise _missing(*(Path(pattern.replace(_PLACEHOLDER, name)) for name in names))
    return [path]


def _first_file(pattern: str, split: str) -> Path | None:
    paths = (Path(pattern.replace(_PLACEHOLDER, name)) for name in FILE_NAMES[split])
    return next((path for path in paths if path.is_file()), None)


def _missing(path: Path, *others: Path) -> DatasetError:
    """An error for a file that is not there, with the files that are, closest name first."""
    tried = f" (nor as {', '.join(repr(other.name) for other in others)})" if others else ""
    if path.is_dir():
        problem, folder = f"{path}: expected a file, got a folder", path
    else:
        problem, folder = f"{path}: no such file{tried}", path.parent
        while not folder.is_dir() and folder != folder.parent:
            folder = folder.parent
    try:
        names = [entry.name for entry in os.scandir(folder) if not entry.name.startswith(".")]
    except OSError:
        names = []
    names.sort(key=lambda name: (-difflib.SequenceMatcher(None, path.name, name).ratio(), name))
    if not names:
        return DatasetError(f"{problem}. The folder {folder} has no files")
    listing = ", ".join(map(repr, names[:8])) + (", ..." if len(names) > 8 else "")
    return DatasetError(f"{problem}. In {folder}: {listing}")


def _read_once(path: Path, read: Callable[[Path], list[E]]) -> list[E]:
    """What `read` makes of the file, from the cache if neither has changed; not to be altered."""
    status = path.stat()
    version = (status.st_mtime_ns, status.st_size)
    name = (str(path.resolve()), _identity(read))
    with _cache_lock:
        if name not in _cache or _cache[name][0] != version:
            _cache[name] = (version, read(path))
            while len(_cache) > _MAX_CACHED_FILES:
                _cache.popitem(last=False)
        _cache.move_to_end(name)
        return cast("list[E]", _cache[name][1])


def _identity(read: Callable[..., object]) -> Hashable:
    """What tells readers apart: two partials of one function with equal arguments are one."""
    if isinstance(read, functools.partial):
        return (read.func, read.args, tuple(sorted(read.keywords.items())))
    return read
