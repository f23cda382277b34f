"""Hidden states of every slot's prefix at the cost of the tokens that are new.

Shapes: S slots, C columns of capacity, L longest prefix, R slots that begin anew, P positions that
pointers look at, D hidden size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from agents.models.backbone import Ints
from agents.models.heads import States
from agents.models.model import AgentModel
from agents.models.prompt_bank import Prompt, PromptBank, grown

Tokens = npt.NDArray[np.integer]
Mask = npt.NDArray[np.bool_]
Upcoming = Callable[[int], Prompt]
"""The prompt that a slot will begin with after its present episode."""
LEAST_PROMPTS = 32
"""So many prompts are kept, or two for each slot if that is more."""


class PrefixCache:
    """Knows what each slot has read, and reads what is new.

    What is new is found by comparing prefixes with what was read: a slot whose prefix extends the
    one that is kept reads the extension. Any other begins anew, and one whose episode has ended as
    well: its whole prefix then counts as its prompt, unless the prompt's length is given. A prompt
    that was read lately is not read again. A change of the weights drops what was read, but not how
    long each prompt was.

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
        self._slots_S = np.arange(num_slots)
        self._seen_SC = np.zeros((num_slots, 0), np.int32)
        self._differs_SC = np.ones((num_slots, 1), np.bool_)
        self._lengths_S = np.zeros(num_slots, np.int64)
        self._prompts_S = np.zeros(num_slots, np.int64)
        self._hidden_SD: Tensor | None = None
        self._memory_SPD: Tensor | None = None
        self._read_prompts: tuple[Tensor, Tensor] | None = None
        self.weights_version = model.weights_version
        self._start()

    def _start(self) -> None:
        """Empty caches for the weights as they are."""
        with self.model.autocast():
            self._slots = self.model.backbone.slots(self.num_slots)
            self._bank = PromptBank(self.model, max(LEAST_PROMPTS, 2 * self.num_slots))
            self._slots.reserve(self._seen_SC.shape[1])

    def forget(self) -> None:
        """Begin anew in every slot, and read every prompt again."""
        self._lengths_S[:] = 0
        self._start()

    def end(self, slots: Ints | Mask) -> None:
        """Say that some slots' episodes have ended: what comes is a prompt, whatever it is like."""
        self._lengths_S[slots] = 0

    @torch.inference_mode()
    def states(
        self,
        tokens_SL: Tokens,
        lengths_S: npt.NDArray[np.integer],
        upcoming: Upcoming | None = None,
        prompt_lengths_S: npt.NDArray[np.integer] | None = None,
    ) -> States:
        """The state of every slot.

        Args:
            tokens_SL: prefixes, padded on the right.
            lengths_S: how many tokens of each are prefix; at least 1.
            upcoming: where it is known what comes, prompts are read some at a time.
            prompt_lengths_S: how many tokens of each are its prompt, where that is known.
        """
        kept_S = self._kept(tokens_SL, lengths_S)
        if prompt_lengths_S is not None:
            kept_S = np.where(self._prompts_S == prompt_lengths_S, kept_S, 0)
        going_S = kept_S > 0
        if prompt_lengths_S is not None:
            self._prompts_S[:] = prompt_lengths_S
        elif not going_S.all():
            self._prompts_S[~going_S] = lengths_S[~going_S]
        version = self.model.weights_version
        if version != self.weights_version:
            self.weights_version = version
            self._start()
            going_S[:] = False
        longest = int(lengths_S.max())
        with self.model.autocast():
            if going_S.any():
                self._go_on(tokens_SL, kept_S, np.where(going_S, lengths_S - kept_S, 0), longest)
            if not going_S.all():
                self._reserve(longest)
                fresh_S = ~going_S & (self._prompts_S == lengths_S)
                others_S = ~going_S & ~fresh_S
                if fresh_S.any():
                    self._copy(tokens_SL, lengths_S, np.flatnonzero(fresh_S), upcoming)
                if others_S.any():
                    self._read(tokens_SL, lengths_S, np.flatnonzero(others_S))
        self._seen_SC[:, :longest] = tokens_SL[:, :longest]
        self._lengths_S[:] = lengths_S
        assert self._hidden_SD is not None
        if self._memory_SPD is None:
            return States(self._hidden_SD)
        if not going_S.all() or self._read_prompts is None:
            self._read_prompts = self._prompts_as_tensors(self._hidden_SD.device)
        prompts_S, tokens_SP = self._read_prompts
        memory_SPD = self._memory_SPD[:, : tokens_SP.shape[1]]
        return States(self._hidden_SD, memory_SPD, prompts_R=prompts_S, tokens_RP=tokens_SP)

    def _prompts_as_tensors(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """The length of each slot's prompt (S,), and what heads look at of their tokens (S, P)."""
        reach = min(self.model.memory, int(self._prompts_S.max()))
        tokens_SP = torch.from_numpy(self._seen_SC[:, :reach].astype(np.int64))
        return torch.from_numpy(self._prompts_S.copy()).to(device), tokens_SP.to(device)

    def _kept(self, tokens_SL: Tokens, lengths_S: npt.NDArray[np.integer]) -> Ints:
        """Tokens of each slot that stay: all that it has read, or none."""
        columns = min(int(self._lengths_S.max()), tokens_SL.shape[1])
        differs_SC = self._differs_SC[:, : columns + 1]
        np.not_equal(self._seen_SC[:, :columns], tokens_SL[:, :columns], out=differs_SC[:, :-1])
        differs_SC[:, -1] = True  # so that there is a first column that differs
        keep_S = (differs_SC.argmax(axis=1) >= self._lengths_S) & (self._lengths_S <= lengths_S)
        return np.where(keep_S, self._lengths_S, 0)

    def _go_on(self, tokens_SL: Tokens, kept_S: Ints, counts_S: Ints, longest: int) -> None:
        """Read what is new in slots that go on, all at once."""
        new = int(counts_S.max())
        if new == 0:
            return
        self._reserve(longest + new)
        if new == 1:
            inside_SQ = np.minimum(kept_S, tokens_SL.shape[1] - 1)[:, None]
        else:
            inside_SQ = np.minimum(kept_S[:, None] + np.arange(new), tokens_SL.shape[1] - 1)
        tokens_SQ = tokens_SL[self._slots_S[:, None], inside_SQ].astype(np.int64)
        hidden_SQD = self._slots.extend(tokens_SQ, kept_S, counts_S).float()
        if new == 1:
            hidden_SD = hidden_SQD[:, 0]
        else:
            last_S = torch.from_numpy(np.maximum(counts_S, 1) - 1)
            hidden_SD = hidden_SQD[torch.arange(self.num_slots), last_S]
        if ((counts_S == 0) & (kept_S > 0)).any():  # those that begin get their states later
            assert self._hidden_SD is not None
            moved_S1 = torch.from_numpy(counts_S > 0).to(hidden_SD.device).unsqueeze(1)
            hidden_SD = torch.where(moved_S1, hidden_SD, self._hidden_SD)
        self._hidden_SD = hidden_SD

    def _copy(
        self,
        tokens_SL: Tokens,
        lengths_S: npt.NDArray[np.integer],
        slots_R: Ints,
        upcoming: Upcoming | None,
    ) -> None:
        """Begin with prompts, of which the bank reads those that it does not hold."""
        prompts = [tokens_SL[slot, : lengths_S[slot]].astype(np.int32) for slot in slots_R]

        def others() -> Iterator[Prompt]:
            """The prompts of the slots that are furthest along come first."""
            if upcoming is not None:
                for slot in np.argsort(self._prompts_S - lengths_S, kind="stable").tolist():
                    yield upcoming(slot)

        bank = self._bank
        rows_R = bank.rows(prompts, self.num_slots // 4, others)
        self._slots.copy_from(bank.cache, rows_R, slots_R, int(lengths_S[slots_R].max()))
        rows = torch.from_numpy(rows_R).to(bank.hidden_KD.device)
        memory_KPD = bank.memory_KPD[:, : int(lengths_S[slots_R].max())]
        self._keep(slots_R, bank.hidden_KD[rows], memory_KPD[rows])

    def _read(self, tokens_SL: Tokens, lengths_S: npt.NDArray[np.integer], slots_R: Ints) -> None:
        """Read the whole prefixes of some slots, which have grown beyond their prompts."""
        lengths_R = lengths_S[slots_R].astype(np.int64)
        tokens_RT = tokens_SL[slots_R, : int(lengths_R.max())].astype(np.int64)
        prompts_R = self._prompts_S[slots_R]
        memory = min(self.model.memory, int(prompts_R.max()))
        hidden_RD, memory_RPD = self._slots.begin(slots_R, tokens_RT, lengths_R, prompts_R, memory)
        self._keep(slots_R, hidden_RD.float(), memory_RPD.float())

    def _keep(self, slots_R: Ints, hidden_RD: Tensor, memory_RPD: Tensor) -> None:
        """Remember the hidden states of slots that begin; a prompt holds all that pointers see."""
        slots = torch.from_numpy(slots_R).to(hidden_RD.device)
        if self._hidden_SD is None:
            self._hidden_SD = hidden_RD.new_zeros(self.num_slots, hidden_RD.shape[1])
        self._hidden_SD = self._hidden_SD.index_copy(0, slots, hidden_RD)
        if not self.model.memory:
            return
        if self._memory_SPD is None:
            self._memory_SPD = memory_RPD.new_zeros(self.num_slots, 0, memory_RPD.shape[2])
        self._memory_SPD = grown(self._memory_SPD, memory_RPD.shape[1])
        self._memory_SPD[slots, : memory_RPD.shape[1]] = memory_RPD

    def _reserve(self, columns: int) -> None:
        self._slots.reserve(columns)
        missing = columns - self._seen_SC.shape[1]
        if missing > 0:
            self._seen_SC = np.pad(self._seen_SC, ((0, 0), (0, missing)))
            self._differs_SC = np.ones((self.num_slots, columns + 1), np.bool_)
