"""A causal language model whose prompt looks both ways, as a backbone.

Within the prompt every token sees every other; a token appended behind it sees all before it and
itself. This is the mask of a prefix language model (Dong et al. 2019, "Unified Language Model
Pre-training for Natural Language Understanding and Generation", the sequence-to-sequence mask), by
which no state depends on what is appended later: one pass gives all states of an episode, and
keys and values once computed stay. What is read before it is known what is asked of it, a passage
before its question, is better read so.

Shapes: B sequences, T tokens, R slots, D hidden size.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from agents.errors import ModelError
from agents.models.backbone import Backbone
from agents.models.cache_passes import Begin, Stores
from agents.models.causal import CausalBackbone
from agents.models.key_values import KeyValueSlots


class PrefixLMBackbone(CausalBackbone):
    """The trunk of a causal language model under the mask of a prefix language model.

    Args:
        lm: the language model, which is used as it is, not copied.
    """

    kind: ClassVar[str] = "prefix-lm"

    def forward(self, tokens_BT: Tensor, prompts_B: Tensor) -> Tensor:
        """Hidden states of all tokens; see `Backbone`. What is padded behind is not seen."""
        mask = prefix_lm_mask(prompts_B, tokens_BT.shape[1], self.lm.dtype)
        hidden_BTD: Tensor = self.trunk(
            input_ids=tokens_BT, attention_mask=mask, use_cache=False
        ).last_hidden_state
        return hidden_BTD

    states = Backbone.states

    def slots(self, num_slots: int) -> PrefixLMSlots:
        """Keys and values of every layer, a row of columns a slot."""
        return PrefixLMSlots(self.lm, num_slots)

    def save_pretrained(self, folder: Path) -> None:
        """Raise a ModelError: transformers would read the prompt one way only."""
        raise ModelError(
            "transformers has no causal language model whose prompt looks both ways: save the "
            "agent with save(folder)"
        )


class PrefixLMSlots(KeyValueSlots):
    """The slot cache of a prefix language model."""

    def _beginning(self, slots_R: Tensor, width: int, prompts_R: Tensor) -> Begin:
        return BeginBothWays(slots_R, width, prompts_R)


class BeginBothWays(Begin):
    """A pass over the whole prefixes of some slots, whose prompts look both ways.

    Args:
        slots_R: which slots.
        width: T.
        prompts_R: tokens of each prompt.
    """

    def __init__(self, slots_R: Tensor, width: int, prompts_R: Tensor) -> None:
        """Remember where to write."""
        super().__init__(slots_R, width)
        self.prompts_R = prompts_R

    def attend(self, stores: Stores, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Attention within each prefix; the last token sees all of it in any case."""
        if len(queries) < len(keys):
            return super().attend(stores, queries, keys, values)
        return self._attend(stores, queries, keys, values, self.mask(queries.dtype))

    def mask(self, dtype: torch.dtype) -> Tensor:
        """The mask of a prefix language model."""
        return prefix_lm_mask(self.prompts_R, self.width, dtype)


def prefix_lm_mask(prompts_B: Tensor, length: int, dtype: torch.dtype) -> Tensor:
    """What is added to attention's scores, (B, 1, T, T): 0 where a token sees another.

    Args:
        prompts_B: tokens of each prompt.
        length: T.
        dtype: of the model.
    """
    columns_T = torch.arange(length, device=prompts_B.device)
    hidden_BTT = (columns_T > columns_T[:, None]) & (columns_T >= prompts_B[:, None, None])
    mask_BTT = torch.zeros(hidden_BTT.shape, dtype=dtype, device=prompts_B.device)
    return mask_BTT.masked_fill_(hidden_BTT, torch.finfo(dtype).min).unsqueeze(1)
