"""A Llama-type trunk's forward pass for acting, in bare tensor operations.

transformers' own forward spends most of a small model's decoding step on the way between its
modules. This one does the same arithmetic on copies of the same weights, laid side by side where
one product then serves for several, and is used for the few architectures that it knows;
`PrefixCache` calls the trunk itself for all others.

Shapes: S slots, Q new tokens, K cached columns, H heads, D head size, W hidden size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel

MODEL_TYPES = {"llama", "mistral", "qwen2", "qwen3"}
STATIC_ROPE_TYPES = {"default", "linear", "llama3"}

Store = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Takes new keys and values, (S, H, Q, D); gives those to attend over, (S, H, K, D)."""


def can_decode(backbone: PreTrainedModel) -> bool:
    """Whether `LlamaDecoding` computes what the backbone does."""
    config = backbone.config
    rope = getattr(config, "rope_parameters", None) or {}
    return (
        config.model_type in MODEL_TYPES
        and rope.get("rope_type", "default") in STATIC_ROPE_TYPES
        and getattr(config, "partial_rotary_factor", 1.0) == 1.0
        and not getattr(config, "mlp_bias", False)
    )


class LlamaDecoding:
    """Runs the blocks of a Llama-type trunk over new tokens of every slot.

    Args:
        trunk: the model without its head.
        num_positions: how many positions there are.
    """

    def __init__(self, trunk: Any, num_positions: int) -> None:
        """Tabulate the rotary embedding and copy the weights."""
        self.trunk = trunk
        weight = trunk.embed_tokens.weight
        positions_1C = torch.arange(num_positions, device=weight.device).unsqueeze(0)
        cos_1CD, sin_1CD = trunk.rotary_emb(weight, positions_1C)
        self._cos_CD, self._sin_CD = cos_1CD[0], sin_1CD[0].clone()
        # rotate_half(x) * sin == roll(x) * this, as only the sign of its first half differs.
        self._sin_CD[:, : self._sin_CD.shape[1] // 2] *= -1
        self._blocks = [_Block(layer) for layer in trunk.layers]

    def hidden(
        self,
        input_SQ: Tensor,
        positions_SQ: Tensor | None,
        mask_S1QK: Tensor | None,
        stores: Sequence[Store],
    ) -> Tensor:
        """Hidden states of the new tokens after the last norm, (S, Q, W).

        Args:
            input_SQ: the new tokens.
            positions_SQ: their positions; None for the first ones.
            mask_S1QK: added to the attention's scores; None for causal attention among the new.
            stores: each layer's keys and values.
        """
        where = slice(input_SQ.shape[1]) if positions_SQ is None else positions_SQ
        cos, sin = self._cos_CD[where].unsqueeze(-2), self._sin_CD[where].unsqueeze(-2)
        hidden_SQW = F.embedding(input_SQ, self.trunk.embed_tokens.weight)
        for block, store in zip(self._blocks, stores, strict=True):
            hidden_SQW = block.forward(hidden_SQW, cos, sin, mask_S1QK, store)
        return _rms_norm(self.trunk.norm, hidden_SQW)


class _Block:
    """One layer, with the weights of products of the same input side by side."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        attention = layer.self_attn
        inputs = (attention.q_proj, attention.k_proj, attention.v_proj)
        self.sizes = [module.weight.shape[0] for module in inputs]
        self.qkv_weight, self.qkv_bias = _side_by_side(*inputs)
        self.gate_up_weight, _ = _side_by_side(layer.mlp.gate_proj, layer.mlp.up_proj)

    def forward(
        self, hidden_SQW: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None, store: Store
    ) -> Tensor:
        """The layer's output, (S, Q, W)."""
        attention, mlp = self.layer.self_attn, self.layer.mlp
        heads = (*hidden_SQW.shape[:-1], -1, attention.head_dim)
        normed_SQW = _rms_norm(self.layer.input_layernorm, hidden_SQW)
        projected = torch.split(
            F.linear(normed_SQW, self.qkv_weight, self.qkv_bias), self.sizes, dim=-1
        )
        query_SQHD, key_SQHD, value_SQHD = (part.view(heads) for part in projected)
        if hasattr(attention, "q_norm"):
            query_SQHD = _rms_norm(attention.q_norm, query_SQHD)
            key_SQHD = _rms_norm(attention.k_norm, key_SQHD)
        keys_SHKD, values_SHKD = store(
            _rotate(key_SQHD, cos, sin).transpose(1, 2), value_SQHD.transpose(1, 2)
        )
        mixed_SHQD = F.scaled_dot_product_attention(
            _rotate(query_SQHD, cos, sin).transpose(1, 2),
            keys_SHKD,
            values_SHKD,
            attn_mask=mask,
            is_causal=mask is None,
            scale=attention.scaling,
            enable_gqa=attention.num_key_value_groups > 1,
        )
        mixed_SQW = mixed_SHQD.transpose(1, 2).reshape(*hidden_SQW.shape[:2], -1)
        hidden_SQW = hidden_SQW + attention.o_proj(mixed_SQW)
        normed_SQW = _rms_norm(self.layer.post_attention_layernorm, hidden_SQW)
        gate, up = F.linear(normed_SQW, self.gate_up_weight).chunk(2, dim=-1)
        output: Tensor = hidden_SQW + mlp.down_proj(mlp.act_fn(gate) * up)
        return output


def _side_by_side(*modules: nn.Linear) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of the layers' outputs one after another; all have a bias, or none."""
    weight = torch.cat([module.weight for module in modules])
    biases: list[Tensor] = [module.bias for module in modules if module.bias is not None]
    return weight, torch.cat(biases) if biases else None


def _rotate(states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = states.shape[-1] // 2
    return torch.addcmul(states * cos, states.roll(half, dims=-1), sin)


def _rms_norm(norm: Any, states: Tensor) -> Tensor:
    return F.rms_norm(states, norm.weight.shape, norm.weight, norm.variance_epsilon)
