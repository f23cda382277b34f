"""Text to token ids and back: a built-in tokenizer, BPE for a file, any `transformers` one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from textenvs.errors import OptionError, TokenizerError
from textenvs.tokenization.base import Encoding, Tokenizer, encode_all

__all__ = ["Encoding", "Tokenizer", "encode_all", "load_tokenizer"]


def load_tokenizer(
    tokenizer: str | object, texts: Callable[[], Iterable[str]] = tuple
) -> Tokenizer:
    """The tokenizer that an environment was asked to use.

    Args:
        tokenizer: ``"builtin"``, the one of the built-in data; ``"bpe"`` or ``"bpe:8000"``, a
            byte-level BPE of at most so many tokens, trained on `texts`; the name of a
            `transformers` tokenizer (a folder or a Hub id); or an object, either a `transformers`
            tokenizer or anything that meets `Tokenizer`, which is taken as it is.
        texts: Gives the texts to train on; called only if they are needed.

    Raises:
        OptionError: A malformed ``"bpe:SIZE"``.
        TokenizerError: There is no such tokenizer, or it cannot serve.
    """
    if tokenizer == "builtin":
        from textenvs.tokenization.pieces import PieceTokenizer

        return PieceTokenizer.builtin()
    if isinstance(tokenizer, str) and (tokenizer == "bpe" or tokenizer.startswith("bpe:")):
        from textenvs.tokenization.bpe import train_bpe

        size = "4096" if tokenizer == "bpe" else tokenizer[4:]
        if not (size.isascii() and size.isdigit()):
            raise OptionError(
                f"tokenizer: expected a number after 'bpe:', such as 'bpe:4096', got {tokenizer!r}"
            )
        return train_bpe(texts(), int(size))
    from textenvs.tokenization.transformers import TransformersTokenizer, is_transformers_tokenizer

    if isinstance(tokenizer, str) or is_transformers_tokenizer(tokenizer):
        return TransformersTokenizer(tokenizer)
    if isinstance(tokenizer, Tokenizer):
        return tokenizer
    raise TokenizerError(
        "tokenizer: expected 'builtin', 'bpe', 'bpe:SIZE', a folder or Hub id, a transformers "
        "tokenizer, or an object with the methods of textenvs.tokenization.Tokenizer; got "
        f"{type(tokenizer).__name__} (a tokenizers.Tokenizer can be wrapped: "
        "PreTrainedTokenizerFast(tokenizer_object=..., eos_token='<eos>', pad_token='<pad>'))"
    )
