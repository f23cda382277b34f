"""The tokenizer that ships for the built-in data: words in pieces, by greedy longest match."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from textenvs.errors import TokenizerError
from textenvs.tokenization.backend import import_tokenizers
from textenvs.tokenization.base import Encoding

SPACE = "▁"
"""Stands for a space in a piece, as in SentencePiece."""
SPECIAL_TOKENS = ("<pad>", "<eos>", "<unk>")
PAD_ID, EOS_ID, UNK_ID = range(3)
MAX_CACHED_WORDS = 1 << 16

_Pieces = tuple[tuple[int, ...], tuple[int, ...]]


class PieceTokenizer:
    r"""Splits each word into the longest known pieces, from left to right.

    A piece that follows a space begins with ``▁``. By convention each line is read as if a space
    stood before it, and decoding leaves out the first space of each line, so that a word is the
    same token at the start of a text as within it. With that, ``decode(encode(text).ids)`` is
    ``text`` for any text of known characters (the built-in vocabulary: printable ASCII and
    newline), and a span of tokens decodes without a leading space. A character that is not known
    becomes ``<unk>``, which decodes to nothing, as all special tokens do.

    Offsets leave the space out: from the start of a span's first token to the end of its last,
    the text is the span as one would quote it. A lone ``▁`` covers the empty range behind its
    space.

    Args:
        vocabulary: The tokens by id; the first three are ``<pad>``, ``<eos>`` and ``<unk>``. To
            be its own piece always, punctuation must be in no longer piece.

    Raises:
        TokenizerError: If a token is missing, double, or not text.

    >>> tokenizer = PieceTokenizer.builtin()
    >>> ids, offsets = tokenizer.encode("Maro Halford bakes.")
    >>> [tokenizer.token(i) for i in ids][:4]
    ['▁Mar', 'o', '▁Hal', 'ford']
    >>> tokenizer.decode(ids[2:4]), offsets[2:4].tolist()
    ('Halford', [[5, 8], [8, 12]])
    """

    def __init__(self, vocabulary: Iterable[str]) -> None:
        tokens = tuple(vocabulary)
        if tokens[:3] != SPECIAL_TOKENS:
            raise TokenizerError(
                f"a vocabulary must begin with {', '.join(SPECIAL_TOKENS)}, got {tokens[:3]}"
            )
        if not all(isinstance(token, str) and token for token in tokens):
            raise TokenizerError("every token of a vocabulary must be a non-empty string")
        if len(set(tokens)) < len(tokens):
            double = next(token for i, token in enumerate(tokens) if token in tokens[:i])
            raise TokenizerError(f"token {double!r} stands more than once in the vocabulary")
        if missing := [token for token in (SPACE, "\n") if token not in tokens]:
            raise TokenizerError(f"the vocabulary lacks {missing}")
        self._tokens = tokens
        self._ids = {token: i for i, token in enumerate(tokens) if i >= len(SPECIAL_TOKENS)}
        self._surfaces = {
            i: "" if token in SPECIAL_TOKENS else token for i, token in enumerate(tokens)
        }
        self._longest = max(map(len, tokens))
        self._cache: dict[str, _Pieces] = {}

    @classmethod
    def builtin(cls) -> PieceTokenizer:
        """The tokenizer of the built-in data; always the same object."""
        return _builtin()

    def __reduce__(self) -> tuple[type[PieceTokenizer], tuple[tuple[str, ...]]]:
        return type(self), (self._tokens,)  # the cache is not worth sending

    @property
    def vocab_size(self) -> int:
        """One more than the largest token id."""
        return len(self._tokens)

    @property
    def pad_token_id(self) -> int:
        """The id of ``<pad>``."""
        return PAD_ID

    @property
    def eos_token_id(self) -> int:
        """The id of ``<eos>``."""
        return EOS_ID

    def encode(self, text: str) -> Encoding:
        """Tokenize, adding no special tokens."""
        ids: list[int] = []
        # For each token two steps: from the end of the one before to its start, and to its end.
        steps: list[int] = []
        for number, line in enumerate(text.split("\n")):
            if number:
                ids.append(self._ids["\n"])
                steps += (0, 1)
            if line:
                first = len(steps)
                for word in line.split(" "):
                    word_ids, word_steps = self._cache.get(word) or self._split(word)
                    ids += word_ids
                    steps += word_steps
                steps[first] = 0  # the space before a line is imagined
        offsets = np.cumsum(np.array(steps, dtype=np.int32), dtype=np.int32).reshape(-1, 2)
        return Encoding(np.array(ids, dtype=np.int32), offsets)

    def decode(self, ids: Sequence[int] | NDArray[np.integer]) -> str:
        """The text of tokens, special tokens left out; any sequence of ids decodes.

        Raises:
            TokenizerError: If an id is not in the vocabulary.
        """
        return self.decode_batch([ids])[0]

    def decode_batch(self, batch: Iterable[Sequence[int] | NDArray[np.integer]]) -> list[str]:
        """`decode` of each sequence."""
        surface = self._surfaces.__getitem__
        texts = []
        for ids in batch:
            listed = ids.tolist() if isinstance(ids, np.ndarray) else ids
            try:
                text = "".join(map(surface, listed))
            except KeyError as error:
                raise TokenizerError(
                    f"token id {error} does not exist: ids go from 0 to {self.vocab_size - 1}"
                ) from None
            if text.startswith(SPACE):
                text = text[1:]
            texts.append(text.replace(f"\n{SPACE}", "\n").replace(SPACE, " "))
        return texts

    def token(self, token_id: int) -> str:
        """The token with an id, such as ``'▁Paris'``.

        Raises:
            TokenizerError: If the id is not in the vocabulary.
        """
        if not 0 <= token_id < self.vocab_size:
            raise TokenizerError(
                f"token id {token_id} does not exist: ids go from 0 to {self.vocab_size - 1}"
            )
        return self._tokens[token_id]

    def to_json(self) -> str:
        """The same tokenizer as the `tokenizers` library reads it (`Tokenizer.from_str`).

        It differs for texts with unknown characters, whose words become one ``<unk>`` each, and
        for texts that hold ``▁`` or the name of a special token.

        Raises:
            TokenizerError: The `tokenizers` library is missing.
        """
        library = import_tokenizers()
        vocabulary = {token: i for i, token in enumerate(self._tokens)}
        # WordPiece's matching (Wu et al. 2016) is the greedy one of this class.
        model = library.models.WordPiece(
            vocabulary,
            unk_token=SPECIAL_TOKENS[UNK_ID],
            continuing_subword_prefix="",
            max_input_chars_per_word=sys.maxsize,
        )
        tokenizer = library.Tokenizer(model)
        # What stands between tokens that are added is read by itself: each line from its start.
        tokenizer.add_tokens([library.AddedToken("\n", normalized=False)])
        tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
        normalizers, decoders = library.normalizers, library.decoders
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)]
        )
        tokenizer.pre_tokenizer = library.pre_tokenizers.Split(SPACE, "merged_with_next")
        tokenizer.decoder = decoders.Sequence(
            [
                decoders.Fuse(),
                decoders.Replace(f"\n{SPACE}", "\n"),
                decoders.Replace(SPACE, " "),
                decoders.Strip(" ", 1, 0),
            ]
        )
        text: str = tokenizer.to_str()
        return text

    def _split(self, word: str) -> _Pieces:
        """The ids and offset steps of a word and the space before it, which are then cached."""
        text = SPACE + word.replace(SPACE, "\0")  # a literal ▁ is a character like any other
        ids: list[int] = []
        widths: list[int] = []
        start = 0
        while start < len(text):
            token_id, end = self._match(text, start)
            ids.append(token_id)
            widths.append(end - start)
            start = end
        widths[0] -= 1
        gaps = (1, *(0 for _ in widths[1:]))
        pieces = tuple(ids), tuple(step for pair in zip(gaps, widths, strict=True) for step in pair)
        if len(self._cache) >= MAX_CACHED_WORDS:
            self._cache.clear()
        self._cache[word] = pieces
        return pieces

    def _match(self, text: str, start: int) -> tuple[int, int]:
        """The id of the longest token at a place of a text, and where it ends."""
        for end in range(min(start + self._longest, len(text)), start, -1):
            if (token_id := self._ids.get(text[start:end])) is not None:
                return token_id, end
        return UNK_ID, start + 1


@cache
def _builtin() -> PieceTokenizer:
    source = resources.files("textenvs.data.world").joinpath("vocabulary.json")
    return PieceTokenizer(json.loads(source.read_text(encoding="utf-8")))
