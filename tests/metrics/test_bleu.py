from __future__ import annotations

import sys

import numpy as np
import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st

from textenvs.errors import TextEnvsError
from textenvs.metrics.bleu import STATISTICS, bleu, bleu_statistics, require_sacrebleu

words = st.lists(st.sampled_from(["a", "b", "c.", "don't", "3,5", "&amp;", "Ü", "A-b"]))
texts = st.one_of(words.map(" ".join), st.text(max_size=20))


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=8))
def test_summed_statistics_give_what_sacrebleu_computes(pairs: list[tuple[str, str]]) -> None:
    hypotheses, references = map(list, zip(*pairs, strict=True))
    parts = sum(bleu_statistics([h], [r]) for h, r in pairs)
    np.testing.assert_array_equal(parts, bleu_statistics(hypotheses, references))
    expected = sacrebleu.corpus_bleu(hypotheses, [references])
    assert bleu(parts) == pytest.approx(expected.score, abs=1e-9)
    counts = [expected.sys_len, expected.ref_len, *expected.counts, *expected.totals]
    assert parts.tolist() == counts


def test_by_hand() -> None:
    statistics = dict(zip(STATISTICS, bleu_statistics(["a b, a"], ["a b c"]), strict=True))
    assert statistics == {
        "hypothesis_length": 4,  # the comma is a word
        "reference_length": 3,
        "matched_1": 2,  # the second "a" has no counterpart
        "matched_2": 1,
        "matched_3": 0,
        "matched_4": 0,
        "total_1": 4,
        "total_2": 3,
        "total_3": 2,
        "total_4": 1,
    }


def test_the_maximum_and_nothing() -> None:
    assert bleu(bleu_statistics(["a b c d"], ["a b c d"])) == pytest.approx(100)
    assert bleu(bleu_statistics([""], ["a b"])) == 0
    with pytest.raises(ValueError, match="zip"):
        bleu_statistics(["a"], [])


def test_without_sacrebleu_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    require_sacrebleu.cache_clear()
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics.bleu", None)
    with pytest.raises(TextEnvsError, match=r'pip install "textenvs\[metrics\]"'):
        require_sacrebleu()
