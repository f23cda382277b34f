"""A data set wherever it is: files of any format, Hugging Face data sets, rows in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from textenvs.data.files import OnError, load_split
from textenvs.data.hub import HUB_PREFIX, Rows, load_hub
from textenvs.data.schema import Columns, HasId, Schema
from textenvs.data.tables import READERS
from textenvs.errors import OptionError

E = TypeVar("E", bound=HasId)

Read: TypeAlias = "Callable[[Path, OnError], list[E]]"
_Frozen: TypeAlias = "tuple[tuple[str, tuple[str, ...]], ...]"


def open_data(
    dataset: Any,
    *,
    schema: Schema[E],
    columns: Columns,
    read: Read[E],
    key: Callable[[E], str],
    on_error: OnError,
) -> Callable[[str], list[E]]:
    """The examples of a data set, by split.

    Args:
        dataset: A file or a path with ``{split}`` (see `load_split`); ``"hf:NAME"``; a pandas data
            frame; or rows (see `Rows`).
        schema: How records with named columns become examples.
        columns: For some of the schema's fields, the columns that hold them.
        read: The examples of a file that has no named columns.
        key: What must not be in two splits at once.
        on_error: What becomes of malformed records: ``"raise"`` or ``"skip"``.

    Returns:
        A function from a split's name (``"train"``, ``"validation"``, ``"test"``, ``"all"``) to its
        examples; it raises a `DatasetError` if they cannot be read.

    Raises:
        OptionError: `dataset` or `columns` is impossible.
        DatasetError: There is no such data set on the Hub, or nothing to load it with.
    """
    frozen = tuple(schema.check(columns).items())
    if isinstance(dataset, str) and dataset.startswith(HUB_PREFIX):
        data, name = load_hub(dataset), dataset
    elif isinstance(dataset, (str, os.PathLike)):
        path = os.fspath(dataset)
        if frozen and Path(path).suffix.lower() not in READERS:
            known = ", ".join(READERS)
            raise OptionError(
                f"columns are of files that name theirs ({known}) and of Hugging Face data sets; "
                f"{path} has the format of its kind"
            )
        reader = partial(_read_file, schema=schema, columns=frozen, read=read, on_error=on_error)
        return partial(load_split, path, read=reader, key=key)
    elif hasattr(dataset, "iloc"):  # a pandas data frame, which iterates over its columns
        data, name = dataset.to_dict("records"), "dataset"
    elif isinstance(dataset, Iterable):
        data, name = dataset, "dataset"
    else:
        raise OptionError(
            "dataset must be 'builtin', a path, 'hf:NAME', a datasets.Dataset or DatasetDict, or "
            f"rows as mappings, got {type(dataset).__name__}"
        )
    return Rows(
        data, name, partial(schema.read, columns=dict(frozen), on_error=on_error), key
    ).split


def _read_file(
    path: Path, *, schema: Schema[E], columns: _Frozen, read: Read[E], on_error: OnError
) -> list[E]:
    records = READERS.get(path.suffix.lower())
    if records is None:
        return read(path, on_error)
    named: Mapping[str, tuple[str, ...]] = dict(columns)
    return schema.read(records(path), str(path), named, on_error)
