"""Heads that point at tokens of the prompt: to choose positions, or to say their tokens again.

Shapes: N states, R sequences or slots, P positions, A actions, D hidden size.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agents.models.heads import ActionHead, LinearHead, LMHead, Scores, States

COPY_BIAS = -4.0
"""A new head copies about as often as it does not: unlike tokens score 0, like ones some 11."""
NEVER = -1e9
"""Score of a position that is none."""
LEAST = 1e-37
"""The least share of the likeliest action's probability that is told from 0."""


class Pointer(nn.Module):
    """Scores positions of a sequence by the likeness of what stands there to what is looked for.

    Vinyals et al. 2015, "Pointer Networks", with scaled products (Vaswani et al. 2017):
    score(p) = (W_q h) . (W_k m_p) / sqrt(D), h the state's hidden state and m_p that of the token.

    Args:
        width: D.
    """

    def __init__(self, width: int) -> None:
        """Draw weights; queries begin equal to keys, so that like finds like."""
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        nn.init.orthogonal_(self.key.weight)
        self.query.load_state_dict(self.key.state_dict())

    def scores(self, states: States) -> tuple[Tensor, Tensor]:
        """Of each state with the positions of its sequence (N, P), and the queries (N, D)."""
        memory_RPD, rows_N = states.memory_RPD, states.rows_N
        assert memory_RPD is not None
        query_ND = self.query(states.hidden_ND) / math.sqrt(memory_RPD.shape[2])
        # Keys are a linear map of the memory: the few queries are mapped, not the many positions.
        mapped_ND = query_ND @ self.key.weight
        constant_N1 = (query_ND @ self.key.bias).unsqueeze(-1)
        if rows_N is None:
            products_NP = torch.matmul(memory_RPD, mapped_ND.unsqueeze(-1)).squeeze(-1)
            return products_NP + constant_N1, query_ND
        # A row of queries a sequence: its memory is then read once, not copied for every state.
        counts_R = torch.bincount(rows_N, minlength=len(memory_RPD))
        firsts_R = counts_R.cumsum(0) - counts_R
        order_N = torch.argsort(rows_N, stable=True)
        numbers_N = torch.arange(len(rows_N), device=rows_N.device)
        ranks_N = torch.empty_like(rows_N)
        ranks_N[order_N] = numbers_N - firsts_R[rows_N[order_N]]
        shape = (len(memory_RPD), int(counts_R.max()), mapped_ND.shape[1])
        queries_RMD = mapped_ND.new_zeros(shape).index_put((rows_N, ranks_N), mapped_ND)
        products_RMP = torch.bmm(queries_RMD, memory_RPD.transpose(1, 2))
        return products_RMP[rows_N, ranks_N] + constant_N1, query_ND


class PointerHead(ActionHead):
    """Chooses positions of the prefix; see `Pointer`.

    An action that points at nothing, or behind the prompt, has a key of its own: what stands behind
    the prompt is not there in all of an episode's states.

    Args:
        width: D.
        action_positions_A: the position of each action, -1 for none.
    """

    action_positions: Tensor

    def __init__(self, width: int, action_positions_A: Tensor) -> None:
        """Draw weights."""
        super().__init__()
        self.pointer = Pointer(width)
        self.nothing = nn.Parameter(torch.zeros(width))
        self.register_buffer("action_positions", action_positions_A, persistent=False)

    def copy(self) -> PointerHead:
        """A head of its own that begins with this one's weights."""
        copy = PointerHead(self.nothing.shape[0], self.action_positions)
        copy.load_state_dict(self.state_dict())
        return copy

    def prepared(self) -> Scores:
        """Nothing is kept: keys depend on the states."""
        return self._scores

    def _scores(self, states: States) -> Tensor:
        assert states.prompts_R is not None
        scores_NP, query_ND = self.pointer.scores(states)
        positions_A = self.action_positions
        inside_RA = (positions_A >= 0) & (positions_A < states.prompts_R.unsqueeze(-1))
        inside_NA = inside_RA if states.rows_N is None else inside_RA[states.rows_N]
        scores_NA = scores_NP[:, positions_A.clamp(0, scores_NP.shape[1] - 1)]
        return torch.where(inside_NA, scores_NA, (query_ND @ self.nothing).unsqueeze(-1))


class CopyHead(ActionHead):
    """Says tokens as a language model does, or says those of the prompt again.

    Gu et al. 2016, "Incorporating Copying Mechanism in Sequence-to-Sequence Learning" (CopyNet),
    equations 5 to 7: a token's probability is proportional to exp(score of the language model) +
    sum over the prompt's positions p that hold it of exp(score(p) + b); see `Pointer`.

    Args:
        width: D.
        language_model: gives the other score.
        vocab_size: of the tokens in prompts.
        action_tokens_A: the token of each action.
    """

    action_of: Tensor

    def __init__(
        self,
        width: int,
        language_model: LMHead | LinearHead,
        vocab_size: int,
        action_tokens_A: Tensor,
    ) -> None:
        """Draw weights."""
        super().__init__()
        self.language_model = language_model
        self.action_tokens = action_tokens_A
        self.pointer = Pointer(width)
        self.bias = nn.Parameter(torch.tensor(COPY_BIAS))
        # What no action says counts for one more action, which is then left out.
        action_of = torch.full((vocab_size,), len(action_tokens_A))
        action_of[action_tokens_A] = torch.arange(len(action_tokens_A))
        self.register_buffer("action_of", action_of, persistent=False)

    def copy(self) -> CopyHead:
        """A head of its own that begins with this one's weights."""
        width, rows = self.pointer.query.in_features, self.language_model.rows()
        tokens = self.action_tokens
        copy = CopyHead(width, LinearHead(*rows), len(self.action_of), tokens)
        copy.pointer.load_state_dict(self.pointer.state_dict())
        copy.bias.data.copy_(self.bias.data)
        return copy

    def prepared(self) -> Scores:
        """Keeps what the language-model head keeps."""
        language_model = self.language_model.prepared()

        def scores(states: States) -> Tensor:
            said_NA = language_model(states)
            copied_NP, actions_NP = self._copied(states)
            most_N1 = torch.maximum(
                said_NA.amax(dim=1, keepdim=True), copied_NP.amax(dim=1, keepdim=True)
            ).detach()
            both_NA = F.pad((said_NA - most_N1).exp(), (0, 1))
            both_NA = both_NA.scatter_add(1, actions_NP, (copied_NP - most_N1).exp())[:, :-1]
            return both_NA.clamp_min(LEAST).log() + most_N1

        return scores

    def _copied(self, states: States) -> tuple[Tensor, Tensor]:
        """The score of each position, and the action that says its token, (N, P) each."""
        assert states.prompts_R is not None
        assert states.tokens_RP is not None
        scores_NP = self.pointer.scores(states)[0] + self.bias
        positions_P = torch.arange(scores_NP.shape[1], device=scores_NP.device)
        inside_RP = positions_P < states.prompts_R.unsqueeze(-1)
        actions_RP = self.action_of[states.tokens_RP]
        if states.rows_N is not None:
            inside_RP, actions_RP = inside_RP[states.rows_N], actions_RP[states.rows_N]
        return scores_NP.masked_fill(~inside_RP, NEVER), actions_RP
