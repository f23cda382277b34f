from __future__ import annotations

import builtins
import functools
import logging
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textenvs.data.squad import read_squad
from textenvs.errors import OptionError, TokenizerError
from textenvs.tokenization import Tokenizer, load_tokenizer
from textenvs.tokenization.backend import trim_offsets
from textenvs.tokenization.bpe import BPETokenizer, cache_folder, train_bpe

TEXTS = ["Ada met Bob in Paris.", "Bob was late, Ada was not.", "Où est Ada ? 東京 😀"] * 3


@pytest.fixture(scope="module")
def bpe(tmp_path_factory: pytest.TempPathFactory) -> BPETokenizer:
    return train_bpe(TEXTS, 300, cache=tmp_path_factory.mktemp("bpe"))


def test_layout_of_the_vocabulary(bpe: BPETokenizer) -> None:
    assert isinstance(bpe, Tokenizer)
    assert (bpe.pad_token_id, bpe.eos_token_id, bpe.vocab_size) == (0, 1, 300)
    assert (bpe.token(0), bpe.token(1), bpe.token(300)) == ("<pad>", "<eos>", "<none>")
    single = {bpe.token(i) for i in range(2, 258)}
    assert len(single) == 256
    assert all(len(token) == 1 for token in single)


@given(text=st.text())
def test_round_trip_of_any_text(bpe: BPETokenizer, text: str) -> None:
    encoding = bpe.encode(text)
    assert encoding.ids.dtype == np.int32
    assert encoding.offsets.shape == (len(encoding.ids), 2)
    assert not set(encoding.ids.tolist()) & {0, 1}
    assert bpe.decode(encoding.ids) == text


@given(text=st.text())
def test_offsets_leave_whitespace_out(bpe: BPETokenizer, text: str) -> None:
    for start, end in bpe.encode(text).offsets.tolist():
        assert 0 <= start <= end <= len(text)
        surface = text[start:end]
        assert surface == surface.strip()


@given(st.data(), st.text("ab \n\u3000\x1c\x85😀"))
def test_trim_offsets_is_strip(data: st.DataObject, text: str) -> None:
    ends = st.integers(0, len(text))
    ranges = [sorted(pair) for pair in data.draw(st.lists(st.tuples(ends, ends)))]
    trimmed = trim_offsets(text, np.array(ranges, np.int32).reshape(-1, 2))
    for (start, end), (first, last) in zip(ranges, trimmed.tolist(), strict=True):
        surface = text[start:end]
        assert text[first:last] == surface.strip()
        if surface.strip():
            assert first == start + len(surface) - len(surface.lstrip())
        else:
            assert first == last == start


def test_special_names_in_a_text_are_plain_text(bpe: BPETokenizer) -> None:
    ids = bpe.encode("a<eos>b<pad>").ids
    assert not {0, 1} & set(ids.tolist())
    assert bpe.decode(ids) == "a<eos>b<pad>"
    assert bpe.decode([*ids[:1], 1, 0, 0]) == "a"


def test_batches_equal_singles(bpe: BPETokenizer) -> None:
    singles = [bpe.encode(text) for text in TEXTS]
    for one, many in zip(singles, bpe.encode_batch(TEXTS), strict=True):
        assert np.array_equal(one.ids, many.ids)
        assert np.array_equal(one.offsets, many.offsets)
    batch = [e.ids.tolist() for e in singles]
    assert bpe.decode_batch(batch) == [bpe.decode(ids) for ids in batch] == TEXTS


def test_pickle(bpe: BPETokenizer) -> None:
    copy = pickle.loads(pickle.dumps(bpe))
    assert isinstance(copy, BPETokenizer)
    assert copy.vocab_size == 300
    text = "Ada <eos> Bob"
    assert copy.encode(text).ids.tolist() == bpe.encode(text).ids.tolist()


def test_training_is_deterministic_across_processes(tmp_path: Path) -> None:
    code = (
        "import sys; from textenvs.tokenization.bpe import train_bpe; "
        f"train_bpe({TEXTS!r}, 320, cache=sys.argv[1])"
    )
    files = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", code, str(folder)], check=True, env=environment)
        files += list(folder.rglob("tokenizer.json"))
    assert len(files) == 2
    assert files[0].parent.name == files[1].parent.name
    assert files[0].read_bytes() == files[1].read_bytes()


def cached_file(folder: Path) -> Path:
    (path,) = folder.rglob("tokenizer.json")
    assert list(path.parent.iterdir()) == [path], "temporary files are left"
    return path


