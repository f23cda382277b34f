"""A backbone's stacks of layers: freezing the lowest, and recomputing them to save memory.

A stack is an outermost `ModuleList`, which is where transformers' models keep their layers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from agents.errors import ModelError
from agents.models.backbone import Backbone


def layer_stacks(module: nn.Module) -> Iterator[nn.ModuleList]:
    """The outermost lists of layers: one of a decoder or an encoder, two where there are both."""
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield child
        else:
            yield from layer_stacks(child)


def freeze_lowest(backbone: Backbone, count: int) -> None:
    """Train neither the `count` lowest layers of each stack nor the embeddings below them.

    Raises:
        ModelError: there are not so many.
    """
    stacks = _stacks_of(backbone, "frozen_layers")
    fewest = min(len(stack) for stack in stacks)
    if count > fewest:
        raise ModelError(
            f"frozen_layers is {count}, but the backbone has {fewest} layers: use at most that, or "
            "'all'"
        )
    for stack in stacks:
        for layer in stack[:count]:
            layer.requires_grad_(False)
    _freeze_embeddings(backbone)


def _freeze_embeddings(module: nn.Module) -> None:
    """Freeze what holds embeddings and no layers, such as BERT's embeddings with their norm."""
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            continue
        if any(True for _ in layer_stacks(child)):
            _freeze_embeddings(child)
        elif any(isinstance(part, nn.Embedding) for part in child.modules()):
            child.requires_grad_(False)


def recompute_layers(backbone: Backbone) -> None:
    """Gradient checkpointing (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost").

    transformers' own acts in training mode only, in which there would be dropout.

    Raises:
        ModelError: the backbone has no layers to do so one by one.
    """
    for stack in _stacks_of(backbone, "gradient_checkpointing"):
        for layer in stack:
            # A partial, unlike a closure, is copied with the layer by copy.deepcopy.
            layer.forward = functools.partial(_recomputed, layer)


def _recomputed(layer: nn.Module, *args: Any, **kwargs: Any) -> Any:
    return recomputed(functools.partial(type(layer).forward, layer), *args, **kwargs)


def recomputed(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What a function gives, which is called again for the gradient instead of keeping all."""
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    return checkpoint(forward, *args, use_reentrant=False, preserve_rng_state=False, **kwargs)


def recomputes(layer: nn.Module) -> bool:
    """Whether `recompute_layers` has changed this layer."""
    forward = vars(layer).get("forward")
    return isinstance(forward, functools.partial) and forward.func is _recomputed


def _stacks_of(backbone: Backbone, option: str) -> list[nn.ModuleList]:
    stacks = list(layer_stacks(backbone))
    if not stacks:
        raise ModelError(
            f"{option} needs a backbone of several layers, and the {backbone.kind} one is one block"
        )
    return stacks
