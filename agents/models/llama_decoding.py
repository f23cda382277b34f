"""The forward pass of a Llama-type trunk for acting; see `agents.models.decoding`.

Two rearrangements of the weights keep the arithmetic what it was. The rows of each query and key
head are interleaved, so that the two halves of a rotary pair stand side by side and the rotation
is one product of complex numbers; queries and keys are reordered alike, which leaves their products
unchanged. The scales of the norms are columns of the weights that follow.

Shapes: N new tokens, R of them, C positions, H query heads, G key/value heads, D head size, W
hidden size.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agents.models.decoding import Attention, compute_dtype, is_plain
from agents.models.linear import effective_linear

TRUNKS = {"LlamaModel", "MistralModel", "Qwen2Model", "Qwen3Model"}
STATIC_ROPE_TYPES = {"default", "linear", "llama3"}


class LlamaDecoding:
    """Runs the blocks of a Llama-type trunk over new tokens.

    Args:
        trunk: the model without its head.
    """

    def __init__(self, trunk: Any) -> None:
        """Copy the weights."""
        self.trunk = trunk
        self._embedding = trunk.embed_tokens.weight
        self._layers = [_Layer(layer) for layer in trunk.layers]
        self._norm = _UnitNorm(trunk.norm)
        self._scale_W = self._norm.scale
        self._turns_CD = torch.zeros(0, 1, dtype=torch.complex64)

    def reserve(self, columns: int) -> None:
        """Tabulate the rotation of each pair of a head at each position, (C, D / 2) complex.

        Half of the attention's scaling is in each of query and key.
        """
        if columns <= len(self._turns_CD):
            return
        positions_1C = torch.arange(columns, device=self._embedding.device).unsqueeze(0)
        cos_1CD, sin_1CD = self.trunk.rotary_emb(self._embedding.float(), positions_1C)
        half = cos_1CD.shape[-1] // 2
        scaling = math.sqrt(self.trunk.layers[0].self_attn.scaling)
        self._turns_CD = scaling * torch.complex(cos_1CD[0, :, :half], sin_1CD[0, :, :half])

    @classmethod
    def knows(cls, trunk: Any) -> bool:
        """Whether this computes what the trunk does."""
        config = trunk.config
        rope = getattr(config, "rope_parameters", None) or {}
        return (
            type(trunk).__name__ in TRUNKS
            and rope.get("rope_type", "default") in STATIC_ROPE_TYPES
            and getattr(config, "partial_rotary_factor", 1.0) == 1.0
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
        turns_N1D = self._turns_CD[positions_N].unsqueeze(1)
        hidden_NW = F.embedding(tokens_N, self._embedding)
        last = len(self._layers) - 1
        for number, layer in enumerate(self._layers):
            chosen = chosen_R if number == last else None
            hidden_NW = layer.forward(number, hidden_NW, turns_N1D, attend, chosen)
        return (self._norm(hidden_NW) * self._scale_W).to(hidden_NW.dtype)


class _UnitNorm:
    """Root mean square norm (Zhang & Sennrich 2019) up to constant factors, which are `scale`.

    x / sqrt(mean(x^2) + eps) = sqrt(D) x / sqrt(|x|^2 + D eps).
    """

    def __init__(self, norm: Any) -> None:
        size = len(norm.weight)
        self.scale: Tensor = norm.weight * math.sqrt(size)
        self.least = norm.weight.new_tensor(math.sqrt(size * norm.variance_epsilon)).float()

    def __call__(self, states: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(states, dim=-1, keepdim=True, dtype=torch.float32)
        return states / torch.hypot(length, self.least)


class _Layer:
    """One layer's weights and what they do."""

    def __init__(self, layer: Any) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.size = attention.head_dim
        inputs = (attention.q_proj, attention.k_proj, attention.v_proj)
        queries, keys, _ = (module.weight.shape[0] // self.size for module in inputs)
        self.queries, self.turned = queries, queries + keys
        dtype = compute_dtype(attention.q_proj.weight)
        self.attention_norm = _UnitNorm(layer.input_layernorm)
        self.mlp_norm = _UnitNorm(layer.post_attention_layernorm)
        weight, bias = _side_by_side(*inputs)
        pairs = self._interleaved(len(weight), weight.device)
        self.qkv_weight = (weight * self.attention_norm.scale)[pairs].to(dtype)
        self.qkv_bias = None if bias is None else bias[pairs].to(dtype)
        weight, bias = _side_by_side(mlp.gate_proj, mlp.up_proj)
        self.gate_up_weight = (weight * self.mlp_norm.scale).to(dtype)
        self.gate_up_bias = None if bias is None else bias.to(dtype)
        self.mixing = _converted(attention.o_proj, dtype)
        self.down = _converted(mlp.down_proj, dtype)
        self.activate = mlp.act_fn
        self.head_norms: tuple[_UnitNorm, _UnitNorm] | None = None
        if hasattr(attention, "q_norm"):
            self.head_norms = (_UnitNorm(attention.q_norm), _UnitNorm(attention.k_norm))
            for norm in self.head_norms:
                norm.scale = norm.scale[pairs[: self.size]]

    def _interleaved(self, rows: int, device: torch.device) -> Tensor:
        """The order of the rows of query, key and value weights."""
        order = torch.arange(rows, device=device).view(-1, self.size)
        turned = order[: self.turned].view(self.turned, 2, -1).transpose(1, 2)
        return torch.cat([turned.reshape(-1), order[self.turned :].reshape(-1)])

    def forward(
        self,
        number: int,
        hidden_NW: Tensor,
        turns_N1D: Tensor,
        attend: Attention,
        chosen_R: Tensor | None,
    ) -> Tensor:
        """The layer's output, of all tokens or of the chosen ones."""
        normed_NW = self.attention_norm(hidden_NW)
        q, kv, end = self.queries, self.turned, len(self.qkv_weight) // self.size
        if chosen_R is None:
            states_NHD = self._heads(normed_NW, 0, end)
            self._turn(states_NHD[:, :kv], q, turns_N1D)
            queries, keys_NGD = states_NHD[:, :q], states_NHD[:, q:kv]
            values_NGD = states_NHD[:, kv:]
        else:
            states_NHD = self._heads(normed_NW, q, end)
            self._turn(states_NHD[:, : kv - q], 0, turns_N1D)
            keys_NGD, values_NGD = states_NHD[:, : kv - q], states_NHD[:, kv - q :]
            hidden_NW, normed_NW = hidden_NW[chosen_R], normed_NW[chosen_R]
            queries = self._heads(normed_NW, 0, q)
            self._turn(queries, q, turns_N1D[chosen_R])
        mixed_NW = attend(number, queries, keys_NGD, values_NGD)
        hidden_NW = hidden_NW + F.linear(mixed_NW, *self.mixing)
        normed_NW = self.mlp_norm(hidden_NW).to(self.gate_up_weight.dtype)
        gate, up = F.linear(normed_NW, self.gate_up_weight, self.gate_up_bias).chunk(2, dim=-1)
        return hidden_NW + F.linear(self.activate(gate) * up, *self.down)

    def _heads(self, normed_NW: Tensor, first: int, end: int) -> Tensor:
        """Query, key and value heads from `first` up to `end`."""
        rows = slice(first * self.size, end * self.size)
        bias = None if self.qkv_bias is None else self.qkv_bias[rows]
        weight = self.qkv_weight[rows]
        states_NW = F.linear(normed_NW.to(weight.dtype), weight, bias)
        return states_NW.view(len(states_NW), -1, self.size)

    def _turn(self, states_NHD: Tensor, queries: int, turns_N1D: Tensor) -> None:
        """Norm and rotate, in place, states of which so many are queries and the others keys."""
        if self.head_norms is not None:
            parts = states_NHD[:, :queries], states_NHD[:, queries:]
            for norm, heads in zip(self.head_norms, parts, strict=True):
                heads.copy_(norm(heads) * norm.scale)
        exact_NHD = states_NHD.float()  # itself, if it is float32
        pairs = exact_NHD.view(*exact_NHD.shape[:2], -1, 2)
        torch.view_as_complex(pairs).mul_(turns_N1D)
        if exact_NHD is not states_NHD:
            states_NHD.copy_(exact_NHD)


def _side_by_side(*modules: nn.Linear) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of the layers' outputs one after another; all have a bias, or none."""
    weights, biases = zip(*map(effective_linear, modules), strict=True)
    return torch.cat(weights), None if biases[0] is None else torch.cat(biases)


def _converted(module: nn.Linear, dtype: torch.dtype) -> tuple[Tensor, Tensor | None]:
    weight, bias = effective_linear(module)
    return weight.to(dtype), None if bias is None else bias.to(dtype)
