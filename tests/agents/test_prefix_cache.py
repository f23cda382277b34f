"""Cached hidden states equal uncached ones, whatever the slots do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from backbone_zoo import MAX_TOKENS, NAMES, VOCAB, make_backbone, make_lm
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.models.decoding import decoding_of
from agents.models.heads import States
from agents.models.llama_decoding import LlamaDecoding
from agents.models.model import AgentModel, Heads
from agents.models.prefix_cache import PrefixCache

MEMORY = 12


def make_model(name: str) -> AgentModel:
    return AgentModel(
        make_backbone(name),
        tuple(range(5, 15)),
        tuple(range(MEMORY - 10, MEMORY)),
        heads=Heads(policy="pointer"),
    )


def uncached(
    model: AgentModel, tokens_SL: np.ndarray, lengths_S: np.ndarray, prompts_S: np.ndarray
) -> list[States]:
    """Each slot's state, read alone and whole."""
    with torch.inference_mode():
        return [
            model.read(
                torch.from_numpy(tokens_SL[slot : slot + 1, :length].astype(np.int64)),
                torch.tensor([prompt]),
                torch.tensor([0]),
                torch.tensor([length - 1]),
            )
            for slot, (length, prompt) in enumerate(zip(lengths_S, prompts_S, strict=True))
        ]


def assert_equal(
    cached: States, expected: list[States], prompts_S: np.ndarray, tolerance: float = 2e-5
) -> None:
    """Compare the hidden states, and what pointers look at as far as the prompts go."""
    assert cached.memory_RPD is not None
    for slot, one in enumerate(expected):
        assert one.memory_RPD is not None
        seen = min(MEMORY, prompts_S[slot])
        assert cached.tokens_RP is not None
        assert one.tokens_RP is not None
        assert torch.equal(cached.tokens_RP[slot, :seen], one.tokens_RP[0, :seen])
        for mine, other in (
            (cached.hidden_ND[slot], one.hidden_ND[0]),
            (cached.memory_RPD[slot, :seen], one.memory_RPD[0, :seen]),
        ):
            torch.testing.assert_close(mine, other, atol=tolerance, rtol=1e-4)


def play(
    model: AgentModel,
    rng: np.random.Generator,
    slots: int,
    steps: int,
    change_weights: bool = False,
) -> None:
    """Random prompts, ragged appends, resets, repeats and changes, checked at each step."""
    cache = PrefixCache(model, slots)
    tokens_SL = rng.integers(1, VOCAB, size=(slots, MAX_TOKENS)).astype(np.int32)
    prompts_S = rng.integers(1, 20, size=slots)
    lengths_S = prompts_S.copy()
    for _ in range(steps):
        shown_SL = np.where(np.arange(MAX_TOKENS) < lengths_S[:, None], tokens_SL, 0)
        assert_equal(
            cache.states(shown_SL, lengths_S),
            uncached(model, shown_SL, lengths_S, prompts_S),
            prompts_S,
        )
        lengths_S = lengths_S + rng.integers(0, 4, size=slots)
        for slot in range(slots):
            if lengths_S[slot] > MAX_TOKENS or rng.random() < 0.2:
                first = tokens_SL[slot, 0]
                tokens_SL[slot] = rng.integers(1, VOCAB, size=MAX_TOKENS)
                tokens_SL[slot, 0] = first % (VOCAB - 1) + 1  # else it might seem to go on
                prompts_S[slot] = lengths_S[slot] = rng.integers(1, 30)
        if change_weights and rng.random() < 0.2:
            with torch.no_grad():
                for weight in model.parameters():
                    weight.mul_(1.03)


@pytest.mark.parametrize("name", NAMES)
def test_cached_equals_uncached(name: str) -> None:
    play(make_model(name), np.random.default_rng(0), slots=5, steps=18, change_weights=True)


@pytest.mark.parametrize("name", NAMES)
def test_a_slot_may_stand_still_at_the_last_position(name: str) -> None:
    model = make_model(name)
    cache = PrefixCache(model, 3)
    tokens_SL = np.random.default_rng(0).integers(1, VOCAB, size=(3, MAX_TOKENS))
    prompts_S = lengths_S = np.array([MAX_TOKENS, 5, 9])
    for _ in range(4):
        expected = uncached(model, tokens_SL, lengths_S, prompts_S)
        assert_equal(cache.states(tokens_SL, lengths_S), expected, prompts_S)
        lengths_S = lengths_S + np.array([0, 1, 1])


