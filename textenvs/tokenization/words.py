"""What a metric over words needs to know about a vocabulary to be kept token by token."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from textenvs.tokenization.base import Tokenizer

_CACHE_SIZE = 65_536
_REPLACEMENT = "\ufffd"


class TokenWords:
    """The words of token sequences, and the tokens at which a sequence may be cut.

    Cut a sequence before any tokens that start a chunk: the words of the parts, one after another,
    are the words of the whole. A metric can therefore keep the words of all closed chunks and look
    again only at the open one, whatever the length of the answer.

    That holds if `normalize` treats what stands between whitespace by itself, as SQuAD's does.

    Args:
        tokenizer: Its vocabulary is looked at when `starts_chunk` is first asked for.
        normalize: The words of a text.
    """

    def __init__(self, tokenizer: Tokenizer, normalize: Callable[[str], list[str]]) -> None:
        self._tokenizer = tokenizer
        self._normalize = normalize
        self._words = functools.lru_cache(_CACHE_SIZE)(self.compute_words)

    @functools.cached_property
    def starts_chunk(self) -> NDArray[np.bool_]:
        """For each token, whether whitespace comes before its text after any text; ``(vocab,)``."""
        starts = _starts_chunk(self._tokenizer)
        starts.setflags(write=False)
        return starts

    def words(self, ids: tuple[int, ...]) -> tuple[str, ...]:
        """The normalised words of the decoded tokens; the latest 65,536 calls are remembered."""
        return self._words(ids)

    def compute_words(self, ids: Sequence[int]) -> tuple[str, ...]:
        """The same, not remembered: for what hardly comes again."""
        return tuple(self._normalize(self._tokenizer.decode(ids)))

    def __reduce__(self) -> tuple[type[TokenWords], tuple[object, ...]]:
        """Pickle without what can be computed again."""
        return type(self), (self._tokenizer, self._normalize)


def _starts_chunk(tokenizer: Tokenizer) -> NDArray[np.bool_]:
    """Try every token after texts of each kind that a decoder may treat differently.

    A token that the decoder reads differently after one of them is not taken to start a chunk,
    which is always safe: the open chunk is longer then.
    """
    size = tokenizer.vocab_size
    starts = np.zeros(size, dtype=np.bool_)
    candidates = list(range(size))
    for context in _contexts(tokenizer):
        before = tokenizer.decode(context)
        texts = tokenizer.decode_batch([[*context, token] for token in candidates])
        candidates = [
            token
            for token, text in zip(candidates, texts, strict=True)
            if text.startswith(before) and text[len(before) : len(before) + 1].isspace()
        ]
        starts[:] = False
        starts[candidates] = True
    return starts


def _contexts(tokenizer: Tokenizer) -> list[list[int]]:
    """Beginnings of answers that show how a decoder joins tokens; none if it has no plain word.

    - A plain word of each kind: one that a next token joins, and one after which whitespace comes
      (decoders that mark the ends of words, as in the first BPE models).
    - A plain word and a piece of a character: sentencepiece's byte fallback reads a run of bytes
      together, and turns the space in a broken run into a replacement character.
    """
    texts = tokenizer.decode_batch([[token] for token in range(tokenizer.vocab_size)])
    plain = [token for token, text in enumerate(texts) if _is_plain(text)]
    if not plain:
        plain = [token for token, text in enumerate(texts) if text.strip().isalnum()]
    if not plain:
        return []
    kinds: dict[bool, int] = {}
    last = plain[-1]
    for token, text in zip(plain, _after(tokenizer, plain, last), strict=True):
        kinds.setdefault(text.removeprefix(texts[token])[:1].isspace(), token)
    anchors = list(kinds.values())
    broken = [token for token, text in enumerate(texts) if text == _REPLACEMENT]
    sample = broken[:: max(1, len(broken) // 4)][:5]
    return [[anchor] for anchor in anchors] + [[anchors[0], token] for token in sample]


def _is_plain(text: str) -> bool:
    word = text.strip()
    return word.isascii() and word.isalpha()


def _after(tokenizer: Tokenizer, tokens: Sequence[int], last: int) -> list[str]:
    return tokenizer.decode_batch([[token, last] for token in tokens])
