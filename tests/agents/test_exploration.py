"""Probabilities of exploration: they sum to 1, keep to legal actions, and are what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from agents.action_values import ActionValueRule
from agents.errors import AgentError
from agents.exploration import (
    BoltzmannStrategy,
    EpsilonStrategy,
    ExplorationConfig,
    NucleusStrategy,
    Strategy,
    TopKStrategy,
    UCBStrategy,
    VisitCounts,
    prefix_keys,
)
from agents.models.heads import States

ACTIONS = 6
ROWS = st.lists(
    st.lists(st.none() | st.floats(-2, 2, width=16), min_size=ACTIONS, max_size=ACTIONS).filter(
        lambda row: any(value is not None for value in row)
    ),
    min_size=1,
    max_size=4,
)
"""Values of the actions in each state; None for an illegal one."""


def values_of(rows: list[list[float | None]]) -> Tensor:
    return torch.tensor([[-np.inf if v is None else v for v in row] for row in rows])


@pytest.mark.parametrize(
    "strategy",
    [
        EpsilonStrategy(0.3),
        EpsilonStrategy(0.0),
        BoltzmannStrategy(0.1),
        TopKStrategy(3, 0.5),
        NucleusStrategy(0.7, 0.5),
        NucleusStrategy(1.0, 0.5),
        UCBStrategy(1.0),
    ],
)
@given(rows=ROWS, data=st.data())
def test_legal_actions_have_all_the_probability(
    strategy: Strategy, rows: list[list[float | None]], data: st.DataObject
) -> None:
    values_NA = values_of(rows)
    counts = st.lists(st.integers(0, 3), min_size=ACTIONS, max_size=ACTIONS)
    visits_NA = torch.tensor([data.draw(counts) for _ in rows])
    for visits in (None, visits_NA):
        probabilities_NA = strategy(values_NA, visits)
        assert (probabilities_NA >= 0).all()
        assert (probabilities_NA[values_NA == -torch.inf] == 0).all()
        torch.testing.assert_close(probabilities_NA.sum(dim=-1), torch.ones(len(rows)))
        if visits is None:
            chosen_N1 = values_NA.argmax(dim=-1, keepdim=True)
            assert (probabilities_NA.gather(1, chosen_N1) >= probabilities_NA - 1e-6).all()


@given(rows=ROWS, epsilon=st.floats(0, 1))
def test_epsilon_is_shared_by_all_legal_actions_and_the_rest_goes_to_the_first_best(
    rows: list[list[float | None]], epsilon: float
) -> None:
    probabilities_NA = EpsilonStrategy(epsilon)(values_of(rows))
    for row, got in zip(rows, probabilities_NA.tolist(), strict=True):
        legal = [value for value in row if value is not None]
        first_best = row.index(max(legal))
        expected = [0.0 if value is None else epsilon / len(legal) for value in row]
        expected[first_best] += 1 - epsilon
        assert got == pytest.approx(expected, abs=1e-6)


@given(rows=ROWS, k=st.integers(1, ACTIONS + 1), temperature=st.floats(0.1, 2))
def test_top_k_is_a_softmax_over_the_k_best(
    rows: list[list[float | None]], k: int, temperature: float
) -> None:
    got = TopKStrategy(k, temperature)(values_of(rows)).tolist()
    for row, probabilities in zip(rows, got, strict=True):
        ranked = sorted((-v, a) for a, v in enumerate(row) if v is not None)[:k]
        weights = {action: np.exp(-value / temperature) for value, action in ranked}
        total = sum(weights.values())
        expected = [weights.get(action, 0.0) / total for action in range(ACTIONS)]
        assert probabilities == pytest.approx(expected, abs=1e-5)


def test_a_nucleus_is_the_fewest_best_actions_that_reach_p() -> None:
    values_NA = torch.tensor([[0.1, 0.5, 0.15, 0.25]]).log()
    assert NucleusStrategy(0.5, 1.0)(values_NA)[0].tolist() == pytest.approx([0, 1, 0, 0])
    kept = NucleusStrategy(0.7, 1.0)(values_NA)[0].tolist()
    assert kept == pytest.approx([0, 2 / 3, 0, 1 / 3], abs=1e-6)
    whole = NucleusStrategy(1.0, 1.0)(values_NA)
    torch.testing.assert_close(whole, BoltzmannStrategy(1.0)(values_NA))


def test_upper_confidence_bounds_take_every_legal_action_once_first_then_follow_the_formula() -> (
    None
):
    values_1A = torch.tensor([[0.2, 0.9, -torch.inf, 0.5, 0.4, 0.1]])
    strategy, visits_1A, taken = UCBStrategy(0.5), torch.zeros(1, ACTIONS, dtype=torch.int64), []
    for step in range(40):
        action = int(strategy(values_1A, visits_1A).argmax())
        if step >= 5:
            counts = visits_1A[0].numpy()
            bonus = [0.5 * np.sqrt(np.log(counts.sum()) / n) if n else -np.inf for n in counts]
            assert action == int(np.argmax(values_1A[0].numpy() + bonus))
        taken.append(action)
        visits_1A[0, action] += 1
    assert taken[:5] == [1, 3, 4, 0, 5]
    assert visits_1A[0, 2] == 0
    assert visits_1A[0].argmax() == 1


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=60), st.integers(1, 6))
def test_counts_are_those_of_the_prefixes_visited_last(
    visited: list[tuple[int, int]], capacity: int
) -> None:
    counts = VisitCounts(capacity)
    kept: list[int] = []
    expected = np.zeros((6, 4), int)
    for key, action in visited:
        counts.add([key], [action])
        kept = [*(k for k in kept if k != key), key]
        for forgotten in kept[:-capacity]:
            expected[forgotten] = 0
        kept = kept[-capacity:]
        expected[key, action] += 1
    restored = VisitCounts(capacity)
    restored.restore(counts.tensors())
    for one in (counts, restored):
        assert one.of(range(6), 4).tolist() == expected.tolist()
    assert all(torch.equal(t, restored.tensors()[name]) for name, t in counts.tensors().items())


def test_a_prefix_is_known_by_its_tokens_alone() -> None:
    tokens_SL = np.array([[5, 6, 0, 0], [5, 6, 7, 0], [5, 6, 7, 0]])
    one, two, other = prefix_keys(tokens_SL, np.array([2, 2, 3]))
    assert one == two != other
    assert prefix_keys(tokens_SL[:, :2].astype(np.int32), np.array([2, 2, 2])) == [one] * 3


class FixedValues:
    """Stands for a model whose action values are these."""

    def __init__(self, values_KNA: Tensor) -> None:
        self.values_KNA = values_KNA

    def q_values(self, states: States, legal_NA: Tensor | None) -> Tensor:
        return self.values_KNA


def rule(values_KNA: Tensor, strategy: Strategy) -> Any:
    return ActionValueRule(FixedValues(values_KNA), lambda: strategy)  # type: ignore[arg-type]


def test_each_slot_draws_for_itself() -> None:
    slots, epsilon = 4000, 0.4
    values_KSA = torch.tensor([0.0, 1.0, 2.0, 3.0]).expand(1, slots, 4)
    legal_SA = torch.tensor([True, True, True, False]).expand(slots, 4)
    generator = torch.Generator().manual_seed(0)
    choose = rule(values_KSA, EpsilonStrategy(epsilon))
    decision = choose(States(torch.zeros(slots, 1)), legal_SA, generator)
    shares = np.bincount(decision.actions.numpy(), minlength=4) / slots
    expected = [epsilon / 3, epsilon / 3, 1 - epsilon + epsilon / 3, 0]
    assert shares == pytest.approx(expected, abs=0.03)
    drawn = torch.tensor(expected)[decision.actions].log()
    torch.testing.assert_close(decision.log_probs, drawn)
    assert (decision.values == 2).all()
    once = torch.Generator().manual_seed(0)
    assert torch.equal(
        choose(States(torch.zeros(slots, 1)), legal_SA, once).actions, decision.actions
    )


def test_without_a_generator_the_best_legal_action_is_taken_by_the_lower_of_twin_values() -> None:
    values_KSA = torch.tensor([[[5.0, 1.0, 9.0]], [[0.0, 2.0, 9.0]]])
    legal_SA = torch.tensor([[True, True, False]])
    decision = rule(values_KSA, EpsilonStrategy(1.0))(States(torch.zeros(1, 1)), legal_SA, None)
    assert decision.actions.tolist() == [1]
    assert decision.values.tolist() == [1]
    assert decision.log_probs.tolist() == [0]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_an_error(bad: float) -> None:
    with pytest.raises(FloatingPointError):
        rule(torch.tensor([[[0.0, bad]]]), EpsilonStrategy(0.1))(
            States(torch.zeros(1, 1)), None, None
        )


def test_epsilon_falls_over_its_share_of_the_training() -> None:
    config = ExplorationConfig(epsilon_start=0.5, epsilon_end=0.1, epsilon_share=0.5)
    assert [config.epsilon(done) for done in (0, 0.25, 0.5, 1)] == pytest.approx(
        [0.5, 0.3, 0.1, 0.1]
    )
    assert config.strategy(0.25) == EpsilonStrategy(pytest.approx(0.3))


@pytest.mark.parametrize(
    ("kind", "strategy"),
    [
        ("boltzmann", BoltzmannStrategy(0.2)),
        ("ucb", UCBStrategy(0.3)),
        ("top-k", TopKStrategy(4, 0.2)),
        ("nucleus", NucleusStrategy(0.8, 0.2)),
    ],
)
def test_the_config_names_the_strategy(kind: Any, strategy: Strategy) -> None:
    config = ExplorationConfig(exploration=kind, temperature=0.2, ucb_c=0.3, top_k=4, top_p=0.8)
    assert config.strategy(0.5) == strategy


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilon_start": 1.5}, "epsilon_start is 1.5; expected 0 to 1"),
        ({"epsilon_share": 0}, "epsilon_share is 0; expected a number above 0"),
        ({"temperature": 0.0}, "temperature is 0.0; expected a number above 0"),
        ({"top_k": 0}, "top_k is 0; expected at least 1"),
        ({"top_p": 0.0}, "top_p is 0.0; expected a number above 0"),
        ({"exploration": "epsilon"}, "exploration is 'epsilon'; expected"),
    ],
)
def test_settings_out_of_range_are_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(AgentError, match=message):
        ExplorationConfig(**options)
