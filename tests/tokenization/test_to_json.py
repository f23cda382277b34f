"""Tokenizers that are handed to the `tokenizers` library read and write the same."""

from __future__ import annotations

import string

import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from textenvs.tokenization.bpe import train_bpe
from textenvs.tokenization.pieces import PieceTokenizer

PIECES = PieceTokenizer.builtin()
AS_LIBRARY = tokenizers.Tokenizer.from_str(PIECES.to_json())
KNOWN = st.text(st.sampled_from(string.digits + string.ascii_letters + string.punctuation + " \n"))
TEXTS = KNOWN.filter(lambda text: "<" not in text)


@given(TEXTS)
def test_pieces_encode_alike(text: str) -> None:
    expected = PIECES.encode(text).ids.tolist()
    assert AS_LIBRARY.encode(text, add_special_tokens=False).ids == expected


@given(st.lists(st.integers(0, PIECES.vocab_size - 1), max_size=12))
def test_pieces_decode_alike(ids: list[int]) -> None:
    assert AS_LIBRARY.decode(ids) == PIECES.decode(ids)


def test_bpe_encodes_alike() -> None:
    bpe = train_bpe(["the cat sat on the mat", "a hat on a cat"], 300)
    library = tokenizers.Tokenizer.from_str(bpe.to_json())
    text = "the hat sat\non Zoë"
    assert library.encode(text).ids == bpe.encode(text).ids.tolist()
    assert library.decode(library.encode(text).ids) == text
