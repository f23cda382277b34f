"""What all agents with a language model share: the model, predict, save and load."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import gymnasium
import numpy as np
import numpy.typing as npt
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from transformers import PreTrainedModel

from agents.checkpoint import load_checkpoint, save_checkpoint
from agents.environment import (
    Contract,
    check_same_contract,
    make_env,
    prefix_lengths,
    read_contract,
)
from agents.errors import AgentError, CheckpointError, TrainingDiverged
from agents.models.actor_critic import ActorCritic
from agents.models.backbone import backbone_from_config, load_backbone
from agents.rollout import Actor

AnyEnv = str | gymnasium.Env[Any, Any] | VectorEnv[Any, Any, Any]
Callback = Callable[[Any], bool | None]
"""Called with the agent after each iteration; False ends the training."""
Self = TypeVar("Self", bound="LanguageAgent")
COUNTERS = ("num_timesteps", "iteration", "leg_start", "leg_end")
FACTS: dict[str, type | tuple[type, ...]] = {
    "algorithm": str,
    "config": dict,
    "contract": dict,
    "backbone": dict,
    "env_id": (str, type(None)),
    "env_kwargs": dict,
    "seed": int,
    **dict.fromkeys(COUNTERS, int),
}
"""What a checkpoint's JSON holds of an agent, and of what type."""


