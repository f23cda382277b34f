"""Tasks whose examples come from the built-in world or from files, encoded when first used."""

from __future__ import annotations

import contextlib
import json
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from textenvs.data.files import SPLITS, OnError, check_on_error
from textenvs.data.loading import open_data
from textenvs.data.progress import Progress
from textenvs.data.schema import Columns, HasId, Schema
from textenvs.data.tables import READERS
from textenvs.errors import DatasetError, DatasetWarning, OptionError, check_positive, unknown
from textenvs.tasks.base import Task
from textenvs.tasks.survey import SURVEYS, Limits, Survey
from textenvs.tokenization import Encoding, encode_all, load_tokenizer

if TYPE_CHECKING:
    from typing_extensions import Self

E = TypeVar("E", bound=HasId)

BUILTIN = "builtin"

CACHED_NUMBERS = 64_000_000
"""How many int32 numbers of encoded examples are kept: 256 MB."""

TRAINING_CHARACTERS = 5_000_000
"""A tokenizer for the user's data is trained on about so many, evenly chosen, at the most."""

ROOM = {
    "steps": "actions",
    "positions": "tokens to point at",
    "appended": "tokens that users add",
}
"""What the limits of an episode are of."""

BATCH_CHARACTERS, BATCH_EXAMPLES = 32_768, 256
"""How much is encoded together at the most: enough to keep all cores busy."""


