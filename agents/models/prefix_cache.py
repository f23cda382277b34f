"""Hidden states of every slot's prefix at the cost of the tokens that are new.

Shapes: S slots, C columns of capacity, L longest prefix, R slots that begin anew, P positions that
pointers look at, D hidden size.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from agents.models.backbone import Ints
from agents.models.heads import States
from agents.models.model import AgentModel


class PrefixCache:
    """Knows what each slot has read, and reads what is new.

    What is new is found by comparing prefixes with what was read: a slot whose prefix extends the
    one that is kept reads the extension; any other begins anew, and its whole prefix counts as its
    prompt. One call runs the backbone at most twice: over the new tokens of the slots that go on,
    and over the prefixes of those that begin. A change of the weights drops what was read, but not
    how long each prompt was.

    Args:
        model: whose backbone is run.
        num_slots: slots of the vector environment.

    Attributes:
        weights_version: changes with the weights that the kept prefixes were read with.
    """

    def __init__(self, model: AgentModel, num_slots: int) -> None:
        """Start with every slot empty."""
        self.model = model
        self.num_slots = num_slots
        self._slots = model.backbone.slots(num_slots)
        self._slots_S = np.arange(num_slots)
        self._columns_C = np.arange(0)
        self._seen_SC = np.zeros((num_slots, 0), np.int32)
        self._lengths_S = np.zeros(num_slots, np.int64)
        self._prompts_S = np.zeros(num_slots, np.int64)
        self._hidden_SD: Tensor | None = None
        self._memory_SPD: Tensor | None = None
        self.weights_version = model.weights_version

    def forget(self) -> None:
        """Begin anew in every slot."""
        self._lengths_S[:] = 0

    @torch.inference_mode()
    def states(
        self, tokens_SL: npt.NDArray[np.integer], lengths_S: npt.NDArray[np.integer]
    ) -> States:
        """The state of every slot.

        Args:
            tokens_SL: prefixes, padded on the right.
            lengths_S: how many tokens of each are prefix; at least 1.
        """
        version = self.model.weights_version
        if version != self.weights_version:
            self.weights_version = version
            self._slots = self.model.backbone.slots(self.num_slots)
            self._slots.reserve(len(self._columns_C))
            stale = True
        else:
            stale = False
        kept_S = self._kept(tokens_SL, lengths_S)
        new_S = lengths_S - kept_S
        anew_S = kept_S == 0
        self._prompts_S[anew_S] = lengths_S[anew_S]
        anew_S |= stale
        longest = int(lengths_S.max())
        appended = 0 if anew_S.all() else int(new_S[~anew_S].max())
        self._reserve(longest + appended)
        if appended:
            counts_S = np.where(anew_S, 0, new_S)
            hidden_SD = self._extend(tokens_SL, kept_S, counts_S, appended)
            if self._hidden_SD is not None and not counts_S.all():
                idle_S = torch.from_numpy(np.flatnonzero(counts_S == 0))
                hidden_SD[idle_S] = self._hidden_SD[idle_S]
            self._hidden_SD = hidden_SD
        if anew_S.all():
            self._hidden_SD = self._begin(tokens_SL, lengths_S, self._slots_S)
        elif anew_S.any():
            begun_R = np.flatnonzero(anew_S)
            assert self._hidden_SD is not None
            hidden_RD = self._begin(tokens_SL, lengths_S, begun_R)
            self._hidden_SD = self._hidden_SD.index_copy(0, torch.from_numpy(begun_R), hidden_RD)
        self._seen_SC[:, :longest] = tokens_SL[:, :longest]
        self._lengths_S[:] = lengths_S
        assert self._hidden_SD is not None
        return States(self._hidden_SD, self._memory_SPD)

    def _kept(
        self, tokens_SL: npt.NDArray[np.integer], lengths_S: npt.NDArray[np.integer]
    ) -> npt.NDArray[np.int64]:
        """Tokens of each slot that stay: all that it has read, or none."""
        columns = min(int(self._lengths_S.max()), tokens_SL.shape[1])
        same_SL = self._seen_SC[:, :columns] == tokens_SL[:, :columns]
        same_SL |= self._columns_C[:columns] >= self._lengths_S[:, None]
        keep_S = same_SL.all(axis=1) & (self._lengths_S <= lengths_S)
        return np.where(keep_S, self._lengths_S, 0)

    def _extend(
        self,
        tokens_SL: npt.NDArray[np.integer],
        kept_S: npt.NDArray[np.int64],
        counts_S: npt.NDArray[np.int64],
        appended: int,
    ) -> Tensor:
        """Read each slot's new tokens, all slots at once; the last one's hidden state, (S, D)."""
        positions_SQ = kept_S[:, None]
        if appended > 1:
            positions_SQ = positions_SQ + self._columns_C[:appended]
        inside_SQ = np.minimum(positions_SQ, tokens_SL.shape[1] - 1)
        tokens_SQ = tokens_SL[self._slots_S[:, None], inside_SQ].astype(np.int64)
        hidden_SQD = self._slots.extend(tokens_SQ, kept_S, counts_S)
        if appended == 1:
            return hidden_SQD[:, 0]
        last_S = torch.from_numpy(np.maximum(counts_S, 1) - 1)
        return hidden_SQD[torch.arange(self.num_slots), last_S]

    def _begin(
        self,
        tokens_SL: npt.NDArray[np.integer],
        lengths_S: npt.NDArray[np.integer],
        slots_R: Ints,
    ) -> Tensor:
        """Read the whole prefixes of some slots in one batch; (R, D)."""
        lengths_R = lengths_S[slots_R].astype(np.int64)
        tokens_RT = tokens_SL[slots_R, : int(lengths_R.max())].astype(np.int64)
        hidden_RTD = self._slots.begin(slots_R, tokens_RT, lengths_R, self._prompts_S[slots_R])
        self._remember(slots_R, hidden_RTD)
        return hidden_RTD[torch.arange(len(slots_R)), torch.from_numpy(lengths_R - 1)]

    def _remember(self, slots_R: Ints, hidden_RTD: Tensor) -> None:
        """Keep the hidden states that pointers look at; a prompt holds them all."""
        if not self.model.memory:
            return
        if self._memory_SPD is None:
            shape = (self.num_slots, self.model.memory, hidden_RTD.shape[2])
            self._memory_SPD = hidden_RTD.new_zeros(shape)
        found = hidden_RTD[:, : self.model.memory]
        self._memory_SPD[torch.from_numpy(slots_R), : found.shape[1]] = found

    def _reserve(self, columns: int) -> None:
        self._slots.reserve(columns)
        if columns > len(self._columns_C):
            seen_SC = np.zeros((self.num_slots, columns), np.int32)
            seen_SC[:, : len(self._columns_C)] = self._seen_SC
            self._seen_SC = seen_SC
            self._columns_C = np.arange(columns)
