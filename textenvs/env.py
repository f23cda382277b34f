"""The single environment: one task, one episode at a time."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.error import InvalidAction, ResetNeeded
from numpy.typing import NDArray

from textenvs.errors import OptionError, unknown
from textenvs.rendering import Narrator, render_text
from textenvs.rewards import Reward, RewardSignal
from textenvs.tasks import Task, build_task
from textenvs.views import Part

ILLEGAL_ACTION = ("allow", "raise")


class TaskFacade:
    """What the single and the vector environment say of their task alike.

    Attributes:
        task: The task.
        action_tokens: The token id that each action appends, int32 ``(n_actions,)``.
        action_positions: The position in the prefix that each action points at, -1 for none, int32
            ``(n_actions,)``; None where actions do not point.
        pad_token_id: The id that fills an observation to the right of its prefix.
        eos_token_id: The id that ends an answer, where the task has answers of free tokens.
        illegal_action: ``"allow"`` or ``"raise"``.
    """

    metadata: dict[str, Any]

    def _set_up(
        self,
        task: str | Task,
        illegal_action: str,
        render_mode: str | None,
        options: dict[str, Any],
    ) -> None:
        if isinstance(task, Task) and options:
            raise OptionError(
                f"options {sorted(options)} go to the task when it is built; it is built already"
            )
        self.task = task if isinstance(task, Task) else build_task(task, **options)
        if illegal_action not in ILLEGAL_ACTION:
            raise unknown("illegal_action", illegal_action, ILLEGAL_ACTION)
        modes = self.metadata["render_modes"]
        if render_mode is not None and render_mode not in modes:
            raise unknown("render_mode", render_mode, modes)
        self.illegal_action = illegal_action
        self.render_mode = render_mode
        self.action_tokens = self.task.action_tokens
        self.action_positions = self.task.action_positions
        self.pad_token_id = self.task.tokenizer.pad_token_id
        self.eos_token_id = self.task.tokenizer.eos_token_id
        self._observation_space = spaces.Box(
            0, self.task.vocab_size - 1, (self.task.max_tokens,), np.int32
        )
        self._action_space = spaces.Discrete(len(self.action_tokens))

    @property
    def num_examples(self) -> int:
        """How many examples the split has."""
        return self.task.num_examples

    @property
    def score_name(self) -> str:
        """The metric that is the reward."""
        return self.task.score_name

    def aggregate_metrics(self, metrics: dict[str, NDArray[np.float64]]) -> dict[str, float]:
        """The split's scores from the metrics of its episodes, ``(episodes,)`` each."""
        return self.task.aggregate(metrics)

    def _need_render_mode(self) -> None:
        if self.render_mode is None:
            raise OptionError(
                f"nothing to render: make the environment with a render_mode among "
                f"{self.metadata['render_modes']}"
            )


