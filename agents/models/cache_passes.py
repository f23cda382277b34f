"""Reading new tokens with cached keys and values: what is written where, and what is attended to.

Shapes: S slots, C columns of capacity, R slots that begin, T tokens of the longest, Q new tokens
of a slot (at most), N tokens of all slots in one row, H query heads, G key/value heads, K columns
attended over, D head size.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F


class Stores:
    """One layer's keys and values, (S, G, C, D) each; room is made with the first states.

    Args:
        num_slots: S.
    """

    keys: Tensor
    values: Tensor

    def __init__(self, num_slots: int) -> None:
        """Start without columns."""
        self.num_slots = num_slots
        self.capacity = 0
        self._made = False

    def grow(self, capacity: int) -> None:
        """Make room for `capacity` columns and keep what is there."""
        if self._made:
            more = (0, 0, 0, capacity - self.capacity)
            self.keys, self.values = F.pad(self.keys, more), F.pad(self.values, more)
        self.capacity = capacity

    def make(self, keys: Tensor, values: Tensor) -> None:
        """Make room for states such as these, of shape (..., G, D)."""
        if not self._made:
            self.keys, self.values = self._room(keys), self._room(values)
            self._made = True

    def _room(self, states: Tensor) -> Tensor:
        heads, size = states.shape[-2:]
        return states.new_zeros(self.num_slots, heads, self.capacity, size)

    def copy_from(self, source: Stores, rows_R: Tensor, slots_R: Tensor, columns: int) -> None:
        """Take the first columns of another store's rows."""
        self.make(source.keys.transpose(1, 2), source.values.transpose(1, 2))
        keys, values = source.keys[:, :, :columns], source.values[:, :, :columns]
        self.keys[:, :, :columns].index_copy_(0, slots_R, keys.index_select(0, rows_R))
        self.values[:, :, :columns].index_copy_(0, slots_R, values.index_select(0, rows_R))


