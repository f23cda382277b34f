"""Heads on a backbone's hidden states: scores of the actions, values, action values.

Shapes: N states, R sequences or slots, P positions, A actions, K heads, D hidden size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

QForm = Literal["plain", "dueling", "softmax"]
"""How action values follow from scores; see `QHead`."""
SCALES: dict[QForm, float] = {"plain": 0.1, "dueling": 0.1, "softmax": 1.0}
"""What new ones are multiplied by: rewards are in [0, 1], a policy's scores in nats."""


class States(NamedTuple):
    """What heads read.

    Attributes:
        hidden_ND: hidden states of the states' last tokens.
        memory_RPD: hidden states of the first tokens of each sequence, which a pointer points at;
            None where no head does.
        rows_N: the sequence of each state; None where each has one state.
        prompts_R: how many of these tokens are the prompt's; None where no head points.
        tokens_RP: the tokens themselves; None where no head points.
    """

    hidden_ND: Tensor
    memory_RPD: Tensor | None = None
    rows_N: Tensor | None = None
    prompts_R: Tensor | None = None
    tokens_RP: Tensor | None = None


Scores = Callable[[States], Tensor]


class ActionHead(nn.Module, ABC):
    """Gives every action a score, (N, A)."""

    def forward(self, states: States) -> Tensor:
        """Unnormalised scores of the actions, (N, A)."""
        return self.prepared()(states)

    @abstractmethod
    def prepared(self) -> Scores:
        """The scores as a function that may keep what depends on the weights alone."""


def vocabulary(embeddings: nn.Module) -> int:
    """How many tokens a language-model head scores."""
    weight = embeddings.weight
    assert isinstance(weight, Tensor)
    return len(weight)


class LMHead(ActionHead):
    """The language-model head at the rows of the action tokens.

    A pretrained model so starts as the policy that it is.

    Args:
        embeddings: gives the head: weight (vocabulary, D), and bias or None.
        action_tokens_A: the token of each action.
    """

    action_tokens: Tensor

    def __init__(self, embeddings: Callable[[], nn.Module], action_tokens_A: Tensor) -> None:
        """Refer to the head, which belongs to the backbone."""
        super().__init__()
        self._embeddings = embeddings
        self.register_buffer("action_tokens", action_tokens_A, persistent=False)
        rows = vocabulary(embeddings())
        self._all_tokens = torch.equal(action_tokens_A, torch.arange(rows))

    def rows(self) -> tuple[Tensor, Tensor | None]:
        """Weight (A, D) and bias (A,) or None, in float32 whatever the backbone is in."""
        head = self._embeddings()
        weight, bias = head.weight, getattr(head, "bias", None)
        assert isinstance(weight, Tensor)
        if not self._all_tokens:
            weight = weight[self.action_tokens]
            bias = None if bias is None else bias[self.action_tokens]
        return weight.float(), None if bias is None else bias.float()

    def prepared(self) -> Scores:
        """Gathers the rows once."""
        weight, bias = self.rows()
        return lambda states: F.linear(states.hidden_ND, weight, bias)


class LinearHead(ActionHead):
    """A row of weights and a bias an action."""

    def __init__(self, weight_AD: Tensor, bias_A: Tensor | None) -> None:
        """Begin with copies of these."""
        super().__init__()
        self.weight = nn.Parameter(weight_AD.detach().clone())
        bias = weight_AD.new_zeros(len(weight_AD)) if bias_A is None else bias_A.detach().clone()
        self.bias = nn.Parameter(bias)

    def rows(self) -> tuple[Tensor, Tensor]:
        """Weight (A, D) and bias (A,)."""
        return self.weight, self.bias

    def prepared(self) -> Scores:
        """A linear map."""
        return lambda states: F.linear(states.hidden_ND, self.weight, self.bias)


