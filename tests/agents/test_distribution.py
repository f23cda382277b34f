"""Legal actions only, with the right probabilities."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.models.distribution import (
    choose,
    entropy,
    invert,
    log_probs_and_entropies,
    masked_log_softmax,
    sample,
    take,
)


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
        torch, "rand", lambda count, **kwargs: torch.full((count,), largest, dtype=torch.float64)
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


@settings(max_examples=30, deadline=None)
@given(actions=st.integers(1, 700), seed=st.integers(0, 2**31 - 1))
def test_what_is_chosen_is_legal_and_has_its_log_probability(actions: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits_NA = 10 * torch.randn(16, actions, generator=generator)
    legal_NA = torch.rand(16, actions, generator=generator) < 0.1
    legal_NA[torch.arange(16), torch.randint(actions, (16,), generator=generator)] = True
    log_probs_NA = masked_log_softmax(logits_NA, legal_NA)
    best_N, best_log_probs_N = choose(logits_NA, legal_NA, None)
    assert torch.equal(best_N, log_probs_NA.argmax(dim=-1))
    for actions_N, found_N in ((best_N, best_log_probs_N), choose(logits_NA, legal_NA, generator)):
        assert legal_NA[torch.arange(16), actions_N].all()
        torch.testing.assert_close(found_N, take(log_probs_NA, actions_N), atol=2e-6, rtol=1e-5)


def test_many_actions_are_drawn_with_their_probabilities() -> None:
    weights_A = torch.arange(1000, dtype=torch.float32) * (torch.arange(1000) % 3 > 0)
    drawn_N = invert(weights_A.expand(100_000, 1000), torch.Generator().manual_seed(0))
    counts = torch.bincount(drawn_N, minlength=1000)
    expected = 100_000 * weights_A / weights_A.sum()
    assert (counts[weights_A == 0] == 0).all()
    apart = (counts - expected).abs() / expected.clamp(min=1).sqrt()
    assert apart.max() < 5


def test_scores_that_are_not_finite_give_no_finite_log_probability() -> None:
    for actions in (5, 500):
        logits_NA = torch.zeros(2, actions)
        logits_NA[1, 3] = torch.nan
        _, log_probs_N = choose(logits_NA, None, torch.Generator())
        assert log_probs_N.isfinite().tolist() == [True, False]


def scores_and_actions(
    states: int, actions: int, seed: int, masked: bool, dtype: torch.dtype = torch.float32
) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
    """Scores that want a gradient, legal actions or None, and a legal action of each row."""
    generator = torch.Generator().manual_seed(seed)
    logits_NA = 3 * torch.randn(states, actions, generator=generator, dtype=dtype)
    actions_N = torch.randint(actions, (states,), generator=generator)
    legal_NA = torch.rand(states, actions, generator=generator) < 0.4
    legal_NA.scatter_(1, actions_N.unsqueeze(1), True)
    return logits_NA.requires_grad_(), legal_NA if masked else None, actions_N


@settings(max_examples=30, deadline=None)
@given(
    states=st.integers(1, 6),
    actions=st.integers(1, 9),
    seed=st.integers(0, 1_000),
    masked=st.booleans(),
    parts=st.sampled_from(["both", "log_probs", "entropies"]),
)
def test_log_probabilities_and_entropies_in_one_function(
    states: int, actions: int, seed: int, masked: bool, parts: str
) -> None:
    logits_NA, legal_NA, actions_N = scores_and_actions(states, actions, seed, masked)
    log_probs_NA = masked_log_softmax(logits_NA, legal_NA)
    expected = take(log_probs_NA, actions_N), entropy(log_probs_NA)
    found = log_probs_and_entropies(logits_NA, legal_NA, actions_N)
    gradients = []
    for log_probs_N, entropies_N in (expected, found):
        weights_N = torch.arange(1.0, states + 1)
        loss = torch.zeros(())
        if parts != "entropies":
            loss = loss + (weights_N * log_probs_N).sum()
        if parts != "log_probs":
            loss = loss + (weights_N.flip(0) * entropies_N).sum()
        gradients += torch.autograd.grad(loss, logits_NA)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-5)
    if legal_NA is not None:
        assert (gradients[1][~legal_NA] == 0).all()


@pytest.mark.parametrize("masked", [True, False])
def test_the_gradients_are_those_of_the_function(masked: bool) -> None:
    logits_NA, legal_NA, actions_N = scores_and_actions(4, 5, 0, masked, torch.float64)
    assert torch.autograd.gradcheck(
        lambda scores_NA: log_probs_and_entropies(scores_NA, legal_NA, actions_N), logits_NA
    )


def test_scores_of_lower_precision_are_computed_with_in_float32() -> None:
    logits_NA, legal_NA, actions_N = scores_and_actions(4, 5, 0, True, torch.bfloat16)
    found = log_probs_and_entropies(logits_NA, legal_NA, actions_N)
    expected = log_probs_and_entropies(logits_NA.float(), legal_NA, actions_N)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    (found[0].sum() + found[1].sum()).backward()
    assert logits_NA.grad is not None
    assert logits_NA.grad.dtype == torch.bfloat16


def test_far_apart_scores_give_finite_gradients() -> None:
    logits_NA = torch.tensor([[0.0, -1e4, 1e4], [5.0, 5.0, -3e38]], requires_grad=True)
    log_probs_N, entropies_N = log_probs_and_entropies(logits_NA, None, torch.tensor([0, 1]))
    (log_probs_N.sum() + entropies_N.sum()).backward()
    assert log_probs_N.tolist() == pytest.approx([-1e4, -math.log(2)])
    assert entropies_N.tolist() == pytest.approx([0.0, math.log(2)])
    assert logits_NA.grad is not None
    assert torch.isfinite(logits_NA.grad).all()
