"""Cached hidden states equal uncached ones, whatever the slots do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    PretrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

from agents.models.causal import CausalBackbone
from agents.models.model import AgentModel
from agents.models.prefix_cache import PrefixCache

VOCAB, MAX_TOKENS = 50, 48
ROPE = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": MAX_TOKENS,
}
CONFIGS: dict[str, PretrainedConfig] = {
    "gpt2": GPT2Config(vocab_size=VOCAB, n_positions=MAX_TOKENS, n_embd=32, n_layer=2, n_head=4),
    "llama": LlamaConfig(**ROPE),
    "qwen2": Qwen2Config(**ROPE),
    "qwen3": Qwen3Config(**ROPE, head_dim=8),
}


def make_model(name: str) -> AgentModel:
    torch.manual_seed(0)
    config = CONFIGS[name]
    config.bos_token_id = config.eos_token_id = config.pad_token_id = None
    return AgentModel(CausalBackbone(AutoModelForCausalLM.from_config(config)), tuple(range(5, 15)))


def uncached(model: AgentModel, tokens_SL: np.ndarray, lengths_S: np.ndarray) -> torch.Tensor:
    with torch.inference_mode():
        rows = [
            model.read(
                torch.from_numpy(tokens_SL[slot : slot + 1, :length].astype(np.int64)),
                torch.tensor([1]),
                torch.tensor([0]),
                torch.tensor([length - 1]),
            ).hidden_ND
            for slot, length in enumerate(lengths_S)
        ]
    return torch.cat(rows)


def play(model: AgentModel, rng: np.random.Generator, slots: int, steps: int) -> None:
    """Random prompts, ragged appends, resets and repeats, checked at each step."""
    cache = PrefixCache(model, slots)
    tokens_SL = rng.integers(1, VOCAB, size=(slots, MAX_TOKENS)).astype(np.int32)
    lengths_S = rng.integers(1, 20, size=slots)
    for _ in range(steps):
        shown_SL = np.where(np.arange(MAX_TOKENS) < lengths_S[:, None], tokens_SL, 0)
        hidden_SD = cache.states(shown_SL, lengths_S).hidden_ND
        torch.testing.assert_close(
            hidden_SD, uncached(model, shown_SL, lengths_S), atol=2e-5, rtol=1e-4
        )
        lengths_S = lengths_S + rng.integers(0, 4, size=slots)
        for slot in range(slots):
            if lengths_S[slot] > MAX_TOKENS or rng.random() < 0.2:
                tokens_SL[slot] = rng.integers(1, VOCAB, size=MAX_TOKENS)
                lengths_S[slot] = rng.integers(1, 30)


@pytest.mark.parametrize("name", CONFIGS)
def test_cached_equals_uncached(name: str) -> None:
    play(make_model(name), np.random.default_rng(0), slots=5, steps=25)


MODEL = make_model("llama")


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), slots=st.integers(1, 4))
def test_cached_equals_uncached_for_any_history(seed: int, slots: int) -> None:
    play(MODEL, np.random.default_rng(seed), slots=slots, steps=6)


@pytest.mark.parametrize("fused", [False, True])
def test_a_change_of_weights_drops_the_cache(fused: bool) -> None:
    model = make_model("gpt2")
    cache = PrefixCache(model, 2)
    tokens_SL = np.random.default_rng(0).integers(1, VOCAB, size=(2, MAX_TOKENS))
    lengths_S = np.array([7, 9])
    before = cache.states(tokens_SL, lengths_S).hidden_ND.clone()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=fused)
    optimizer.register_step_post_hook(lambda *_: model.note_change())
    model.read(
        torch.ones(1, 3, dtype=torch.long), *(torch.tensor([i]) for i in (1, 0, 2))
    ).hidden_ND.sum().backward()
    optimizer.step()
    after = cache.states(tokens_SL, lengths_S + 1).hidden_ND
    assert not torch.allclose(before, after)
    torch.testing.assert_close(
        after, uncached(model, tokens_SL, lengths_S + 1), atol=2e-5, rtol=1e-4
    )


def test_padding_changes_no_hidden_state() -> None:
    model = make_model("gpt2")
    tokens_1T = torch.randint(1, VOCAB, (1, 9), generator=torch.Generator().manual_seed(0))
    rows, columns = torch.zeros(9, dtype=torch.long), torch.arange(9)
    padded_1T = torch.cat([tokens_1T, torch.full((1, 20), 3)], dim=1)
    with torch.inference_mode():
        short = model.read(tokens_1T, torch.tensor([1]), rows, columns).hidden_ND
        long = model.read(padded_1T, torch.tensor([1]), rows, columns).hidden_ND
    torch.testing.assert_close(short, long, atol=2e-6, rtol=1e-5)
