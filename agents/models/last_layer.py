"""Hidden states of some of a causal trunk's tokens, by a last layer that works for these alone.

A token's state depends on the other tokens through their keys and values. In the last layer nobody
reads anything else of them: it needs queries, mixed values and the perceptron at the chosen tokens
only. The layers below run as they are, in transformers' own code; of the last one each part is
called as a module, so that whatever sits in it (an adapter, say) takes part.

Shapes: B sequences, T tokens, N chosen tokens, Q of one sequence at most, H query heads, G
key/value heads, D head size, W hidden size.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agents.models.layers import recomputed, recomputes
from agents.models.llama_decoding import TRUNKS


def states_of_chosen(
    trunk: Any, tokens_BT: Tensor, rows_N: Tensor, columns_N: Tensor
) -> Tensor | None:
    """The hidden states of chosen tokens, (N, W); None where this does not know the trunk.

    Args:
        trunk: a causal language model without its head.
        tokens_BT: sequences, padded on the right by any token.
        rows_N: the sequence of each chosen token.
        columns_N: its position in it.
    """
    architecture = ARCHITECTURES.get(type(trunk).__name__)
    if architecture is None or trunk.training:
        return None
    layers = getattr(trunk, architecture.layers)
    last = layers[-1]
    if not all(map(_runs_as_its_class, (trunk, last, getattr(last, architecture.attention)))):
        return None
    lower = copy.copy(trunk)
    lower._modules = trunk._modules | {
        architecture.layers: layers[:-1],
        architecture.norm: nn.Identity(),
    }
    hidden_BTW = lower(input_ids=tokens_BT, use_cache=False).last_hidden_state
    chosen = Chosen.of(tokens_BT, rows_N, columns_N)
    run = functools.partial(architecture.run, trunk, last)
    hidden_NW = recomputed(run, hidden_BTW, chosen) if recomputes(last) else run(hidden_BTW, chosen)
    states_NW: Tensor = getattr(trunk, architecture.norm)(hidden_NW)
    return states_NW


class Chosen(NamedTuple):
    """Chosen tokens, and where each one's query stands among those of its sequence.

    Attributes:
        columns_N: the position of each token in its sequence.
        cells_N: its place among the B * T tokens.
        places_N: the place of its query among B * Q.
        tokens_BQ: the token that each query is of; any one where a sequence has fewer.
        seen_BQT: which tokens each query sees.
    """

    columns_N: Tensor
    cells_N: Tensor
    places_N: Tensor
    tokens_BQ: Tensor
    seen_BQT: Tensor

    @classmethod
    def of(cls, tokens_BT: Tensor, rows_N: Tensor, columns_N: Tensor) -> Chosen:
        """Give each token a place among the queries of its sequence."""
        rows, length = tokens_BT.shape
        counts_B = torch.bincount(rows_N, minlength=rows)
        most = int(counts_B.max())
        order_N = torch.argsort(rows_N, stable=True)
        numbers_N = torch.arange(len(rows_N), device=rows_N.device)
        sorted_N = rows_N[order_N]
        earlier_B = counts_B.cumsum(0) - counts_B
        places_N = torch.empty_like(rows_N)
        places_N[order_N] = sorted_N * most + numbers_N - earlier_B[sorted_N]
        tokens_BQ = rows_N.new_zeros(rows * most).index_copy_(0, places_N, numbers_N)
        tokens_BQ = tokens_BQ.view(rows, most)
        seen_BQT = torch.arange(length, device=rows_N.device) <= columns_N[tokens_BQ].unsqueeze(-1)
        return cls(columns_N, rows_N * length + columns_N, places_N, tokens_BQ, seen_BQT)

    def take(self, features_BTW: Tensor) -> Tensor:
        """What stands at the chosen tokens, (N, W)."""
        return features_BTW.flatten(0, 1).index_select(0, self.cells_N)

    def attend(
        self, queries_NHD: Tensor, keys_BGTD: Tensor, values_BGTD: Tensor, scaling: float
    ) -> Tensor:
        """The mixed values of each query's heads side by side, (N, H * D)."""
        queries_BQHD = queries_NHD.index_select(0, self.tokens_BQ.flatten()).view(
            *self.tokens_BQ.shape, *queries_NHD.shape[1:]
        )
        queries_BHQD = queries_BQHD.transpose(1, 2)
        shared = queries_BHQD.shape[1] // keys_BGTD.shape[1]
        mixed_BHQD = F.scaled_dot_product_attention(
            queries_BHQD,
            keys_BGTD.repeat_interleave(shared, dim=1) if shared > 1 else keys_BGTD,
            values_BGTD.repeat_interleave(shared, dim=1) if shared > 1 else values_BGTD,
            attn_mask=self.seen_BQT.unsqueeze(1),
            scale=scaling,
        )
        return mixed_BHQD.transpose(1, 2).flatten(0, 1).flatten(1).index_select(0, self.places_N)


