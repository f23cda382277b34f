"""A tokenizer whose tokens are their numbers, for libraries that want texts."""

from __future__ import annotations

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

SPECIAL = {"pad_token": "w0", "eos_token": "<end>"}


def word_tokenizer(vocab_size: int) -> PreTrainedTokenizerFast:
    """A word ``w12`` is token 12; the end is one more than a model's head has, so never drawn."""
    words = {f"w{i}": i for i in range(vocab_size)} | {"<end>": vocab_size}
    tokenizer = Tokenizer(models.WordLevel(words))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **SPECIAL)
