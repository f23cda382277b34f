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
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    PreTrainedModel,
)
from transformers.configuration_utils import PretrainedConfig

from agents.errors import ModelError, nearest_first
from agents.models.backbone import Backbone
from agents.models.causal import CausalBackbone
from agents.models.encoder import EncoderBackbone, first_position
from agents.models.encoder_decoder import EncoderDecoderBackbone
from agents.models.heads import vocabulary
from agents.models.lm_backbone import ATTENTION, LMBackbone
from agents.models.prefix_lm import PrefixLMBackbone
from agents.models.presets import PRESETS
from agents.models.recurrent import RecurrentBackbone
from agents.models.trial import check_cache, compare_scores

logger = logging.getLogger(__name__)

FOREIGN = ("auto_map", "attn_implementation", "experts_implementation", "quantization_config")
"""Entries of a config that name code to run or packages to import; dropped from checkpoints."""
ATTENTIONS = ("eager", "sdpa")
"""Ways to compute attention that need neither; any other is the architecture's own choice."""
PRETRAINED: dict[str, tuple[str, Any, Callable[[PreTrainedModel], Backbone]]] = {
    CausalBackbone.kind: ("causal LM", AutoModelForCausalLM, CausalBackbone),
    PrefixLMBackbone.kind: ("causal LM", AutoModelForCausalLM, PrefixLMBackbone),
    EncoderBackbone.kind: ("masked LM", AutoModelForMaskedLM, EncoderBackbone),
    EncoderDecoderBackbone.kind: ("seq2seq LM", AutoModelForSeq2SeqLM, EncoderDecoderBackbone),
}
"""The kinds of backbones that are models of transformers: what it calls them, what makes one of a
config or folder, and the backbone around one."""


