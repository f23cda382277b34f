"""Byte-level BPE trained on the user's own texts, and kept for the next time."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textenvs.errors import OptionError
from textenvs.tokenization.backend import BackendTokenizer, as_list, import_tokenizers

logger = logging.getLogger("textenvs")

PAD, EOS = "<pad>", "<eos>"
_SPECIAL = [PAD, EOS]
_MIN_VOCAB_SIZE = len(_SPECIAL) + 256
_FORMAT = 1  # to be raised when training changes, so that no cached tokenizer of old is used


class BPETokenizer(BackendTokenizer):
    """Byte-level BPE: ``<pad>`` is 0, ``<eos>`` is 1, then the 256 bytes, then the merges.

    Any text can be encoded and is decoded to the very same text. Made by `train_bpe`.

    Args:
        backend: The trained tokenizer as JSON.
    """

    def __init__(self, backend: str) -> None:
        super().__init__(backend, pad_token_id=0, eos_token_id=1)

    @cached_property
    def _bytes(self) -> list[bytes]:
        """What each token writes; special tokens, nothing."""
        byte_of = _byte_of_character()
        names = map(self.token, range(len(_SPECIAL), self.vocab_size))
        return [b"", b"", *(bytes(map(byte_of.__getitem__, name)) for name in names)]

    def decode(self, ids: Sequence[int] | NDArray[np.integer]) -> str:
        """The text of tokens, special tokens left out."""
        return self.decode_batch([ids])[0]

    def decode_batch(self, batch: Sequence[Sequence[int] | NDArray[np.integer]]) -> list[str]:
        """`decode` of each sequence; for short ones a table is faster than the library."""
        written = self._bytes.__getitem__
        return [b"".join(map(written, as_list(ids))).decode("utf-8", "replace") for ids in batch]


def train_bpe(
    texts: Iterable[str], vocab_size: int = 4096, cache: str | Path | None = None
) -> BPETokenizer:
    """Train a byte-level BPE, or load it if it was trained on the same texts before.

    Training is deterministic. The result is kept in the cache folder under a hash of the texts,
    the settings and the version of the `tokenizers` library; a damaged file there is replaced, and
    a folder that cannot be written to is done without.

    Args:
        texts: What to train on.
        vocab_size: The most tokens that the vocabulary may have, at least 258; texts that are
            short give fewer.
        cache: The folder to keep it in, by default `cache_folder`.

    Raises:
        OptionError: `vocab_size` is below 258.
        TokenizerError: The `tokenizers` library is missing.

    Source: Sennrich, Haddow & Birch 2016; over bytes, Radford et al. 2019.
    """
    if vocab_size < _MIN_VOCAB_SIZE:
        raise OptionError(
            f"vocab_size: expected at least {_MIN_VOCAB_SIZE} (256 bytes, {PAD} and {EOS}), "
            f"got {vocab_size}"
        )
    texts = list(texts)
    folder = cache_folder() if cache is None else Path(cache)
    path = folder / "bpe" / _digest(texts, vocab_size) / "tokenizer.json"
    cached = _load(path)
    if cached is not None:
        return cached
    trained = BPETokenizer(_train(texts, vocab_size).to_str())
    _save(trained, path)
    return trained


def _byte_of_character() -> dict[str, int]:
    """The byte for which each character of a byte-level vocabulary stands (Radford et al. 2019).

    Printable Latin-1 characters stand for themselves, those from U+0100 for the rest in order.
    """
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = (byte for byte in range(256) if byte not in plain)
    return {chr(b): b for b in plain} | {chr(0x100 + i): b for i, b in enumerate(others)}


def cache_folder() -> Path:
    """The folder for what can be made again.

    ``$TEXTENVS_CACHE`` if set; else ``textenvs`` in ``$XDG_CACHE_HOME`` if set, in
    ``%LOCALAPPDATA%`` on Windows, in ``~/Library/Caches`` on macOS, in ``~/.cache`` elsewhere.
    """
    if own := os.environ.get("TEXTENVS_CACHE"):
        return Path(own)
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg) / "textenvs"
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local) / "textenvs"
    folder = "~/Library/Caches" if sys.platform == "darwin" else "~/.cache"
    return Path(os.path.expanduser(folder)) / "textenvs"


def _train(texts: list[str], vocab_size: int) -> Any:
    library = import_tokenizers()
    tokenizer = library.Tokenizer(library.models.BPE())
    tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = library.decoders.ByteLevel()
    trainer = library.trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=_SPECIAL,
        initial_alphabet=sorted(library.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _digest(texts: list[str], vocab_size: int) -> str:
    settings = [_FORMAT, vocab_size, _SPECIAL, import_tokenizers().__version__]
    digest = hashlib.blake2b(json.dumps(settings).encode(), digest_size=16)
    for text in texts:
        data = text.encode()
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def _load(path: Path) -> BPETokenizer | None:
    """The tokenizer kept at `path`, or None if there is none that is whole."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        logger.info("the cached tokenizer %s cannot be read and is trained anew: %s", path, error)
        return None
    try:
        vocabulary = json.loads(text)["model"]["vocab"]
        if (vocabulary[PAD], vocabulary[EOS]) != (0, 1) or len(vocabulary) < _MIN_VOCAB_SIZE:
            raise ValueError("not the vocabulary of a byte-level BPE of textenvs")
        return BPETokenizer(text)
    except Exception as error:  # noqa: BLE001  # tokenizers raises bare Exception for JSON that it does not know
        logger.info("the cached tokenizer %s is damaged and is trained anew: %s", path, error)
        return None


def _save(tokenizer: BPETokenizer, path: Path) -> None:
    """Write the file whole or not at all, so that processes may train at the same time."""
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".tokenizer-", suffix=".tmp")
        with open(handle, "w", encoding="utf-8") as file:
            file.write(tokenizer._backend.to_str())
        os.replace(temporary, path)
    except OSError as error:
        logger.info("the tokenizer is not kept for the next time, %s: %s", path, error)
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