def test_cache_is_used_and_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train_bpe(TEXTS, 300, cache=tmp_path)
    path = cached_file(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("textenvs.tokenization.bpe._train", None)
        assert train_bpe(TEXTS, 300, cache=tmp_path).vocab_size == 300
    train_bpe(TEXTS, 301, cache=tmp_path)
    train_bpe([*TEXTS, ""], 300, cache=tmp_path)
    path.unlink()
    assert len(list(tmp_path.rglob("tokenizer.json"))) == 2


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff", b"[]", b'{"model": {"vocab": {}}}'])
def test_damaged_cache_is_replaced(
    tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    train_bpe(TEXTS, 300, cache=tmp_path)
    path = cached_file(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(damage)
    with caplog.at_level(logging.INFO, "textenvs"):
        assert train_bpe(TEXTS, 300, cache=tmp_path).vocab_size == 300
    assert "is trained anew" in caplog.text
    assert cached_file(tmp_path).read_bytes() == whole


def test_truncated_cache_is_replaced(tmp_path: Path) -> None:
    train_bpe(TEXTS, 300, cache=tmp_path)
    path = cached_file(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    train_bpe(TEXTS, 300, cache=tmp_path)
    assert path.read_bytes() == whole


def test_works_without_a_writable_cache(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    with caplog.at_level(logging.INFO, "textenvs"):
        assert train_bpe(TEXTS, 300, cache=tmp_path / "file").vocab_size == 300
    assert "not kept for the next time" in caplog.text


def test_full_disk_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert train_bpe(TEXTS, 300, cache=tmp_path).vocab_size == 300
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, textenvs_cache: Path) -> None:
    assert cache_folder() == textenvs_cache
    monkeypatch.delenv("TEXTENVS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_folder() == Path("/x/textenvs")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/h")
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache_folder() == Path("/h/.cache/textenvs")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_folder() == Path("/h/Library/Caches/textenvs")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", "/l")
    assert cache_folder() == Path("/l/textenvs")


def test_vocabulary_too_small(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"expected at least 258 \(256 bytes, <pad> and <eos>\)"):
        train_bpe(TEXTS, 257, cache=tmp_path)
    assert train_bpe([], 258, cache=tmp_path).vocab_size == 258


def test_load_tokenizer(bpe: BPETokenizer) -> None:
    assert load_tokenizer("bpe:280", lambda: TEXTS).vocab_size == 280
    assert 280 < load_tokenizer("bpe", lambda: TEXTS).vocab_size <= 4096
    assert load_tokenizer(bpe, lambda: pytest.fail("texts were asked for")) is bpe
    for wrong in ("bpe:", "bpe:many", "bpe:-1"):
        with pytest.raises(OptionError, match="expected a number after 'bpe:'"):
            load_tokenizer(wrong, lambda: TEXTS)
    with pytest.raises(TokenizerError, match=r"expected 'builtin', 'bpe', .*got dict"):
        load_tokenizer({}, lambda: TEXTS)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = builtins.__import__

    def without(name: str, *args: object, **kwargs: object) -> object:
        if name.split(".")[0] == "tokenizers":
            raise ImportError(name)
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(TokenizerError, match=r'pip install "textenvs\[data\]"'):
        train_bpe(TEXTS, 300, cache=tmp_path)


def test_import_is_light() -> None:
    code = (
        "import sys, textenvs.tokenization; "
        "print(sorted({'tokenizers', 'transformers', 'torch', 'datasets'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_answers_of_a_real_file_are_token_spans(shared_data: Path) -> None:
    examples = read_squad(shared_data / "squad" / "xquad.en.json")
    tokenizer = train_bpe(t for e in examples for t in (e.passage, e.question))
    passages = sorted({e.passage for e in examples})
    encodings = dict(zip(passages, tokenizer.encode_batch(passages), strict=True))
    starting = 0
    for e in examples:
        ids, offsets = encodings[e.passage]
        assert tokenizer.decode(ids) == e.passage
        starting += bool((offsets[:, 0] == e.answer_starts[0]).any())
    assert starting / len(examples) > 0.98


@given(st.lists(st.lists(st.integers(0, 270), max_size=12), max_size=4))
def test_the_table_decodes_as_the_library(batch: list[list[int]]) -> None:
    """Broken characters too: random tokens are rarely whole ones."""
    tokenizer = _trained_for_decoding()
    expected = tokenizer._backend.decode_batch(batch, skip_special_tokens=True)
    assert tokenizer.decode_batch(batch) == expected
    assert [tokenizer.decode(np.array(ids, np.int32)) for ids in batch] == expected


@functools.cache
def _trained_for_decoding() -> BPETokenizer:
    tokenizer = train_bpe(["naïve 日本 語 🎈 the the there"] * 3, 300)
    assert tokenizer.vocab_size > 270
    return tokenizer