@pytest.mark.parametrize("name", NAMES)
def test_a_prompt_may_begin_with_the_episode_before(name: str) -> None:
    model = make_model(name)
    cache = PrefixCache(model, 2)
    tokens_SL = np.random.default_rng(0).integers(1, VOCAB, size=(2, MAX_TOKENS))
    cache.states(tokens_SL, np.array([4, 4]))
    cache.end(np.array([False, True]))
    lengths_S, prompts_S = np.array([11, 11]), np.array([4, 11])
    states = cache.states(tokens_SL, lengths_S)
    expected = uncached(model, tokens_SL, lengths_S, prompts_S)
    assert_equal(states, expected, prompts_S)
    with torch.inference_mode():
        scores = torch.cat([model.logits(one) for one in expected])
        torch.testing.assert_close(model.logits(states), scores, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_prompts_of_a_given_length_are_read_as_such(name: str) -> None:
    """Within an episode, and where the same tokens go on under another prompt."""
    model = make_model(name)
    cache = PrefixCache(model, 3)
    tokens_SL = np.random.default_rng(0).integers(1, VOCAB, size=(3, MAX_TOKENS))
    lengths_S = np.array([9, 7, 12])
    for prompts in ([4, 7, 12], [4, 7, 6], [10, 7, 6]):
        prompts_S = np.array(prompts)
        states = cache.states(tokens_SL, lengths_S, prompt_lengths_S=prompts_S)
        assert_equal(states, uncached(model, tokens_SL, lengths_S, prompts_S), prompts_S)
        lengths_S = lengths_S + np.array([1, 0, 2])


MODELS = {name: make_model(name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), slots=st.integers(1, 4))
def test_cached_equals_uncached_for_any_history(name: str, seed: int, slots: int) -> None:
    play(MODELS[name], np.random.default_rng(seed), slots=slots, steps=6)


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
    after = cache.states(tokens_SL, lengths_S + 1)
    assert not torch.allclose(before, after.hidden_ND)
    assert_equal(after, uncached(model, tokens_SL, lengths_S + 1, lengths_S), lengths_S)


def test_copies_of_the_weights_keep_nothing_for_a_gradient() -> None:
    decoding = decoding_of(make_lm("llama"))
    assert isinstance(decoding, LlamaDecoding)
    copies = [c for layer in decoding._layers for c in vars(layer).values() if torch.is_tensor(c)]
    assert copies
    assert not any(copy.requires_grad for copy in copies)


def without_pointer(name: str) -> AgentModel:
    return AgentModel(make_backbone(name), tuple(range(5, 15)))


class Reads:
    """Counts the prompts that a cache reads, in each call of the backbone."""

    def __init__(self, cache: PrefixCache, monkeypatch: pytest.MonkeyPatch) -> None:
        self.batches: list[int] = []
        begin = cache._bank.cache.begin

        def counted(slots_R: np.ndarray, *rest: object) -> object:
            self.batches.append(len(slots_R))
            return begin(slots_R, *rest)

        monkeypatch.setattr(cache._bank.cache, "begin", counted)


@pytest.mark.parametrize("name", NAMES)
def test_shared_and_upcoming_prompts_change_no_hidden_state(name: str) -> None:
    model, rng = without_pointer(name), np.random.default_rng(1)
    prompts = [rng.integers(1, VOCAB, size=rng.integers(1, 20)).astype(np.int32) for _ in range(40)]
    cache, slots = PrefixCache(model, 8), np.arange(8)
    upcoming_S = rng.integers(40, size=8)
    texts = [prompts[rng.integers(3)] for _ in slots]
    prompts_S = np.array([len(text) for text in texts])
    for _ in range(20):
        lengths_S = np.array([len(text) for text in texts])
        shown_SL = np.stack([np.pad(text, (0, MAX_TOKENS - len(text))) for text in texts])
        hidden_SD = cache.states(
            shown_SL, lengths_S, lambda slot: prompts[upcoming_S[slot]]
        ).hidden_ND
        expected = uncached(model, shown_SL, lengths_S, prompts_S)
        for slot in slots:
            torch.testing.assert_close(
                hidden_SD[slot], expected[slot].hidden_ND[0], atol=2e-5, rtol=1e-4
            )
        for slot in slots:
            if rng.random() < 0.3 or len(texts[slot]) > MAX_TOKENS - 3:
                texts[slot] = prompts[upcoming_S[slot]]
                prompts_S[slot] = len(texts[slot])
                upcoming_S[slot] = rng.integers(40)
            else:
                more = rng.integers(1, VOCAB, size=rng.integers(1, 3))
                texts[slot] = np.concatenate([texts[slot], more.astype(np.int32)])


def test_a_prompt_is_read_once_until_the_weights_change(monkeypatch: pytest.MonkeyPatch) -> None:
    model = without_pointer("llama")
    cache = PrefixCache(model, 4)
    reads = Reads(cache, monkeypatch)
    tokens_SL = np.tile(np.arange(1, 11, dtype=np.int32), (4, 1))
    for _ in range(3):
        cache.states(tokens_SL, np.full(4, 6))
        cache.states(tokens_SL[:, ::-1], np.full(4, 5))
    assert reads.batches == [1, 1]
    model.note_change()
    cache.states(tokens_SL, np.full(4, 6))
    assert reads.batches == [1, 1]
    assert len(cache._bank._rows) == 1


def test_what_comes_next_is_read_with_a_prompt_that_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache = PrefixCache(without_pointer("llama"), 8)
    reads = Reads(cache, monkeypatch)
    tokens_SL = np.arange(1, 41, dtype=np.int32).reshape(8, 5)
    cache.states(tokens_SL, np.full(8, 5))
    assert reads.batches == [8]
    upcoming_SL = tokens_SL[:, ::-1].copy()
    tokens_SL[0] = upcoming_SL[0]
    cache.states(tokens_SL, np.full(8, 5), lambda slot: upcoming_SL[(slot + 1) % 8])
    assert reads.batches == [8, 2]  # its own, and another to make a quarter of the slots
    tokens_SL[1] = upcoming_SL[1]
    cache.states(tokens_SL, np.full(8, 5))
    assert reads.batches == [8, 2]


def test_the_bank_forgets_the_prompts_that_were_used_longest_ago() -> None:
    cache = PrefixCache(without_pointer("llama"), 1)
    size = cache._bank.size
    for first in range(1, size + 6):
        cache.states(np.array([[first % VOCAB, 1 + first // VOCAB]], np.int32), np.array([2]))
    assert len(cache._bank._rows) == size
    assert sorted(cache._bank._rows.values()) == list(range(size))