class SourceTask(Task, Generic[E]):
    """A task over examples E, which it encodes when they are first used.

    Observations have one shape for all splits of a data set, so that a policy trained on one
    split takes the others.

    Args:
        dataset: ``"builtin"``, a file, or a path with ``{split}`` in place of the split's name;
            ``"hf:NAME"`` or ``"hf:NAME#CONFIG"``, a Hugging Face data set on the Hub or in a
            folder; a `datasets.Dataset` or `DatasetDict`; or rows as a list of mappings. One file,
            or rows without splits, are divided 80/10/10 by a hash of their content.
        split: ``"train"``, ``"validation"``, ``"test"``; of a file also ``"all"``.
        tokenizer: ``"auto"`` (the shipped one for built-in data, a byte-level BPE trained on the
            training split for a file, or on all there is without one), ``"bpe:SIZE"``, a
            transformers tokenizer or its name, or any `Tokenizer`.
        max_prompt_tokens: Longer prompts are cut, counted and reported. Default: the longest
            prompt of the data.
        data_seed: Which world the built-in examples are drawn from.
        size: How many built-in examples the split has.
        on_error: ``"raise"``, or ``"skip"`` to leave out, count and report malformed examples.
        columns: For JSON Lines (.jsonl, .ndjson), CSV, TSV and Hugging Face data: which column, or
            columns, hold a field of the task's `schema`, where it is not one of those that the
            schema tries; such as ``{"document": "body", "summaries": ["short", "shorter"]}``.

    Attributes:
        schema: What an example is made of; the fields that ``columns`` can name.
        asked: What of it is there where nobody knows the answer.

    Raises:
        OptionError: An option has an impossible value.
        DatasetError: The data cannot be read.
        TokenizerError: The tokenizer cannot serve.
    """

    world: ClassVar[Callable[..., Sequence[Any]]]
    builtin_limits: ClassVar[Limits]
    schema: ClassVar[Schema[Any]]
    asked: ClassVar[Schema[Any]]

    def __new__(cls, *args: Any, **options: Any) -> Self:
        """Note what the tasks over the splits of a file have in common."""
        task = super().__new__(cls)
        task._common = None
        if isinstance(options.get("dataset"), str) and not args:
            common = {name: value for name, value in options.items() if name != "split"}
            with contextlib.suppress(TypeError):  # an option that is an object, as a tokenizer is
                task._common = cls, json.dumps(common, sort_keys=True)
        return task

    _common: tuple[type, str] | None
    _asked_of: SourceTask[E] | None = None  # the task that this one was made of by `asking`

    def __init__(
        self,
        *,
        dataset: Any = BUILTIN,
        split: str = "train",
        tokenizer: Any = "auto",
        max_prompt_tokens: int | None = None,
        data_seed: int = 0,
        size: int | None = None,
        on_error: OnError = "raise",
        columns: Columns | None = None,
    ) -> None:
        for name, value in (("max_prompt_tokens", max_prompt_tokens), ("size", size)):
            if value is not None:
                check_positive(name, value)
        if type(data_seed) is not int or data_seed < 0:
            raise OptionError(f"data_seed must be an integer of at least 0, got {data_seed!r}")
        check_on_error(on_error)
        self.max_prompt_tokens = max_prompt_tokens
        self._set_caches()
        self._rows: dict[int, NDArray[np.int32]] = {}
        self._encoded: dict[str, Encoding] = {}  # of the examples that are being looked at
        self._short: dict[str, set[int]] = {}
        self._made_on_demand = isinstance(dataset, str) and dataset == BUILTIN
        if self._made_on_demand:
            if columns:
                raise OptionError(f"columns={columns!r} is for data of your own, by dataset=...")
            self._use_world(split, tokenizer, data_seed, size)
        else:
            if size is not None:
                raise OptionError(
                    f"size={size} is for built-in data; a file has the examples that it has"
                )
            load = open_data(
                dataset,
                schema=self.schema,
                columns=columns or {},
                read=self.read,
                key=self.content,
                on_error=on_error,
            )
            called = dataset if isinstance(dataset, (str, Path)) else type(dataset).__name__
            self._use_data(load, str(called), split, tokenizer)

    def _use_world(self, split: str, tokenizer: Any, seed: int, size: int | None) -> None:
        known = [name for name in SPLITS if name != "all"]
        if split not in known:
            raise unknown("split of the built-in data", split, known)
        make: Callable[..., Sequence[E]] = type(self).world
        self.examples = make(split, seed=seed, size=size)
        self.tokenizer = load_tokenizer(
            "builtin" if tokenizer == "auto" else tokenizer,
            partial(self._texts, _First(make("train", seed=seed), 5_000)),
        )
        # The world is uniform enough for its first examples to show every label it has.
        self._prepare(list(_First(make("train", seed=0), 200)))
        limits = self.builtin_limits
        if tokenizer != "auto":  # another tokenizer needs other room: look, and leave a margin
            seen = self._needed(_First(make("train", seed=seed), 1_000))
            limits = Limits(*(need + need // 4 for need in seen))
            limits = limits._replace(positions=limits.prompt)
        self._limits = limits
        self._allow(limits)

    def _use_data(
        self, load: Callable[[str], list[E]], name: str, split: str, tokenizer: Any
    ) -> None:
        self.examples = load(split)
        everything = load("all")
        try:
            train = load("train")
        except DatasetError:  # there is none: all that there is, the same for every split
            train = everything
        self.tokenizer = load_tokenizer(
            "bpe" if tokenizer == "auto" else tokenizer,
            lambda: self._texts(self._sample(train)),
        )
        self._prepare(everything)
        self._survey = self._look_at(everything)
        self._limits = self._survey.limits
        self._allow(self._limits)
        unsure = [i for i, e in enumerate(self.examples) if id(e) in self._survey.unsure]
        for index, example in zip(
            unsure, self._ahead([self.examples[i] for i in unsure]), strict=True
        ):
            self._encode(index, example)
        if self._short:
            counts = "; ".join(f"{count} {reason}" for reason, count in self.shortfalls.items())
            message = (
                f"{name} ({split}): of {len(self.examples)} examples some may not reach the "
                f"full score, and stay: {counts}"
            )
            warnings.warn(message, DatasetWarning, stacklevel=2)

    def asking(self, examples: Sequence[E]) -> Self:
        """The same task over other examples, such as ones that nobody knows the answer of.

        Its tokens, actions and observations are those of this task, whatever the examples are.

        Raises:
            DatasetError: One needs more room than those of this task; a long prompt is cut instead,
                and counted in `shortfalls`.
        """
        for example in examples:
            need = self._measure(example)
            for name, most in self._limits._asdict().items():
                found = getattr(need, name)
                if name != "prompt" and found > most:
                    raise DatasetError(
                        f"{example.id}: expected at most {most} {ROOM[name]}, as the data has with "
                        f"which this task was made, got {found}"
                    )
        task = object.__new__(type(self))
        task.__dict__.update(self.__dict__)
        task.examples, task._rows, task._short, task._made_on_demand = examples, {}, {}, False
        task._asked_of = self
        task._set_caches()
        return task

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the recipe, and the examples where they are not those of the recipe."""
        if self._asked_of is None:
            return super().__reduce__()
        return SourceTask.asking, (self._asked_of, self.examples)

    def _set_caches(self) -> None:
        """Begin what is remembered of examples; most tasks remember nothing but rows."""

    def _texts(self, examples: Iterable[E]) -> Iterable[str]:
        return (text for example in examples for text in self.texts(example))

    def _sample(self, examples: Sequence[E]) -> Sequence[E]:
        characters = sum(map(len, self._texts(examples)))
        return examples[:: -(-characters // TRAINING_CHARACTERS) or 1]

    def _look_at(self, everything: list[E]) -> Survey:
        """The room that all examples need, and which may fall short.

        Looked at once for all splits, as long as a task of one of them is there.
        """
        known = self._common and SURVEYS.get(self._common)
        if known and known.is_of(everything):
            return known
        limits, unsure = Limits(0, 0), set()
        for example in self._ahead(everything):
            need = self._measure(example)
            limits = Limits(*map(max, limits, need))
            if not self._fits(example, need):
                unsure.add(id(example))
        survey = Survey(everything, limits, frozenset(unsure))
        if self._common:
            SURVEYS[self._common] = survey
        return survey

    def _ahead(self, examples: Sequence[E]) -> Iterator[E]:
        """The examples one by one, the texts of many encoded together before their turn."""
        with Progress(f"encoding {len(examples)} examples", len(examples)) as progress:
            start, texts = 0, dict[str, None]()
            for end, example in enumerate(examples, 1):
                texts.update(dict.fromkeys(self._encoded_texts(example)))
                full = sum(map(len, texts)) >= BATCH_CHARACTERS or end - start == BATCH_EXAMPLES
                if full or end == len(examples):
                    encodings = encode_all(self.tokenizer, list(texts))
                    self._encoded = dict(zip(texts, encodings, strict=True))
                    yield from examples[start:end]
                    self._encoded = {}
                    start, texts = end, {}
                    progress.at(end)

    def _needed(self, examples: Iterable[E]) -> Limits:
        needs = zip(*map(self._measure, examples), strict=True)
        return Limits(*(max(need) for need in needs))

    @property
    def shortfalls(self) -> dict[str, int]:
        """Why examples cannot reach the full score, counted by reason."""
        return {reason: len(examples) for reason, examples in self._short.items()}

    def shortfalls_of(self, index: int) -> list[str]:
        """Why one example, which was played, cannot reach the full score."""
        return [reason for reason, examples in self._short.items() if index in examples]

    def _falls_short(self, reason: str, index: int) -> None:
        if self._made_on_demand and reason not in self._short:
            message = f"built-in data: {reason}; env.unwrapped.task.shortfalls counts on"
            warnings.warn(message, DatasetWarning, stacklevel=2)
        self._short.setdefault(reason, set()).add(index)

    def encode(self, text: str) -> Encoding:
        """A text as tokens; one of `_encoded_texts` has been encoded already where many are."""
        encoding = self._encoded.get(text)
        return self.tokenizer.encode(text) if encoding is None else encoding

    def line_break(self) -> NDArray[np.int32]:
        """What parts a prompt's lines: a line break, or EOS where the tokenizer drops them."""
        ids = self.tokenizer.encode("\n").ids
        return ids if len(ids) else np.array([self.tokenizer.eos_token_id], np.int32)

    def row(self, index: int) -> NDArray[np.int32]:
        """The first state of an episode on an example, encoded when it is first asked for."""
        row = self._rows.get(index)
        if row is None:
            if len(self._rows) * self.layout.width >= CACHED_NUMBERS:
                del self._rows[next(iter(self._rows))]  # the oldest
            row = self._rows[index] = self._encode(index, self.examples[index])
        return row

    @staticmethod
    def read(path: Path, on_error: OnError) -> list[Any]:
        """The examples of a file in the task's own format, if it has one."""
        raise DatasetError(
            f"{path}: expected a file with named columns ({', '.join(READERS)}): this task has no "
            "file format of its own"
        )

    @staticmethod
    @abstractmethod
    def content(example: Any) -> str:
        """What of an example may not occur in two splits."""

    @staticmethod
    @abstractmethod
    def texts(example: Any) -> tuple[str, ...]:
        """What of an example a tokenizer is trained on."""

    @abstractmethod
    def _prepare(self, everything: list[E]) -> None:
        """Settle what depends on the data as a whole, such as the labels; the tokenizer is set."""

    def _encoded_texts(self, example: E) -> tuple[str, ...]:
        """What `_measure` and `_encode` ask `encode` for; all of it is encoded faster together."""
        return ()

    @abstractmethod
    def _measure(self, example: E) -> Limits:
        """The room that an example needs if nothing is cut."""

    def _fits(self, example: E, need: Limits) -> bool:
        """Whether an example, just measured, can surely reach the full score with these options.

        Where that is not sure, it is encoded on opening, to see and to count what falls short.
        """
        return False

    @abstractmethod
    def _allow(self, limits: Limits) -> None:
        """Settle sizes, ``action_tokens`` and ``layout`` from the room that is needed."""

    @abstractmethod
    def _encode(self, index: int, example: E) -> NDArray[np.int32]:
        """An example as a row; counts what falls short by `_falls_short`."""


class _First(Sequence[E]):
    """The first items of a sequence, none of them made before it is asked for."""

    def __init__(self, items: Sequence[E], count: int) -> None:
        self._items, self._count = items, min(count, len(items))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < self._count:
            raise IndexError(index)
        return self._items[index]
