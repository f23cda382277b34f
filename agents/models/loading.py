"""Backbones to build agents on: presets, Hub ids, folders and objects.

Weights are read from safetensors only, and no code that comes with a checkpoint is run.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, PreTrainedModel
from transformers.configuration_utils import PretrainedConfig

from agents.errors import ModelError, nearest_first
from agents.models.backbone import Backbone
from agents.models.causal import CausalBackbone
from agents.models.copying import begin_with_copying

logger = logging.getLogger(__name__)

FOREIGN = ("auto_map", "attn_implementation", "experts_implementation", "quantization_config")
"""Entries of a config that name code to run or packages to import; dropped from checkpoints."""


def _llama(layers: int, width: int, heads: int) -> Callable[[int, int], LlamaConfig]:
    """A small Llama, which `begin_with_copying` can give its first weights."""

    def config(vocab_size: int, max_tokens: int) -> LlamaConfig:
        return LlamaConfig(
            vocab_size=vocab_size,
            max_position_embeddings=max_tokens,
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            attention_bias=True,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=None,
            pad_token_id=None,
        )

    return config


PRESETS: dict[str, Callable[[int, int], PretrainedConfig]] = {
    "tiny": _llama(layers=2, width=128, heads=4),
    "small": _llama(layers=4, width=256, heads=8),
}
"""Models built from a config for an environment's vocab_size and max_tokens: name -> config."""


def load_backbone(
    model: str | Path | PreTrainedModel, vocab_size: int, max_tokens: int, seed: int
) -> Backbone:
    """A backbone that can read every token and every prefix of an environment.

    Args:
        model: a preset, a folder or Hub id with safetensors weights, or a model object (which is
            used as it is, not copied).
        vocab_size: the environment's; missing embedding rows are added, and this is said once.
        max_tokens: the environment's longest prefix.
        seed: of new weights.

    Raises:
        ModelError: there is no such model, it is no causal LM, or it cannot read `max_tokens`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if isinstance(model, PreTrainedModel):
            lm = model
        elif model in PRESETS:
            config = PRESETS[str(model)](vocab_size, max_tokens)
            lm = AutoModelForCausalLM.from_config(config)
            begin_with_copying(lm)
        else:
            check_not_misspelt(model)
            lm = _from_pretrained(model)
        check_can_read(lm, max_tokens)
        _grow_embedding(lm, vocab_size)
    return CausalBackbone(lm)


def backbone_from_json(kind: str, config: dict[str, object]) -> Backbone:
    """An untrained backbone as a checkpoint's JSON describes it; runs no foreign code.

    Args:
        kind: `Backbone.kind`.
        config: what its `config_json` gave.

    Raises:
        ModelError: there is no such kind or architecture, or it cannot be built of these numbers.
    """
    if kind != CausalBackbone.kind:
        raise ModelError(f"no kind of backbone {kind!r}: expected {CausalBackbone.kind!r}")
    safe = _without_foreign(config)
    try:
        parsed = AutoConfig.for_model(**safe)
        return CausalBackbone(AutoModelForCausalLM.from_config(parsed, trust_remote_code=False))
    except (
        ArithmeticError,
        AssertionError,
        AttributeError,
        ImportError,
        LookupError,
        RuntimeError,
        StrictDataclassError,
        TypeError,
        ValueError,
    ) as error:
        raise ModelError(f"cannot build a causal LM from the config {safe}: {error}") from error


def _without_foreign(value: Any) -> Any:
    """JSON without the entries that `FOREIGN` and private names stand for, at any depth."""
    if isinstance(value, dict):
        return {
            key: _without_foreign(each)
            for key, each in value.items()
            if key not in FOREIGN and not key.startswith("_")
        }
    return [_without_foreign(each) for each in value] if isinstance(value, list) else value


def check_not_misspelt(model: str | Path) -> None:
    """Look no further for a name that is nearly a preset's and is no folder.

    Raises:
        ModelError: it is one, such as "tinny".
    """
    name = str(model)
    if name not in PRESETS and not Path(name).exists():
        close = difflib.get_close_matches(name, PRESETS, n=1, cutoff=0.7)
        if close:
            raise ModelError(
                f"no model {name!r}: expected a preset ({nearest_first(name, PRESETS)}), a folder "
                f"or a Hub id; did you mean {close[0]!r}? A Hub id so close to it needs its owner: "
                f"OWNER/{name}"
            )


def _from_pretrained(name: str | Path) -> PreTrainedModel:
    try:
        return AutoModelForCausalLM.from_pretrained(
            name, use_safetensors=True, trust_remote_code=False, dtype=torch.float32
        )
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"no model {str(name)!r}: expected a preset ({nearest_first(str(name), PRESETS)}), "
            "a folder or a Hub id of a causal LM with safetensors weights, or a model object. "
            f"transformers says: {error}"
        ) from error


def check_can_read(backbone: PreTrainedModel, max_tokens: int) -> None:
    """Check that a backbone has heads to read and positions for `max_tokens`.

    Raises:
        ModelError: it has not.
    """
    if backbone.get_output_embeddings() is None or backbone.base_model is backbone:
        raise ModelError(
            f"{type(backbone).__name__} has no language-model head over a trunk; "
            "expected a causal LM such as GPT2LMHeadModel or LlamaForCausalLM"
        )
    for field, meaning in (
        ("max_position_embeddings", "positions"),
        ("sliding_window", "tokens of attention"),
    ):
        limit = getattr(backbone.config, field, None)
        if isinstance(limit, int) and limit < max_tokens:
            raise ModelError(
                f"{type(backbone).__name__} has {limit} {meaning}, but the environment's prefixes "
                f"have up to {max_tokens} tokens: use a model with a longer context, or make the "
                "environment with smaller max_prompt_tokens and max_new_tokens"
            )


def _grow_embedding(backbone: PreTrainedModel, vocab_size: int) -> None:
    rows = backbone.get_input_embeddings().weight.shape[0]
    if vocab_size > rows:
        logger.warning(
            "the environment has %d tokens and the model %d: %d new embedding rows were added",
            vocab_size,
            rows,
            vocab_size - rows,
        )
        backbone.resize_token_embeddings(vocab_size, mean_resizing=False)
