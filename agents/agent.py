"""What all agents with a language model share: the model, training loop, predict, save and load."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import gymnasium
import numpy as np
import numpy.typing as npt
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from torch import Tensor
from transformers import PreTrainedModel

from agents.acting import ActionRule, Actor, SoftmaxPolicy
from agents.checkpoint import CHECKPOINT
from agents.descent import Descent, NotFinite, Numbers
from agents.environment import (
    Contract,
    check_same_contract,
    make_env,
    prefix_lengths,
    read_contract,
)
from agents.errors import AgentError, TrainingDiverged
from agents.export import export
from agents.models.backbone import Backbone
from agents.models.building import build_model, choose_device
from agents.models.model import AgentModel, Heads
from agents.models.model_config import ModelConfig
from agents.processes import launched
from agents.progress import Leg, Show
from agents.run_log import RunLog, open_log
from agents.seeds import Seeds
from agents.settings import PolicyConfig, TrainingConfig
from agents.state import read_agent, write_agent
from agents.threads import threads_for

AnyEnv = str | gymnasium.Env[Any, Any] | VectorEnv[Any, Any, Any]
Callback = Callable[[Any], bool | None]
"""Called with the agent after each iteration; False ends the training."""
Self = TypeVar("Self", bound="LanguageAgent")


class LanguageAgent(ABC):
    """An agent whose policy or action values are a language model's.

    An algorithm is a subclass with its config, its iteration and its loss.

    Args:
        env: an environment's id, a `gymnasium.Env`, or a `VectorEnv` with the autoreset mode that
            the algorithm needs. None, with a `contract`, makes an agent that can predict.
        config: the algorithm's settings.
        model: a preset ("tiny", "small", "encoder", "encoder-decoder", "gru", "lstm"), a folder or
            Hub id of a language model, a model object, a `Backbone`, a `ModelConfig`, or the
            `model` of another agent, which is then shared.
        seed: of new weights and of all that training draws; `Seeds` for one each.
        device: "auto" takes a GPU where there is one.
        env_kwargs: options of the environment, for an id.
        contract: the environment's constants, where there is no environment.
    """

    config: Any
    config_type: ClassVar[type[TrainingConfig]]
    autoreset: ClassVar[AutoresetMode] = AutoresetMode.SAME_STEP
    shown: ClassVar[Mapping[str, str]] = {}
    """The numbers on the progress line, name -> format."""

    def __init__(
        self,
        env: AnyEnv | None,
        config: Any = None,
        model: str | Path | PreTrainedModel | Backbone | ModelConfig | AgentModel = "tiny",
        seed: int | Seeds = 0,
        device: str = "auto",
        env_kwargs: Mapping[str, Any] | None = None,
        contract: Contract | None = None,
    ) -> None:
        """Make the environment and the model, and check that they fit."""
        self.config = self.config_type() if config is None else config
        if not isinstance(self.config, self.config_type):
            raise AgentError(
                f"the config is a {type(self.config).__name__}; {type(self).__name__} expects a "
                f"{self.config_type.__name__}"
            )
        self.seeds = seed if isinstance(seed, Seeds) else Seeds.same(seed)
        self.env_id = env if isinstance(env, str) else None
        self.env_kwargs = dict(env_kwargs or {})
        self.device = choose_device(device)
        self.processes = launched(self.device)
        self.device = self.processes.place(self.device)
        self._env: VectorEnv[Any, Any, Any] | None = None
        if env is not None:
            self._env = self._make_env(env)
            contract = read_contract(self._env)
        if contract is None:
            raise AgentError("expected an environment, or its contract for an agent that only acts")
        self.contract = contract
        self.model = build_model(model, contract, self.seeds.weights, self.heads(contract))
        self.model.to(self.device)
        policy = self.config if isinstance(self.config, PolicyConfig) else None
        self.model.temperature = 1.0 if policy is None else policy.temperature
        self.descent = Descent(self.model, self.config, contract.n_actions, self.processes)
        self.num_timesteps = 0
        self.iteration = 0
        self.leg_start = 0
        self.leg_end = 0
        self.last_checkpoint: Path | None = None
        self._predict_generator = torch.Generator(self.device).manual_seed(self.seeds.actions)
        self._rule = self.make_rule()

    @abstractmethod
    def iterate(self) -> Numbers:
        """One iteration of the algorithm, which counts its steps in `num_timesteps`.

        Returns:
            Numbers to log; those under ``time/`` are of this run of it alone.

        Raises:
            NotFinite: a loss, a gradient, a reward or what the model gives.
        """

    def heads(self, contract: Contract) -> Heads:
        """Which heads a new model gets; actions that point are chosen by a pointer."""
        return Heads(policy="lm" if contract.action_positions is None else "pointer")

    def make_rule(self) -> ActionRule:
        """How this agent chooses actions: it draws from its policy."""
        return SoftmaxPolicy(self.model)

    def at_rest(self) -> bool:
        """Whether a checkpoint taken now holds all that the next iteration depends on."""
        return True

    def learn(
        self: Self,
        total_timesteps: int | None = None,
        progress_bar: bool | Show = True,
        callback: Callback | None = None,
        run_dir: str | Path | None = None,
        wandb: str | None = None,
    ) -> Self:
        """Train for at least `total_timesteps` more actions, in whole iterations.

        A small model on the CPU gets one thread, unless the environment variable OMP_NUM_THREADS
        says how many.

        Args:
            total_timesteps: None goes on with an interrupted training (of a loaded checkpoint)
                exactly as it would have gone, or else takes `default_timesteps`.
            progress_bar: whether to show progress: a bar on a terminal, or the learning curve where
                there is one; elsewhere a line now and then. Or which of them (see `Show`).
            callback: called with the agent after each iteration, of several processes in the main
                one; False ends the training.
            run_dir: for metrics.jsonl, TensorBoard events and the checkpoint, which is written
                now and then and at the end. What follows one that a callback's end left is no exact
                repetition where episodes were running: they begin anew.
            wandb: a project of Weights & Biases to log to as well.

        Raises:
            TrainingDiverged: a loss, gradient or reward is not finite.
        """
        if total_timesteps is None and self.num_timesteps >= self.leg_end:
            total_timesteps = self.default_timesteps()
        self._begin_leg(total_timesteps)
        folder = None if run_dir is None else Path(run_dir)
        main = self.processes.main
        with self._open_log(folder, progress_bar, wandb) as log, threads_for(self.model):
            while self.num_timesteps < self.leg_end:
                began, before = time.perf_counter(), self.num_timesteps
                try:
                    numbers = self.iterate()
                except NotFinite as error:
                    raise self._diverged(error, folder) from error
                self.iteration += 1
                seconds = time.perf_counter() - began
                numbers["optimizer/learning_rate"] = self.descent.rate
                numbers["time/steps_per_s"] = (self.num_timesteps - before) / seconds
                log.record(self.num_timesteps, numbers)
                # The callback comes first: what it records is then there up to any checkpoint.
                stop = main and callback is not None and callback(self) is False
                if folder is not None and self.at_rest():
                    self.save(folder / CHECKPOINT)
                if self.processes.agreed(stop):
                    break
        if folder is not None and not self.at_rest():
            self.save(folder / CHECKPOINT)
        return self

    def _open_log(self, folder: Path | None, progress: bool | Show, wandb: str | None) -> RunLog:
        """The log of the leg; of several processes the main one logs."""
        if not self.processes.main:
            return RunLog([])
        leg = Leg(type(self).__name__, self.leg_start, self.leg_end, self.num_timesteps)
        settings = {
            "env_id": self.env_id,
            "seeds": dataclasses.asdict(self.seeds),
            **dataclasses.asdict(self.config),
        }
        return open_log(leg, folder, self.shown, progress, wandb, settings)

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
            self._env = self._make_env(self.env_id)
            check_same_contract(read_contract(self._env), self.contract)
        return self._env

    def _make_env(self, env: AnyEnv) -> VectorEnv[Any, Any, Any]:
        return make_env(env, self.config.num_envs, self.autoreset, **self.env_kwargs)

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
                that only new tokens are read. It may be left out, at the cost of reading all. A
                whole prefix then counts as the prompt, as nothing else is known of it: for an
                encoder or an encoder-decoder, which read a prompt both ways, that is another state,
                and a pointer points at all of it.
            episode_start: where an episode has just begun, (S,). It may be left out, as the state
                compares prefixes: it matters for a prompt that begins with all that the last
                episode in its place had.
            deterministic: the likeliest action instead of a drawn one.
            action_masks: legal actions, (n_actions,) or (S, n_actions).

        Returns:
            The actions, () or (S,), and the state for the next call.
        """
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
            actor = Actor(self.model, self._rule, slots)
        if episode_start is not None:
            actor.cache.end(np.broadcast_to(episode_start, slots).astype(bool))
        decision = actor.act(
            observations_SL,
            prefix_lengths(observations_SL, self.contract.pad_token_id),
            legal_SA,
            None if deterministic else self._predict_generator,
        )
        actions_S = decision.actions.cpu().numpy()
        return (actions_S if np.ndim(observation) == 2 else actions_S[0]), actor

    def seed_predictions(self, seed: int) -> None:
        """Seed what `predict` draws where it is not deterministic."""
        self._predict_generator.manual_seed(seed)

    def save(self, folder: str | Path) -> None:
        """Write a checkpoint: weights, optimizer and counters, as safetensors and JSON.

        Of several processes the main one writes.
        """
        self.last_checkpoint = Path(folder)
        if not self.processes.main:
            return
        write_agent(self, Path(folder))

    def export(self, folder: str | Path) -> None:
        """Write the policy as a folder that plain transformers loads and generates with.

        See `agents.export.export`; of several processes the main one writes.

        Raises:
            ModelError: the policy is not that of a language model of transformers.
        """
        if self.processes.main:
            by_values = self.heads(self.contract).q != "none"
            export(self.model, self.contract, self.env, Path(folder), by_values)

    def progress_facts(self) -> dict[str, Any]:
        """What else an exact resumption needs, as JSON; `restore_progress` takes it."""
        return {}

    def progress_tensors(self) -> dict[str, Tensor]:
        """What else an exact resumption needs, as tensors; `restore_progress` takes them."""
        return {}

    def restore_progress(self, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Set what `progress_facts` and `progress_tensors` gave.

        Raises:
            KeyError, TypeError, ValueError: they are not what this agent writes.
        """
        if facts or tensors:
            raise ValueError(f"unexpected {sorted([*facts, *tensors])}")

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
        return read_agent(cls, Path(folder), env, device)

    def default_timesteps(self) -> int | None:
        """How long to train where nobody says so; None for an error."""
        return None

    def _begin_leg(self, total_timesteps: int | None) -> None:
        """Set out for `total_timesteps` more steps; None goes on to where the last leg led."""
        if total_timesteps is not None:
            if total_timesteps < 1:
                raise AgentError(f"total_timesteps is {total_timesteps}; expected at least 1")
            self.leg_start = self.num_timesteps
            self.leg_end = self.num_timesteps + int(total_timesteps)  # often written as 1e6
        elif self.num_timesteps >= self.leg_end:
            raise AgentError("there is no interrupted training to go on with: give total_timesteps")

    def _streams(self) -> tuple[torch.Generator, np.random.Generator, int]:
        """This iteration's generators for actions and minibatches, and a seed for environments.

        They depend on the seeds and the iteration alone, so that a resumed run draws as the
        uninterrupted one.
        """
        seeds = (self.seeds.actions, self.seeds.batches, self.seeds.envs)
        actions, batches, envs = (
            np.random.SeedSequence([seed, self.iteration]).spawn(3)[source]
            for source, seed in enumerate(seeds)
        )
        generator = self.processes.generator(self.device, self.config.num_envs)
        generator.manual_seed(int(actions.generate_state(1, np.uint64)[0] >> np.uint64(1)))
        return generator, np.random.default_rng(batches), int(envs.generate_state(1)[0] >> 1)

    def _done(self) -> float:
        """Share of the leg that is done; 0 outside of a leg."""
        length = self.leg_end - self.leg_start
        return (self.num_timesteps - self.leg_start) / length if length else 0.0

    def _schedule(self, steps: int) -> None:
        """Set the learning rate that is due half-way through an update on so many steps.

        So neither the first nor the last update of a training has a learning rate of 0, also where
        the last one goes beyond the leg's end.
        """
        end = max(self.leg_end, self.num_timesteps + steps)
        middle = self.num_timesteps + steps / 2
        self.descent.schedule((middle - self.leg_start) / (end - self.leg_start))

    def _diverged(self, error: NotFinite, run_dir: Path | None) -> TrainingDiverged:
        """Save the batch that did it; the error to raise."""
        folder = Path(tempfile.mkdtemp()) if run_dir is None else run_dir
        folder.mkdir(parents=True, exist_ok=True)
        rank = f"-{self.processes.rank}" if self.processes.rank else ""
        path = folder / f"diverged-{self.num_timesteps}{rank}.npz"
        np.savez(path, **error.arrays)  # type: ignore[arg-type]
        return TrainingDiverged(error.what, self.num_timesteps, path, self.last_checkpoint)
