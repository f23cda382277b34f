"""An encoder-decoder of transformers as a backbone: T5 and mT5.

The encoder reads the prompt, both ways; the decoder begins with its start token, which stands for
the prompt's last token, and goes on with what was appended (Raffel et al. 2020, "Exploring the
Limits of Transfer Learning with a Unified Text-to-Text Transformer").

Shapes: B sequences, T tokens, P tokens of the longest prompt, U of the longest input of the
decoder, D hidden size.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from transformers import PreTrainedModel

from agents.errors import ModelError
from agents.models.encoder_decoder_slots import EncoderDecoderSlots
from agents.models.lm_backbone import LMBackbone

MODEL_TYPES = ("mt5", "t5")


class EncoderDecoderBackbone(LMBackbone):
    """Encoder and decoder of a T5-type language model.

    The hidden states before the prompt's last token are the encoder's, those from there on the
    decoder's, scaled as the model's own language-model head reads them.

    Args:
        lm: the language model, which is used as it is, not copied.

    Raises:
        ModelError: it is of another type, or its config names no token to begin with.
    """

    kind: ClassVar[str] = "encoder-decoder"

    def __init__(self, lm: PreTrainedModel) -> None:
        """Take the model."""
        super().__init__(lm)
        config = lm.config
        if config.model_type not in MODEL_TYPES:
            raise ModelError(
                f"an encoder-decoder of type {config.model_type!r} is not supported: expected "
                f"{' or '.join(map(repr, MODEL_TYPES))}"
            )
        start = getattr(config, "decoder_start_token_id", None)
        start = config.pad_token_id if start is None else start
        if start is None:
            raise ModelError(
                f"the config of {type(lm).__name__} names neither decoder_start_token_id nor "
                "pad_token_id: set the token that the decoder begins with"
            )
        self.start_token = int(start)
        scaled = getattr(config, "scale_decoder_outputs", False)
        self.output_scale = self.width**-0.5 if scaled else 1.0

    def forward(self, tokens_BT: Tensor, prompts_B: Tensor) -> Tensor:
        """Hidden states of all tokens; see `Backbone`. What is padded behind is not seen."""
        encoded_BPD, seen_BP = self.encode(tokens_BT[:, : int(prompts_B.max())], prompts_B)
        decoded_BUD = self.lm.decoder(
            input_ids=self.decoder_input(tokens_BT, prompts_B),
            encoder_hidden_states=encoded_BPD,
            encoder_attention_mask=seen_BP,
            use_cache=False,
        ).last_hidden_state
        decoded_BUD = decoded_BUD * self.output_scale
        return self.joined(encoded_BPD, decoded_BUD, prompts_B, tokens_BT.shape[1])

    def encode(self, prompts_BP: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """The encoder's states of prompts, (B, P, D), and which of them there are, (B, P)."""
        columns_P = torch.arange(prompts_BP.shape[1], device=prompts_BP.device)
        seen_BP = columns_P < lengths_B[:, None]
        states = self.lm.encoder(input_ids=prompts_BP, attention_mask=seen_BP)
        return states.last_hidden_state, seen_BP

    def decoder_input(self, tokens_BT: Tensor, prompts_B: Tensor) -> Tensor:
        """The start token and what follows the prompt, (B, U), padded on the right by any token."""
        last = tokens_BT.shape[1] - 1
        columns_U = torch.arange(last + 2 - int(prompts_B.min()), device=tokens_BT.device)
        columns_BU = (prompts_B[:, None] - 1 + columns_U).clamp(max=last)
        return tokens_BT.gather(1, columns_BU).masked_fill(columns_U == 0, self.start_token)

    @staticmethod
    def joined(encoded_BPD: Tensor, decoded_BUD: Tensor, prompts_B: Tensor, length: int) -> Tensor:
        """The encoder's states before each prompt's last token, the decoder's from there.

        Args:
            encoded_BPD: states of the prompts.
            decoded_BUD: states of the decoder's inputs.
            prompts_B: tokens of each prompt.
            length: T, tokens of the longest sequence.

        Returns:
            (B, T, D).
        """
        rows_B1 = torch.arange(len(prompts_B), device=prompts_B.device)[:, None]
        columns_T = torch.arange(length, device=prompts_B.device)
        columns_BT = columns_T - (prompts_B[:, None] - 1)
        decoded_BTD = decoded_BUD[rows_B1, columns_BT.clamp(0, decoded_BUD.shape[1] - 1)]
        encoded_BTD = encoded_BPD[:, columns_T.clamp(max=encoded_BPD.shape[1] - 1)]
        return torch.where((columns_BT < 0)[:, :, None], encoded_BTD, decoded_BTD)

    def slots(self, num_slots: int) -> EncoderDecoderSlots:
        """Keys and values of the prompts for the decoder, and of its own tokens."""
        return EncoderDecoderSlots(self, num_slots)
