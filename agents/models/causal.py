"""A causal language model of transformers as a backbone: GPT-2, Llama, Qwen and the like."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from agents.models.backbone import SlotCache
from agents.models.key_values import KeyValueSlots
from agents.models.last_layer import states_of_chosen
from agents.models.lm_backbone import LMBackbone


class CausalBackbone(LMBackbone):
    """The trunk of a causal language model; a token sees the tokens before it.

    Args:
        lm: the language model, which is used as it is, not copied.
    """

    kind: ClassVar[str] = "causal"

    @property
    def trunk(self) -> nn.Module:
        """The model without its language-model head."""
        trunk: nn.Module = self.lm.base_model
        return trunk

    def forward(self, tokens_BT: Tensor, prompts_B: Tensor) -> Tensor:
        """Hidden states of all tokens; see `Backbone`. What is padded behind is not seen."""
        hidden_BTD: Tensor = self.trunk(input_ids=tokens_BT, use_cache=False).last_hidden_state
        return hidden_BTD

    def states(
        self,
        tokens_BT: Tensor,
        prompts_B: Tensor,
        rows_N: Tensor,
        columns_N: Tensor,
        memory: int = 0,
    ) -> tuple[Tensor, Tensor]:
        """Hidden states of some tokens; see `Backbone`. The last layer skips the others."""
        chosen_ND = None
        if not memory:
            chosen_ND = states_of_chosen(self.trunk, tokens_BT, rows_N, columns_N)
        if chosen_ND is None:
            return super().states(tokens_BT, prompts_B, rows_N, columns_N, memory)
        return chosen_ND, chosen_ND.new_zeros(len(tokens_BT), 0, self.width)

    def slots(self, num_slots: int) -> SlotCache:
        """Keys and values of every layer, a row of columns a slot."""
        return KeyValueSlots(self.lm, num_slots)
