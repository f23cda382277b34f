"""Records from data sets of Hugging Face's `datasets` library, and from plain rows."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from textenvs.data.faults import fault, kind, short
from textenvs.data.files import FILE_NAMES, SPLITS, divide
from textenvs.data.schema import Record
from textenvs.errors import DatasetError, unknown

E = TypeVar("E")

HUB_PREFIX = "hf:"
_CONFIG = "#"
_FIRST_WITHOUT_CODE = 4
_INSTALL = 'pip install "datasets>=4"'


def load_hub(name: str) -> Any:
    """The data set that ``"hf:NAME"`` or ``"hf:NAME#CONFIG"`` names, by `datasets.load_dataset`.

    NAME is a repository of the Hub or a folder. No code from there is run.

    Raises:
        DatasetError: The library is missing or too old, or it finds no such data set.
    """
    path, _, config = name.removeprefix(HUB_PREFIX).partition(_CONFIG)
    try:
        import datasets
    except ImportError as error:
        raise DatasetError(f"{name!r} needs the `datasets` library: {_INSTALL}") from error
    if int(datasets.__version__.partition(".")[0]) < _FIRST_WITHOUT_CODE:
        raise DatasetError(
            f"{name!r} needs a `datasets` library that runs no code of a data set's, "
            f"{_FIRST_WITHOUT_CODE}.0 or later, got {datasets.__version__}: {_INSTALL}"
        )
    try:
        return datasets.load_dataset(path, config or None)
    except Exception as error:  # whatever a missing name, a bad file or the network makes of it
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise DatasetError(
            f"no data set {name!r}: looked for a folder {path!r}, and for a Hub repository, in the "
            "local cache and (unless HF_HUB_OFFLINE is set) online; a configuration is named as "
            f"'{HUB_PREFIX}NAME{_CONFIG}CONFIG'. datasets says: {lines[0]}"
        ) from error


class Rows(Generic[E]):
    """The splits of a data set that is held as rows.

    Their names are those that files may have (see `load_split`); parts of other names are not
    read, and ``"all"`` joins those that are.

    Args:
        data: Rows (mappings from column to value), or a mapping from the names of splits to rows;
            `datasets.Dataset` and `datasets.DatasetDict` are such.
        name: What errors call it.
        read: The examples of records, given the name of where they are from.
        key: What must not be in two splits at once.
    """

    def __init__(
        self,
        data: Any,
        name: str,
        read: Callable[[Iterable[Record | DatasetError], str], list[E]],
        key: Callable[[E], str],
    ) -> None:
        self._data, self._name, self._read, self._key = data, name, read, key
        self._examples = functools.cache(self._read_part)

    def split(self, split: str) -> list[E]:
        """The examples of a split; rows without named splits are divided as one file is.

        Raises:
            OptionError: There can be no such split.
            DatasetError: There is none, it is empty, or a row breaks the format.
        """
        if split not in SPLITS:
            raise unknown("split", split, SPLITS)
        if not isinstance(self._data, Mapping):
            return divide(self._examples(None), split, self._key, self._name)
        present = {
            name: part
            for name, parts in FILE_NAMES.items()
            if (part := next((part for part in parts if part in self._data), None)) is not None
        }
        wanted = list(present.values()) if split == "all" else [present.get(split)]
        if not wanted or None in wanted:
            known = ", ".join(map(repr, self._data)) or "none"
            raise DatasetError(
                f"{self._name}: no split {split!r}: it has {known}. Hand over one of them, such as "
                "dataset['train'], to have it divided 80/10/10"
            )
        return [example for part in wanted for example in self._examples(part)]

    def _read_part(self, part: str | None) -> list[E]:
        if part is None:
            rows, place = self._data, self._name
        else:
            rows, place = self._data[part], f"{self._name}[{part!r}]"
        return self._read(_records(rows, place), place)


def _records(rows: Any, place: str) -> Iterator[Record | DatasetError]:
    if hasattr(rows, "with_format"):
        rows = rows.with_format(None)  # plain values, whatever arrays it is set to give
    classes = {
        column: names
        for column, feature in (getattr(rows, "features", None) or {}).items()
        if (names := _class_names(feature))
    }
    for number, row in enumerate(rows):
        here = f"{place}[{number}]"
        if isinstance(row, Mapping):
            yield Record(here, here, row, classes)
        else:
            yield fault(here, "a mapping from columns", f"{kind(type(row))}: {short(row)}")


def _class_names(feature: Any) -> list[str]:
    """The names of a `datasets.ClassLabel`, or of a list of them."""
    return list(getattr(getattr(feature, "feature", feature), "names", None) or ())
