"""Making the model that an environment and an algorithm need."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from agents.environment import Contract
from agents.errors import AgentError
from agents.models.loading import load_backbone
from agents.models.model import AgentModel, Heads


def choose_device(name: str) -> torch.device:
    """The device of that name; "auto" is a GPU where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def build_model(
    model: str | Path | PreTrainedModel | AgentModel, contract: Contract, seed: int, heads: Heads
) -> AgentModel:
    """A model that fits an environment.

    Raises:
        ModelError: there is no such model, or it cannot play the environment.
    """
    if isinstance(model, AgentModel):
        if tuple(model.action_tokens.tolist()) != contract.action_tokens:
            raise AgentError("the model was made for an environment with other action_tokens")
        if heads.q != "none" and (model.heads.q, model.heads.twins) != (heads.q, heads.twins):
            model.add_q_head(dataclasses.replace(model.heads, q=heads.q, twins=heads.twins))
        return model
    backbone = load_backbone(model, contract.vocab_size, contract.max_tokens, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AgentModel(backbone, contract.action_tokens, contract.action_positions, heads)


def tupled(value: Any) -> Any:
    """A tuple for a list, as JSON has no tuples."""
    return tuple(value) if isinstance(value, list) else value
