"""Keys and values of every slot's prefix in a transformers trunk.

Continuous batching: each slot has its own length, and takes a new prefix while the others go on.

Shapes: S slots, C columns of capacity, R slots that begin, T tokens of the longest, Q new tokens
of a slot (at most), H key/value heads, K columns attended over, D hidden size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, CacheLayerMixin

from agents.models.backbone import Ints
from agents.models.llama_decoding import LlamaDecoding, can_decode

COLUMN_BLOCK = 32
"""Capacity grows by multiples of this many columns."""


@dataclass
class _Write:
    """Where one forward pass puts its keys and values, shared by all layers.

    Attributes:
        cells: row of the flat (S * C) store for each fed token, in order.
        columns: how many columns to attend over; None to attend among the fed tokens only.
    """

    cells: Tensor
    columns: int | None


class _SlotLayer(CacheLayerMixin):  # type: ignore[misc]
    """One layer's keys and values, (S * C, H * head size) each, written at per-slot positions."""

    is_compileable = False
    is_sliding = False

    def __init__(self, num_slots: int) -> None:
        super().__init__()
        self.num_slots = num_slots
        self.capacity = 0
        self.write: _Write | None = None

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        cells = self.num_slots * self.capacity
        self.keys = key_states.new_zeros(cells, key_states.shape[1] * key_states.shape[3])
        self.values = value_states.new_zeros(cells, value_states.shape[1] * value_states.shape[3])
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Store new states (rows, H, Q, head size); return those to attend over."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        assert self.write is not None
        return (
            self._update_one(self.keys, key_states, self.write),
            self._update_one(self.values, value_states, self.write),
        )

    def _update_one(self, store: Tensor, states: Tensor, write: _Write) -> Tensor:
        rows, heads, new, size = states.shape
        flat = states.transpose(1, 2).reshape(rows * new, heads * size)
        store.index_copy_(0, write.cells, flat)
        if write.columns is None:
            return states
        by_slot = store.view(self.num_slots, self.capacity, heads, size)
        return by_slot[:, : write.columns].transpose(1, 2)

    def grow(self, capacity: int) -> None:
        """Make room for `capacity` columns and keep what is there."""
        if self.is_initialized:
            self.keys = self._grown(self.keys, capacity)
            self.values = self._grown(self.values, capacity)
        self.capacity = capacity

    def _grown(self, store: Tensor, capacity: int) -> Tensor:
        old = self.by_slot(store)
        new = store.new_zeros(self.num_slots, capacity, old.shape[-1])
        new[:, : self.capacity] = old
        return new.view(self.num_slots * capacity, -1)

    def by_slot(self, store: Tensor) -> Tensor:
        """A view (S, C, H * head size) of the keys or the values."""
        return store.view(self.num_slots, self.capacity, -1)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Key length and offset for the causal mask over fed prompts."""
        return query_length, 0

    def get_seq_length(self) -> int:
        """Zero: positions are always given, or start at 0."""
        return 0

    def get_max_length(self) -> int:
        """No maximum."""
        return -1

    def get_max_cache_shape(self) -> int:
        """What earlier releases of transformers 5 call `get_max_length`."""
        return -1


class KeyValueSlots:
    """The slot cache of a causal language model.

    Args:
        lm: whose trunk is run.
        num_slots: how many slots.
    """

    def __init__(self, lm: PreTrainedModel, num_slots: int) -> None:
        """Start with every slot empty."""
        self.lm = lm
        self.num_slots = num_slots
        self._layers = [_SlotLayer(num_slots) for _ in range(lm.config.num_hidden_layers)]
        self._cache = Cache(layers=list(self._layers))
        self._capacity = 0
        self._slots_S = np.arange(num_slots)
        self._columns_C = np.arange(0)
        self._decoding: LlamaDecoding | None = None
        self._dtype = next(lm.parameters()).dtype
        self._device = next(lm.parameters()).device

    def reserve(self, columns: int) -> None:
        """Make room; see `SlotCache`."""
        if columns <= self._capacity:
            return
        self._capacity = -(-columns // COLUMN_BLOCK) * COLUMN_BLOCK
        for layer in self._layers:
            layer.grow(self._capacity)
        self._columns_C = np.arange(self._capacity)
        if can_decode(self.lm):
            self._decoding = LlamaDecoding(self.lm.base_model, self._capacity)

    def begin(self, slots_R: Ints, tokens_RT: Ints, lengths_R: Ints, prompts_R: Ints) -> Tensor:
        """Read whole prefixes; see `SlotCache`. A prompt is read as all else is."""
        cells_RT = slots_R[:, None] * self._capacity + self._columns_C[: tokens_RT.shape[1]]
        return self._run(tokens_RT, _Write(self._cells(cells_RT), None))

    def extend(self, tokens_SQ: Ints, starts_S: Ints, counts_S: Ints) -> Tensor:
        """Append tokens; see `SlotCache`.

        A slot with fewer new tokens than Q is fed some padding behind them. It lands beyond the
        slot's length, where the causal mask hides it until it is overwritten.
        """
        new = tokens_SQ.shape[1]
        longest = int((starts_S + counts_S).max())
        positions_SQ = starts_S[:, None]
        if new > 1:
            positions_SQ = positions_SQ + self._columns_C[:new]
        cells_SQ = positions_SQ + self._slots_S[:, None] * self._capacity
        hidden_from_SQK = torch.from_numpy(self._columns_C[:longest] > positions_SQ[:, :, None])
        mask_SQK = torch.zeros(hidden_from_SQK.shape, dtype=self._dtype)
        mask_SQK.masked_fill_(hidden_from_SQK, torch.finfo(self._dtype).min)
        positions_SQ = np.minimum(positions_SQ, longest - 1)  # padding may stand behind the last
        return self._run(
            tokens_SQ,
            _Write(self._cells(cells_SQ), longest),
            mask_SQK.unsqueeze(1).to(self._device),
            torch.from_numpy(positions_SQ).to(self._device),
        )

    def store(self, slot: int, length: int) -> tuple[Tensor, ...]:
        """Keys and values of each layer, (length, H * head size)."""
        return tuple(
            layer.by_slot(part)[slot, :length].clone()
            for layer in self._layers
            for part in (layer.keys, layer.values)
        )

    def restore(self, slots_R: Ints, stored: list[tuple[Tensor, ...]]) -> None:
        """Put stored keys and values at the beginning of slots."""
        for slot, parts in zip(slots_R, stored, strict=True):
            for number, part in enumerate(parts):
                layer = self._layers[number // 2]
                store = layer.values if number % 2 else layer.keys
                layer.by_slot(store)[slot, : len(part)] = part

    def _cells(self, cells: Ints) -> Tensor:
        return torch.from_numpy(cells.reshape(-1)).to(self._device)

    def _run(
        self,
        tokens_RQ: Ints,
        write: _Write,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> Tensor:
        """Run the trunk over new tokens; without mask and positions, over whole prefixes."""
        for layer in self._layers:
            layer.write = write
        input_RQ = torch.from_numpy(tokens_RQ).to(self._device)
        if self._decoding is not None:
            stores = [layer.update for layer in self._layers]
            return self._decoding.hidden(input_RQ, positions, mask, stores)
        hidden: Tensor = self.lm.base_model(
            input_ids=input_RQ,
            past_key_values=self._cache,
            use_cache=True,
            attention_mask=mask,
            position_ids=positions,
        ).last_hidden_state
        return hidden
