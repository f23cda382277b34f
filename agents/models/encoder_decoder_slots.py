"""The slot cache of an encoder-decoder: the prompt is read once, the decoder token by token.

Shapes: S slots, R of them, T tokens, P tokens of the longest prompt, C columns of the decoder's
capacity, Q new tokens, K columns attended over, H heads, D hidden size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from agents.models.backbone import Ints, ends
from agents.models.cache_passes import Stores
from agents.models.key_values import COLUMN_BLOCK

if TYPE_CHECKING:
    from agents.models.encoder_decoder import EncoderDecoderBackbone


class _Attention:
    """One of the decoder's attentions, with the keys and values that every slot has for it."""

    def __init__(self, module: Any, num_slots: int) -> None:
        self.module = module
        self.stores = Stores(num_slots)

    def grow(self, columns: int) -> None:
        """Make room in whole blocks, and keep what is there."""
        if columns > self.stores.capacity:
            self.stores.grow(-(-columns // COLUMN_BLOCK) * COLUMN_BLOCK)

    def write(self, states_RQD: Tensor, slots_R1: Tensor, columns_RQ: Tensor) -> None:
        """Keep keys and values of hidden states."""
        keys, values = (self._heads(f(states_RQD)) for f in (self.module.k, self.module.v))
        self.stores.make(keys, values)
        self.stores.keys[slots_R1, :, columns_RQ] = keys
        self.stores.values[slots_R1, :, columns_RQ] = values

    def attend(self, states_RQD: Tensor, slots: Tensor | slice, bias: Tensor) -> Tensor:
        """What hidden states take from the slots' first columns, as many as `bias` has."""
        mixed_RHQ = F.scaled_dot_product_attention(
            self._heads(self.module.q(states_RQD)).transpose(1, 2),
            self.stores.keys[slots, :, : bias.shape[-1]],
            self.stores.values[slots, :, : bias.shape[-1]],
            attn_mask=bias,
            scale=1.0,
        )
        output_RQD: Tensor = self.module.o(mixed_RHQ.transpose(1, 2).flatten(2))
        return output_RQD

    def _heads(self, states: Tensor) -> Tensor:
        return states.view(*states.shape[:2], self.module.n_heads, -1)


class EncoderDecoderSlots:
    """Keys and values of each slot's prompt and of its decoder's tokens.

    Runs the decoder's blocks itself: transformers knows one position for all sequences of a
    batch, but each slot has its own, and with it another relative position bias.

    Args:
        backbone: whose encoder and decoder are run.
        num_slots: how many slots.
    """

    def __init__(self, backbone: EncoderDecoderBackbone, num_slots: int) -> None:
        """Start with every slot empty."""
        self.backbone = backbone
        self._decoder = backbone.lm.decoder
        weight = backbone.lm.get_input_embeddings().weight
        self._dtype, self._device = weight.dtype, weight.device
        self._prompts_S = np.zeros(num_slots, np.int64)
        blocks = [block.layer for block in self._decoder.block]
        self._own = [_Attention(layer[0].SelfAttention, num_slots) for layer in blocks]
        self._prompt = [_Attention(layer[1].EncDecAttention, num_slots) for layer in blocks]
        self._bias_CH: Tensor | None = None

    def reserve(self, columns: int) -> None:
        """Room is made as prompts and decoders need it, each for themselves."""

    def begin(
        self, slots_R: Ints, tokens_RT: Ints, lengths_R: Ints, prompts_R: Ints, memory: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Read whole prefixes; see `SlotCache`."""
        self._prompts_S[slots_R] = prompts_R
        tokens, prompts = self._tensor(tokens_RT), self._tensor(prompts_R)
        slots = self._tensor(slots_R)
        encoded_RPD, _ = self.backbone.encode(tokens[:, : int(prompts_R.max())], prompts)
        columns_P = torch.arange(encoded_RPD.shape[1], device=self._device)
        for prompt in self._prompt:
            prompt.grow(len(columns_P))
            prompt.write(encoded_RPD, slots[:, None], columns_P)
        inputs_RQ = self.backbone.decoder_input(tokens, prompts)
        decoded_RQD = self._decode(inputs_RQ, slots_R, np.zeros(len(slots_R), np.int64))
        hidden_RTD = self.backbone.joined(encoded_RPD, decoded_RQD, prompts, tokens_RT.shape[1])
        return ends(hidden_RTD, lengths_R, memory)

    def extend(self, tokens_SQ: Ints, starts_S: Ints, counts_S: Ints) -> Tensor:
        """Append tokens; see `SlotCache`.

        A slot with fewer new tokens than Q is fed some padding behind them. It lands beyond the
        slot's length, where nothing attends to it until it is overwritten.
        """
        return self._decode(self._tensor(tokens_SQ), None, starts_S - self._prompts_S + 1)

    def copy_from(
        self, source: EncoderDecoderSlots, rows_R: Ints, slots_R: Ints, columns: int
    ) -> None:
        """Copy the prompts' keys and values; see `SlotCache`."""
        rows, slots = self._tensor(rows_R), self._tensor(slots_R)
        self._prompts_S[slots_R] = source._prompts_S[rows_R]
        for own, prompt, other_own, other_prompt in zip(
            self._own, self._prompt, source._own, source._prompt, strict=True
        ):
            prompt.grow(columns)
            prompt.stores.copy_from(other_prompt.stores, rows, slots, columns)
            own.grow(1)
            own.stores.copy_from(other_own.stores, rows, slots, 1)

    def _tensor(self, array: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self._device)

    def _decode(self, inputs_RQ: Tensor, slots_R: Ints | None, starts_R: Ints) -> Tensor:
        """Run the decoder over new inputs, all slots' if none are named; states, (R, Q, D).

        Args:
            inputs_RQ: the decoder's inputs.
            slots_R: their slots.
            starts_R: the place of each slot's first one among the decoder's inputs.
        """
        # A slot that begins anew with the next call may have no place yet.
        columns_RQ = np.maximum(starts_R, 0)[:, None] + np.arange(inputs_RQ.shape[1])
        longest = int(columns_RQ.max()) + 1
        self._grow(longest)
        prompts_R = self._prompts_S if slots_R is None else self._prompts_S[slots_R]
        slots = slice(None) if slots_R is None else self._tensor(slots_R)
        cells = np.arange(len(starts_R)) if slots_R is None else slots_R
        cells_R1, columns = self._tensor(cells[:, None]), self._tensor(columns_RQ)
        own_bias, prompt_bias = self._own_bias(columns, longest), self._prompt_bias(prompts_R)
        hidden_RQD = self._decoder.embed_tokens(inputs_RQ)
        for block, own, prompt in zip(self._decoder.block, self._own, self._prompt, strict=True):
            normed_RQD = block.layer[0].layer_norm(hidden_RQD)
            own.write(normed_RQD, cells_R1, columns)
            hidden_RQD = hidden_RQD + own.attend(normed_RQD, slots, own_bias)
            normed_RQD = block.layer[1].layer_norm(hidden_RQD)
            hidden_RQD = hidden_RQD + prompt.attend(normed_RQD, slots, prompt_bias)
            hidden_RQD = block.layer[2](hidden_RQD)
        output_RQD: Tensor = self._decoder.final_layer_norm(hidden_RQD)
        return output_RQD * self.backbone.output_scale

    def _grow(self, columns: int) -> None:
        """Make room for so many inputs of the decoder, and tabulate the bias of each distance."""
        for own in self._own:
            own.grow(columns)
        capacity = self._own[0].stores.capacity
        if self._bias_CH is None or len(self._bias_CH) < capacity:
            module = self._own[0].module
            buckets_C = module._relative_position_bucket(
                -torch.arange(capacity, device=self._device),
                bidirectional=False,
                num_buckets=module.relative_attention_num_buckets,
                max_distance=module.relative_attention_max_distance,
            )
            self._bias_CH = module.relative_attention_bias(buckets_C)

    def _own_bias(self, columns_RQ: Tensor, longest: int) -> Tensor:
        """Added to the scores of the decoder's own tokens: (R, H, Q, K)."""
        distances_RQK = columns_RQ[:, :, None] - torch.arange(longest, device=self._device)
        assert self._bias_CH is not None
        bias_RHQK = self._bias_CH[distances_RQK.clamp(min=0)].permute(0, 3, 1, 2)
        return _hiding(bias_RHQK, (distances_RQK < 0)[:, None])

    def _prompt_bias(self, prompts_R: Ints) -> Tensor:
        """Added to the scores of the prompts' tokens: 0 up to their ends, (R, 1, 1, P)."""
        behind_RP = self._tensor(np.arange(prompts_R.max()) >= prompts_R[:, None])
        bias_RP = torch.zeros(behind_RP.shape, dtype=self._dtype, device=self._device)
        return _hiding(bias_RP, behind_RP)[:, None, None]


def _hiding(bias: Tensor, hidden: Tensor) -> Tensor:
    """A bias that lets nothing be seen there, and yet leaves finite numbers where nothing is."""
    return bias.masked_fill(hidden, torch.finfo(bias.dtype).min)
