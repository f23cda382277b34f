"""A small backbone of each kind and of the architectures that differ, with random weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    ElectraConfig,
    ElectraForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    RobertaConfig,
    RobertaForMaskedLM,
    T5Config,
    T5ForConditionalGeneration,
)

from agents.models.backbone import Backbone
from agents.models.causal import CausalBackbone
from agents.models.encoder import EncoderBackbone
from agents.models.encoder_decoder import EncoderDecoderBackbone
from agents.models.prefix_lm import PrefixLMBackbone
from agents.models.recurrent import RecurrentBackbone

VOCAB, MAX_TOKENS = 50, 48
NO_SPECIAL_TOKENS = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": MAX_TOKENS,
}
T5_SIZES = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}


def gpt2(vocab_size: int) -> PreTrainedModel:
    sizes = {"n_positions": MAX_TOKENS, "n_embd": 32, "n_layer": 2, "n_head": 4}
    return GPT2LMHeadModel(GPT2Config(vocab_size=vocab_size, **sizes, **NO_SPECIAL_TOKENS))


def llama(vocab_size: int) -> PreTrainedModel:
    config = LlamaConfig(vocab_size=vocab_size, **SIZES, num_key_value_heads=2, **NO_SPECIAL_TOKENS)
    return LlamaForCausalLM(config)


def qwen2(vocab_size: int) -> PreTrainedModel:
    config = Qwen2Config(vocab_size=vocab_size, **SIZES, num_key_value_heads=2, **NO_SPECIAL_TOKENS)
    return Qwen2ForCausalLM(config)


def qwen3(vocab_size: int) -> PreTrainedModel:
    config = Qwen3Config(
        vocab_size=vocab_size, **SIZES, num_key_value_heads=2, head_dim=8, **NO_SPECIAL_TOKENS
    )
    return Qwen3ForCausalLM(config)


def bert(vocab_size: int) -> PreTrainedModel:
    return BertForMaskedLM(BertConfig(vocab_size=vocab_size, **SIZES))


def roberta(vocab_size: int) -> PreTrainedModel:
    sizes = SIZES | {"max_position_embeddings": MAX_TOKENS + 3}
    special = {"bos_token_id": 0, "pad_token_id": 2, "eos_token_id": 3}
    return RobertaForMaskedLM(RobertaConfig(vocab_size=vocab_size, **sizes, **special))


def electra(vocab_size: int) -> PreTrainedModel:
    return ElectraForMaskedLM(ElectraConfig(vocab_size=vocab_size, **SIZES, embedding_size=24))


def t5(vocab_size: int) -> PreTrainedModel:
    config = T5Config(
        vocab_size=vocab_size, **T5_SIZES, decoder_start_token_id=0, eos_token_id=None
    )
    return T5ForConditionalGeneration(config)


def t5_1_1(vocab_size: int) -> PreTrainedModel:
    """Version 1.1: gated layers, outputs that are not scaled; here with a deeper decoder."""
    config = T5Config(
        vocab_size=vocab_size,
        **T5_SIZES,
        num_decoder_layers=3,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
        eos_token_id=None,
    )
    return T5ForConditionalGeneration(config)


LMS: dict[str, tuple[type[Backbone], Callable[[int], PreTrainedModel]]] = {
    "gpt2": (CausalBackbone, gpt2),
    "llama": (CausalBackbone, llama),
    "qwen2": (CausalBackbone, qwen2),
    "qwen3": (CausalBackbone, qwen3),
    "prefix-lm-llama": (PrefixLMBackbone, llama),
    "prefix-lm-gpt2": (PrefixLMBackbone, gpt2),
    "bert": (EncoderBackbone, bert),
    "roberta": (EncoderBackbone, roberta),
    "electra": (EncoderBackbone, electra),
    "t5": (EncoderDecoderBackbone, t5),
    "t5-1.1": (EncoderDecoderBackbone, t5_1_1),
}
NAMES = (*LMS, "gru", "lstm")
KINDS = ("gpt2", "prefix-lm-llama", "bert", "t5", "gru", "lstm")
"""One of each kind."""


def make_lm(name: str, vocab_size: int = VOCAB) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LMS[name][1](vocab_size).eval()


def make_backbone(name: str, vocab_size: int = VOCAB) -> Backbone:
    if name in LMS:
        return LMS[name][0](make_lm(name, vocab_size)).eval()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return RecurrentBackbone(name, vocab_size, width=32).eval()