def load_backbone(
    model: str | Path | PreTrainedModel | Backbone, vocab_size: int, max_tokens: int, seed: int
) -> Backbone:
    """A backbone that can read every token and every prefix of an environment.

    Args:
        model: a preset, a folder or Hub id with safetensors weights, or a model object or backbone
            (which is used as it is, not copied).
        vocab_size: the environment's; missing embedding rows are added, and this is said once.
        max_tokens: the environment's longest prefix.
        seed: of new weights.

    Raises:
        ModelError: there is no such model, it is of no kind that is supported, or it cannot read
            `vocab_size` or `max_tokens`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if not isinstance(model, Backbone | PreTrainedModel) and str(model) in PRESETS:
            return PRESETS[str(model)](vocab_size, max_tokens)
        if isinstance(model, Backbone):
            backbone = model
        else:
            if not isinstance(model, PreTrainedModel):
                check_not_misspelt(model)
                model = _from_pretrained(model)
            backbone = _around(model)
        check_positions(backbone, max_tokens)
        if isinstance(backbone, LMBackbone):
            _grow_embedding(backbone.lm, vocab_size)
        check_vocabulary(backbone, vocab_size)
        check_cache(backbone, max_tokens)
        compare_scores(backbone)
    return backbone


def backbone_from_json(kind: str, config: dict[str, object]) -> Backbone:
    """An untrained backbone as a checkpoint's JSON describes it; runs no foreign code.

    Args:
        kind: `Backbone.kind`.
        config: what its `config_json` gave.

    Raises:
        ModelError: there is no such kind or architecture, or it cannot be built of these numbers.
    """
    kinds = (*PRETRAINED, RecurrentBackbone.kind)
    if kind not in kinds:
        raise ModelError(f"no kind of backbone {kind!r}: expected {nearest_first(kind, kinds)}")
    safe = _without_foreign(config)
    name = PRETRAINED[kind][0] if kind in PRETRAINED else "recurrent network"
    try:
        if kind == RecurrentBackbone.kind:
            return RecurrentBackbone(**safe)
        _, auto, around = PRETRAINED[kind]
        attention = config.get(ATTENTION)
        parsed = AutoConfig.for_model(**safe)
        chosen = {ATTENTION: attention} if attention in ATTENTIONS else {}
        return around(auto.from_config(parsed, trust_remote_code=False, **chosen))
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
        raise ModelError(f"cannot build a {name} from the config {safe}: {error}") from error


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


def _kind_of(config: PretrainedConfig) -> str | None:
    """The kind of backbone for an architecture; None for none.

    Some, such as BERT, are masked or causal language models: their config says which.
    """
    if getattr(config, "is_encoder_decoder", False):
        return EncoderDecoderBackbone.kind
    if type(config) in MODEL_FOR_MASKED_LM_MAPPING and not getattr(config, "is_decoder", False):
        return EncoderBackbone.kind
    return CausalBackbone.kind if type(config) in MODEL_FOR_CAUSAL_LM_MAPPING else None


def _from_pretrained(name: str | Path) -> PreTrainedModel:
    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=False)
        auto = PRETRAINED[_kind_of(config) or CausalBackbone.kind][1]
        return auto.from_pretrained(
            name, use_safetensors=True, trust_remote_code=False, dtype=torch.float32
        )
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"no model {str(name)!r}: expected a preset ({nearest_first(str(name), PRESETS)}), "
            "a folder or a Hub id of a causal LM, a masked LM or an encoder-decoder with "
            f"safetensors weights, or a model object. transformers says: {error}"
        ) from error


def _around(lm: PreTrainedModel) -> Backbone:
    """The backbone for a language model.

    Raises:
        ModelError: there is none.
    """
    kind = _kind_of(lm.config)
    trunkless = lm.base_model is lm and kind != EncoderDecoderBackbone.kind
    if kind is None or lm.get_output_embeddings() is None or trunkless:
        raise ModelError(
            f"{type(lm).__name__} has no language-model head over a trunk; expected a causal LM "
            "such as GPT2LMHeadModel or LlamaForCausalLM, a masked LM such as BertForMaskedLM, or "
            "T5ForConditionalGeneration"
        )
    return PRETRAINED[kind][2](lm)


def check_vocabulary(backbone: Backbone, vocab_size: int) -> None:
    """Check that a backbone can read all of `vocab_size` tokens.

    Raises:
        ModelError: it cannot.
    """
    rows = vocabulary(backbone.output_embeddings())
    if rows < vocab_size:
        raise ModelError(
            f"the backbone has {rows} tokens, but the environment {vocab_size}: make it with "
            f"vocab_size={vocab_size}"
        )


def check_positions(backbone: Backbone, max_tokens: int) -> None:
    """Check that a backbone can read prefixes of `max_tokens`; only language models have limits.

    Raises:
        ModelError: it cannot.
    """
    if not isinstance(backbone, LMBackbone):
        return
    lm = backbone.lm
    config = lm.config
    rope = getattr(config, "rope_parameters", None) or {}
    switches = rope.get("rope_type") == "longrope"  # all frequencies, once a sequence is longer
    for limit, meaning, unused in (
        (getattr(config, "max_position_embeddings", None), "positions", first_position(lm)),
        (getattr(config, "sliding_window", None), "tokens of attention", 0),
        (switches and rope["original_max_position_embeddings"], "positions of one frequency", 0),
    ):
        if type(limit) is int and limit - unused < max_tokens:
            raise ModelError(
                f"{type(lm).__name__} has {limit - unused} {meaning}, but the environment's "
                f"prefixes have up to {max_tokens} tokens: use a model with a longer context, or "
                "make the environment with smaller max_prompt_tokens and max_new_tokens"
            )


def _grow_embedding(lm: PreTrainedModel, vocab_size: int) -> None:
    rows = lm.get_input_embeddings().weight.shape[0]
    if vocab_size > rows:
        logger.warning(
            "the environment has %d tokens and the model %d: %d new embedding rows were added",
            vocab_size,
            rows,
            vocab_size - rows,
        )
        lm.resize_token_embeddings(vocab_size, mean_resizing=False)
