"""Keys and values of every slot's prefix, so that a step costs its new tokens only.

Continuous batching: each slot of a vector environment has its own length; a slot whose episode
ended takes a new prompt while the others go on. One call runs the trunk at most twice: once over
the prompts of the slots that start anew, once over the new tokens of those that go on.

Shapes: S slots, C columns of capacity, L longest prefix, R restarted slots, Q new tokens of a slot
(at most), H key/value heads, D hidden size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

from agents.models.actor_critic import ActorCritic
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
        old = store.view(self.num_slots, self.capacity, -1)
        new = store.new_zeros(self.num_slots, capacity, old.shape[-1])
        new[:, : self.capacity] = old
        return new.view(self.num_slots * capacity, -1)

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


class PrefixCache:
    """Hidden state of every slot's last token, at the cost of the tokens that are new.

    What is new is found by comparing prefixes with what was fed: a slot whose prefix extends the
    cached one is fed the extension; any other starts anew. A change of the weights drops all.

    Args:
        model: the actor-critic whose trunk is run.
        num_slots: slots of the vector environment.

    Attributes:
        weights_version: changes with the weights that the cached prefixes were read with.
    """

    def __init__(self, model: ActorCritic, num_slots: int) -> None:
        """Start with every slot empty."""
        self.model = model
        self.num_slots = num_slots
        self._layers = [
            _SlotLayer(num_slots) for _ in range(model.backbone.config.num_hidden_layers)
        ]
        self._cache = Cache(layers=list(self._layers))
        self._capacity = 0
        self._slots_S = np.arange(num_slots)
        self._columns_C = np.arange(0)
        self._can_decode = can_decode(model.backbone)
        self._decoding: LlamaDecoding | None = None
        self._fed_SC = np.zeros((num_slots, 0), np.int32)
        self._lengths_S = np.zeros(num_slots, np.int64)
        self._dtype = next(model.backbone.parameters()).dtype
        self.weights_version = model.weights_version

    def drop(self) -> None:
        """Forget every prefix; the next call reads all of them anew."""
        self._lengths_S[:] = 0

    @torch.inference_mode()
    def hidden(
        self, tokens_SL: npt.NDArray[np.integer], lengths_S: npt.NDArray[np.integer]
    ) -> Tensor:
        """Hidden state of the last token of each slot's prefix, (S, D).

        Args:
            tokens_SL: prefixes, padded on the right.
            lengths_S: how many tokens of each are prefix; at least 1.
        """
        version = self.model.weights_version
        if version != self.weights_version:
            self.weights_version = version
            self.drop()
            self._decoding = None  # it holds copies of the weights
        longest = int(lengths_S.max())
        old_S = self._extended(tokens_SL, lengths_S)
        going_on_S = old_S > 0
        new_S = lengths_S - old_S
        appended = int(new_S[going_on_S].max()) if going_on_S.any() else 0
        self._reserve(longest + appended)
        if appended == 0:
            hidden_SD = self._prefill(tokens_SL, lengths_S, self._slots_S)
        else:
            hidden_SD = self._append(tokens_SL, old_S, new_S, appended, longest)
            if not going_on_S.all():
                restarted_R = np.flatnonzero(~going_on_S)
                hidden_RD = self._prefill(tokens_SL, lengths_S, restarted_R)
                hidden_SD[torch.from_numpy(restarted_R)] = hidden_RD
        self._fed_SC[:, :longest] = tokens_SL[:, :longest]
        self._lengths_S[:] = lengths_S
        return hidden_SD

    def _extended(
        self, tokens_SL: npt.NDArray[np.integer], lengths_S: npt.NDArray[np.integer]
    ) -> npt.NDArray[np.int64]:
        """Cached tokens of each slot that can stay: all (but one, if nothing is new) or none."""
        columns = min(int(self._lengths_S.max()), tokens_SL.shape[1])
        same_SL = self._fed_SC[:, :columns] == tokens_SL[:, :columns]
        same_SL |= self._columns_C[:columns] >= self._lengths_S[:, None]
        keep_S = same_SL.all(axis=1) & (self._lengths_S <= lengths_S)
        return np.where(keep_S, np.minimum(self._lengths_S, lengths_S - 1), 0)

    def _append(
        self,
        tokens_SL: npt.NDArray[np.integer],
        old_S: npt.NDArray[np.int64],
        new_S: npt.NDArray[np.integer],
        appended: int,
        longest: int,
    ) -> Tensor:
        """Feed each slot its tokens from `old` on, all slots at once.

        A slot with fewer new tokens than `appended` is fed some padding behind them. It lands
        beyond the slot's length, where the causal mask hides it until it is overwritten. The same
        goes for slots that are about to be prefilled.
        """
        device = self.model.device
        positions_SQ = old_S[:, None]
        if appended > 1:
            positions_SQ = positions_SQ + self._columns_C[:appended]
        inside_SQ = np.minimum(positions_SQ, tokens_SL.shape[1] - 1)
        input_SQ = tokens_SL[self._slots_S[:, None], inside_SQ].astype(np.int64)
        cells_SQ = positions_SQ + self._slots_S[:, None] * self._capacity
        hidden_from_SQK = torch.from_numpy(self._columns_C[:longest] > positions_SQ[:, :, None])
        mask_SQK = torch.zeros(hidden_from_SQK.shape, dtype=self._dtype)
        mask_SQK.masked_fill_(hidden_from_SQK, torch.finfo(self._dtype).min)
        hidden_SQD = self._run(
            torch.from_numpy(input_SQ).to(device),
            _Write(torch.from_numpy(cells_SQ.reshape(-1)).to(device), longest),
            mask_SQK.unsqueeze(1).to(device),
            torch.from_numpy(inside_SQ).to(device),
        )
        if appended == 1:
            return hidden_SQD[:, 0]
        last_S = torch.from_numpy(np.clip(new_S, 1, appended) - 1)
        return hidden_SQD[torch.arange(self.num_slots), last_S]

    def _prefill(
        self,
        tokens_SL: npt.NDArray[np.integer],
        lengths_S: npt.NDArray[np.integer],
        slots_R: npt.NDArray[np.intp],
    ) -> Tensor:
        """Read the whole prefixes of some slots in one batch; (R, D)."""
        lengths_R = lengths_S[slots_R]
        longest = int(lengths_R.max())
        input_RQ = torch.from_numpy(tokens_SL[slots_R, :longest].astype(np.int64))
        cells_RQ = slots_R[:, None] * self._capacity + self._columns_C[:longest]
        write = _Write(torch.from_numpy(cells_RQ.reshape(-1)).to(self.model.device), None)
        hidden_RQD = self._run(input_RQ.to(self.model.device), write)
        return hidden_RQD[torch.arange(len(slots_R)), torch.from_numpy(lengths_R - 1)]

    def _run(
        self,
        input_RQ: Tensor,
        write: _Write,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> Tensor:
        """Run the trunk over new tokens; without mask and positions, over whole prefixes."""
        for layer in self._layers:
            layer.write = write
        if self._can_decode:
            if self._decoding is None:
                self._decoding = LlamaDecoding(self.model.trunk, self._capacity)
            stores = [layer.update for layer in self._layers]
            return self._decoding.hidden(input_RQ, positions, mask, stores)
        hidden: Tensor = self.model.trunk(
            input_ids=input_RQ,
            past_key_values=self._cache,
            use_cache=True,
            attention_mask=mask,
            position_ids=positions,
        ).last_hidden_state
        return hidden

    def _reserve(self, columns: int) -> None:
        if columns <= self._capacity:
            return
        capacity = -(-columns // COLUMN_BLOCK) * COLUMN_BLOCK
        for layer in self._layers:
            layer.grow(capacity)
        fed_SC = np.zeros((self.num_slots, capacity), np.int32)
        fed_SC[:, : self._capacity] = self._fed_SC
        self._fed_SC, self._capacity = fed_SC, capacity
        self._columns_C = np.arange(capacity)
        self._decoding = None  # it has a position for each column
