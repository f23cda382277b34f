"""Keys and values of every slot's prefix in a transformers trunk.

Continuous batching: each slot has its own length, and takes a new prefix while the others go on.
"""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, CacheLayerMixin

from agents.models.backbone import Ints, ends
from agents.models.cache_passes import Begin, Extend, Pass, Stores
from agents.models.decoding import decoding_of

COLUMN_BLOCK = 32
"""Capacity grows by multiples of this many columns."""


class _SlotLayer(CacheLayerMixin):  # type: ignore[misc]
    """One layer's keys and values, as transformers asks for them."""

    is_compileable = False
    is_sliding = False

    def __init__(self, stores: Stores) -> None:
        super().__init__()
        self.stores = stores
        self.now: Pass | None = None

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """The stores make their room themselves."""

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Store new states (R, G, Q, D); return those to attend over."""
        assert self.now is not None
        self.now.write(self.stores, key_states.transpose(1, 2), value_states.transpose(1, 2))
        if not isinstance(self.now, Extend):
            return key_states, value_states
        return self.stores.keys[:, :, : self.now.reach], self.stores.values[:, :, : self.now.reach]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Key length and offset for the causal mask over whole prefixes."""
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
        self._stores = [Stores(num_slots) for _ in range(lm.config.num_hidden_layers)]
        self._decoding = decoding_of(lm)
        self._layers = [_SlotLayer(stores) for stores in self._stores]
        self._cache = Cache(layers=list(self._layers))
        self._capacity = 0
        weight = next(lm.parameters())
        self._dtype, self._device = weight.dtype, weight.device

    def reserve(self, columns: int) -> None:
        """Make room; see `SlotCache`."""
        if columns <= self._capacity:
            return
        self._capacity = -(-columns // COLUMN_BLOCK) * COLUMN_BLOCK
        for stores in self._stores:
            stores.grow(self._capacity)
        self._columns_C = torch.arange(self._capacity, device=self._device)
        if self._decoding is not None:
            self._decoding.reserve(self._capacity)

    def begin(
        self, slots_R: Ints, tokens_RT: Ints, lengths_R: Ints, prompts_R: Ints, memory: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Read whole prefixes; see `SlotCache`. A prompt is read as all else is."""
        rows, width = tokens_RT.shape
        now = self._beginning(self._tensor(slots_R), width, self._tensor(prompts_R))
        tokens = self._tensor(tokens_RT)
        if self._decoding is None:
            return ends(self._run_trunk(tokens, now), lengths_R, memory)
        positions_N = self._columns_C[:width].repeat(rows)
        if memory:
            hidden_ND = self._decode(tokens, positions_N, now)
            return ends(hidden_ND.view(rows, width, -1), lengths_R, memory)
        now.last_R = self._tensor(lengths_R) - 1
        chosen_R = torch.arange(rows, device=self._device) * width + now.last_R
        hidden_RD = self._decode(tokens, positions_N, now, chosen_R)
        return hidden_RD, hidden_RD.unsqueeze(1)[:, :0]

    def extend(self, tokens_SQ: Ints, starts_S: Ints, counts_S: Ints) -> Tensor:
        """Append tokens; see `SlotCache`.

        A slot with fewer new tokens than Q is fed some padding behind them. It lands beyond the
        slot's length, where the causal mask hides it until it is overwritten.
        """
        slots, new = tokens_SQ.shape
        reach = int((starts_S + counts_S).max())
        tokens, first = self._tensor(tokens_SQ), int(starts_S[0])
        if new == 1 and (starts_S == first).all():
            now = Extend(first + 1, self._columns_C[first].expand(slots, 1), column=first)
        else:
            columns_SQ = self._tensor(starts_S).unsqueeze(1) + self._columns_C[:new]
            now = Extend(reach, columns_SQ)
            now.hide(self._columns_C, self._stores[0].keys.dtype)
        positions_SQ = now.columns_SQ
        if now.column is None:  # Padding may stand behind the last position that there is.
            positions_SQ = positions_SQ.clamp(max=reach - 1)
        if self._decoding is None:
            return self._run_trunk(tokens, now, positions_SQ)
        hidden_ND = self._decode(tokens, positions_SQ.reshape(-1), now)
        return hidden_ND.view(slots, new, -1)

    def copy_from(self, source: KeyValueSlots, rows_R: Ints, slots_R: Ints, columns: int) -> None:
        """Copy keys and values; see `SlotCache`."""
        rows, slots = self._tensor(rows_R), self._tensor(slots_R)
        for stores, other in zip(self._stores, source._stores, strict=True):
            stores.copy_from(other, rows, slots, columns)

    def _beginning(self, slots_R: Tensor, width: int, prompts_R: Tensor) -> Begin:
        """The pass over whole prefixes."""
        del prompts_R
        return Begin(slots_R, width)

    def _tensor(self, array: Ints) -> Tensor:
        return torch.from_numpy(array).to(self._device)

    def _decode(
        self, tokens: Tensor, positions_N: Tensor, now: Pass, chosen_R: Tensor | None = None
    ) -> Tensor:
        """Hidden states by the decoding, all in one row of tokens."""
        assert self._decoding is not None

        def attend(layer: int, queries: Tensor, keys_NGD: Tensor, values_NGD: Tensor) -> Tensor:
            return now.attend(self._stores[layer], queries, keys_NGD, values_NGD)

        return self._decoding.hidden(tokens.reshape(-1), positions_N, attend, chosen_R)

    def _run_trunk(self, tokens: Tensor, now: Pass, positions: Tensor | None = None) -> Tensor:
        """Hidden states by transformers' own forward; without positions, of whole prefixes."""
        for layer in self._layers:
            layer.now = now
        hidden: Tensor = self.lm.base_model(
            input_ids=tokens,
            past_key_values=self._cache,
            use_cache=True,
            attention_mask=now.mask(self._dtype),
            position_ids=positions,
        ).last_hidden_state
        return hidden