class Pass(Protocol):
    """One forward pass over new tokens, as every layer sees it."""

    def write(self, stores: Stores, keys: Tensor, values: Tensor) -> None:
        """Keep new states, (R, Q, G, D) each."""

    def attend(self, stores: Stores, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Keep new states and mix; see `agents.models.decoding.Attention`."""

    def mask(self, dtype: torch.dtype) -> Tensor | None:
        """What transformers adds to the scores, (R, 1, Q, K); it makes the causal one for None."""


class Begin:
    """A pass over the whole prefixes of some slots.

    Args:
        slots_R: which slots.
        width: T.

    Attributes:
        last_R: the position of each prefix's last token, where in some layer it alone asks.
    """

    last_R: Tensor

    def __init__(self, slots_R: Tensor, width: int) -> None:
        """Remember where to write."""
        self.slots_R = slots_R
        self.width = width

    def write(self, stores: Stores, keys: Tensor, values: Tensor) -> None:
        """Write at the beginning of the slots."""
        stores.make(keys, values)
        for store, states in ((stores.keys, keys), (stores.values, values)):
            store[:, :, : self.width].index_copy_(0, self.slots_R, states.transpose(1, 2))

    def attend(self, stores: Stores, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Causal attention within each prefix."""
        mask = None
        if len(queries) < len(keys):
            columns_T = torch.arange(self.width, device=queries.device)
            hidden_RT = columns_T > self.last_R.unsqueeze(1)
            mask = _lowest_where(hidden_RT[:, None, None], queries.dtype)
        return self._attend(stores, queries, keys, values, mask)

    def _attend(
        self, stores: Stores, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None
    ) -> Tensor:
        """Keep new states and mix within each prefix; causal without a mask."""
        rows = len(self.slots_R)
        keys_RTGD, values_RTGD = _apart(keys, rows), _apart(values, rows)
        self.write(stores, keys_RTGD, values_RTGD)
        return _mixed(_apart(queries, rows), keys_RTGD, values_RTGD, mask)

    def mask(self, dtype: torch.dtype) -> Tensor | None:
        """None: transformers makes the causal one."""
        return None


class Extend:
    """A pass over the new tokens of every slot.

    Args:
        reach: K.
        columns_SQ: where they go.
        column: where they go, if they all go to the same one.
    """

    def __init__(self, reach: int, columns_SQ: Tensor, column: int | None = None) -> None:
        """Hide no column."""
        self.reach = reach
        self.columns_SQ = columns_SQ
        self.column = column
        self._hidden_S1QK: Tensor | None = None
        self._cells_N: Tensor | None = None
        self._scores_M1K: Tensor | None = None

    def hide(self, columns_C: Tensor, dtype: torch.dtype) -> None:
        """Let each token look no further than at itself."""
        later_SQK = columns_C[: self.reach] > self.columns_SQ.unsqueeze(-1)
        self._hidden_S1QK = _lowest_where(later_SQK.unsqueeze(1), dtype)

    def write(self, stores: Stores, keys: Tensor, values: Tensor) -> None:
        """Write at each slot's columns."""
        if self.column is not None:
            stores.keys[:, :, self.column] = keys[:, 0]
            stores.values[:, :, self.column] = values[:, 0]
            return
        size = keys.shape[-1]
        if self._cells_N is None:
            rows_SG = torch.arange(stores.keys[:, :, 0, 0].numel(), device=keys.device)
            rows_SG = rows_SG.view(stores.keys.shape[:2]) * stores.capacity
            self._cells_N = (rows_SG.unsqueeze(1) + self.columns_SQ.unsqueeze(-1)).view(-1)
        stores.keys.view(-1, size).index_copy_(0, self._cells_N, keys.reshape(-1, size))
        stores.values.view(-1, size).index_copy_(0, self._cells_N, values.reshape(-1, size))

    def attend(self, stores: Stores, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Attention over each slot's columns up to the token."""
        slots = stores.num_slots
        self.write(stores, _apart(keys, slots), _apart(values, slots))
        keys_SGKD = stores.keys[:, :, : self.reach]
        values_SGKD = stores.values[:, :, : self.reach]
        if self.columns_SQ.shape[1] > 1:
            queries_SQHD = _apart(queries, slots)
            seen = keys_SGKD.transpose(1, 2), values_SGKD.transpose(1, 2)
            return _mixed(queries_SQHD, *seen, self._hidden_S1QK)
        # For one query, two batches of small products are faster than the fused attention.
        groups = keys_SGKD.shape[1]
        queries_MHD = queries.reshape(slots * groups, -1, queries.shape[-1])
        keys_MDK = keys_SGKD.flatten(0, 1).transpose(1, 2)
        if self._hidden_S1QK is None:
            scores_MHK = torch.bmm(queries_MHD, keys_MDK)
        else:
            if self._scores_M1K is None:
                spread = self._hidden_S1QK.expand(-1, groups, -1, -1)
                self._scores_M1K = spread.reshape(-1, 1, self.reach)
            scores_MHK = torch.baddbmm(self._scores_M1K, queries_MHD, keys_MDK)
        shares_MHK = torch.softmax(scores_MHK, dim=-1).to(values.dtype)
        return torch.bmm(shares_MHK, values_SGKD.flatten(0, 1)).view(len(queries), -1)

    def mask(self, dtype: torch.dtype) -> Tensor | None:
        """What `hide` hid; transformers is given one in any case, and so makes none."""
        if self._hidden_S1QK is None:
            shape = (len(self.columns_SQ), 1, 1, self.reach)
            return torch.zeros(shape, dtype=dtype, device=self.columns_SQ.device)
        return self._hidden_S1QK.to(dtype)


def _apart(states: Tensor, rows: int) -> Tensor:
    """(R * Q, H, D) as (R, Q, H, D)."""
    return states.view(rows, -1, *states.shape[1:])


def _lowest_where(hidden: Tensor, dtype: torch.dtype) -> Tensor:
    """What is added to scores: 0, or the lowest number where something is hidden."""
    scores = torch.zeros(hidden.shape, dtype=dtype, device=hidden.device)
    return scores.masked_fill_(hidden, torch.finfo(dtype).min)


def _mixed(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """Attention of (R, Q, H, D) over (R, K, G, D), causal without a mask; (R * Q, H * D)."""
    mixed_RHQD = F.scaled_dot_product_attention(
        queries.transpose(1, 2),
        keys.transpose(1, 2),
        values.transpose(1, 2),
        attn_mask=mask,
        is_causal=mask is None,
        scale=1.0,
        enable_gqa=keys.shape[2] < queries.shape[2],
    )
    return mixed_RHQD.transpose(1, 2).flatten(2).flatten(0, 1)
