"""Trying what a backbone does: transformers has many architectures, and each its own ways."""

from __future__ import annotations

import logging

import numpy as np
import torch
from torch import Tensor, nn

from agents.errors import ModelError
from agents.models.backbone import Backbone, Ints
from agents.models.causal import CausalBackbone
from agents.models.heads import vocabulary
from agents.models.lm_backbone import LMBackbone

logger = logging.getLogger(__name__)

PROMPT, APPENDED, LONGER = 3, 2, 2
"""Tokens of the prompt that is tried, tokens behind it, and how much longer another slot is."""
EXPECTED = (
    "expected an architecture such as GPT-2, Llama, Qwen, BERT, RoBERTa, T5, a GRU or an LSTM"
)


@torch.inference_mode()
def check_cache(backbone: Backbone, max_tokens: int) -> None:
    """Read a few tokens with and without the cache.

    Whether an architecture keeps to what a slot cache counts on (masks, positions, keys and values
    that stay) is seen when it runs.

    Args:
        backbone: is put in eval mode.
        max_tokens: the longest prefix; what reads less than a few tokens is not tried.

    Raises:
        ModelError: the states differ, or one way cannot be run.
    """
    if max_tokens <= PROMPT + APPENDED + LONGER:
        return
    backbone.eval()
    name = type(backbone.lm if isinstance(backbone, LMBackbone) else backbone).__name__
    tokens_T = np.arange(PROMPT + APPENDED + LONGER) % vocabulary(backbone.output_embeddings())
    try:
        whole, cached = _last_state(backbone, tokens_T), _last_cached_state(backbone, tokens_T)
    except (
        AssertionError,
        AttributeError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise ModelError(
            f"{name} cannot read token by token, each slot at its own place: {EXPECTED}. It fails "
            f"with: {error}"
        ) from error
    # Half-precision numbers have two or three digits, and layers lose one more.
    tolerance = 1e-3 if whole.dtype == torch.float32 else 0.1
    if not torch.allclose(whole, cached, rtol=0, atol=tolerance * float(whole.abs().max())):
        raise ModelError(
            f"{name} gives other states when it reads token by token, each slot at its own place, "
            f"than when it reads a sequence at once, and so could not learn as it acts: {EXPECTED}"
        )


@torch.inference_mode()
def compare_scores(backbone: Backbone) -> None:
    """Warn where the head on a state does not give a causal language model's own scores."""
    if not isinstance(backbone, CausalBackbone):
        return
    head: nn.Linear = backbone.lm.get_output_embeddings()
    token_11 = torch.zeros(1, 1, dtype=torch.long, device=next(backbone.parameters()).device)
    hidden_11D = backbone(token_11, torch.ones_like(token_11[0]))
    scores_11V = head(hidden_11D)
    own_11V = backbone.lm(input_ids=token_11).logits
    if not torch.allclose(scores_11V, own_11V, rtol=0.05, atol=0.05 * float(own_11V.std())):
        logger.warning(
            "%s scores tokens otherwise than by a linear layer on its trunk's states: as a policy "
            "it does not begin with its own scores",
            type(backbone.lm).__name__,
        )


def _last_state(backbone: Backbone, tokens_T: Ints) -> Tensor:
    device = next(backbone.parameters()).device
    read_1T = torch.from_numpy(tokens_T[None, : PROMPT + APPENDED]).to(device)
    hidden_1TD: Tensor = backbone(read_1T, torch.tensor([PROMPT], device=device))
    return hidden_1TD[0, -1]


def _last_cached_state(backbone: Backbone, tokens_T: Ints) -> Tensor:
    """The same state, in a slot beside one whose prompt is longer."""
    slots = backbone.slots(2)
    slots.reserve(len(tokens_T) + 1)
    lengths_2 = np.array([PROMPT, PROMPT + LONGER])
    slots.begin(np.arange(2), np.tile(tokens_T[: PROMPT + LONGER], (2, 1)), lengths_2, lengths_2)
    for _ in range(APPENDED):
        hidden_21D = slots.extend(tokens_T[lengths_2][:, None], lengths_2, np.ones(2, np.int64))
        lengths_2 = lengths_2 + 1
    return hidden_21D[0, 0]
