"""Summaries scored token by token get what ROUGE gives their decoded text, at every token.

The oracle, `textenvs.metrics.rouge`, is itself tested against the `rouge_score` package.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers

from textenvs.metrics.lexicon import Lexicon
from textenvs.metrics.rouge import rouge_words, summary_f1
from textenvs.metrics.summaries import SummaryScores
from textenvs.tokenization import Tokenizer
from textenvs.tokenization.backend import BackendTokenizer
from textenvs.tokenization.bpe import train_bpe
from textenvs.tokenization.pieces import PieceTokenizer

# Words that recur, that punctuation parts within a run of letters, that have no ASCII letter, that
# get one in lower case only, and that whitespace of all kinds parts.
WORDS = [
    *("the", "The", "a", "cat", "Cat", "cat's", "cats", "dog", "dog-cat", "U.S.", "1,000", "a1"),
    *(".", ",", "naïve", "東京", "ΑΣ", "😀", "İ", "\u212aat", "x\xa0y", "cat\tdog", "cat\ndog"),
]
NUM_SLOTS, MAX_REFERENCES, MAX_TOKENS = 3, 3, 60
EVERY = np.arange(NUM_SLOTS)


def byte_level() -> Tokenizer:
    """So few merges that most characters beyond ASCII are split over tokens."""
    return train_bpe([" ".join(WORDS), "the cat and the dog"] * 3, 290)


def byte_fallback() -> Tokenizer:
    """As Llama's first: a space is a piece's first letter, and unknown characters are bytes."""
    pieces = ["<pad>", "<eos>", "<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁"]
    pieces += ["a", "c", "t", "d", "o", "g", "s", "h", "e", ".", ",", "'", "-", "1", "U", "S"]
    pieces += ["▁a", "at", "▁c", "▁d", "og", "▁cat", "▁dog", "he", "▁the"]
    merges = [("▁", "a"), ("a", "t"), ("▁", "c"), ("▁", "d"), ("o", "g"), ("▁c", "at")]
    merges += [("▁d", "og"), ("h", "e")]
    vocab = {piece: number for number, piece in enumerate(pieces)}
    backend = Backend(models.BPE(vocab, merges, byte_fallback=True, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return BackendTokenizer(backend.to_str(), pad_token_id=0, eos_token_id=1)


MAKERS: dict[str, Callable[[], Tokenizer]] = {
    "pieces": PieceTokenizer.builtin,
    "byte_level": byte_level,
    "byte_fallback": byte_fallback,
}


@cache
def made(name: str) -> tuple[Tokenizer, Lexicon]:
    tokenizer = MAKERS[name]()
    return tokenizer, Lexicon(tokenizer, rouge_words)


texts = st.lists(st.sampled_from(WORDS), max_size=10).map(" ".join)
long_texts = st.lists(st.sampled_from(WORDS), min_size=60, max_size=140).map(" ".join)
references = st.lists(st.one_of(texts, texts, long_texts), min_size=1, max_size=MAX_REFERENCES)


def begin(
    scores: SummaryScores, lexicon: Lexicon, slots: list[int], golds: list[list[str]]
) -> None:
    """Start the slots on references, as `SummarizationTask` numbers them."""
    numbers = [
        [np.array(lexicon.numbers(rouge_words(text)), np.int32) for text in gold] for gold in golds
    ]
    scores.begin(np.array(slots, np.intp), numbers)


def tokens_for(tokenizer: Tokenizer, golds: list[str]) -> st.SearchStrategy[int]:
    """A token of a reference, or any that there is."""
    ids = {int(i) for text in [*golds, "the cat's dog"] for i in tokenizer.encode(text).ids}
    anything = st.integers(0, tokenizer.vocab_size - 1)
    return st.one_of(st.sampled_from(sorted(ids)), st.sampled_from(sorted(ids)), anything)


@pytest.mark.parametrize("name", MAKERS)
@settings(max_examples=60)
@given(data=st.data())
def test_scores_are_those_of_the_decoded_text_after_every_token(name, data):
    tokenizer, lexicon = made(name)
    scores = SummaryScores(lexicon, NUM_SLOTS, MAX_REFERENCES, MAX_TOKENS)
    golds = [data.draw(references) for _ in range(NUM_SLOTS)]
    summaries: list[list[int]] = [[] for _ in range(NUM_SLOTS)]
    begin(scores, lexicon, EVERY.tolist(), golds)
    for _ in range(data.draw(st.integers(1, 25))):
        slots = data.draw(st.lists(st.integers(0, NUM_SLOTS - 1), unique=True))
        if data.draw(st.integers(0, 5)) == 0:
            for slot in slots:
                golds[slot], summaries[slot] = data.draw(references), []
            begin(scores, lexicon, slots, [golds[slot] for slot in slots])
        else:
            tokens = [data.draw(tokens_for(tokenizer, golds[slot])) for slot in slots]
            for slot, token in zip(slots, tokens, strict=True):
                summaries[slot].append(token)
            scores.push(np.array(slots, np.intp), np.array(tokens, np.int32))
        found = scores.scores(EVERY).tolist()
        for slot in range(NUM_SLOTS):
            text = tokenizer.decode(summaries[slot])
            assert found[slot] == summary_f1(text, golds[slot])["rouge"], (text, golds[slot])


@pytest.mark.parametrize("name", MAKERS)
@settings(max_examples=40)
@given(summary=texts, others=st.lists(texts, max_size=MAX_REFERENCES - 1))
def test_a_text_is_its_own_best_summary(name, summary, others):
    tokenizer, lexicon = made(name)
    ids = tokenizer.encode(summary).ids
    text = tokenizer.decode(ids)
    scores = SummaryScores(lexicon, 1, MAX_REFERENCES, max_tokens=len(ids))
    begin(scores, lexicon, [0], [[*others, text]])
    for token in ids:
        scores.push(np.array([0]), np.array([token], np.int32))
    if len(rouge_words(text)) > 1:
        assert scores.scores(np.array([0])).tolist() == [1.0]


def test_a_longer_reference_in_one_slot_changes_nothing_in_another():
    tokenizer, lexicon = made("pieces")
    scores = SummaryScores(lexicon, 2, 1, MAX_TOKENS)
    begin(scores, lexicon, [0, 1], [["the cat and the dog"], ["a dog"]])
    for token in tokenizer.encode("the dog and").ids:
        scores.push(np.array([0]), np.array([token], np.int32))
    before = scores.scores(np.array([0]))
    begin(scores, lexicon, [1], [["cat " * 200]])
    assert scores.scores(np.array([0])) == before > 0
    scores.push(np.array([0]), tokenizer.encode("the").ids)
    expected = summary_f1("the dog and the", ["the cat and the dog"])["rouge"]
    assert scores.scores(np.array([0])).tolist() == [expected]
