"""Prefix-tuning: keys and values of virtual tokens that every prefix begins with, and train alone.

Li & Liang 2021, "Prefix-Tuning: Optimizing Continuous Prompts for Generation". As in peft, the
first real token stands behind the virtual ones.

Shapes: P virtual tokens, B sequences, T tokens, S slots, R slots that read, Q new tokens of a slot,
H key/value heads, C columns of capacity, D hidden size.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, CacheLayerMixin

from agents.errors import ModelError
from agents.models.backbone import Backbone, Ints, SlotCache, ends
from agents.models.causal import CausalBackbone

KeysValues = list[tuple[Tensor, Tensor]]
"""Of each layer, (1, H, P, head size) each."""


class PrefixTunedBackbone(CausalBackbone):
    """A causal language model behind virtual tokens; its own weights stay as they are.

    The virtual tokens begin as the keys and values of real ones, spread over the vocabulary, from
    which training sets out better than from noise (section 7.4 of the paper).

    Args:
        lm: the language model, which is used as it is, not copied.
        tokens: P.
    """

    def __init__(self, lm: PreTrainedModel, tokens: int) -> None:
        """Read the virtual tokens' first keys and values off the language model."""
        from peft import PrefixEncoder, PrefixTuningConfig

        super().__init__(lm)
        self.tokens = tokens
        lm.requires_grad_(False)
        states = self._of_real_tokens()
        layers, heads, size = len(states) // 2, states[0].shape[1], states[0].shape[3]
        self._shape = (tokens, 2 * layers, heads, size)
        config = PrefixTuningConfig(
            num_virtual_tokens=tokens,
            num_layers=layers,
            num_attention_heads=heads,
            token_dim=heads * size,
        )
        self.virtual = PrefixEncoder(config)
        flat = torch.stack([state[0] for state in states]).permute(2, 0, 1, 3)
        self.virtual.load_prompt_embeddings(flat.reshape(tokens, -1))

    @classmethod
    def around(cls, backbone: Backbone, tokens: int) -> PrefixTunedBackbone:
        """The same language model, prefix-tuned.

        Raises:
            ModelError: it is no causal one.
        """
        if backbone.kind != CausalBackbone.kind:
            raise ModelError(
                f"prefix-tuning needs a causal language model, and this backbone is of kind "
                f"{backbone.kind!r}: use another adapter, such as lora"
            )
        assert isinstance(backbone, CausalBackbone)
        return cls(backbone.lm, tokens)

    @torch.no_grad()
    def _of_real_tokens(self) -> list[Tensor]:
        """Keys and values of tokens of the vocabulary, layer by layer, (1, H, P, head size)."""
        embedding = self.lm.get_input_embeddings().weight
        spread = torch.arange(self.tokens, device=embedding.device) * len(embedding) // self.tokens
        cache = self.trunk(input_ids=spread.unsqueeze(0), use_cache=True).past_key_values
        return [state for layer in cache.layers for state in (layer.keys, layer.values)]

    def keys_values(self) -> KeysValues:
        """The virtual tokens' keys and values, with their gradient."""
        states = self.virtual.embedding.weight.view(self._shape).permute(1, 2, 0, 3).unsqueeze(1)
        return list(zip(states[::2], states[1::2], strict=True))

    def forward(self, tokens_BT: Tensor, prompts_B: Tensor) -> Tensor:
        """Hidden states of all real tokens; see `Backbone`."""
        cache = Cache(layers=[_BehindVirtual(*both) for both in self.keys_values()])
        hidden_BTD: Tensor = self.trunk(
            input_ids=tokens_BT, past_key_values=cache, use_cache=True
        ).last_hidden_state
        return hidden_BTD

    states = Backbone.states

    def slots(self, num_slots: int) -> SlotCache:
        """Keys and values of every layer, the virtual ones first in every slot."""
        return PrefixTunedSlots(self, num_slots)


class _Layer(CacheLayerMixin):  # type: ignore[misc]
    """What both kinds of layers here say of themselves."""

    is_compileable = False
    is_sliding = False
    virtual: int
    """P."""

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """There is nothing to make."""

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Key length and offset for the causal mask over whole prefixes."""
        return self.virtual + query_length, 0

    def get_seq_length(self) -> int:
        """The first real token stands behind the virtual ones."""
        return self.virtual

    def get_max_length(self) -> int:
        """No maximum."""
        return -1

    def get_max_cache_shape(self) -> int:
        """What earlier releases of transformers 5 call `get_max_length`."""
        return -1


class _BehindVirtual(_Layer):
    """Puts virtual tokens before those of a training pass; keeps nothing, and so can do it again.

    Args:
        keys, values: (1, H, P, head size).
    """

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.keys, self.values = keys, values
        self.virtual = keys.shape[2]

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Keys and values to attend over, (B, H, P + T, head size)."""
        return _behind(self.keys, key_states), _behind(self.values, value_states)


