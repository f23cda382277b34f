"""What the backbones around a language model of transformers share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from agents.models.backbone import Backbone

ATTENTION = "attn_implementation"
"""The key of how attention is computed."""


class LMBackbone(Backbone):
    """A backbone around a language model.

    Args:
        lm: the language model, which is used as it is, not copied.
    """

    def __init__(self, lm: PreTrainedModel) -> None:
        """Take the model."""
        super().__init__()
        self.lm = lm
        self.width = int(lm.get_output_embeddings().weight.shape[1])

    def output_embeddings(self) -> nn.Module:
        """The last layer of the language-model head."""
        head: nn.Module = self.lm.get_output_embeddings()
        return head

    def config_json(self) -> dict[str, Any]:
        """The model's config, with what it does not tell of a model that was changed after it."""
        config: dict[str, Any] = self.lm.config.to_dict()
        config["dtype"] = str(self.lm.dtype).removeprefix("torch.")
        config[ATTENTION] = getattr(self.lm.config, "_attn_implementation", None)
        return config

    def save_pretrained(self, folder: Path) -> None:
        """Write weights and config as transformers does."""
        self.lm.save_pretrained(folder)