def _llama(trunk: Any, layer: Any, hidden_BTW: Tensor, chosen: Chosen) -> Tensor:
    """A layer of Llama or one of its like."""
    attention = layer.self_attn
    normed_BTW = layer.input_layernorm(hidden_BTW)
    queries_NHD = _heads(attention.q_proj(chosen.take(normed_BTW)), attention.head_dim)
    keys_BTGD = _heads(attention.k_proj(normed_BTW), attention.head_dim)
    values_BTGD = _heads(attention.v_proj(normed_BTW), attention.head_dim)
    if hasattr(attention, "q_norm"):
        queries_NHD, keys_BTGD = attention.q_norm(queries_NHD), attention.k_norm(keys_BTGD)
    positions_1T = torch.arange(hidden_BTW.shape[1], device=hidden_BTW.device).unsqueeze(0)
    turns_T1D = [part[0].unsqueeze(1) for part in trunk.rotary_emb(hidden_BTW, positions_1T)]
    queries_NHD = _rotated(queries_NHD, *(part[chosen.columns_N] for part in turns_T1D))
    keys_BTGD = _rotated(keys_BTGD, *turns_T1D)
    mixed_NW = chosen.attend(
        queries_NHD, keys_BTGD.transpose(1, 2), values_BTGD.transpose(1, 2), attention.scaling
    )
    hidden_NW = chosen.take(hidden_BTW) + attention.o_proj(mixed_NW)
    output_NW: Tensor = hidden_NW + layer.mlp(layer.post_attention_layernorm(hidden_NW))
    return output_NW


def _gpt2(trunk: Any, layer: Any, hidden_BTW: Tensor, chosen: Chosen) -> Tensor:
    """A block of GPT-2; one product gives the queries, too, of all tokens."""
    attention = layer.attn
    queries_BTW, *rest = attention.c_attn(layer.ln_1(hidden_BTW)).chunk(3, dim=-1)
    keys, values = (_heads(part, attention.head_dim).transpose(1, 2) for part in rest)
    queries_NHD = _heads(chosen.take(queries_BTW), attention.head_dim)
    mixed_NW = chosen.attend(queries_NHD, keys, values, attention.scaling)
    hidden_NW = chosen.take(hidden_BTW) + attention.c_proj(mixed_NW)
    output_NW: Tensor = hidden_NW + layer.mlp(layer.ln_2(hidden_NW))
    return output_NW


class Architecture(NamedTuple):
    """What its trunk calls its layers, its last norm and a layer's attention; how a layer runs."""

    layers: str
    norm: str
    attention: str
    run: Callable[[Any, Any, Tensor, Chosen], Tensor]


ARCHITECTURES = dict.fromkeys(TRUNKS, Architecture("layers", "norm", "self_attn", _llama))
ARCHITECTURES["GPT2Model"] = Architecture("h", "ln_f", "attn", _gpt2)
"""By the class of a trunk."""


def _runs_as_its_class(module: nn.Module) -> bool:
    """Whether a module's forward is its class's, if recomputed, and has no hooks."""
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
    return not any(hooks) and ("forward" not in vars(module) or recomputes(module))


def _heads(features: Tensor, size: int) -> Tensor:
    return features.view(*features.shape[:-1], -1, size)


def _rotated(heads: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Rotary position embedding (Su et al. 2021, "RoFormer", equation 34), halves as pairs."""
    one, other = heads.chunk(2, dim=-1)
    return heads * cosines + torch.cat([-other, one], dim=-1) * sines
