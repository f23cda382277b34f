"""What all tokenizers over the Rust `tokenizers` library have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textenvs.errors import TokenizerError
from textenvs.tokenization.base import Encoding

_INSTALL = 'pip install "textenvs[data]"'

# Every character for which str.isspace holds, as a table over code points up to U+3000.
_LAST_SPACE = 0x3000
_NO_OFFSETS = np.empty((0, 2), np.int32)
_IS_SPACE = np.array([chr(point).isspace() for point in range(_LAST_SPACE + 1)] + [False])


class BackendTokenizer:
    """A `textenvs` tokenizer over a private copy of a `tokenizers.Tokenizer`.

    The copy neither truncates nor pads, and reads the names of special tokens that stand in a text
    (``"<eos>"``) as plain text: no text can put an end into an observation. It pickles through its
    JSON.

    Args:
        backend: The tokenizer as JSON, as `tokenizers.Tokenizer.to_str` gives it.
        pad_token_id: Fills observations.
        eos_token_id: Ends answers; left out when decoding, as all special tokens are.
        vocab_size: At least one more than the largest id; found by default.

    Raises:
        TokenizerError: The `tokenizers` library is missing.
    """

    def __init__(
        self, backend: str, *, pad_token_id: int, eos_token_id: int, vocab_size: int | None = None
    ) -> None:
        copy = import_tokenizers().Tokenizer.from_str(backend)
        copy.no_truncation()
        copy.no_padding()
        added = copy.get_added_tokens_decoder()
        for token in {pad_token_id, eos_token_id}:
            if token not in added or not added[token].special:
                copy.add_special_tokens([copy.id_to_token(token)])
        copy.encode_special_tokens = True
        largest = int(max(copy.get_vocab(with_added_tokens=True).values()))
        self._backend = copy
        self._pad_token_id = int(pad_token_id)
        self._eos_token_id = int(eos_token_id)
        self._vocab_size = max(largest + 1, vocab_size or 0)

    @property
    def vocab_size(self) -> int:
        """One more than the largest token id."""
        return self._vocab_size

    @property
    def pad_token_id(self) -> int:
        """The id that fills an observation to the right of its prefix."""
        return self._pad_token_id

    @property
    def eos_token_id(self) -> int:
        """The id that ends an answer."""
        return self._eos_token_id

    def encode(self, text: str) -> Encoding:
        """Tokenize, adding no special tokens.

        The range of a token leaves out whitespace at its ends, so that
        ``text[offsets[i, 0] : offsets[j, 1]]`` is the clean surface of tokens i to j; the range of
        a token that is all whitespace is empty. The tokens of one character share its range.
        """
        encoding = self._backend.encode(text, add_special_tokens=False)
        ids = np.array(encoding.ids, dtype=np.int32)
        return Encoding(ids, trim_offsets(text, _offsets(encoding)))

    def encode_batch(self, texts: Sequence[str]) -> list[Encoding]:
        """`encode` of each text, in parallel."""
        encodings = self._backend.encode_batch(list(texts), add_special_tokens=False)
        starts = np.cumsum([0, *map(len, texts)])
        offsets = [_offsets(e) + start for e, start in zip(encodings, starts[:-1], strict=True)]
        # One long text: a range never reaches over the end of its own.
        trimmed = trim_offsets("".join(texts), np.concatenate([_NO_OFFSETS, *offsets]))
        parts = np.split(trimmed, np.cumsum([len(ranges) for ranges in offsets]))[:-1]
        return [
            Encoding(np.array(e.ids, dtype=np.int32), ranges - start)
            for e, ranges, start in zip(encodings, parts, starts[:-1].astype(np.int32), strict=True)
        ]

    def decode(self, ids: Sequence[int] | NDArray[np.integer]) -> str:
        """The text of tokens, special tokens left out."""
        text: str = self._backend.decode(as_list(ids), skip_special_tokens=True)
        return text

    def decode_batch(self, batch: Sequence[Sequence[int] | NDArray[np.integer]]) -> list[str]:
        """`decode` of each sequence, in parallel."""
        sequences = [as_list(ids) for ids in batch]
        texts: list[str] = self._backend.decode_batch(sequences, skip_special_tokens=True)
        return texts

    def token(self, token_id: int) -> str:
        """The token as the vocabulary writes it, such as ``'Ġthe'``; ``'<none>'`` for a gap."""
        name: str | None = self._backend.id_to_token(int(token_id))
        return "<none>" if name is None else name

    def to_json(self) -> str:
        """The tokenizer as the `tokenizers` library reads it (`Tokenizer.from_str`)."""
        text: str = self._backend.to_str()
        return text

    def __reduce__(self) -> tuple[Callable[..., BackendTokenizer], tuple[object, ...]]:
        """Pickle as JSON and three numbers."""
        numbers = (self._pad_token_id, self._eos_token_id, self._vocab_size)
        return _restore, (type(self), self._backend.to_str(), *numbers)


def import_tokenizers() -> Any:
    """The `tokenizers` library, loaded when it is first needed.

    Raises:
        TokenizerError: It is not installed.
    """
    try:
        import tokenizers
    except ImportError as error:
        raise TokenizerError(f"this needs the `tokenizers` library: {_INSTALL}") from error
    return tokenizers


def _restore(
    kind: type[BackendTokenizer], backend: str, pad: int, eos: int, vocab_size: int
) -> BackendTokenizer:
    """What unpickling calls: a subclass may be made from other things than these."""
    tokenizer = kind.__new__(kind)
    BackendTokenizer.__init__(
        tokenizer, backend, pad_token_id=pad, eos_token_id=eos, vocab_size=vocab_size
    )
    return tokenizer


def as_list(ids: Sequence[int] | NDArray[np.integer]) -> Sequence[int]:
    """Ids as Python's integers."""
    return ids.tolist() if isinstance(ids, np.ndarray) else ids


def _offsets(encoding: Any) -> NDArray[np.int32]:
    return np.array(encoding.offsets, dtype=np.int32).reshape(-1, 2)


def trim_offsets(text: str, offsets: NDArray[np.int32]) -> NDArray[np.int32]:
    """Ranges of characters with the whitespace at their ends left out.

    A range of nothing but whitespace becomes the empty range at its start.

    >>> trim_offsets("a  bc", np.array([[0, 1], [1, 2], [2, 5]], np.int32)).tolist()
    [[0, 1], [1, 1], [3, 5]]

    Args:
        text: What the ranges are of.
        offsets: Half-open ranges, shape ``(tokens, 2)``.
    """
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    solid = ~_IS_SPACE[np.minimum(points, _LAST_SPACE + 1)]
    size = len(points)
    here = np.arange(size)
    # next_solid[i]: the first position >= i that is no space; last_solid[i]: one past the last < i.
    next_solid = np.full(size + 1, size)
    next_solid[:size] = np.minimum.accumulate(np.where(solid, here, size)[::-1])[::-1]
    last_solid = np.zeros(size + 1, dtype=np.int64)
    last_solid[1:] = np.maximum.accumulate(np.where(solid, here + 1, 0))
    start, end = offsets[:, 0], offsets[:, 1]
    first, last = next_solid[start], last_solid[end]
    empty = first >= last
    trimmed = np.stack([np.where(empty, start, first), np.where(empty, start, last)], axis=1)
    return trimmed.astype(np.int32)
