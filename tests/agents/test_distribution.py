"""Legal actions only, with the right probabilities."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.models.distribution import entropy, masked_log_softmax, sample, take


@settings(max_examples=60, deadline=None)
@given(
    actions=st.integers(1, 40),
    seed=st.integers(0, 2**31 - 1),
    scale=st.sampled_from([0.0, 1.0, 30.0, 1e4]),
)
def test_a_masked_action_has_probability_0_and_is_never_drawn(
    actions: int, seed: int, scale: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits_NA = scale * torch.randn(64, actions, generator=generator)
    legal_NA = torch.rand(64, actions, generator=generator) < 0.3
    legal_NA[torch.arange(64), torch.randint(actions, (64,), generator=generator)] = True
    log_probs_NA = masked_log_softmax(logits_NA, legal_NA)
    assert (log_probs_NA.exp()[~legal_NA] == 0).all()
    torch.testing.assert_close(log_probs_NA.exp().sum(-1), torch.ones(64))
    assert torch.isfinite(entropy(log_probs_NA)).all()
    drawn_N = sample(log_probs_NA, generator)
    assert legal_NA[torch.arange(64), drawn_N].all()
    assert torch.isfinite(take(log_probs_NA, drawn_N)).all()


def test_the_largest_random_number_draws_the_last_legal_action(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    largest = math.nextafter(1.0, 0.0)
    monkeypatch.setattr(
        torch, "rand", lambda shape, **kwargs: torch.full(shape, largest, dtype=torch.float64)
    )
    legal_NA = torch.tensor([[True, True, False], [True, False, False]])
    log_probs_NA = masked_log_softmax(torch.randn(2, 3), legal_NA)
    assert sample(log_probs_NA, torch.Generator()).tolist() == [1, 0]


def test_actions_are_drawn_with_their_probabilities() -> None:
    log_probs_NA = torch.tensor([0.5, 0.3, 0.2, 0.0]).log().expand(100_000, 4)
    drawn_N = sample(log_probs_NA, torch.Generator().manual_seed(0))
    shares = torch.bincount(drawn_N, minlength=4) / 100_000
    torch.testing.assert_close(shares, torch.tensor([0.5, 0.3, 0.2, 0.0]), atol=0.006, rtol=0)


def test_entropy_of_uniform_actions_and_its_gradient() -> None:
    logits_NA = torch.zeros(1, 4, requires_grad=True)
    legal_NA = torch.tensor([[True, True, False, False]])
    value_N = entropy(masked_log_softmax(logits_NA, legal_NA))
    assert value_N.item() == pytest.approx(math.log(2))
    value_N.sum().backward()
    assert logits_NA.grad is not None
    assert torch.isfinite(logits_NA.grad).all()
