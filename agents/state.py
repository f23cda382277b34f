"""An agent's weights, optimizer and facts as a checkpoint holds them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from agents.errors import CheckpointError
from agents.models.model import AgentModel

COUNTERS = ("num_timesteps", "iteration", "leg_start", "leg_end")
FACTS: dict[str, type | tuple[type, ...]] = {
    "algorithm": str,
    "config": dict,
    "contract": dict,
    "backbone_kind": str,
    "backbone": dict,
    "heads": dict,
    "model": dict,
    "progress": dict,
    "env_id": (str, type(None)),
    "env_kwargs": dict,
    "seed": int,
    **dict.fromkeys(COUNTERS, int),
}
"""What a checkpoint's JSON holds of an agent, and of what type."""


def check_facts(facts: Mapping[str, Any], folder: Path) -> None:
    """Check that a checkpoint's JSON has all of an agent's facts, in the right types.

    Raises:
        CheckpointError: one is missing, or of another type.
    """
    for name, kind in FACTS.items():
        if name not in facts or not isinstance(facts[name], kind):
            raise CheckpointError(f"the checkpoint in {folder} is damaged: it has no valid {name}")


def is_json(value: object) -> bool:
    """Whether JSON can hold it."""
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def weights(model: AgentModel) -> dict[str, torch.Tensor]:
    """The model's parameters and persistent buffers, each shared one once."""
    parameters = dict(model.named_parameters())
    shared = dict(model.named_parameters(remove_duplicate=False))
    buffers = {name: t for name, t in model.state_dict().items() if name not in shared}
    return {**parameters, **buffers}


def load_weights(model: AgentModel, tensors: Mapping[str, torch.Tensor], folder: Path) -> None:
    """Set the weights that `weights` gave.

    Raises:
        CheckpointError: a weight is missing, too much, or of another shape.
    """
    expected, given = {n: t.shape for n, t in weights(model).items()}, dict(tensors)
    if expected != {name: tensor.shape for name, tensor in given.items()}:
        odd = sorted(set(expected) ^ set(given)) or "some shapes"
        raise CheckpointError(f"the weights in {folder} do not fit the model: {odd}")
    model.load_state_dict(given, strict=False)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The optimizer's state, named by the parameter's number."""
    return {
        f"{index}.{name}": tensor
        for index, state in optimizer.state_dict()["state"].items()
        for name, tensor in state.items()
    }


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    """Set the state that `optimizer_tensors` gave."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
