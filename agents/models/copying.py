"""Initial weights with which a small Llama soon learns to copy and to look up.

Whatever a model of a few layers is to learn of texts that it has not seen before, it must first
find "the same token, earlier" and "what followed it" (Olsson et al. 2022, "In-context Learning and
Induction Heads"). From Gaussian weights that takes tens of thousands of episodes; much fewer from
weights that begin as those of trained models end (Trockman & Kolter 2023, "Mimetic Initialization
of Self-Attention Layers"). Nothing is frozen: it is a start.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

POSITIONAL_HEADS = (1, 2)
"""How many tokens before its own each of the first layer's first heads looks at."""
SHARPNESS = 8.0
"""By how many nats each frequency of a positional head prefers its position to those far off."""
FREQUENCIES = 3
"""How many rotary frequencies, the highest first, a positional head tells positions by."""
NEIGHBOURHOOD = slice(3, 6)
"""The rotary frequencies by which a head looks at its whole neighbourhood, some 8 tokens wide."""
NEIGHBOURHOOD_SHARPNESS = 2.0
NEIGHBOURHOOD_GAIN = 3.0
"""A mean of many tokens is short: its output counts as much more."""


@torch.no_grad()
def begin_with_copying(backbone: PreTrainedModel, neighbourhood: bool = False) -> None:
    """Let every head attend to tokens like its own, and pass on what it reads unchanged.

    Queries begin equal to keys, and the output projection as the inverse of the values'. With tied
    embeddings what a head attends to so becomes likelier to come next. The first layer's first
    heads look at the one and the two tokens before instead, whatever they are, so that the next
    layer's heads find what followed the like of a token.

    Args:
        backbone: a Llama with as many key/value heads as heads, and with attention biases.
        neighbourhood: let one more head of the first layer look at the tokens around, so that every
            token has the gist of its sentence.
    """
    for number, layer in enumerate(backbone.base_model.layers):
        attention = layer.self_attn
        width = attention.q_proj.weight.shape[0]
        attention.q_proj.weight.copy_(_rotation(width))
        attention.k_proj.weight.copy_(attention.q_proj.weight)
        attention.v_proj.weight.copy_(_rotation(width))
        attention.o_proj.weight.copy_(attention.v_proj.weight.T)
        if number == 0:
            for head, distance in enumerate(POSITIONAL_HEADS):
                _look_back(attention, head, distance, backbone.config.rope_parameters["rope_theta"])
            if neighbourhood:
                _look_around(attention, len(POSITIONAL_HEADS))


def _rotation(width: int) -> Tensor:
    """A random orthogonal matrix, (width, width)."""
    rotation: Tensor = torch.linalg.qr(torch.randn(width, width)).Q
    return rotation


def _look_back(attention: Any, head: int, distance: int, theta: float) -> None:
    """Make a head attend by position alone: its query and key are constants, its biases.

    A rotary embedding turns the dimensions i and i + D/2 by position / theta^(2i / D). A key that
    is turned ``distance`` positions ahead beforehand meets the query of the token that stands so
    many positions after it.
    """
    size = attention.head_dim
    rows, half = slice(head * size, (head + 1) * size), size // 2
    angles = distance / theta ** (torch.arange(half) / half)
    length = (SHARPNESS * size**0.5) ** 0.5 * (torch.arange(half) < FREQUENCIES)
    attention.q_proj.weight[rows] = 0.0
    attention.k_proj.weight[rows] = 0.0
    attention.q_proj.bias[rows] = torch.cat([length, torch.zeros(half)])
    attention.k_proj.bias[rows] = torch.cat([length * angles.cos(), length * angles.sin()])


def _look_around(attention: Any, head: int) -> None:
    """Make a head attend to its neighbourhood: a broad peak of slowly turning dimensions."""
    size = attention.head_dim
    rows = slice(head * size, (head + 1) * size)
    length = torch.zeros(size)
    length[NEIGHBOURHOOD] = (NEIGHBOURHOOD_SHARPNESS * size**0.5) ** 0.5
    for projection in (attention.q_proj, attention.k_proj):
        projection.weight[rows] = 0.0
        projection.bias[rows] = length
    attention.o_proj.weight[:, rows] *= NEIGHBOURHOOD_GAIN
