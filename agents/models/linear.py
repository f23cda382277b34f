"""What a linear layer computes, whether it has an adapter of peft's or not.

Shapes: I inputs, O outputs of a layer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D


def is_adapted(layer: nn.Module) -> bool:
    """Whether a layer is one of peft's around another."""
    return isinstance(getattr(layer, "base_layer", None), nn.Module)


def adapted_layers(module: nn.Module) -> list[Any]:
    """All layers of a module that have an adapter."""
    return [part for part in module.modules() if is_adapted(part)]


@torch.no_grad()
def effective_linear(layer: Any) -> tuple[Tensor, Tensor | None]:
    """Weight (O, I) and bias (O,) or None of the linear map that a layer is, with its adapter.

    Those of an adapted layer f are found by asking it: W = f(identity) - f(0) and b = f(0), which
    holds for whatever an adapter does inside it, as long as it stays linear.
    """
    weight, bias = layer.weight, getattr(layer, "bias", None)
    transposed = isinstance(layer.base_layer if is_adapted(layer) else layer, Conv1D)
    if not is_adapted(layer):
        return (weight.T if transposed else weight), bias
    inputs = weight.shape[0] if transposed else weight.shape[1]
    with torch.autocast(weight.device.type, enabled=False):
        bias_1O = layer(weight.new_zeros(1, inputs))
        weight_IO = layer(torch.eye(inputs, dtype=weight.dtype, device=weight.device)) - bias_1O
    return weight_IO.T.contiguous(), None if bias is None else bias_1O[0]