def _behind(virtual: Tensor, states: Tensor) -> Tensor:
    return torch.cat([virtual.to(states.dtype).expand(len(states), -1, -1, -1), states], dim=2)


class _SlotLayer(_Layer):
    """One layer's keys and values, (S, H, C, head size), written at per-slot positions."""

    def __init__(self, keys: Tensor, values: Tensor, num_slots: int) -> None:
        super().__init__()
        self.virtual = keys.shape[2]
        self.keys = keys.detach().expand(num_slots, -1, -1, -1).clone()
        self.values = values.detach().expand(num_slots, -1, -1, -1).clone()
        self.rows_R = torch.arange(num_slots)
        self.columns_RQ = torch.zeros(num_slots, 1, dtype=torch.long)
        self.reach = 0

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Store new states (R, H, Q, head size); return those to attend over."""
        return self._written(self.keys, key_states), self._written(self.values, value_states)

    def _written(self, store: Tensor, states: Tensor) -> Tensor:
        cells = (self.rows_R[:, None], slice(None), self.columns_RQ)
        store[cells] = states.transpose(1, 2).to(store.dtype)
        return store[self.rows_R, :, : self.reach].to(states.dtype)

    def grow(self, capacity: int) -> None:
        """Make room for `capacity` columns and keep what is there."""
        extra = capacity - self.keys.shape[2]
        self.keys = torch.nn.functional.pad(self.keys, (0, 0, 0, extra))
        self.values = torch.nn.functional.pad(self.values, (0, 0, 0, extra))


class PrefixTunedSlots:
    """The slot cache of a prefix-tuned causal language model; see `SlotCache`.

    Args:
        backbone: whose trunk is run.
        num_slots: how many slots.
    """

    def __init__(self, backbone: PrefixTunedBackbone, num_slots: int) -> None:
        """Start with the virtual tokens in every slot."""
        self.trunk, self.virtual = backbone.trunk, backbone.tokens
        self._dtype = next(backbone.trunk.parameters()).dtype
        self._layers = [_SlotLayer(*both, num_slots) for both in backbone.keys_values()]
        self._cache = Cache(layers=list(self._layers))
        self._slots_S = np.arange(num_slots)

    def reserve(self, columns: int) -> None:
        """Make room."""
        if self.virtual + columns > self._layers[0].keys.shape[2]:
            for layer in self._layers:
                layer.grow(self.virtual + columns)

    def begin(
        self, slots_R: Ints, tokens_RT: Ints, lengths_R: Ints, prompts_R: Ints, memory: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Read whole prefixes; a prompt is read as all else is."""
        hidden_RTD = self._read(slots_R, tokens_RT, np.zeros_like(slots_R), lengths_R)
        return ends(hidden_RTD, lengths_R, memory)

    def extend(self, tokens_SQ: Ints, starts_S: Ints, counts_S: Ints) -> Tensor:
        """Append tokens; padding lands beyond the slot's length, where it is not seen."""
        return self._read(self._slots_S, tokens_SQ, starts_S, counts_S)

    def copy_from(
        self, source: PrefixTunedSlots, rows_R: Ints, slots_R: Ints, columns: int
    ) -> None:
        """Copy the prompts' keys and values."""
        rows, slots, end = (
            torch.from_numpy(rows_R),
            torch.from_numpy(slots_R),
            self.virtual + columns,
        )
        for own, other in zip(self._layers, source._layers, strict=True):
            own.keys[slots, :, :end] = other.keys[rows, :, :end]
            own.values[slots, :, :end] = other.values[rows, :, :end]

    def _read(self, slots_R: Ints, tokens_RQ: Ints, starts_R: Ints, counts_R: Ints) -> Tensor:
        columns_RQ = self.virtual + starts_R[:, None] + np.arange(tokens_RQ.shape[1])
        last = self.virtual + int((starts_R + counts_R).max()) - 1
        reach = int(columns_RQ.max()) + 1
        hidden_from_RQC = torch.from_numpy(np.arange(reach) > columns_RQ[:, :, None])
        mask_RQC = torch.zeros(hidden_from_RQC.shape, dtype=self._dtype)
        mask_RQC.masked_fill_(hidden_from_RQC, torch.finfo(self._dtype).min)
        device = self._layers[0].keys.device
        columns = torch.from_numpy(columns_RQ).to(device)
        rows = torch.from_numpy(slots_R).to(device)
        for layer in self._layers:
            layer.rows_R, layer.columns_RQ, layer.reach = rows, columns, reach
        hidden_RQD: Tensor = self.trunk(
            input_ids=torch.from_numpy(tokens_RQ).to(device),
            past_key_values=self._cache,
            use_cache=True,
            attention_mask=mask_RQC.unsqueeze(1).to(device),
            position_ids=columns.clamp(max=last),  # padding may stand behind the last position
        ).last_hidden_state
        return hidden_RQD
