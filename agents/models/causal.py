"""A causal language model of transformers as a backbone: GPT-2, Llama, Qwen and the like."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn
from transformers import PreTrainedModel

from agents.models.backbone import Backbone, SlotCache
from agents.models.key_values import KeyValueSlots
from agents.models.last_layer import states_of_chosen


class CausalBackbone(Backbone):
    """The trunk of a causal language model; a token sees the tokens before it.

    Args:
        lm: the language model, which is used as it is, not copied.
    """

    kind: ClassVar[str] = "causal"

    def __init__(self, lm: PreTrainedModel) -> None:
        """Take the model."""
        super().__init__()
        self.lm = lm
        self.width = int(lm.get_output_embeddings().weight.shape[1])

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

    def output_embeddings(self) -> nn.Module:
        """The language-model head."""
        head: nn.Module = self.lm.get_output_embeddings()
        return head

    def config_json(self) -> dict[str, Any]:
        """The model's config."""
        config: dict[str, Any] = self.lm.config.to_dict()
        return config

    def save_pretrained(self, folder: Path) -> None:
        """Write weights and config as transformers does."""
        self.lm.save_pretrained(folder)
