from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import (
    AddedToken,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from tokenizers import Tokenizer as Backend
from transformers import AutoTokenizer, PreTrainedTokenizerFast
from transformers.tokenization_python import PreTrainedTokenizer

from textenvs.errors import TokenizerError
from textenvs.tokenization import Tokenizer, load_tokenizer
from textenvs.tokenization.transformers import TransformersTokenizer

TEXTS = ["Ada met Bob in Paris.", "Bob was late, Ada was not.", "Unbelievable 😀 tokens"] * 3


def gpt2_like(**special: str) -> PreTrainedTokenizerFast:
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(TEXTS, trainer)
    backend.post_processor = processors.ByteLevel(trim_offsets=False)
    return PreTrainedTokenizerFast(tokenizer_object=backend, **special)


def bert_like(**special: str) -> PreTrainedTokenizerFast:
    backend = Backend(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix="##")
    trainer = trainers.WordPieceTrainer(
        vocab_size=90, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"], show_progress=False
    )
    backend.train_from_iterator(TEXTS, trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]", **special)


def bert() -> PreTrainedTokenizerFast:
    return bert_like(pad_token="[PAD]", sep_token="[SEP]", cls_token="[CLS]")


def test_gpt2_has_no_pad_token(caplog: pytest.LogCaptureFixture) -> None:
    given = gpt2_like(eos_token="<|endoftext|>")
    with caplog.at_level(logging.INFO, "textenvs"):
        adapted = TransformersTokenizer(given)
    assert "has no pad token: observations are filled with '<|endoftext|>'" in caplog.text
    assert [record.levelno for record in caplog.records] == [logging.INFO]
    assert (adapted.pad_token_id, adapted.eos_token_id) == (0, 0)
    assert given.pad_token is None
    text = " Ada  met\nBob 😀 "
    ids, offsets = adapted.encode(text)
    assert ids.tolist() == given(text, add_special_tokens=False)["input_ids"]
    assert adapted.decode(ids) == text
    surfaces = [text[start:end] for start, end in offsets.tolist()]
    assert all(surface == surface.strip() for surface in surfaces)
    assert text[offsets[0, 0] : offsets[-2, 1]] == "Ada  met\nBob 😀"


def test_bert_ends_with_its_separator() -> None:
    given = bert()
    adapted = TransformersTokenizer(given)
    assert (adapted.pad_token_id, adapted.eos_token_id) == (0, 3)
    assert adapted.vocab_size == len(given)
    text = "Ada was LATE, Unbelievable."
    ids, offsets = adapted.encode(text)
    assert ids.tolist() == given(text, add_special_tokens=False)["input_ids"]
    wanted = given.decode(
        [2, *ids.tolist(), 3], skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    assert adapted.decode([2, *ids.tolist(), 3, 0]) == wanted
    assert adapted.decode_batch([ids.tolist()]) == [wanted]
    assert [text[s:e] for s, e in offsets.tolist()][:3] == ["Ada", "was", "LATE"]
    assert adapted.token(3) == "[SEP]"


@pytest.mark.parametrize("make", [bert, lambda: gpt2_like(eos_token="<|endoftext|>")])
def test_the_given_tokenizer_is_never_changed(make: Any) -> None:
    given = make()
    given.backend_tokenizer.enable_truncation(4)
    given.backend_tokenizer.enable_padding(length=6)
    before = (given.backend_tokenizer.to_str(), str(given.init_kwargs), given.special_tokens_map)
    adapted = TransformersTokenizer(given)
    assert len(adapted.encode("Ada met Bob in Paris and was late").ids) > 6
    adapted.decode([1, 2, 3])
    assert isinstance(adapted, Tokenizer)
    assert before == (
        given.backend_tokenizer.to_str(),
        str(given.init_kwargs),
        given.special_tokens_map,
    )


def test_names_of_special_tokens_are_plain_text() -> None:
    adapted = TransformersTokenizer(gpt2_like(eos_token="<|endoftext|>"))
    ids = adapted.encode("a<|endoftext|>b").ids
    assert 0 not in ids
    assert adapted.decode(ids) == "a<|endoftext|>b"


def test_added_tokens_count_for_the_vocabulary() -> None:
    given = gpt2_like(eos_token="<|endoftext|>")
    given.add_tokens([AddedToken("<new>", normalized=False)])
    adapted = TransformersTokenizer(given)
    assert adapted.vocab_size == len(given) == given.get_vocab()["<new>"] + 1
    assert adapted.encode("a<new>").ids[-1] == adapted.vocab_size - 1
    assert adapted.token(400) == "<none>"
    assert adapted.decode([400]) == ""


def test_gaps_among_ids_count_for_the_vocabulary() -> None:
    backend = Backend(models.WordLevel({"<eos>": 0, "a": 7}, unk_token="a"))
    adapted = TransformersTokenizer(
        PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>")
    )
    assert adapted.vocab_size == 8
    assert (adapted.token(3), adapted.decode([3, 7])) == ("<none>", "a")


def test_eos_that_is_no_special_token_is_left_out_of_texts() -> None:
    given = gpt2_like(eos_token="<|endoftext|>")
    backend = Backend.from_str(given.backend_tokenizer.to_str())
    end = backend.token_to_id("!")
    adapted = TransformersTokenizer(
        PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="!")
    )
    assert adapted.eos_token_id == end
    assert adapted.decode([*adapted.encode("Ada").ids, end]) == "Ada"


def test_no_token_can_end_an_answer() -> None:
    with pytest.raises(TokenizerError) as caught:
        TransformersTokenizer(gpt2_like())
    assert "has no token that can end an answer (neither eos_token nor sep_token)" in str(
        caught.value
    )
    assert "tokenizer.add_special_tokens({'eos_token': '<eos>'})" in str(caught.value)


class SlowTokenizer(PreTrainedTokenizer):  # type: ignore[misc]  # transformers is untyped here
    """Characters, in Python."""

    @property
    def vocab_size(self) -> int:
        return 128

    def get_vocab(self) -> dict[str, int]:
        return {chr(i): i for i in range(128)}

    def _tokenize(self, text: str, **_: Any) -> list[str]:
        return list(text)

    def _convert_token_to_id(self, token: str) -> int:
        return ord(token)

    def _convert_id_to_token(self, index: int) -> str:
        return chr(index)


def test_slow_tokenizer() -> None:
    with pytest.raises(TokenizerError) as caught:
        TransformersTokenizer(SlowTokenizer(eos_token="\x03"))
    assert "is a slow one (SlowTokenizer), which does not tell where its tokens stand" in str(
        caught.value
    )
    assert "AutoTokenizer.from_pretrained(name)" in str(caught.value)


def test_by_name_of_a_folder(tmp_path: Path) -> None:
    given = gpt2_like(eos_token="<|endoftext|>")
    given.save_pretrained(tmp_path)
    adapted = load_tokenizer(str(tmp_path), lambda: pytest.fail("texts were asked for"))
    assert isinstance(adapted, TransformersTokenizer)
    wanted = AutoTokenizer.from_pretrained(str(tmp_path))("Ada met")["input_ids"]
    assert adapted.encode("Ada met").ids.tolist() == wanted
    assert isinstance(load_tokenizer(given, list), TransformersTokenizer)


@pytest.mark.parametrize("name", ["no-one/such-a-model", "not a name", "./nowhere"])
def test_unknown_name(name: str) -> None:
    with pytest.raises(TokenizerError) as caught:
        load_tokenizer(name, list)
    assert f"no tokenizer {name!r}: looked for a folder of that name" in str(caught.value)


def test_no_code_of_a_folder_is_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    (tmp_path / "code.py").write_text(f"open({str(trace)!r}, 'w')\nclass T: pass\n")
    (tmp_path / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "T", "auto_map": {"AutoTokenizer": ["code.T", "code.T"]}}'
    )
    with pytest.raises(TokenizerError):
        load_tokenizer(str(tmp_path), list)
    assert not trace.exists()


def test_batches_and_pickle() -> None:
    adapted = TransformersTokenizer(bert())
    copy = pickle.loads(pickle.dumps(adapted))
    assert isinstance(copy, TransformersTokenizer)
    assert (copy.vocab_size, copy.pad_token_id, copy.eos_token_id) == (adapted.vocab_size, 0, 3)
    for text, encoding in zip(TEXTS, copy.encode_batch(TEXTS), strict=True):
        assert np.array_equal(encoding.ids, adapted.encode(text).ids)
        assert np.array_equal(encoding.offsets, adapted.encode(text).offsets)
    assert not np.isin(copy.encode("a [SEP] b").ids, [3]).any()
