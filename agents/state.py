"""An agent as a checkpoint holds it: facts, weights, optimizer, and what else it goes on with."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from agents.checkpoint import from_json, load_checkpoint, save_checkpoint
from agents.environment import Contract, check_same_contract
from agents.errors import CheckpointError
from agents.models.building import assemble
from agents.models.loading import backbone_from_json
from agents.models.model import AgentModel, Heads
from agents.models.model_config import ModelConfig
from agents.seeds import Seeds

if TYPE_CHECKING:
    from agents.agent import LanguageAgent

Agent = TypeVar("Agent", bound="LanguageAgent")
Parts = dict[str, dict[str, torch.Tensor]]
"""Tensors by name, of the model, the optimizer, and what else an agent goes on with."""

STEP = "step"
ADAM = (STEP, "exp_avg", "exp_avg_sq")
"""What the optimizer keeps of each weight."""
COUNTERS = ("num_timesteps", "iteration", "leg_start", "leg_end")
FACTS: dict[str, type | tuple[type, ...]] = {
    "algorithm": str,
    "config": dict,
    "contract": dict,
    "backbone_kind": str,
    "backbone": dict,
    "heads": dict,
    "model": dict,
    "trained": list,
    "progress": dict,
    "env_id": (str, type(None)),
    "env_kwargs": dict,
    "seeds": dict,
    **dict.fromkeys(COUNTERS, int),
}
"""What a checkpoint's JSON holds of an agent, and of what type."""


def write_agent(agent: LanguageAgent, folder: Path) -> None:
    """Write a checkpoint of an agent."""
    facts = {
        "algorithm": type(agent).__name__,
        "config": dataclasses.asdict(agent.config),
        "contract": dataclasses.asdict(agent.contract),
        "backbone_kind": agent.model.backbone.kind,
        "backbone": agent.model.backbone.config_json(),
        "heads": dataclasses.asdict(agent.model.heads),
        "model": dataclasses.asdict(agent.model.config),
        "trained": [name for name, p in agent.model.named_parameters() if p.requires_grad],
        "progress": agent.progress_facts(),
        "env_id": agent.env_id,
        "env_kwargs": agent.env_kwargs,
        "seeds": dataclasses.asdict(agent.seeds),
        **{counter: getattr(agent, counter) for counter in COUNTERS},
    }
    if not is_json(agent.env_kwargs):
        facts |= {"env_id": None, "env_kwargs": {}}
    optimizer = optimizer_tensors(agent.descent.optimizer, agent.model)
    parts = {"model": weights(agent.model), "optimizer": optimizer}
    progress = agent.progress_tensors()
    if progress:
        parts["progress"] = progress
    save_checkpoint(folder, facts, parts)


def read_agent(cls: type[Agent], folder: Path, env: Any, device: str) -> Agent:
    """The agent of a checkpoint; see `LanguageAgent.load`.

    Raises:
        CheckpointError: the checkpoint is missing, damaged, or another algorithm's.
    """
    facts, parts = read_facts(folder)
    if facts["algorithm"] != cls.__name__:
        raise CheckpointError(
            f"{folder} holds a {facts['algorithm']} agent: load it with load_agent"
        )
    return agent_of(cls, facts, parts, folder, env, device)


def read_facts(folder: Path) -> tuple[dict[str, Any], Parts]:
    """What a checkpoint holds of an agent.

    Raises:
        CheckpointError: the checkpoint is missing or damaged.
    """
    facts, parts = load_checkpoint(folder)
    for name, kind in FACTS.items():
        if name not in facts or not isinstance(facts[name], kind):
            raise CheckpointError(f"the checkpoint in {folder} is damaged: it has no valid {name}")
    return facts, parts


def agent_of(
    cls: type[Agent], facts: Mapping[str, Any], parts: Parts, folder: Path, env: Any, device: str
) -> Agent:
    """The agent that `read_facts` found in a folder.

    Raises:
        CheckpointError: it was written by another version, or its parts do not fit.
    """
    try:
        config = from_json(cls.config_type, facts["config"])
        contract = from_json(Contract, facts["contract"])
        tokens = contract.action_tokens
        if not tokens or not 0 <= min(tokens) <= max(tokens) < contract.vocab_size:
            raise TypeError("action_tokens are outside of the vocabulary")
        heads = from_json(Heads, facts["heads"])
        prepared = from_json(ModelConfig, facts["model"])
        seeds = from_json(Seeds, facts["seeds"])
    except (TypeError, KeyError) as error:
        raise CheckpointError(f"{folder} was written by another version: {error}") from error
    backbone = backbone_from_json(facts["backbone_kind"], facts["backbone"])
    model = assemble(backbone, contract, heads, prepared)
    load_weights(model, parts.get("model", {}), folder)
    freeze_others(model, facts["trained"], folder)
    agent = cls(env, config, model, seeds, device, contract=contract)
    check_same_contract(agent.contract, contract)
    if env is None and facts["env_id"] is not None and ":" not in facts["env_id"]:
        agent.env_id, agent.env_kwargs = facts["env_id"], facts["env_kwargs"]
    try:
        load_optimizer(agent.descent.optimizer, agent.model, parts["optimizer"])
        agent.restore_progress(facts["progress"], parts.get("progress", {}))
    except (LookupError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder} has no fitting training state: {error}") from error
    for counter in COUNTERS:
        setattr(agent, counter, facts[counter])
    agent.last_checkpoint = folder
    return agent


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


def freeze_others(model: AgentModel, trained: Sequence[object], folder: Path) -> None:
    """Let the named weights train, and no other.

    Raises:
        CheckpointError: there is no weight of some name.
    """
    parameters = dict(model.named_parameters())
    odd = [name for name in trained if name not in parameters]
    if odd:
        raise CheckpointError(f"the weights in {folder} do not fit the model: {odd} are to train")
    for name, parameter in parameters.items():
        parameter.requires_grad_(name in trained)


def optimizer_tensors(
    optimizer: torch.optim.Optimizer, model: AgentModel
) -> dict[str, torch.Tensor]:
    """The optimizer's state as ``KIND/NAME``, by the names of the weights."""
    return {
        f"{kind}/{name}": tensor
        for name, parameter in model.named_parameters()
        for kind, tensor in optimizer.state.get(parameter, {}).items()
    }


def load_optimizer(
    optimizer: torch.optim.Optimizer, model: AgentModel, tensors: Mapping[str, torch.Tensor]
) -> None:
    """Set the state that `optimizer_tensors` gave.

    Raises:
        ValueError: it is not that of weights of these names and shapes.
    """
    parameters = dict(model.named_parameters())
    found: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        kind, _, name = key.partition("/")
        if kind not in ADAM or name not in parameters:
            raise ValueError(f"the optimizer has no {key}")
        shape = torch.Size() if kind == STEP else parameters[name].shape
        if tensor.shape != shape:
            raise ValueError(f"{key} has shape {tuple(tensor.shape)}; expected {tuple(shape)}")
        found.setdefault(name, {})[kind] = tensor
    numbers = {id(p): number for number, p in enumerate(_optimized(optimizer))}
    state = {}
    for name, kinds in found.items():
        if set(kinds) != set(ADAM) or id(parameters[name]) not in numbers:
            raise ValueError(f"the optimizer's state of {name} is {sorted(kinds)}")
        state[numbers[id(parameters[name])]] = kinds
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _optimized(optimizer: torch.optim.Optimizer) -> list[torch.nn.Parameter]:
    """In the order of the optimizer's numbers."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
