"""A trained policy as a folder that plain `transformers` loads and generates with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from tokenizers import Tokenizer
from transformers import GenerationConfig, PreTrainedTokenizerFast

from agents.environment import Contract, attribute
from agents.errors import ModelError
from agents.models.adapters import merged
from agents.models.heads import LMHead, vocabulary
from agents.models.lm_backbone import LMBackbone
from agents.models.model import AgentModel


def export(
    model: AgentModel,
    contract: Contract,
    env: VectorEnv[Any, Any, Any],
    folder: Path,
    by_values: bool = False,
) -> None:
    """Write the language model with what `generate` needs to act as the policy does.

    Adapters are merged into the weights. The config names the environment's padding and, where
    it has one, its token at the end of an answer. The generation config says to draw as the policy
    does (with ``do_sample=False`` the likeliest answer is found), and never a token that is no
    action. The legal actions of a state are the environment's to say, and are not in it, and
    neither are value heads. The environment's tokenizer is written too, where the `tokenizers`
    library can read it (`to_json`).

    Args:
        model: whose policy.
        contract: the environment's constants.
        env: asked for its end-of-sequence token and its tokenizer.
        folder: made if needed.
        by_values: whether the agent acts by action values instead.

    Raises:
        ModelError: the policy is not that of a language model.
    """
    if by_values or not isinstance(model.policy, LMHead):
        kind = "acts by action values" if by_values else "points at its prompt"
        raise ModelError(
            f"this agent {kind}, which no plain language model does: save it with save(folder)"
        )
    backbone = merged(model.backbone)
    eos_token_id = attribute(env, "eos_token_id", None)
    if isinstance(backbone, LMBackbone):
        lm = backbone.lm
        never = np.setdiff1d(
            np.arange(vocabulary(backbone.output_embeddings())), contract.action_tokens
        )
        lm.config.pad_token_id = contract.pad_token_id
        lm.config.eos_token_id = None if eos_token_id is None else int(eos_token_id)
        if lm.generation_config is not None:
            # Instead of what the model came with, such as a penalty for repetition.
            lm.generation_config = GenerationConfig(
                do_sample=True,
                temperature=model.temperature,
                top_k=0,
                pad_token_id=lm.config.pad_token_id,
                eos_token_id=lm.config.eos_token_id,
                decoder_start_token_id=getattr(backbone, "start_token", None),
                suppress_tokens=never.tolist() or None,
            )
    backbone.save_pretrained(folder)
    tokenizer = getattr(attribute(env, "task", None), "tokenizer", None)
    if hasattr(tokenizer, "to_json"):
        as_transformers(tokenizer, contract.max_tokens).save_pretrained(folder)


def as_transformers(tokenizer: Any, max_tokens: int) -> PreTrainedTokenizerFast:
    """The environment's tokenizer as one of transformers.

    Args:
        tokenizer: has `to_json`, `pad_token_id` and `eos_token_id`.
        max_tokens: of a prefix.
    """
    backend = Tokenizer.from_str(tokenizer.to_json())
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=backend.id_to_token(tokenizer.pad_token_id),
        eos_token=backend.id_to_token(tokenizer.eos_token_id),
        model_max_length=max_tokens,
    )