class TextEnv(TaskFacade, gymnasium.Env[NDArray[np.int32], np.int64]):
    """A language task as a token Markov decision process: the state is a prefix of tokens.

    Args:
        task: The task's name, such as ``"qa"``; registered ids fill it in.
        reward: ``"terminal"`` (the score at the end), ``"dense"`` (its change at every step, with
            the same sum), a function of the finished `Episode`, or weighted components, such as
            ``{"f1": 1.0, "brevity": (0.1, brevity)}``: metrics by name, and functions; each one's
            value is in ``info["reward_components"]`` at the end.
        illegal_action: ``"allow"``: an action that the mask forbids has its natural consequence;
            ``"raise"``: it is an error, for debugging.
        render_mode: ``"ansi"`` (`render` returns text) or ``"human"`` (each step prints it).
        **options: The task's options, such as ``dataset`` and ``split``.

    Attributes:
        action_tokens: The token id that each action appends, int32 ``(n_actions,)``.
        pad_token_id: The id that fills an observation to the right of its prefix.
        eos_token_id: The id that ends an answer, where the task has answers of free tokens.

    Raises:
        OptionError: There is no such task, option or value.
        DatasetError: The data cannot be read.
    """

    metadata = {"render_modes": ["ansi", "human"], "render_fps": 4}  # noqa: RUF012

    def __init__(
        self,
        task: str | Task,
        *,
        reward: Reward = "terminal",
        illegal_action: str = "allow",
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        self._set_up(task, illegal_action, render_mode, options)
        self.observation_space = self._observation_space
        self.action_space = self._action_space
        self._n = len(self.action_tokens)
        self._episodes = self.task.episodes(1)
        self._signal = RewardSignal(reward, self._episodes)
        self._reward = 0.0
        self._narrator = Narrator() if render_mode == "human" else None
        self._slot = np.zeros(1, np.intp)
        self._running = False
        self._ended = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.int32], dict[str, Any]]:
        """Begin an episode on an example drawn uniformly, or on ``options={"index": i}``.

        Raises:
            OptionError: An unknown option, or an index that the split does not have.
        """
        super().reset(seed=seed)
        index = checked_reset_options(options, ("index",)).get("index")
        if index is None:
            index = draw_example(self.np_random, self.num_examples)
        elif type(index) is bool or not (
            isinstance(index, (int, np.integer)) and 0 <= index < self.num_examples
        ):
            raise OptionError(
                f"index must be an integer in [0, {self.num_examples}), got {index!r}"
            )
        self._episodes.begin(self._slot, [int(index)])
        self._signal.begin(0)
        self._running, self._ended = True, False
        if self._narrator:
            self._narrator.begin(self._episodes, 0)
        return self._episodes.observation(0), self._mask_info()

    def step(self, action: Any) -> tuple[NDArray[np.int32], float, bool, bool, dict[str, Any]]:
        """Append the action's token, and what the task appends to it.

        Raises:
            ResetNeeded: There is no episode, or it has ended.
            InvalidAction: The action is none, or illegal with ``illegal_action="raise"``; the
                episode is unchanged and can go on.
        """
        if not self._running:
            raise ResetNeeded(reset_message(self._ended))
        action = self._checked(action)
        episodes = self._episodes
        done = bool(episodes.advance(0, action))
        info = self._mask_info()
        metrics: dict[str, float] = {}
        if done:
            self._running, self._ended = False, True
            metrics = {name: float(value) for name, value in episodes.metrics(0).items()}
            info["metrics"] = metrics
            info["text"] = episodes.text(0)
        reward, components = self._signal.one(0, done, metrics)
        if components:
            info["reward_components"] = components
        self._reward = reward
        if self._narrator:
            self._narrator.step(episodes, 0, reward, done)
        return episodes.observation(0), reward, done, False, info

    def _checked(self, action: Any) -> int:
        if type(action) is not int:
            given = np.asarray(action)
            if given.ndim or given.dtype.kind not in "iu":
                raise InvalidAction(
                    f"an action is an integer in [0, {self._n}), got {action!r} of type "
                    f"{type(action).__name__}"
                )
        number = int(action)
        if not 0 <= number < self._n:
            raise InvalidAction(f"action {number} is out of range: an action is in [0, {self._n})")
        if self.illegal_action == "raise":
            legal = self._episodes.legal(0)
            if self.task.constrained and not legal[number]:
                raise InvalidAction(illegal_message(self.task, number, legal))
        return number

    def _mask_info(self) -> dict[str, Any]:
        return {"action_mask": self._episodes.legal(0)} if self.task.constrained else {}

    def action_masks(self) -> NDArray[np.bool_]:
        """Which actions are legal now, bool ``(n_actions,)``, where sb3-contrib looks for it."""
        self._need_episode()
        if not self.task.constrained:
            return np.ones(self._n, np.bool_)
        return self._episodes.legal(0).astype(np.bool_)

    def expert_action(self) -> int:
        """An action of the reference policy in this state."""
        self._need_episode()
        return int(self._episodes.expert(0))

    def heuristic_action(self) -> int:
        """An action of a simple rule, the baseline that a trained policy must beat."""
        self._need_episode()
        return self._episodes.heuristic(0)

    def _need_episode(self) -> None:
        if not (self._running or self._ended):
            raise ResetNeeded(reset_message(ended=False))

    def view(self) -> list[Part]:
        """The episode so far as the parts that rendering lays out."""
        self._need_episode()
        return self._episodes.view(0)

    def render(self) -> str | None:
        """The episode so far as text in mode ``"ansi"``; ``"human"`` prints as it goes, unasked."""
        self._need_render_mode()
        self._need_episode()
        if self._narrator:
            return None
        return render_text(self._episodes, 0, self._reward, self._ended)


def draw_example(rng: np.random.Generator, count: int) -> int:
    """A uniform index below ``count``; a tenth of the time of ``rng.integers``."""
    return int(rng.random() * count)


def checked_reset_options(options: dict[str, Any] | None, known: tuple[str, ...]) -> dict[str, Any]:
    """Reset's options, none of them unknown."""
    options = options or {}
    for option in options:
        if option not in known:
            raise unknown("reset option", option, known)
    return options


def reset_message(ended: bool) -> str:
    """What a step without a running episode is told."""
    why = "the episode has ended" if ended else "no episode has begun"
    return f"{why}: call env.reset() before env.step()"


def illegal_message(task: Task, action: int, legal: NDArray[np.int8]) -> str:
    """Names an illegal action, its token, and what would be legal."""
    choices = np.flatnonzero(legal).tolist()
    shown = ", ".join(f"{a} ({task.token_name(int(task.action_tokens[a]))!r})" for a in choices[:8])
    more = f" and {len(choices) - 8} more" if len(choices) > 8 else ""
    token = task.token_name(int(task.action_tokens[action]))
    return f"action {action} (token {token!r}) is illegal in this state; legal: {shown}{more}"
