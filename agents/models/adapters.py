"""Adapters inside a backbone's linear layers, by peft: putting in, switching off, merging."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from agents.errors import ModelError
from agents.models.backbone import Backbone
from agents.models.linear import adapted_layers, is_adapted
from agents.models.model_config import ModelConfig
from agents.models.prefix_tuning import PrefixTunedBackbone

if TYPE_CHECKING:
    from peft import PeftConfig


def adapted(backbone: Backbone, config: ModelConfig) -> Backbone:
    """The backbone with the configured adapter, whose weights alone train; changed in place.

    Raises:
        ModelError: peft is not installed, or the backbone has no layers that the adapter fits.
    """
    if config.adapter == "none":
        return backbone
    try:
        from peft import inject_adapter_in_model
    except ImportError as error:
        raise ModelError(f"adapter {config.adapter!r} needs peft: pip install peft") from error
    if config.adapter == "prefix":
        return PrefixTunedBackbone.around(backbone, config.prefix_tokens)
    linear = _linear_layers(backbone)
    if not linear:
        raise ModelError(
            f"the {backbone.kind} backbone has no linear layers for the adapter {config.adapter!r}"
        )
    targets = list(config.adapter_targets or linear)
    transposed = any(isinstance(layer, Conv1D) for layer in linear.values())
    try:
        inject_adapter_in_model(_peft_config(config, targets, transposed), backbone)
    except (TypeError, ValueError) as error:
        ends = sorted({name.rpartition(".")[2] for name in linear})
        raise ModelError(
            f"the adapter {config.adapter!r} does not fit this backbone, whose linear layers end "
            f"in {', '.join(ends)}: {error}"
        ) from error
    return backbone


def _linear_layers(backbone: Backbone) -> dict[str, nn.Module]:
    """The linear layers by name, without the language-model head."""
    head = backbone.output_embeddings()
    return {
        name: module
        for name, module in backbone.named_modules()
        if isinstance(module, (nn.Linear, Conv1D)) and module is not head
    }


def _peft_config(config: ModelConfig, targets: list[str], transposed: bool) -> PeftConfig:
    """The settings that peft has of an adapter.

    Args:
        config: ours.
        targets: names of layers, or ends of names.
        transposed: whether weights are (I, O), as GPT-2's are.
    """
    from peft import IA3Config, LoHaConfig, LoKrConfig, LoraConfig

    rank, alpha = config.adapter_rank, config.adapter_alpha
    makers: dict[str, Callable[[], PeftConfig]] = {
        "lora": lambda: LoraConfig(
            r=rank, lora_alpha=alpha, target_modules=targets, fan_in_fan_out=transposed
        ),
        "loha": lambda: LoHaConfig(r=rank, alpha=alpha, target_modules=targets),
        "lokr": lambda: LoKrConfig(r=rank, alpha=alpha, target_modules=targets),
        "ia3": lambda: IA3Config(
            target_modules=targets, feedforward_modules=[], fan_in_fan_out=transposed
        ),
    }
    return makers[config.adapter]()


@torch.no_grad()
def adapters_are_idle(module: nn.Module) -> bool:
    """Whether there are adapters inside layers, and none of them changes what its layer does."""
    layers = adapted_layers(module)
    for layer in layers:
        inputs = layer.weight.shape[0 if isinstance(layer.base_layer, Conv1D) else 1]
        identity = torch.eye(inputs, dtype=layer.weight.dtype, device=layer.weight.device)
        if not torch.equal(layer(identity), layer.base_layer(identity)):
            return False
    return bool(layers)


@contextmanager
def adapters_off(module: nn.Module) -> Iterator[None]:
    """Within this context, adapted layers do what they did before they had an adapter."""
    layers = adapted_layers(module)
    # peft's switch also sets which of the adapter's weights train: put that back as it was.
    trains = [(weight, weight.requires_grad) for layer in layers for weight in layer.parameters()]
    try:
        for layer in layers:
            layer.enable_adapters(False)
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)
        for weight, flag in trains:
            weight.requires_grad_(flag)


def merged(backbone: Backbone) -> Backbone:
    """A copy whose layers have the adapters' changes in their own weights, as any library loads.

    Raises:
        ModelError: it is prefix-tuned, which no weights of the language model can express.
    """
    if isinstance(backbone, PrefixTunedBackbone):
        raise ModelError(
            "a prefix-tuned model cannot be written as a plain one: its virtual tokens are no part "
            "of the language model's weights"
        )
    plain = copy.deepcopy(backbone)
    for name, layer in list(plain.named_modules()):
        if is_adapted(layer):
            layer.merge()
            plain.set_submodule(name, layer.get_base_layer())
    return plain
