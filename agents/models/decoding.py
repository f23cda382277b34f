"""Forward passes for acting in bare tensor operations, for the architectures that they know.

transformers' own forward spends most of a small model's decoding step on the way between its
modules. A decoding does the same arithmetic on copies of the same weights: side by side where one
product then serves for several, with constant factors multiplied in, and without what follows the
last layer's keys and values for tokens whose hidden state nobody asked for.

Shapes: N new tokens of all slots, R of them, H query heads, G key/value heads, D head size, W
hidden size.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from agents.models.linear import is_adapted


class Attention(Protocol):
    """Keeps a layer's new keys and values, and mixes all that their slots hold."""

    def __call__(self, layer: int, queries: Tensor, keys_NGD: Tensor, values_NGD: Tensor) -> Tensor:
        """The mixed values of each query's heads side by side, (N, H * D) or (R, H * D).

        Args:
            layer: its number.
            queries: (N, H, D), or (R, H, D) where only the chosen tokens ask. Their products with
                keys are the scores: they need no further factor.
            keys_NGD: of the new tokens.
            values_NGD: of the new tokens.
        """


class Decoding(Protocol):
    """Runs a trunk over new tokens."""

    def reserve(self, columns: int) -> None:
        """Be ready for positions below `columns`."""

    def hidden(
        self,
        tokens_N: Tensor,
        positions_N: Tensor,
        attend: Attention,
        chosen_R: Tensor | None = None,
    ) -> Tensor:
        """Hidden states after the last norm, (N, W).

        Args:
            tokens_N: the new tokens.
            positions_N: their positions.
            attend: of the slots that read them.
            chosen_R: the tokens whose hidden states are asked for, (R, W) then; None for all.
        """


@torch.no_grad()
def decoding_of(lm: PreTrainedModel) -> Decoding | None:
    """A decoding that computes what the model's trunk does; None where there is none."""
    from agents.models.gpt2_decoding import GPT2Decoding
    from agents.models.llama_decoding import LlamaDecoding

    trunk = lm.base_model
    if lm.dtype is torch.float64:
        return None
    for decoding in (LlamaDecoding, GPT2Decoding):
        if decoding.knows(trunk):
            return decoding(trunk)
    return None


def is_plain(trunk: nn.Module) -> bool:
    """Whether linear layers are that alone, or that with an adapter; a subclass does more."""
    return all(
        type(module.base_layer if is_adapted(module) else module) in (nn.Linear, Conv1D)
        for module in trunk.modules()
        if isinstance(module, (nn.Linear, Conv1D)) or is_adapted(module)
    )


def compute_dtype(weight: Tensor) -> torch.dtype:
    """The type that products are computed in: the weight's, or autocast's."""
    device = weight.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
