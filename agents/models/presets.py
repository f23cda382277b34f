"""Models built for an environment's vocabulary and longest prefix, with new weights."""

from __future__ import annotations

from collections.abc import Callable

from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    BertConfig,
    LlamaConfig,
    T5Config,
)

from agents.models.backbone import Backbone
from agents.models.causal import CausalBackbone
from agents.models.copying import begin_with_copying
from agents.models.encoder import EncoderBackbone
from agents.models.encoder_decoder import EncoderDecoderBackbone
from agents.models.prefix_lm import PrefixLMBackbone
from agents.models.recurrent import RecurrentBackbone

Build = Callable[[int, int], Backbone]
"""Takes vocab_size and max_tokens."""


def _llama(layers: int, width: int, heads: int, both_ways: bool = False) -> Build:
    """A small Llama whose first weights copy, and whose prompt may look both ways."""

    def build(vocab_size: int, max_tokens: int) -> Backbone:
        config = LlamaConfig(
            vocab_size=vocab_size,
            max_position_embeddings=max_tokens,
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            attention_bias=True,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=None,
            pad_token_id=None,
        )
        lm = AutoModelForCausalLM.from_config(config)
        begin_with_copying(lm, neighbourhood=both_ways)
        return PrefixLMBackbone(lm) if both_ways else CausalBackbone(lm)

    return build


def _bert(vocab_size: int, max_tokens: int) -> Backbone:
    """A BERT of the size of "tiny"."""
    config = BertConfig(
        vocab_size=vocab_size,
        max_position_embeddings=max_tokens,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        pad_token_id=None,
    )
    return EncoderBackbone(AutoModelForMaskedLM.from_config(config))


def _t5(vocab_size: int, max_tokens: int) -> Backbone:
    """A T5 of the size of "tiny", in the encoder and in the decoder."""
    config = T5Config(
        vocab_size=vocab_size,
        d_model=128,
        d_kv=32,
        d_ff=256,
        num_layers=2,
        num_heads=4,
        decoder_start_token_id=0,
        eos_token_id=None,
    )
    return EncoderDecoderBackbone(AutoModelForSeq2SeqLM.from_config(config))


PRESETS: dict[str, Build] = {
    "tiny": _llama(layers=2, width=128, heads=4),
    "small": _llama(layers=4, width=256, heads=8),
    "reader": _llama(layers=2, width=128, heads=4, both_ways=True),
    "encoder": _bert,
    "encoder-decoder": _t5,
    "gru": lambda vocab_size, max_tokens: RecurrentBackbone("gru", vocab_size),
    "lstm": lambda vocab_size, max_tokens: RecurrentBackbone("lstm", vocab_size),
}
"""Name -> how to build it."""
