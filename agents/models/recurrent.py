"""GRU and LSTM backbones, for those who compare with what came before attention.

Cho et al. 2014, "Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine
Translation"; Hochreiter & Schmidhuber 1997, "Long Short-Term Memory".

Shapes: B sequences, T tokens, S slots, R of them, Q new tokens, D hidden size, P parts of a state
(one of a GRU; hidden and cell of an LSTM), L layers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from agents.errors import ModelError
from agents.models.backbone import Backbone, Ints, ends

CELLS: dict[str, type[nn.GRU] | type[nn.LSTM]] = {"gru": nn.GRU, "lstm": nn.LSTM}


class RecurrentBackbone(Backbone):
    """Embedding, recurrent layers and a language-model head of its own.

    Args:
        cell: "gru" or "lstm".
        vocab_size: tokens.
        width: size of embeddings and of hidden states.
        layers: how many.
    """

    kind: ClassVar[str] = "recurrent"

    def __init__(self, cell: str, vocab_size: int, width: int = 256, layers: int = 2) -> None:
        """Draw weights."""
        super().__init__()
        self.cell = cell
        self.width = width
        self.embedding = nn.Embedding(vocab_size, width)
        self.layers = CELLS[cell](width, width, layers, batch_first=True)
        self.head = nn.Linear(width, vocab_size)

    def train(self, mode: bool = True) -> RecurrentBackbone:
        """Set the mode of all but the recurrent layers, of which cuDNN learns in train mode only.

        They have no dropout: their modes compute the same.
        """
        super().train(mode)
        self.layers.train()
        return self

    def forward(self, tokens_BT: Tensor, prompts_B: Tensor) -> Tensor:
        """Hidden states of all tokens; see `Backbone`. What is padded behind is not read yet."""
        hidden_BTD: Tensor = self.run_layers(self.embedding(tokens_BT))[0]
        return hidden_BTD

    def run_layers(self, embedded: Any, state: Any = None) -> Any:
        """The layers' output and state, in full precision: not every CPU has them in another."""
        with torch.autocast(self.embedding.weight.device.type, enabled=False):
            return self.layers(embedded, state)

    def slots(self, num_slots: int) -> RecurrentSlots:
        """The recurrent state of every slot."""
        return RecurrentSlots(self, num_slots)

    def output_embeddings(self) -> nn.Module:
        """The language-model head."""
        return self.head

    def config_json(self) -> dict[str, Any]:
        """The arguments that it was made with."""
        return {
            "cell": self.cell,
            "vocab_size": self.embedding.num_embeddings,
            "width": self.width,
            "layers": self.layers.num_layers,
        }

    def save_pretrained(self, folder: Path) -> None:
        """Refuse: transformers has no such architecture."""
        raise ModelError(
            f"a backbone of type {self.cell!r} is no architecture of transformers: use the agent's "
            "own checkpoint, or a transformers model as the backbone"
        )


class RecurrentSlots:
    """The slot cache of a recurrent network: one state a slot, whatever the prefix's length.

    A state cannot be taken back: new tokens must follow the last one that was read.

    Args:
        backbone: whose layers are run.
        num_slots: how many slots.
    """

    def __init__(self, backbone: RecurrentBackbone, num_slots: int) -> None:
        """Start with every slot empty."""
        self.backbone = backbone
        parts = 2 if isinstance(backbone.layers, nn.LSTM) else 1
        weight = backbone.embedding.weight
        self._state_PLSD = weight.new_zeros(
            parts, backbone.layers.num_layers, num_slots, backbone.width
        )

    def reserve(self, columns: int) -> None:
        """A state takes the same room whatever it has read."""

    def begin(
        self, slots_R: Ints, tokens_RT: Ints, lengths_R: Ints, prompts_R: Ints, memory: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Read whole prefixes; see `SlotCache`. A prompt is read as all else is."""
        slots = self._index(slots_R)
        hidden_RTD, state_PLRD = self._read(
            tokens_RT, lengths_R, torch.zeros_like(self._state_PLSD[:, :, slots])
        )
        self._state_PLSD[:, :, slots] = state_PLRD
        return ends(hidden_RTD, lengths_R, memory)

    def extend(self, tokens_SQ: Ints, starts_S: Ints, counts_S: Ints) -> Tensor:
        """Append tokens; see `SlotCache`."""
        if counts_S.all():
            hidden_SQD, self._state_PLSD = self._read(tokens_SQ, counts_S, self._state_PLSD)
            return hidden_SQD
        going_R = np.flatnonzero(counts_S)
        slots = self._index(going_R)
        hidden_RQD, state_PLRD = self._read(
            tokens_SQ[going_R], counts_S[going_R], self._state_PLSD[:, :, slots]
        )
        self._state_PLSD[:, :, slots] = state_PLRD
        hidden_SQD = hidden_RQD.new_zeros(len(counts_S), *hidden_RQD.shape[1:])
        hidden_SQD[slots] = hidden_RQD
        return hidden_SQD

    def copy_from(self, source: RecurrentSlots, rows_R: Ints, slots_R: Ints, columns: int) -> None:
        """Copy states; see `SlotCache`."""
        read_PLRD = source._state_PLSD[:, :, self._index(rows_R)]
        self._state_PLSD[:, :, self._index(slots_R)] = read_PLRD

    def _index(self, rows: Ints) -> Tensor:
        return torch.from_numpy(rows).to(self._state_PLSD.device)

    def _read(self, tokens_RQ: Ints, counts_R: Ints, state_PLRD: Tensor) -> tuple[Tensor, Tensor]:
        """Go on from states; hidden states (R, Q, D), and each row's state after its last token."""
        new = tokens_RQ.shape[1]
        embedded_RQD = self.backbone.embedding(self._index(tokens_RQ))
        before = state_PLRD[0] if len(state_PLRD) == 1 else tuple(state_PLRD)
        if (counts_R == new).all():
            hidden_RQD, after = self.backbone.run_layers(embedded_RQD, before)
        else:
            packed = pack_padded_sequence(
                embedded_RQD, torch.from_numpy(counts_R), batch_first=True, enforce_sorted=False
            )
            packed, after = self.backbone.run_layers(packed, before)
            hidden_RQD, _ = pad_packed_sequence(packed, batch_first=True, total_length=new)
        return hidden_RQD, torch.stack(after) if isinstance(after, tuple) else after.unsqueeze(0)
