"""What an environment asks of a tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


class Encoding(NamedTuple):
    """A text as tokens.

    Attributes:
        ids: Token ids, int32, shape ``(tokens,)``; no special tokens are added.
        offsets: For each token the half-open range of characters it covers, int32, shape
            ``(tokens, 2)``.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int32]


@runtime_checkable
class Tokenizer(Protocol):
    """Text to token ids and back. Implementations never change once made."""

    @property
    def vocab_size(self) -> int:
        """One more than the largest token id."""

    @property
    def pad_token_id(self) -> int:
        """The id that fills an observation to the right of its prefix."""

    @property
    def eos_token_id(self) -> int:
        """The id that ends an answer."""

    def encode(self, text: str) -> Encoding:
        """Tokenize, adding no special tokens."""

    def decode(self, ids: Sequence[int] | NDArray[np.integer]) -> str:
        """The text of tokens, special tokens left out and nothing cleaned up."""

    def decode_batch(self, batch: Sequence[Sequence[int]]) -> list[str]:
        """`decode` of each sequence, faster than one by one."""

    def token(self, token_id: int) -> str:
        """The token as a person would want it named in a message, such as ``'▁Paris'``."""


def encode_all(tokenizer: Tokenizer, texts: Sequence[str]) -> list[Encoding]:
    """`Tokenizer.encode` of each text, all at once if the tokenizer has an ``encode_batch``."""
    batch: Callable[[Sequence[str]], list[Encoding]] | None
    batch = getattr(tokenizer, "encode_batch", None)
    return [tokenizer.encode(text) for text in texts] if batch is None else batch(texts)
