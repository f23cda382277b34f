"""An encoder of transformers as a backbone: BERT, RoBERTa and the like.

Its prompt looks both ways, what is appended only back: see `agents.models.prefix_lm`.

Shapes: B sequences, T tokens, R slots, D hidden size.
"""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from agents.models.backbone import Ints, ends
from agents.models.cache_passes import Pass
from agents.models.key_values import KeyValueSlots
from agents.models.lm_backbone import LMBackbone
from agents.models.prefix_lm import BeginBothWays, prefix_lm_mask


class EncoderBackbone(LMBackbone):
    """A masked language model whose prompt looks both ways.

    A hidden state is what the model's last linear layer reads, behind the transformation that
    masked language models have between trunk and vocabulary: a pretrained model so begins with
    the scores that it has.

    Args:
        lm: the masked language model, which is used as it is, not copied.
    """

    kind: ClassVar[str] = "encoder"

    def forward(self, tokens_BT: Tensor, prompts_B: Tensor) -> Tensor:
        """Hidden states of all tokens; see `Backbone`. What is padded behind is not seen."""
        length = tokens_BT.shape[1]
        first = first_position(self.lm)
        mask = prefix_lm_mask(prompts_B, length, next(self.lm.parameters()).dtype)
        hidden_BTD: Tensor = headless(self.lm)(
            input_ids=tokens_BT,
            attention_mask=mask,
            position_ids=torch.arange(first, first + length, device=tokens_BT.device).unsqueeze(0),
        ).logits
        return hidden_BTD

    def slots(self, num_slots: int) -> EncoderSlots:
        """Keys and values of every layer, a row of columns a slot."""
        return EncoderSlots(self.lm, num_slots)


class EncoderSlots(KeyValueSlots):
    """The slot cache of an encoder: a prompt is read both ways, all else as by a causal model.

    Args:
        lm: the masked language model.
        num_slots: how many slots.
    """

    def __init__(self, lm: PreTrainedModel, num_slots: int) -> None:
        """Start with every slot empty."""
        super().__init__(lm, num_slots)
        self._headless = headless(lm)
        self._first = first_position(lm)

    def begin(
        self, slots_R: Ints, tokens_RT: Ints, lengths_R: Ints, prompts_R: Ints, memory: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Read whole prefixes; see `SlotCache`."""
        width = tokens_RT.shape[1]
        now = BeginBothWays(self._tensor(slots_R), width, self._tensor(prompts_R))
        positions_1T = self._columns_C[:width].unsqueeze(0)
        hidden_RTD = self._run_trunk(self._tensor(tokens_RT), now, positions_1T)
        return ends(hidden_RTD, lengths_R, memory)

    def _run_trunk(self, tokens: Tensor, now: Pass, positions: Tensor | None = None) -> Tensor:
        """Hidden states as the output embeddings read them."""
        assert positions is not None
        for layer in self._layers:
            layer.now = now
        hidden: Tensor = self._headless(
            input_ids=tokens,
            past_key_values=self._cache,
            attention_mask=now.mask(self._dtype),
            position_ids=positions + self._first,
        ).logits
        return hidden


def headless(lm: PreTrainedModel) -> Any:
    """The model, on the same weights, whose "logits" are what its output embeddings would read."""
    head = lm.get_output_embeddings()
    name = next(name for name, module in lm.named_modules() if module is head)
    top = part = copy.copy(lm)
    for step in name.split(".")[:-1]:
        part._modules = part._modules | {step: copy.copy(part._modules[step])}
        part = part._modules[step]
    part._modules = part._modules | {name.rpartition(".")[2]: nn.Identity()}
    return top


def first_position(lm: PreTrainedModel) -> int:
    """The position of a sequence's first token; RoBERTa's positions begin behind the padding's."""
    table = getattr(getattr(lm.base_model, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)
    return 0 if padding is None else int(padding) + 1
