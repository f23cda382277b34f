"""Making the model that an environment and an algorithm need."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from agents.environment import Contract
from agents.errors import AgentError, ModelError
from agents.models.adapters import adapted
from agents.models.backbone import Backbone
from agents.models.heads import LMHead
from agents.models.layers import freeze_lowest, recompute_layers
from agents.models.loading import check_positions, check_vocabulary, load_backbone
from agents.models.model import AgentModel, Heads
from agents.models.model_config import ADAPTER_FIELDS, ModelConfig
from agents.models.pointing import CopyHead, PointerHead


def choose_device(name: str) -> torch.device:
    """The device of that name; "auto" is a GPU where there is one.

    Raises:
        AgentError: there is none of that name.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise AgentError(f"the device is {name!r}; expected auto, cpu, or cuda") from error
    there = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= there:
        raise AgentError(f"the device is {name!r}, and torch finds {there} GPUs: try cpu, or auto")
    return device


def build_model(
    model: str | Path | PreTrainedModel | Backbone | ModelConfig | AgentModel,
    contract: Contract,
    seed: int,
    heads: Heads,
    config: ModelConfig | None = None,
) -> AgentModel:
    """A model that fits an environment.

    Args:
        model: what to begin from: a preset, folder or Hub id, a model object or backbone (which is
            used as it is, not copied), a config that names one of the former, or another agent's
            model.
        contract: the environment's constants.
        seed: of new weights.
        heads: which heads the algorithm needs.
        config: how to prepare a model object, which no config can name.

    Raises:
        ModelError: there is no such model, or it cannot read what the environment says.
        AgentError: it is another agent's, for other actions.
    """
    if isinstance(model, AgentModel):
        _check_fits(model, contract)
        if heads.q != "none" and (model.heads.q, model.heads.twins) != (heads.q, heads.twins):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                model.add_q_head(dataclasses.replace(model.heads, q=heads.q, twins=heads.twins))
        return model
    if isinstance(model, ModelConfig):
        config, model = model, model.name
    name = str(model) if isinstance(model, (str, Path)) else type(model).__name__
    config = dataclasses.replace(config or ModelConfig(), name=name)
    if config.head != "auto":
        heads = dataclasses.replace(heads, policy=config.head)
    longest = contract.max_tokens + config.virtual_tokens
    backbone = load_backbone(model, contract.vocab_size, longest, seed)
    return assemble(backbone, contract, heads, config, seed)


def _check_fits(model: AgentModel, contract: Contract) -> None:
    """Check that another agent's model can play an environment.

    Raises:
        AgentError: its actions are others.
        ModelError: it cannot read the environment's tokens, or prefixes of such a length.
    """
    if tuple(model.action_tokens.tolist()) != contract.action_tokens:
        raise AgentError("the model was made for an environment with other action_tokens")
    if isinstance(model.policy, PointerHead):
        positions = tuple(model.policy.action_positions.tolist())
        if positions != contract.action_positions:
            raise AgentError("the model was made for an environment with other action_positions")
    check_vocabulary(model.backbone, contract.vocab_size)
    check_positions(model.backbone, contract.max_tokens + model.config.virtual_tokens)


def assemble(
    backbone: Backbone, contract: Contract, heads: Heads, config: ModelConfig, seed: int = 0
) -> AgentModel:
    """Heads on a backbone that is prepared as configured: what trains of it, and how it runs.

    Args:
        backbone: changed in place.
        contract: the environment's constants.
        heads: which heads to put on.
        config: how to prepare the backbone; what it begins from is settled already.
        seed: of new weights.

    Raises:
        ModelError: the backbone is not of a kind that this can be done with.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AgentModel(
            adapted(backbone, config),
            contract.action_tokens,
            contract.action_positions,
            heads,
            config,
        )
    _freeze_and_recompute(model)
    return model


def prepare_again(model: AgentModel, asked: Mapping[str, Any], seed: int = 0) -> None:
    """Choose anew what of a trained model goes on training, and how it runs; in place.

    It plays as before, but for prefix-tuning, whose virtual tokens are new.

    Args:
        model: of an agent.
        asked: settings of a `ModelConfig`, but name and head; the model's others stay.
        seed: of new weights.

    Raises:
        AgentError: these settings do not go together.
        ModelError: it has an adapter already, or none fits its backbone.
    """
    adapted_before = model.config.adapter != "none"
    if adapted_before and asked.keys() & set(ADAPTER_FIELDS):
        raise ModelError(
            f"the model has an adapter already ({model.config.adapter}): go on with it, or "
            "export the model, which merges it, and begin from that folder"
        )
    model.config = dataclasses.replace(model.config, **asked)
    if not adapted_before and asked.keys() & {*ADAPTER_FIELDS, "frozen_layers"}:
        model.backbone.requires_grad_(True)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model.backbone = adapted(model.backbone, model.config)
        model.to(model.device)
    _freeze_and_recompute(model)


def _freeze_and_recompute(model: AgentModel) -> None:
    """Freeze layers, and compute activations again in the backward pass, as it is configured."""
    config = model.config
    if config.frozen_layers == "all":
        model.backbone.requires_grad_(False)
        if isinstance(model.policy, LMHead | CopyHead):
            model.backbone.output_embeddings().requires_grad_(True)
    elif config.frozen_layers:
        freeze_lowest(model.backbone, config.frozen_layers)
    if config.gradient_checkpointing:
        recompute_layers(model.backbone)
