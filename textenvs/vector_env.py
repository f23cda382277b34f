"""The native vector environment: the same task code as `TextEnv`, over all slots at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from textenvs.env import (
    TaskFacade,
    checked_reset_options,
    draw_example,
    illegal_message,
    reset_message,
)
from textenvs.errors import OptionError, unknown
from textenvs.rendering import render_text
from textenvs.rewards import Reward, RewardSignal
from textenvs.tasks import Task


class TextVectorEnv(TaskFacade, VectorEnv[NDArray[np.int32], NDArray[np.int64], NDArray[Any]]):
    """``num_envs`` episodes of one task, advanced together; reached by ``gymnasium.make_vec``.

    Slot ``i`` gives bit by bit the episodes of a `TextEnv` that is reset with its seed
    (``seed + i``, or ``seed[i]``), and infos have the format of Gymnasium's ``SyncVectorEnv``.

    Args:
        task: The task's name, or the task; registered ids fill it in.
        num_envs: How many slots.
        autoreset_mode: ``"SameStep"`` (default: no step is wasted; the ended episode is in
            ``info["final_obs"]`` and ``info["final_info"]``), ``"NextStep"`` or ``"Disabled"``
            (the caller resets with ``options={"reset_mask": mask}``). It is an attribute as well.
        reward: As `TextEnv`'s.
        illegal_action: As `TextEnv`'s.
        render_mode: ``"ansi"``, or None.
        **options: The task's options.

    Raises:
        OptionError: There is no such task, option or value.
        DatasetError: The data cannot be read.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 4}  # noqa: RUF012

    def __init__(
        self,
        task: str | Task,
        num_envs: int = 1,
        *,
        autoreset_mode: str | AutoresetMode = AutoresetMode.SAME_STEP,
        reward: Reward = "terminal",
        illegal_action: str = "allow",
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        self._set_up(task, illegal_action, render_mode, options)
        if num_envs < 1:
            raise OptionError(f"num_envs must be at least 1, got {num_envs}")
        try:
            self.autoreset_mode = AutoresetMode(autoreset_mode)
        except ValueError:
            modes = [mode.value for mode in AutoresetMode]
            raise unknown("autoreset_mode", autoreset_mode, modes) from None
        self.metadata = {**type(self).metadata, "autoreset_mode": self.autoreset_mode}
        self.num_envs = num_envs
        self.single_observation_space = self._observation_space
        self.single_action_space = self._action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._episodes = self.task.episodes(num_envs)
        self._signal = RewardSignal(reward, self._episodes)
        self._rewards = np.zeros(num_envs)
        self._all = np.arange(num_envs)
        self._rngs: list[np.random.Generator | None] = [None] * num_envs
        self._seeds: list[int | None] = [None] * num_envs
        # By slot: the example that was drawn early, and its prompt.
        self._drawn: dict[int, tuple[int, NDArray[np.int32]]] = {}
        self._begun = np.zeros(num_envs, np.bool_)
        self._ended = np.zeros(num_envs, np.bool_)

    @property  # type: ignore[misc]  # as SyncVectorEnv: they belong to the slots, and are read only
    def np_random(self) -> Any:
        """Each slot's random number generator."""
        return tuple(self._rng(slot) for slot in range(self.num_envs))

    @property
    def np_random_seed(self) -> Any:
        """Each slot's seed; None where it was seeded by the operating system."""
        return tuple(self._seeds)

    def _rng(self, slot: int) -> np.random.Generator:
        rng = self._rngs[slot]
        if rng is None:
            rng, _ = seeding.np_random()
            self._rngs[slot] = rng
        return rng

    def reset(
        self,
        *,
        seed: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[NDArray[np.int32], dict[str, Any]]:
        """Begin an episode in every slot, or in those of ``options={"reset_mask": mask}``.

        Args:
            seed: One seed (slot ``i`` gets ``seed + i``), or one for each slot.
            options: ``index``: the example, or one for each slot, int ``(num_envs,)``;
                ``reset_mask``: which slots, bool ``(num_envs,)``, at least one.

        Raises:
            OptionError: An option is unknown or has an impossible value.
        """
        mask, indices = self._reset_options(options)
        seeds = self._reset_seeds(seed)
        slots = np.flatnonzero(mask)
        for slot in slots.tolist():
            if seeds[slot] is not None:
                self._rngs[slot], self._seeds[slot] = seeding.np_random(seeds[slot])
                self._drawn.pop(slot, None)
        self._begin(slots, None if indices is None else indices[slots].tolist())
        if not self._begun.all():
            waiting = np.flatnonzero(~self._begun).tolist()
            raise ResetNeeded(f"slots {waiting} have no episode: the first reset must be of all")
        return self._episodes.observation(self._all), self._mask_info(mask)

    def _reset_seeds(self, seed: Any) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, (int, np.integer)):
            return [int(seed) + slot for slot in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise OptionError(f"expected {self.num_envs} seeds, one for each slot, got {len(seed)}")
        return list(seed)

    def _reset_options(
        self, options: dict[str, Any] | None
    ) -> tuple[NDArray[np.bool_], NDArray[np.intp] | None]:
        options = checked_reset_options(options, ("index", "reset_mask"))
        shape = (self.num_envs,)
        mask = options.get("reset_mask")
        if mask is None:
            mask = np.ones(shape, np.bool_)
        elif not (
            isinstance(mask, np.ndarray)
            and mask.shape == shape
            and mask.dtype == np.bool_
            and mask.any()
        ):
            raise OptionError(
                f"reset_mask must be a bool array of shape {shape} with at least one True, got "
                f"{mask!r}"
            )
        index = options.get("index")
        if index is None:
            return mask, None
        indices = np.asarray(index)
        if indices.dtype.kind not in "iu" or indices.shape not in ((), shape):
            raise OptionError(
                f"index must be an integer or an array {shape} of them, got {index!r}"
            )
        indices = np.broadcast_to(indices, shape)
        wrong = indices[mask][(indices[mask] < 0) | (indices[mask] >= self.num_examples)]
        if len(wrong):
            raise OptionError(f"index must be in [0, {self.num_examples}), got {int(wrong[0])}")
        return mask, indices

    def _begin(self, slots: NDArray[np.intp], indices: list[int] | None = None) -> None:
        if indices is None:
            indices = [self._draw(slot) for slot in slots.tolist()]
        self._episodes.begin(slots, indices)
        self._signal.begin(slots)
        self._begun[slots] = True
        self._ended[slots] = False

    def _draw(self, slot: int) -> int:
        if slot in self._drawn:
            return self._drawn.pop(slot)[0]
        return draw_example(self._rngs[slot] or self._rng(slot), self.num_examples)

    def upcoming_prompt(self, slot: int) -> NDArray[np.int32]:
        """What a slot's next episode begins with, unless a reset says otherwise, ``(length,)``.

        Its example is drawn early: episodes are the same as without asking.
        """
        if slot not in self._drawn:
            index = self._draw(slot)
            row = self.task.layout.fields(self.task.row(index)[None])
            self._drawn[slot] = index, row["tokens"][0, : row["lengths"][0]]
        return self._drawn[slot][1].copy()

    def step(
        self, actions: NDArray[np.int64]
    ) -> tuple[
        NDArray[np.int32], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]
    ]:
        """Take an action in every slot.

        Raises:
            ResetNeeded: A slot has no episode, or, with autoreset disabled, has ended.
            InvalidAction: An action is none, or illegal with ``illegal_action="raise"``; no
                episode has changed, and all can go on.
        """
        if not self._begun.all():
            raise ResetNeeded(reset_message(ended=False))
        waiting = self._ended.copy()
        if self.autoreset_mode is AutoresetMode.DISABLED and waiting.any():
            raise ResetNeeded(
                f"the episodes in slots {np.flatnonzero(waiting).tolist()} have ended: call "
                'env.reset(options={"reset_mask": mask}) before env.step()'
            )
        slots = np.flatnonzero(~waiting) if waiting.any() else self._all
        actions = self._checked(actions, slots)

        done = self._episodes.advance(slots, actions[slots])
        terminations = np.zeros(self.num_envs, np.bool_)
        terminations[slots] = done
        ended = slots[done]
        metrics = self._episodes.metrics(ended) if len(ended) else {}
        self._ended[ended] = True  # before the user's reward function, which may fail
        rewards = np.zeros(self.num_envs)
        rewards[slots], components = self._signal.many(slots, done, metrics)
        self._rewards = rewards

        info: dict[str, Any] = {}
        if len(ended):
            final = self._final_info(ended, terminations, metrics, components)
            if self.autoreset_mode is AutoresetMode.SAME_STEP:
                final |= self._mask_info(terminations)
                final_obs = np.full(self.num_envs, None, object)
                observations = self._episodes.observation(ended)
                for slot, observation in zip(ended.tolist(), observations, strict=True):
                    final_obs[slot] = observation
                mask = terminations.copy()
                info = {"final_obs": final_obs, "_final_obs": mask}
                info |= {"final_info": final, "_final_info": mask}
                self._begin(ended)
            else:
                info = final
        if waiting.any():
            self._begin(np.flatnonzero(waiting))
        info |= self._mask_info(None)
        truncations = np.zeros(self.num_envs, np.bool_)
        return self._episodes.observation(self._all), rewards, terminations, truncations, info

    def _final_info(
        self,
        ended: NDArray[np.intp],
        terminations: NDArray[np.bool_],
        metrics: dict[str, Any],
        components: dict[str, NDArray[np.float64]],
    ) -> dict[str, Any]:
        mask = terminations.copy()  # one for all: infos are read
        texts = np.full(self.num_envs, None, object)
        texts[ended] = self._episodes.texts(ended)
        info = {"metrics": self._packed(metrics, ended, mask), "_metrics": mask}
        info |= {"text": texts, "_text": mask}
        if components:
            info["reward_components"] = self._packed(components, ended, mask)
            info["_reward_components"] = mask
        return info

    def _packed(
        self, values: dict[str, Any], ended: NDArray[np.intp], mask: NDArray[np.bool_]
    ) -> dict[str, Any]:
        """Values of ended episodes by name, as `SyncVectorEnv` packs a dictionary."""
        columns = np.zeros((len(values), self.num_envs))
        columns[:, ended] = list(values.values())
        packed: dict[str, Any] = {}
        for name, column in zip(values, columns, strict=True):
            packed[name] = column
            packed[f"_{name}"] = mask
        return packed

    def _mask_info(self, mask: NDArray[np.bool_] | None) -> dict[str, Any]:
        """The legal actions, of all slots or of those in ``mask``."""
        if not self.task.constrained:
            return {}
        if mask is None or mask.all():
            every = np.ones(self.num_envs, np.bool_)
            return {"action_mask": self._episodes.legal(self._all), "_action_mask": every}
        legal = np.zeros((self.num_envs, len(self.action_tokens)), np.int8)
        legal[mask] = self._episodes.legal(np.flatnonzero(mask))
        return {"action_mask": legal, "_action_mask": mask.copy()}

    def _checked(self, actions: Any, slots: NDArray[np.intp]) -> NDArray[np.intp]:
        given, count = np.asarray(actions), len(self.action_tokens)
        if given.shape != (self.num_envs,) or given.dtype.kind not in "iu":
            raise InvalidAction(
                f"actions are {self.num_envs} integers in [0, {count}), got an array of shape "
                f"{given.shape} and type {given.dtype}"
            )
        wrong = slots[(given[slots] < 0) | (given[slots] >= count)]
        if len(wrong):
            raise InvalidAction(
                f"action {int(given[wrong[0]])} of slot {int(wrong[0])} is out of range: an action "
                f"is in [0, {count})"
            )
        if self.illegal_action == "raise" and self.task.constrained:
            legal = self._episodes.legal(slots)
            illegal = np.flatnonzero(legal[np.arange(len(slots)), given[slots]] == 0)
            if len(illegal):
                slot = int(slots[illegal[0]])
                message = illegal_message(self.task, int(given[slot]), legal[illegal[0]])
                raise InvalidAction(f"slot {slot}: {message}")
        return given.astype(np.intp)

    def action_masks(self) -> NDArray[np.bool_]:
        """Which actions are legal now, bool ``(num_envs, n_actions)``."""
        self._need_episodes()
        if not self.task.constrained:
            return np.ones((self.num_envs, len(self.action_tokens)), np.bool_)
        return self._episodes.legal(self._all).astype(np.bool_)

    def expert_actions(self) -> NDArray[np.intp]:
        """An action of the reference policy in every slot, int ``(num_envs,)``."""
        self._need_episodes()
        return np.asarray(self._episodes.expert(self._all), np.intp)

    def heuristic_actions(self) -> NDArray[np.intp]:
        """An action of a simple rule in every slot, int ``(num_envs,)``: a baseline."""
        self._need_episodes()
        return np.array([self._episodes.heuristic(slot) for slot in self._all.tolist()], np.intp)

    def _need_episodes(self) -> None:
        if not self._begun.all():
            raise ResetNeeded(reset_message(ended=False))

    def render(self) -> tuple[str, ...]:
        """Each slot's episode so far, as text."""
        self._need_render_mode()
        self._need_episodes()
        outcomes = zip(self._rewards.tolist(), self._ended.tolist(), strict=True)
        return tuple(
            render_text(self._episodes, slot, reward, ended)
            for slot, (reward, ended) in enumerate(outcomes)
        )