class LanguageAgent:
    """An agent whose policy is a causal language model.

    Args:
        env: an environment's id, a `gymnasium.Env`, or a `VectorEnv` with the autoreset mode that
            the algorithm needs. None, with a `contract`, makes an agent that can predict.
        config: the algorithm's settings.
        model: a preset ("tiny", "small"), a folder or Hub id of a causal LM, a model object, or
            the `model` of another agent, which is then shared.
        seed: of new weights and of all that training draws.
        device: "auto" takes a GPU where there is one.
        env_kwargs: options of the environment, for an id.
        contract: the environment's constants, where there is no environment.
    """

    config_type: ClassVar[type[Any]]
    autoreset: ClassVar[AutoresetMode]

    def __init__(
        self,
        env: AnyEnv | None,
        config: Any = None,
        model: str | Path | PreTrainedModel | ActorCritic = "tiny",
        seed: int = 0,
        device: str = "auto",
        env_kwargs: Mapping[str, Any] | None = None,
        contract: Contract | None = None,
    ) -> None:
        """Make the environment and the model, and check that they fit."""
        self.config = self.config_type() if config is None else config
        self.seed = seed
        self.env_id = env if isinstance(env, str) else None
        self.env_kwargs = dict(env_kwargs or {})
        self._env: VectorEnv[Any, Any, Any] | None = None
        if env is not None:
            self._env = make_env(env, self.config.num_envs, self.autoreset, **self.env_kwargs)
            contract = read_contract(self._env)
        if contract is None:
            raise AgentError("expected an environment, or its contract for an agent that only acts")
        self.contract = contract
        self.device = choose_device(device)
        self.model = build_model(model, contract, seed).to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=self.config.learning_rate,
            weight_decay=self.config.weight_decay,
            eps=1e-5,
            fused=True,
        )
        self.optimizer.register_step_post_hook(lambda *_: self.model.note_change())
        self.num_timesteps = 0
        self.iteration = 0
        self.leg_start = 0
        self.leg_end = 0
        self._predict_generator = torch.Generator(self.device).manual_seed(seed)

    @property
    def env(self) -> VectorEnv[Any, Any, Any]:
        """The training environment; a loaded agent makes it when it is first needed.

        Raises:
            AgentError: the agent was made without one, and its id and options are not known.
        """
        if self._env is None:
            if self.env_id is None:
                raise AgentError(
                    "this agent has no environment: load it with load(folder, env=...)"
                )
            self._env = make_env(
                self.env_id, self.config.num_envs, self.autoreset, **self.env_kwargs
            )
            check_same_contract(read_contract(self._env), self.contract)
        return self._env

    def predict(
        self,
        observation: npt.NDArray[np.integer],
        state: Actor | None = None,
        episode_start: npt.NDArray[np.bool_] | None = None,
        deterministic: bool = True,
        action_masks: npt.NDArray[Any] | None = None,
    ) -> tuple[Any, Actor]:
        """Choose actions for one observation or a batch, as stable-baselines3's `predict` does.

        Args:
            observation: (max_tokens,) or (S, max_tokens).
            state: what the last call returned: it holds the keys and values of the prefixes, so
                that only new tokens are read. It may be left out, at the cost of reading all.
            episode_start: accepted as SB3's callers pass it; not needed, as the state compares
                prefixes.
            deterministic: the likeliest action instead of a drawn one.
            action_masks: legal actions, (n_actions,) or (S, n_actions).

        Returns:
            The actions, () or (S,), and the state for the next call.
        """
        del episode_start
        observations_SL = np.atleast_2d(np.asarray(observation))
        slots, length = observations_SL.shape
        if length != self.contract.max_tokens:
            raise AgentError(
                f"the observation has {length} tokens; this agent was made for observations of "
                f"{self.contract.max_tokens} (prefix, padded with {self.contract.pad_token_id})"
            )
        legal_SA = None
        if action_masks is not None:
            legal_SA = np.broadcast_to(action_masks, (slots, self.contract.n_actions)).astype(bool)
        actor = state
        if actor is None or actor.model is not self.model or actor.cache.num_slots != slots:
            actor = Actor(self.model, slots)
        decision = actor.act(
            observations_SL,
            prefix_lengths(observations_SL, self.contract.pad_token_id),
            legal_SA,
            None if deterministic else self._predict_generator,
        )
        actions_S = decision.actions.cpu().numpy()
        return (actions_S if np.ndim(observation) == 2 else actions_S[0]), actor

    def save(self, folder: str | Path) -> None:
        """Write a checkpoint: weights, optimizer and counters, as safetensors and JSON."""
        facts = {
            "algorithm": type(self).__name__,
            "config": dataclasses.asdict(self.config),
            "contract": dataclasses.asdict(self.contract),
            "backbone": self.model.backbone.config.to_dict(),
            "env_id": self.env_id,
            "env_kwargs": self.env_kwargs,
            "seed": self.seed,
            **{counter: getattr(self, counter) for counter in COUNTERS},
        }
        if not is_json(self.env_kwargs):
            facts |= {"env_id": None, "env_kwargs": {}}
        parts = {"model": weights(self.model), "optimizer": optimizer_tensors(self.optimizer)}
        save_checkpoint(Path(folder), facts, parts)

    @classmethod
    def load(
        cls: type[Self], folder: str | Path, env: AnyEnv | None = None, device: str = "auto"
    ) -> Self:
        """The agent of a checkpoint; no code that comes with it is run.

        Args:
            folder: where `save` wrote.
            env: to go on training in; by default the id and options that were recorded, which are
                made only when training goes on.
            device: as for a new agent.

        Raises:
            CheckpointError: the checkpoint is missing, damaged, or another algorithm's.
        """
        facts, parts = load_checkpoint(Path(folder))
        check_facts(facts, Path(folder))
        if facts["algorithm"] != cls.__name__:
            raise CheckpointError(
                f"{folder} holds a {facts['algorithm']} agent: load it with "
                f"{facts['algorithm']}.load"
            )
        try:
            config = cls.config_type(**facts["config"])
            tokens = tuple(facts["contract"].pop("action_tokens"))
            contract = Contract(action_tokens=tokens, **facts["contract"])
            if not tokens or not 0 <= min(tokens) <= max(tokens) < contract.vocab_size:
                raise TypeError("action_tokens are outside of the vocabulary")
        except (TypeError, KeyError) as error:
            raise CheckpointError(f"{folder} was written by another version: {error}") from error
        actor_critic = ActorCritic(
            backbone_from_config(facts["backbone"]), torch.tensor(contract.action_tokens)
        )
        load_weights(actor_critic, parts.get("model", {}), Path(folder))
        agent = cls(env, config, actor_critic, facts["seed"], device, contract=contract)
        check_same_contract(agent.contract, contract)
        if env is None and facts["env_id"] is not None and ":" not in facts["env_id"]:
            agent.env_id, agent.env_kwargs = facts["env_id"], facts["env_kwargs"]
        try:
            load_optimizer(agent.optimizer, parts["optimizer"])
        except (KeyError, ValueError) as error:
            raise CheckpointError(f"{folder} has no fitting optimizer state: {error}") from error
        for counter in COUNTERS:
            setattr(agent, counter, facts[counter])
        return agent

    def _begin_leg(self, total_timesteps: int | None) -> None:
        """Set out for `total_timesteps` more steps; None goes on to where the last leg led."""
        if total_timesteps is not None:
            if total_timesteps < 1:
                raise AgentError(f"total_timesteps is {total_timesteps}; expected at least 1")
            self.leg_start = self.num_timesteps
            self.leg_end = self.num_timesteps + total_timesteps
        elif self.num_timesteps >= self.leg_end:
            raise AgentError("there is no interrupted training to go on with: give total_timesteps")

    def _streams(self) -> tuple[torch.Generator, np.random.Generator, int]:
        """This iteration's generators for actions and minibatches, and a seed for environments.

        They depend on the seed and the iteration alone, so that a resumed run draws as the
        uninterrupted one.
        """
        actions, batches, envs = np.random.SeedSequence([self.seed, self.iteration]).spawn(3)
        generator = torch.Generator(self.device)
        generator.manual_seed(int(actions.generate_state(1, np.uint64)[0] >> np.uint64(1)))
        return generator, np.random.default_rng(batches), int(envs.generate_state(1)[0] >> 1)

    def _schedule(self) -> float:
        """The learning rate: linear from its start to 0 over the leg, or constant."""
        rate: float = self.config.learning_rate
        if self.config.linear_schedule:
            done = (self.num_timesteps - self.leg_start) / (self.leg_end - self.leg_start)
            rate *= max(1.0 - done, 0.0)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def _diverged(
        self, what: str, run_dir: Path | None, arrays: Mapping[str, npt.NDArray[Any]]
    ) -> TrainingDiverged:
        """Save the batch that did it; the error to raise."""
        folder = Path(tempfile.mkdtemp()) if run_dir is None else run_dir
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"diverged-{self.num_timesteps}.npz"
        np.savez(path, **arrays)  # type: ignore[arg-type]
        return TrainingDiverged(what, self.num_timesteps, path)


def choose_device(name: str) -> torch.device:
    """The device of that name; "auto" is a GPU where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def build_model(
    model: str | Path | PreTrainedModel | ActorCritic, contract: Contract, seed: int
) -> ActorCritic:
    """An actor-critic that fits an environment.

    Raises:
        ModelError: there is no such model, or it cannot play the environment.
    """
    action_tokens_A = torch.tensor(contract.action_tokens)
    if isinstance(model, ActorCritic):
        if not torch.equal(model.action_tokens.cpu(), action_tokens_A):
            raise AgentError("the model was made for an environment with other action_tokens")
        return model
    backbone = load_backbone(model, contract.vocab_size, contract.max_tokens, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ActorCritic(backbone, action_tokens_A)


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


def weights(model: ActorCritic) -> dict[str, torch.Tensor]:
    """The model's parameters and persistent buffers, each shared one once."""
    parameters = dict(model.named_parameters())
    shared = dict(model.named_parameters(remove_duplicate=False))
    buffers = {name: t for name, t in model.state_dict().items() if name not in shared}
    return {**parameters, **buffers}


def load_weights(model: ActorCritic, tensors: Mapping[str, torch.Tensor], folder: Path) -> None:
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
