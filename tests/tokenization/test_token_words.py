from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from textenvs.metrics.squad import answer_words
from textenvs.tokenization.backend import BackendTokenizer
from textenvs.tokenization.bpe import train_bpe
from textenvs.tokenization.words import TokenWords

TEXTS = [
    "The cat sat on a mat; an Ox didn't. The U.S. isn't  there,\tis it?\nNo!",
    "«Où est-il ?» — 東京 is a city. ΑΣ ΟΔΟΣ 😀😀 naïve\u3000x\xa0y don't",
] * 3
SPECIAL = ["<pad>", "<eos>", "<unk>"]


def byte_level() -> BackendTokenizer:
    return train_bpe(TEXTS, 330)


def word_piece() -> BackendTokenizer:
    """As BERT, whose decoder also takes away spaces before punctuation and clitics."""
    pieces = [*SPECIAL, "'s", "n't", "'", "do", "not", ".", "?", "the", "cat", "##s", "##.", "a"]
    pieces += sorted({character for text in TEXTS for character in text.lower() if character > "~"})
    pieces += [f"{prefix}{letter}" for letter in "abcdehinorstuvxy" for prefix in ("", "##")]
    vocab = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    backend = Backend(models.WordPiece(vocab, unk_token="<unk>"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix="##")
    return BackendTokenizer(backend.to_str(), pad_token_id=0, eos_token_id=1)


def sentence_piece() -> BackendTokenizer:
    """As Llama 2: pieces that mark the beginning of words, and bytes for what they lack."""
    pieces = SPECIAL + [f"<0x{byte:02X}>" for byte in range(256)]
    pieces += ["▁", "▁the", "▁a", "▁cat", "at", "s", "c", "▁▁", "a", "n", "▁an", ".", "▁.", "Σ"]
    backend = Backend(
        models.BPE(
            vocab={piece: i for i, piece in enumerate(pieces)},
            merges=[],
            unk_token="<unk>",
            byte_fallback=True,
            fuse_unk=True,
        )
    )
    backend.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    backend.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return BackendTokenizer(backend.to_str(), pad_token_id=0, eos_token_id=1)


def unigram() -> BackendTokenizer:
    """As T5."""
    backend = Backend(models.Unigram())
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=120, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False
    )
    backend.train_from_iterator(TEXTS, trainer)
    return BackendTokenizer(backend.to_str(), pad_token_id=0, eos_token_id=1)


def word_ends() -> BackendTokenizer:
    """As the first GPT: pieces that mark the end of words."""
    backend = Backend(models.BPE(end_of_word_suffix="</w>", unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.decoder = decoders.BPEDecoder(suffix="</w>")
    trainer = trainers.BpeTrainer(
        vocab_size=160, special_tokens=SPECIAL, end_of_word_suffix="</w>", show_progress=False
    )
    backend.train_from_iterator(TEXTS, trainer)
    return BackendTokenizer(backend.to_str(), pad_token_id=0, eos_token_id=1)


def word_level() -> BackendTokenizer:
    """No decoder: tokens are joined by spaces."""
    words = {word: i for i, word in enumerate([*SPECIAL, "the", "cat", "a", "B-PER", "."])}
    backend = Backend(models.WordLevel(words, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return BackendTokenizer(backend.to_str(), pad_token_id=0, eos_token_id=1)


MAKERS: dict[str, Callable[[], BackendTokenizer]] = {
    maker.__name__: maker
    for maker in (byte_level, word_piece, sentence_piece, unigram, word_ends, word_level)
}
_made: dict[str, tuple[BackendTokenizer, TokenWords]] = {}


def made(name: str) -> tuple[BackendTokenizer, TokenWords]:
    if name not in _made:
        tokenizer = MAKERS[name]()
        _made[name] = tokenizer, TokenWords(tokenizer, answer_words)
    return _made[name]


def parts(ids: list[int], cuts: list[bool]) -> Iterator[tuple[int, ...]]:
    places = [i for i, cut in enumerate(cuts) if cut and i > 0]
    for start, end in itertools.pairwise([0, *places, len(ids)]):
        yield tuple(ids[start:end])


@pytest.mark.parametrize("name", MAKERS)
@given(data=st.data())
def test_words_of_parts_are_the_words_of_the_whole(name: str, data: st.DataObject) -> None:
    tokenizer, words = made(name)
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocab_size - 1), max_size=30))
    starts = words.starts_chunk
    for subset in (
        [bool(starts[token]) for token in ids],
        [bool(starts[token]) and data.draw(st.booleans()) for token in ids],
    ):
        found = [word for part in parts(ids, subset) for word in words.words(part)]
        assert found == answer_words(tokenizer.decode(ids))


@pytest.mark.parametrize("name", ["byte_level", "word_piece", "sentence_piece", "unigram"])
def test_real_text_is_cut_at_most_spaces(name: str) -> None:
    tokenizer, words = made(name)
    ids = tokenizer.encode("the cat sat on the cat").ids
    assert words.starts_chunk[ids].sum() >= 4


def test_which_tokens_start_a_chunk() -> None:
    tokenizer, words = made("word_piece")
    names = [tokenizer.token(i) for i in range(tokenizer.vocab_size)]
    starts = dict(zip(names, words.starts_chunk.tolist(), strict=True))
    assert all(starts[name] for name in ("the", "cat", "not", "'", "東"))
    assert not any(starts[name] for name in names if name.startswith("##"))
    assert not any(starts[name] for name in ("<pad>", "<eos>", ".", "?", "'s", "n't"))
    tokenizer, words = made("sentence_piece")
    starts = {tokenizer.token(i): bool(s) for i, s in enumerate(words.starts_chunk)}
    assert starts["▁the"]
    assert starts["▁"]
    assert not starts["<0x20>"], "in a run of broken bytes it is decoded to no space"
    assert not starts["at"]
    assert made("word_level")[1].starts_chunk[3:].all()


def test_a_vocabulary_without_plain_words_is_safe() -> None:
    backend = Backend(models.WordLevel({"<pad>": 0, "<eos>": 1, "!": 2}, unk_token="!"))
    tokenizer = BackendTokenizer(backend.to_str(), pad_token_id=0, eos_token_id=1)
    assert not TokenWords(tokenizer, answer_words).starts_chunk.any()


def test_shape_pickle_and_memory() -> None:
    tokenizer, words = made("byte_level")
    assert words.starts_chunk.shape == (tokenizer.vocab_size,)
    assert words.starts_chunk.dtype == np.bool_
    assert not words.starts_chunk.flags.writeable
    copy = pickle.loads(pickle.dumps(words))
    assert np.array_equal(copy.starts_chunk, words.starts_chunk)
    ids = tuple(tokenizer.encode("The Cats!").ids.tolist())
    assert copy.words(ids) == ("cats",)
    assert copy.words(ids) is copy.words(ids)