class ValueHead(nn.Sequential):
    """A small perceptron whose last layer begins at zero."""

    def __init__(self, width: int) -> None:
        """Draw weights."""
        super().__init__(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1))
        for parameter in self[-1].parameters():
            nn.init.zeros_(parameter)

    @torch.no_grad()
    def shift(self, by: float) -> None:
        """Add a constant to all values."""
        last = self[2]
        assert isinstance(last, nn.Linear)
        last.bias.add_(by)

    def forward(self, hidden_ND: Tensor) -> Tensor:
        """Values in float32, (N,)."""
        # Not called as modules: acting does this at every step.
        first, last = self[0], self[2]
        assert isinstance(first, nn.Linear)
        assert isinstance(last, nn.Linear)
        inner_ND = torch.tanh(F.linear(hidden_ND, first.weight, first.bias))
        return F.linear(inner_ND, last.weight, last.bias).squeeze(-1).float()


class QHead(nn.Module):
    """Action values of each state, by one head or two (twins, van Hasselt 2010).

    Of an action head's scores, scaled by c, and with a constant of each head's own:

    - plain: Q(s, a) = c score(s, a).
    - dueling (Wang et al. 2016, equation 9): Q(s, a) = V(s) + A(s, a) - mean over legal a' of
      A(s, a'), A the scaled scores.
    - softmax: Q(s, a) = V(s) + c softmax over legal actions of the scores (a). Where one action of
      a state is right, a policy's probability of it is its value, if it is as sure as it is often
      right, which a clone is: these values begin near the right ones. What lowers the value of one
      action raises the others', as in a policy. What it cannot say is that one of many actions is
      much worse than all others.

    Scores are scaled by what is no weight: Adam's steps are as large for small weights as for large
    ones, so that small copies of a policy's weights would be forgotten at once.

    Args:
        scorers: an action head for each of the K heads.
        width: D.
        form: how values follow from scores.
    """

    def __init__(self, scorers: Sequence[ActionHead], width: int, form: QForm) -> None:
        """Put the heads together."""
        super().__init__()
        self.form = form
        self.scorers = nn.ModuleList(scorers)
        self.values = None
        if form != "plain":
            self.values = nn.ModuleList(ValueHead(width) for _ in scorers)
        self.offsets = nn.Parameter(torch.zeros(len(scorers)))
        # Does not learn; a target network shares it, as all that does not learn.
        self.scale = nn.Parameter(torch.tensor(SCALES[form]), requires_grad=False)

    @property
    def new(self) -> bool:
        """Whether nothing was learnt or set yet."""
        return not self.offsets.any()

    @torch.no_grad()
    def shift(self, by_K: Tensor) -> None:
        """Add a constant to all values of each head."""
        self.offsets.add_(by_K)

    @torch.no_grad()
    def narrow(self, by: float) -> None:
        """Bring the values of a state's actions closer together, by a factor."""
        self.scale.mul_(by)

    def forward(self, states: States, legal_NA: Tensor | None) -> Tensor:
        """Action values in float32, (K, N, A); those of illegal actions have no meaning."""
        scores_KNA = torch.stack([scorer(states).float() for scorer in self.scorers])
        values_KNA = self.offsets[:, None, None] + self.scale * _compared(
            scores_KNA, legal_NA, self.form
        )
        if self.values is None:
            return values_KNA
        values_KN = torch.stack([value(states.hidden_ND) for value in self.values])
        return values_KNA + values_KN.unsqueeze(-1)


def _compared(scores_KNA: Tensor, legal_NA: Tensor | None, form: QForm) -> Tensor:
    """Scores beside those of the state's other legal actions, (K, N, A); see `QHead`."""
    if form == "plain":
        return scores_KNA
    if form == "softmax":
        if legal_NA is not None:
            scores_KNA = scores_KNA.masked_fill(~legal_NA, -torch.inf)
        return scores_KNA.softmax(dim=-1)
    if legal_NA is None:
        return scores_KNA - scores_KNA.mean(dim=-1, keepdim=True)
    counts_N1 = legal_NA.sum(dim=-1, keepdim=True)
    return scores_KNA - (scores_KNA * legal_NA).sum(dim=-1, keepdim=True) / counts_N1
