"""The shipped tokenizer: lossless, with offsets that quote the text, and small enough to trust."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textenvs.data.world.build_vocabulary import PATH, build_vocabulary
from textenvs.errors import TokenizerError
from textenvs.tokenization.base import Tokenizer
from textenvs.tokenization.pieces import SPACE, PieceTokenizer

TOKENIZER = PieceTokenizer.builtin()
PRINTABLE = "".join(map(chr, range(32, 127))) + "\n"
WORLD_TEXT = st.lists(
    st.sampled_from(["Mara", "Halford", "&", "Sons", ".", "was", "born", "in", "1987", "\n", "(x"])
).flatmap(lambda words: st.sampled_from([" ".join(words), "".join(words)]))
TEXT = st.text(PRINTABLE) | WORLD_TEXT
IDS = st.lists(st.integers(0, TOKENIZER.vocab_size - 1))


def test_is_a_tokenizer() -> None:
    assert isinstance(TOKENIZER, Tokenizer)
    assert PieceTokenizer.builtin() is TOKENIZER
    assert [TOKENIZER.token(i) for i in range(4)] == ["<pad>", "<eos>", "<unk>", "\n"]
    assert (TOKENIZER.pad_token_id, TOKENIZER.eos_token_id) == (0, 1)


def test_shipped_vocabulary_is_what_the_generator_gives() -> None:
    vocabulary = build_vocabulary()
    assert json.loads(PATH.read_text(encoding="utf-8")) == vocabulary
    assert TOKENIZER.vocab_size == len(vocabulary) < 1000


@given(TEXT)
def test_lossless(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(text).ids) == text


@given(TEXT)
def test_offsets_cover_all_but_spaces_in_order(text: str) -> None:
    ids, offsets = TOKENIZER.encode(text)
    assert ids.dtype == offsets.dtype == np.int32
    assert offsets.shape == (len(ids), 2)
    for token_id, (start, end) in zip(ids, offsets, strict=True):
        assert text[start:end] == TOKENIZER.token(int(token_id)).removeprefix(SPACE)
    flat = offsets.ravel()
    assert (np.diff(flat) >= 0).all()
    covered = "".join(text[start:end] for start, end in offsets)
    assert covered == text.replace(" ", "")


@given(TEXT, st.data())
def test_a_span_of_tokens_decodes_to_what_its_offsets_quote(text: str, data: st.DataObject) -> None:
    text = " ".join(text.replace(SPACE, "").split())
    ids, offsets = TOKENIZER.encode(text)
    if len(ids):
        first = data.draw(st.integers(0, len(ids) - 1))
        last = data.draw(st.integers(first, len(ids) - 1))
        assert TOKENIZER.decode(ids[first : last + 1]) == text[offsets[first, 0] : offsets[last, 1]]


@given(st.lists(IDS))
def test_any_ids_decode_and_a_batch_decodes_alike(batch: list[list[int]]) -> None:
    texts = [TOKENIZER.decode(ids) for ids in batch]
    assert TOKENIZER.decode_batch(batch) == texts
    assert [TOKENIZER.decode(np.array(ids, dtype=np.int32)) for ids in batch] == texts
    plain = [[i for i in ids if i > 2] for ids in batch]
    assert TOKENIZER.decode_batch(plain) == texts


def test_names_are_pieces_and_punctuation_stands_alone() -> None:
    ids = TOKENIZER.encode("Maro Halford's baker, born.").ids
    assert [TOKENIZER.token(i) for i in ids] == [
        *("▁Mar", "o", "▁Hal", "ford", "'", "s", "▁baker", ",", "▁born", ".")
    ]
    for i in range(3, TOKENIZER.vocab_size):
        surface = TOKENIZER.token(i).removeprefix(SPACE)
        assert surface.isalnum() or len(surface) <= 1


def test_unknown_characters_and_literal_specials() -> None:
    ids, offsets = TOKENIZER.encode("a é▁b")
    assert [TOKENIZER.token(i) for i in ids] == ["▁a", "▁", "<unk>", "<unk>", "b"]
    assert offsets.tolist() == [[0, 1], [2, 2], [2, 3], [3, 4], [4, 5]]
    assert TOKENIZER.decode(ids) == "a b"
    assert TOKENIZER.decode(TOKENIZER.encode("<eos>").ids) == "<eos>"
    assert TOKENIZER.encode("").ids.shape == (0,)
    assert TOKENIZER.encode("").offsets.shape == (0, 2)


def test_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textenvs.tokenization.pieces.MAX_CACHED_WORDS", 4)
    tokenizer = pickle.loads(pickle.dumps(TOKENIZER))
    text = " ".join(map(str, range(20)))
    assert tokenizer.decode(tokenizer.encode(text).ids) == text
    assert len(tokenizer._cache) <= 4


@pytest.mark.parametrize("token_id", [-1, TOKENIZER.vocab_size])
def test_an_id_that_does_not_exist(token_id: int) -> None:
    with pytest.raises(TokenizerError, match="does not exist: ids go from 0"):
        TOKENIZER.decode([token_id])
    with pytest.raises(TokenizerError, match="does not exist"):
        TOKENIZER.token(token_id)


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        (["a"], "must begin with"),
        (["<pad>", "<eos>", "<unk>", "\n", "▁", "a", "a"], "'a' stands more than once"),
        (["<pad>", "<eos>", "<unk>", "\n"], "lacks"),
        (["<pad>", "<eos>", "<unk>", "\n", "▁", ""], "non-empty"),
    ],
)
def test_bad_vocabulary(vocabulary: list[str], message: str) -> None:
    with pytest.raises(TokenizerError, match=message):
        PieceTokenizer(vocabulary)
