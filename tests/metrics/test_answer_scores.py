"""Answers scored token by token get what the SQuAD rules give their decoded text, at every token.

The oracle, `textenvs.metrics.squad`, is itself tested against the official evaluation script.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, normalizers, pre_tokenizers

from textenvs.metrics import squad
from textenvs.metrics.answers import NO_GOLD, AnswerLexicon, AnswerScores
from textenvs.tokenization import Tokenizer
from textenvs.tokenization.backend import BackendTokenizer
from textenvs.tokenization.bpe import train_bpe
from textenvs.tokenization.pieces import PieceTokenizer

# Words that recur, that normalise to nothing, that join once punctuation is gone, that are one
# word only where the blank between is no whitespace, and whose characters are several bytes.
WORDS = [
    *("the", "The", "a", "an", "cat", "Cat", "cat's", "cats", "dog", "dog-cat", "U.S.", "us"),
    *(".", ",", "-", "!", "'", "n't", "1", "1,000", "naïve", "東京", "ΑΣ", "😀", "İ", "人人"),
    *("x\xa0y", "x\u3000cat", "cat\tdog", "cat\ndog", "\u200b", "theatre", "nathe", "«cat»"),
]
NUM_SLOTS, MAX_REFERENCES, MAX_WORDS, MAX_TOKENS = 3, 4, 40, 60


def word_piece() -> Tokenizer:
    """As BERT: no word is known whole but a few, and the decoder puts spaces as it pleases."""
    pieces = ["<pad>", "<eos>", "<unk>", "the", "cat", "##s", "dog", "n", "##'", "'s", "n't"]
    letters = sorted({c for word in WORDS for c in word.lower() if not c.isspace()})
    pieces += [f"{prefix}{c}" for c in [*letters, "i"] for prefix in ("", "##")]
    vocab = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    backend = Backend(models.WordPiece(vocab, unk_token="<unk>"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix="##")
    return BackendTokenizer(backend.to_str(), pad_token_id=0, eos_token_id=1)


def byte_level() -> Tokenizer:
    """So few merges that most characters beyond ASCII are split over tokens."""
    return train_bpe([" ".join(WORDS), "the cat and the dog"] * 3, 290)


MAKERS: dict[str, Callable[[], Tokenizer]] = {
    "pieces": PieceTokenizer.builtin,
    "byte_level": byte_level,
    "word_piece": word_piece,
}


@cache
def made(name: str) -> tuple[Tokenizer, AnswerLexicon]:
    tokenizer = MAKERS[name]()
    return tokenizer, AnswerLexicon(tokenizer)


texts = st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join)
references = st.lists(texts, max_size=MAX_REFERENCES)


def begin(scores: AnswerScores, lexicon: AnswerLexicon, slots, answers: list[list[str]]) -> None:
    """Start the slots on references, as `QATask` lays them out."""
    gold = np.full((len(answers), MAX_REFERENCES, MAX_WORDS + 1), NO_GOLD, np.int32)
    lengths = np.zeros((len(answers), MAX_REFERENCES), np.int32)
    for row, of_slot in enumerate(answers):
        numbered = lexicon.references(of_slot)
        numbered += numbered[:1] * (MAX_REFERENCES - len(numbered))
        for column, words in enumerate(numbered):
            gold[row, column, : len(words)] = words
            lengths[row, column] = len(words)
    if isinstance(slots, int):
        gold, lengths = gold[0], lengths[0]
    scores.begin(slots, gold, lengths)


def tokens_for(tokenizer: Tokenizer, answers: list[str]) -> st.SearchStrategy[int]:
    """A token of a reference or of some word, or any that there is."""
    ids = {int(i) for text in [*answers, "the cat's dog"] for i in tokenizer.encode(text).ids}
    anything = st.integers(0, tokenizer.vocab_size - 1)
    return st.one_of(st.sampled_from(sorted(ids)), st.sampled_from(sorted(ids)), anything)


def check(scores: AnswerScores, tokenizer: Tokenizer, answers, references) -> None:
    """Scalar slots and array slots alike."""
    many = scores.scores(np.arange(NUM_SLOTS))
    for slot in range(NUM_SLOTS):
        text = tokenizer.decode(answers[slot])
        expected = squad.f1(text, references[slot]), squad.exact_match(text, references[slot])
        assert scores.scores(slot) == pytest.approx(expected, abs=1e-12), (text, references[slot])
        assert tuple(float(values[slot]) for values in many) == scores.scores(slot)


@pytest.mark.parametrize("always", [True, False], ids=["always", "now and then"])
@pytest.mark.parametrize("name", MAKERS)
@settings(max_examples=40)
@given(data=st.data())
def test_scores_are_those_of_the_decoded_text_whenever_they_are_asked_for(name, always, data):
    tokenizer, lexicon = made(name)
    scores = AnswerScores(lexicon, NUM_SLOTS, MAX_REFERENCES, MAX_WORDS, MAX_TOKENS)
    golds = [data.draw(references) for _ in range(NUM_SLOTS)]
    answers: list[list[int]] = [[] for _ in range(NUM_SLOTS)]
    begin(scores, lexicon, np.arange(NUM_SLOTS), golds)
    check(scores, tokenizer, answers, golds)
    for _ in range(data.draw(st.integers(1, 25))):
        kind = data.draw(st.sampled_from(["one", "many", "many", "begin one", "begin many"]))
        chosen = data.draw(st.lists(st.integers(0, NUM_SLOTS - 1), unique=True, max_size=3))
        slots = [data.draw(st.integers(0, NUM_SLOTS - 1))] if kind.endswith("one") else chosen
        where = slots[0] if kind.endswith("one") else np.array(slots, np.intp)
        if kind.startswith("begin"):
            for slot in slots:
                golds[slot], answers[slot] = data.draw(references), []
            begin(scores, lexicon, where, [golds[slot] for slot in slots])
        else:
            tokens = [data.draw(tokens_for(tokenizer, golds[slot])) for slot in slots]
            for slot, token in zip(slots, tokens, strict=True):
                answers[slot].append(token)
            scores.push(where, tokens[0] if kind == "one" else np.array(tokens, np.int32))
        if always or data.draw(st.booleans()):
            check(scores, tokenizer, answers, golds)
    check(scores, tokenizer, answers, golds)


@pytest.mark.parametrize("name", MAKERS)
@settings(max_examples=40)
@given(answer=texts, others=references)
def test_an_answer_that_a_tokenizer_keeps_is_its_own_best_reference(name, answer, others):
    tokenizer, lexicon = made(name)
    scores = AnswerScores(lexicon, 1, MAX_REFERENCES, MAX_WORDS, 400)
    ids = tokenizer.encode(answer).ids
    text = tokenizer.decode(ids)
    begin(scores, lexicon, 0, [[text, *others[:3]]])
    for token in ids.tolist():
        scores.push(0, token)
    if squad.answer_words(text):
        assert scores.scores(0) == (1.0, 1.0)
    else:
        assert scores.scores(0)[0] == squad.f1(text, [text, *others[:3]])


@pytest.mark.parametrize(
    ("gold", "answer", "f1", "exact"),
    [
        (["the the", "!"], "a", 1.0, 1.0),  # all normalise to nothing: then nothing is right
        (["the", "cat"], "the", 0.0, 0.0),  # one does: it does not count
        ([], ".", 1.0, 1.0),
        ([], "cat", 0.0, 0.0),
        (["cat cat dog"], "cat dog dog", 4 / 6, 0.0),  # each word once for each time it is there
        (["cat dog"], "dog cat", 1.0, 0.0),
    ],
)
def test_scores_by_hand(gold, answer, f1, exact):
    tokenizer, lexicon = made("byte_level")
    scores = AnswerScores(lexicon, 1, MAX_REFERENCES, MAX_WORDS, MAX_TOKENS)
    begin(scores, lexicon, 0, [gold])
    for token in tokenizer.encode(answer).ids.tolist():
        scores.push(0, token)
    assert scores.scores(0) == pytest.approx((f1, exact))
