"""The forward pass of GPT-2's trunk for acting; see `agents.models.decoding`.

Shapes: N new tokens, R of them, W hidden size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from agents.models.decoding import Attention, compute_dtype, is_plain
from agents.models.linear import effective_linear


class GPT2Decoding:
    """Runs the blocks of GPT-2's trunk over new tokens.

    Args:
        trunk: the model without its head.
    """

    def __init__(self, trunk: Any) -> None:
        """Copy the weights that products take."""
        self.trunk = trunk
        self._layers = [_Layer(block) for block in trunk.h]

    def reserve(self, columns: int) -> None:
        """Nothing is to be done: positions are embedded."""

    @classmethod
    def knows(cls, trunk: Any) -> bool:
        """Whether this computes what the trunk does."""
        config = trunk.config
        return (
            type(trunk).__name__ == "GPT2Model"
            and config.scale_attn_weights
            and not config.scale_attn_by_inverse_layer_idx
            and not config.add_cross_attention
            and is_plain(trunk)
        )

    def hidden(
        self,
        tokens_N: Tensor,
        positions_N: Tensor,
        attend: Attention,
        chosen_R: Tensor | None = None,
    ) -> Tensor:
        """Hidden states after the last norm; see `Decoding`."""
        trunk = self.trunk
        hidden_NW = F.embedding(tokens_N, trunk.wte.weight)
        hidden_NW = hidden_NW + F.embedding(positions_N, trunk.wpe.weight)
        last = len(self._layers) - 1
        for number, layer in enumerate(self._layers):
            chosen = chosen_R if number == last else None
            hidden_NW = layer.forward(number, hidden_NW, attend, chosen)
        return _Norm(trunk.ln_f)(hidden_NW)


class _Norm:
    """Layer norm without the way through a module."""

    def __init__(self, norm: Any) -> None:
        self.arguments = (norm.normalized_shape, norm.weight, norm.bias, norm.eps)

    def __call__(self, states: Tensor) -> Tensor:
        return F.layer_norm(states, *self.arguments)


class _Layer:
    """One block's weights and what they do."""

    def __init__(self, block: Any) -> None:
        attention, mlp = block.attn, block.mlp
        self.width, self.size = attention.embed_dim, attention.head_dim
        self.attention_norm, self.mlp_norm = _Norm(block.ln_1), _Norm(block.ln_2)
        self.dtype = compute_dtype(attention.c_attn.weight)
        scale = attention.c_attn.bias.new_ones(3 * self.width)
        scale[: self.width] = self.size**-0.5
        self.qkv = [(part * scale).to(self.dtype) for part in self._weights(attention.c_attn)]
        self.mixing = [part.to(self.dtype) for part in self._weights(attention.c_proj)]
        self.up = [part.to(self.dtype) for part in self._weights(mlp.c_fc)]
        self.down = [part.to(self.dtype) for part in self._weights(mlp.c_proj)]
        self.activate = mlp.act

    @staticmethod
    def _weights(module: Any) -> tuple[Tensor, Tensor]:
        """Bias and weight (inputs, outputs), as `torch.addmm` takes them."""
        weight, bias = effective_linear(module)
        assert bias is not None
        return bias, weight.T

    def forward(
        self, number: int, hidden_NW: Tensor, attend: Attention, chosen_R: Tensor | None
    ) -> Tensor:
        """The block's output, of all tokens or of the chosen ones."""
        normed_NW = self.attention_norm(hidden_NW).to(self.dtype)
        if chosen_R is None:
            queries, keys, values = self._heads(normed_NW, 0, 3)
        else:
            keys, values = self._heads(normed_NW, 1, 3)
            hidden_NW, normed_NW = hidden_NW[chosen_R], normed_NW[chosen_R]
            (queries,) = self._heads(normed_NW, 0, 1)
        mixed_NW = attend(number, queries, keys, values)
        hidden_NW = hidden_NW + torch.addmm(self.mixing[0], mixed_NW, self.mixing[1])
        normed_NW = self.mlp_norm(hidden_NW).to(self.dtype)
        inner = self.activate(torch.addmm(self.up[0], normed_NW, self.up[1]))
        return hidden_NW + torch.addmm(self.down[0], inner, self.down[1])

    def _heads(self, normed_NW: Tensor, first: int, end: int) -> tuple[Tensor, ...]:
        """Queries (0), keys (1) and values (2) from `first` up to `end`, (N, H, D) each."""
        columns = slice(first * self.width, end * self.width)
        bias, weight = self.qkv
        states = torch.addmm(bias[columns], normed_NW, weight[:, columns])
        return states.view(len(states), end - first, -1, self.size).unbind(1)
