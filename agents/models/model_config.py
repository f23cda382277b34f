"""Settings of a model: what it begins from, what of it trains, and how it computes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from agents.errors import AgentError

Adapter = Literal["none", "lora", "loha", "lokr", "ia3", "prefix"]
"""Hu et al. 2022 (LoRA); Hyeon-Woo et al. 2022 (LoHa); Yeh et al. 2024 (LoKr); Liu et al. 2022
(IA3); Li & Liang 2021 (prefix-tuning)."""
ADAPTER_FIELDS = ("adapter", "adapter_rank", "adapter_alpha", "adapter_targets", "prefix_tokens")
"""The settings that say which adapter a model has."""
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Settings of an agent's model."""

    name: str = "tiny"
    """A preset (such as tiny or small), or a folder or Hub id of a language model."""
    head: Literal["auto", "lm", "copy", "pointer"] = "auto"
    """The policy's head: the language-model head at the action tokens (lm), which may say tokens of
    the prompt again as well (copy), a pointer at positions of the prefix, or lm or pointer as the
    environment has it (auto). A small new model that is to say names it never saw needs copy."""
    adapter: Adapter = "none"
    """Small weights of its own to train beside the backbone's, which then stay as they are: inside
    its linear layers (lora, loha, lokr, ia3), or keys and values that every prefix begins
    with (prefix). The heads that are no part of the language model train as ever."""
    adapter_rank: int = 8
    """Of the matrices of lora, loha and lokr."""
    adapter_alpha: int = 16
    """These matrices count alpha / rank times."""
    adapter_targets: tuple[str, ...] = ()
    """Names, or ends of names, of the layers that the adapter is put in; none for all linear layers
    below the language-model head."""
    prefix_tokens: int = 16
    """Virtual tokens of prefix-tuning."""
    frozen_layers: int | Literal["all"] = 0
    """How many of the lowest layers keep their weights; any of them, and the embeddings do so too
    (and the language-model head where it is tied to them). With "all" only the heads train (and the
    embeddings where the language-model head is tied to them)."""
    precision: Precision = "float32"
    """Of the backbone's forward passes, in acting and in training alike: bfloat16 computes under
    autocast. Weights, optimizer and heads stay in float32."""
    gradient_checkpointing: bool = False
    """Keep only each layer's input for the backward pass, and compute the rest of it again there:
    a third more time for much less memory."""

    @property
    def virtual_tokens(self) -> int:
        """How many of a model's positions stand before the first real token."""
        return self.prefix_tokens if self.adapter == "prefix" else 0

    def __post_init__(self) -> None:
        """Check the ranges, and what goes together."""
        for name in ("adapter_rank", "adapter_alpha", "prefix_tokens"):
            if getattr(self, name) < 1:
                raise AgentError(f"{name} is {getattr(self, name)}; expected at least 1")
        if self.frozen_layers != "all" and self.frozen_layers < 0:
            raise AgentError(f"frozen_layers is {self.frozen_layers}; expected 'all' or at least 0")
        if self.adapter != "none" and self.frozen_layers == "all":
            raise AgentError(
                f"frozen_layers 'all' leaves the adapter {self.adapter!r} nothing to train: an "
                "adapter already keeps the backbone's weights as they are, use 0"
            )
        if self.adapter == "prefix" and self.frozen_layers != 0:
            raise AgentError(
                "prefix-tuning keeps all layers as they are: use it with frozen_layers 0"
            )


def chosen(config: ModelConfig) -> dict[str, Any]:
    """The settings that are not the default.

    >>> chosen(ModelConfig(adapter="lora"))
    {'adapter': 'lora'}
    """
    default = dataclasses.asdict(ModelConfig())
    own = dataclasses.asdict(config)
    return {name: value for name, value in own.items() if value != default[name]}
