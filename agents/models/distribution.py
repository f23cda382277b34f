"""Categorical distributions over the legal actions of a batch of states.

Shapes: N states, A actions, M blocks of B actions.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from agents.models.draws import uniform

BELOW_ONE = 1 - 2.0**-52
BLOCK = 64
"""Actions of a block where there are many."""


def masked_log_softmax(logits_NA: Tensor, legal_NA: Tensor | None) -> Tensor:
    """Log-probabilities, in float32, of a softmax over the legal actions only.

    An illegal action has log-probability -inf, that is, probability exactly 0.

    Args:
        logits_NA: unnormalised scores, any float type.
        legal_NA: bool, at least one True a row; None where every action is legal.
    """
    logits_NA = logits_NA.float()
    if legal_NA is not None:
        logits_NA = logits_NA.masked_fill(~legal_NA, -torch.inf)
    return torch.log_softmax(logits_NA, dim=-1)


def entropy(log_probs_NA: Tensor) -> Tensor:
    """Entropy in nats of each row, (N,). Actions of probability 0 add nothing."""
    finite_NA = log_probs_NA.masked_fill(log_probs_NA == -torch.inf, 0.0)
    return -(log_probs_NA.exp() * finite_NA).sum(dim=-1)


def log_probs_and_entropies(
    logits_NA: Tensor, legal_NA: Tensor | None, actions_N: Tensor
) -> tuple[Tensor, Tensor]:
    """Of each row its action's log-probability and the entropy in nats, (N,) each.

    The same as `take` and `entropy` of `masked_log_softmax`, and so are the gradients; these need
    fewer passes over the actions, and none for what is not part of a loss.

    Args:
        logits_NA: unnormalised scores, any float type.
        legal_NA: bool, at least one True a row; None where every action is legal.
        actions_N: int64, legal ones.
    """
    if logits_NA.dtype != torch.float64:
        logits_NA = logits_NA.float()
    both: tuple[Tensor, Tensor] = _LogProbsAndEntropies.apply(  # type: ignore[no-untyped-call]
        logits_NA, legal_NA, actions_N
    )
    return both


class _LogProbsAndEntropies(torch.autograd.Function):
    """Of scores z, with log-probabilities l, probabilities p and entropy H.

    dl_a / dz_j = [j = a] - p_j and dH / dz_j = -p_j (l_j + H).
    """

    @staticmethod
    def forward(
        ctx: Any, logits_NA: Tensor, legal_NA: Tensor | None, actions_N: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        if legal_NA is not None:
            logits_NA = logits_NA.masked_fill(~legal_NA, -torch.inf)
        log_probs_NA = torch.log_softmax(logits_NA, dim=-1)
        probs_NA = log_probs_NA.exp()
        log_probs_N = take(log_probs_NA, actions_N)
        if legal_NA is not None:
            log_probs_NA.masked_fill_(~legal_NA, 0.0)  # -inf times a probability of 0 is no number
        entropies_N = -torch.linalg.vecdot(probs_NA, log_probs_NA)
        ctx.save_for_backward(log_probs_NA, probs_NA, entropies_N, actions_N)
        return log_probs_N, entropies_N

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, to_log_probs_N: Tensor | None, to_entropies_N: Tensor | None
    ) -> tuple[Tensor | None, None, None]:
        log_probs_NA, probs_NA, entropies_N, actions_N = ctx.saved_tensors
        if to_entropies_N is not None:
            factors_N = to_entropies_N * entropies_N
            if to_log_probs_N is not None:
                factors_N = factors_N + to_log_probs_N
            gradient_NA = torch.addcmul(
                -factors_N.unsqueeze(-1), log_probs_NA, to_entropies_N.unsqueeze(-1), value=-1.0
            ).mul_(probs_NA)
        elif to_log_probs_N is not None:
            gradient_NA = probs_NA * -to_log_probs_N.unsqueeze(-1)
        else:
            return None, None, None
        if to_log_probs_N is not None:
            gradient_NA.scatter_add_(1, actions_N.unsqueeze(-1), to_log_probs_N.unsqueeze(-1))
        return gradient_NA, None, None


def sample(log_probs_NA: Tensor, generator: torch.Generator) -> Tensor:
    """One action a row, (N,) int64, by inverting the cumulative distribution; see `invert`.

    Args:
        log_probs_NA: float32 log-probabilities.
        generator: where the random numbers come from; on the device of the input.
    """
    return invert(log_probs_NA.exp(), generator)


def choose(
    logits_NA: Tensor, legal_NA: Tensor | None, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """An action of each row and its log-probability, (N,) each: what acting needs, in one pass.

    Args:
        logits_NA: unnormalised scores, any float type.
        legal_NA: bool, at least one True a row; None where every action is legal.
        generator: None for the likeliest actions instead of drawn ones.
    """
    logits_NA = logits_NA.float()
    if legal_NA is not None:
        logits_NA = logits_NA.masked_fill(~legal_NA, -torch.inf)
    probs_NA = torch.softmax(logits_NA, dim=-1)
    actions_N = probs_NA.argmax(dim=-1) if generator is None else invert(probs_NA, generator)
    return actions_N, take(probs_NA, actions_N).log()


def invert(weights_NA: Tensor, generator: torch.Generator) -> Tensor:
    """One action a row, (N,) int64, drawn in proportion to its weight.

    The cumulative distribution is inverted, which is 11 to 24 times cheaper than
    `torch.multinomial`. Many actions are drawn in two steps, a block of them and then one in the
    block: sums are much faster than cumulative ones.

    Args:
        weights_NA: at least 0, finite, and with a positive sum in each row.
        generator: where the random numbers come from; on the device of the input.
    """
    rows, actions = weights_NA.shape
    if actions < 4 * BLOCK:
        return _inverted(weights_NA, uniform(rows, generator))
    blocks_NMB = F.pad(weights_NA, (0, -actions % BLOCK)).view(rows, -1, BLOCK)
    block_N = _inverted(blocks_NMB.sum(dim=-1), uniform(rows, generator))
    block_NB = blocks_NMB[torch.arange(rows, device=weights_NA.device), block_N]
    action_N = block_N * BLOCK + _inverted(block_NB, uniform(rows, generator))
    return action_N.clamp_(max=actions - 1)  # where weights are not finite


def _inverted(weights_NA: Tensor, uniform_N: Tensor) -> Tensor:
    """The action at which the cumulative weight first exceeds a share of the total.

    An action of weight 0 leaves the cumulative sum unchanged, so that it is never the first one
    above the level; the level is kept strictly below the total for the same reason: the largest
    random number times `BELOW_ONE` is 1.5 * 2^-52 below 1, and the product is not rounded up to 1.
    """
    cdf_NA = torch.cumsum(weights_NA, dim=-1, dtype=torch.float64)
    level_N1 = (uniform_N * BELOW_ONE).unsqueeze(-1) * cdf_NA[:, -1:]
    found_N = torch.searchsorted(cdf_NA, level_N1, right=True).squeeze(-1)
    return found_N.clamp_(max=cdf_NA.shape[-1] - 1)  # where weights are not finite


def take(log_probs_NA: Tensor, actions_N: Tensor) -> Tensor:
    """The log-probability of each row's action, (N,)."""
    return log_probs_NA.gather(-1, actions_N.unsqueeze(-1)).squeeze(-1)
