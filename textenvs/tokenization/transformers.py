"""Any tokenizer of the `transformers` library as a tokenizer of environments."""

from __future__ import annotations

import logging
import sys
from typing import Any

from textenvs.errors import TokenizerError
from textenvs.tokenization.backend import BackendTokenizer

logger = logging.getLogger("textenvs")


class TransformersTokenizer(BackendTokenizer):
    """A `transformers` tokenizer, which is copied and never changed.

    Without a pad token, the EOS token fills observations: what stands after an end is never read.
    Without an EOS token, the separator (BERT's ``[SEP]``) ends an answer.

    Args:
        tokenizer: A fast tokenizer, or the name of one: a Hub id or a folder. No code from there
            is run.

    Raises:
        TokenizerError: There is no such tokenizer, it is a slow one, or nothing can end an answer;
            says what to do.
    """

    def __init__(self, tokenizer: Any) -> None:
        if isinstance(tokenizer, str):
            tokenizer = _from_name(tokenizer)
        name = tokenizer.name_or_path or type(tokenizer).__name__
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if not tokenizer.is_fast or backend is None:
            raise TokenizerError(
                f"the tokenizer {name!r} is a slow one ({type(tokenizer).__name__}), which does "
                "not tell where its tokens stand in a text: pass a fast one, such as "
                "AutoTokenizer.from_pretrained(name) gives where one exists, or "
                "PreTrainedTokenizerFast(tokenizer_object=...) around one of the tokenizers library"
            )
        eos = tokenizer.eos_token_id
        if eos is None:
            eos = tokenizer.sep_token_id
        if eos is None:
            raise TokenizerError(
                f"the tokenizer {name!r} has no token that can end an answer (neither eos_token "
                "nor sep_token): add one with "
                "tokenizer.add_special_tokens({'eos_token': '<eos>'}), and fit the model with "
                "model.resize_token_embeddings(len(tokenizer))"
            )
        pad = tokenizer.pad_token_id
        if pad is None:
            pad = eos
            logger.info(
                "the tokenizer %r has no pad token: observations are filled with %r, after whose "
                "first occurrence nothing is read",
                name,
                tokenizer.convert_ids_to_tokens(eos),
            )
        super().__init__(
            backend.to_str(), pad_token_id=pad, eos_token_id=eos, vocab_size=len(tokenizer)
        )


def is_transformers_tokenizer(candidate: object) -> bool:
    """Whether an object is a tokenizer of `transformers`, without importing the library."""
    library = sys.modules.get("transformers")
    return library is not None and isinstance(candidate, library.PreTrainedTokenizerBase)


def _from_name(name: str) -> Any:
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise TokenizerError(
            f'the tokenizer {name!r} needs the `transformers` library: pip install "textenvs[data]"'
        ) from error
    try:
        return AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except Exception as error:  # whatever a missing file, a bad config or the network makes of it
        raise TokenizerError(
            f"no tokenizer {name!r}: looked for a folder of that name with a tokenizer.json, and "
            "for a Hub repository, in the local cache and (unless HF_HUB_OFFLINE is set) online; "
            "'builtin', 'bpe' and 'bpe:SIZE' need neither. "
            f"transformers says: {_first_line(error)}"
        ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
