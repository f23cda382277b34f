"""A whole answer as one action: a string."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.utils import RecordConstructorArgs

from textenvs.env import reset_message
from textenvs.errors import OptionError
from textenvs.tasks import Episodes, Task
from textenvs.tasks.dialogue import SYSTEM, encoder_after
from textenvs.tasks.ner import NERTask
from textenvs.tasks.qa_span import QASpanTask
from textenvs.tasks.writing import VocabularyTask
from textenvs.wrappers.prefix import task_of
from textenvs.wrappers.unicode import Unicode


@singledispatch
def string_actions(task: Task, episodes: Episodes, text: str) -> list[int]:
    """The actions by which a task takes a string; ``register`` adds a rule for tasks of your own.

    Args:
        task: The task; its class chooses the rule.
        episodes: Where the episode is, in slot 0.
        text: The string.

    Raises:
        InvalidAction: The task has no such answer; the message says what would be one.
        OptionError: There is no rule for the task.
    """
    raise _no_rule(task)


@string_actions.register
def _(task: VocabularyTask, episodes: Episodes, text: str) -> list[int]:
    """The string's tokens and EOS; in a dialogue, at most a turn of them."""
    turn = getattr(task, "max_turn_tokens", None)
    if turn is None:
        tokens = task.tokenizer.encode(text).ids
    else:
        tokens = encoder_after(task.tokenizer, SYSTEM)(text)
    return task.actions_of(tokens, len(tokens) + 1)


@string_actions.register
def _(task: NERTask, episodes: Episodes, text: str) -> list[int]:
    """A tag a word, with spaces between; a word without a tag of the task's is ``O``."""
    actions = {tag: action for action, tag in enumerate(task.labels)}
    tags = [actions.get(tag, actions["O"]) for tag in text.split()]
    words = int(episodes.words[0])  # type: ignore[attr-defined]
    return tags + [actions["O"]] * (words - len(tags))


@string_actions.register
def _(task: QASpanTask, episodes: Episodes, text: str) -> list[int]:
    """The tokens of the passage that cover the string where it stands first."""
    text = text.strip()
    if not text and task.no_answer >= 0:
        return [task.no_answer]
    length = int(episodes.passage_lengths[0])  # type: ignore[attr-defined]
    starts = episodes.starts[0, :length]  # type: ignore[attr-defined]
    ends = episodes.ends[0, :length]  # type: ignore[attr-defined]
    begin = task.example(int(episodes.indices[0])).passage.find(text)
    end = begin + len(text)
    covered = np.flatnonzero((starts < end) & (ends > begin))
    if begin < 0 or not len(covered) or ends[covered[-1]] < end:  # it may be cut off
        raise InvalidAction(
            f"an answer is text of the passage, got {text!r}; TextQA-v0 takes any text"
        )
    return [int(covered[0]), int(covered[-1])]


class StringAction(gymnasium.Wrapper[Any, str, Any, int], RecordConstructorArgs):
    """A whole answer as one action: a string, for models that are asked for text.

    The string's tokens and EOS are played one by one; the reward is the sum of theirs. An episode
    is one step long, but a dialogue has one for each of the system's turns. What a string is:

    - Answers, summaries, turns of a dialogue: the text. Of one that is longer than the budget the
      beginning counts, as for any agent.
    - TextNER-v0: the words' tags with spaces between. A word without a tag, or with one that the
      task has not, is ``O``; tags beyond the last word count nothing.
    - TextQASpan-v0: text of the passage, which is taken where it stands first; ``""`` for no
      answer, where the data has such questions. Other strings raise `InvalidAction`, so that what
      `action_space` samples is no answer.

    Legality is as for single actions: what the mask forbids has its natural consequence. `step`
    adds to info ``actions_taken`` and ``actions_cut``: how many actions the string gave, and how
    many more it asked for. There is no ``action_mask``, as strings have none.

    >>> import gymnasium, textenvs
    >>> env = StringAction(gymnasium.make("TextQA-v0"))
    >>> observation, info = env.reset(seed=0)
    >>> observation, reward, terminated, truncated, info = env.step("I do not know.")
    >>> reward, terminated, info["text"]
    (0.0, True, 'I do not know.')

    Args:
        env: An environment of textenvs.

    Raises:
        OptionError: The environment is none of textenvs, raises errors for illegal actions, or has
            a task without a rule in `string_actions`.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        super().__init__(env)
        task = task_of(env)
        if string_actions.dispatch(type(task)) is string_actions.dispatch(object):
            raise _no_rule(task)
        if env.get_wrapper_attr("illegal_action") == "raise":
            raise OptionError(
                "a string is played to its end, legal or not: make the environment with "
                "illegal_action='allow'"
            )
        self.action_space = Unicode()
        self._limit = getattr(task, "max_turn_tokens", task.max_steps)
        self._running = self._ended = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._running, self._ended = True, False
        return observation, _without_mask(info)

    def step(self, action: str) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Give the answer, or in a dialogue say the next turn.

        Raises:
            ResetNeeded: There is no episode, or it has ended.
            InvalidAction: The action is no string, or none that the task has as an answer; the
                episode is unchanged and can go on.
        """
        if not self._running:
            raise ResetNeeded(reset_message(self._ended))
        if not isinstance(action, str):
            raise InvalidAction(f"an action is a string, got {type(action).__name__}: {action!r}")
        if action not in self.action_space:
            raise InvalidAction(f"an action is Unicode text, got half a surrogate pair: {action!r}")
        env: Any = self.env  # its actions are integers
        unwrapped = env.unwrapped
        planned = string_actions(unwrapped.task, unwrapped._episodes, action)
        total, taken = 0.0, 0
        for token in planned[: self._limit]:
            observation, reward, terminated, truncated, info = env.step(token)
            total += float(reward)
            taken += 1
            if terminated or truncated:
                self._running, self._ended = False, True
                break
        info = {**_without_mask(info), "actions_taken": taken, "actions_cut": len(planned) - taken}
        return observation, total, terminated, truncated, info


def _no_rule(task: Task) -> OptionError:
    return OptionError(
        f"there is no rule by which {type(task).__name__} takes strings: add one with "
        "textenvs.wrappers.string_actions.register"
    )


def _without_mask(info: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in info.items() if name != "action_mask"}
