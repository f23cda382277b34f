"""Who plays: anything with one method, `predict`, or the name of the place where it is made."""

from __future__ import annotations

import importlib
import inspect
from typing import Any, Protocol, cast, runtime_checkable

from gymnasium import spaces
from gymnasium.vector import VectorEnv

from agents.errors import AgentError, nearest_first


class Predictor(Protocol):
    """Anything that chooses actions: agents, baselines, stable-baselines3's models, your own.

    >>> import numpy as np
    >>> class Always:
    ...     def predict(self, observation, state=None, episode_start=None, deterministic=True):
    ...         return np.zeros(len(observation), int), None
    >>> from agents import evaluate
    >>> evaluate(Always(), "TextNER-v0", episodes=5).scores["recall"].value
    0.0
    """

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[Any, Any]:
        """Actions for a batch of observations, and the state for the next call.

        One that also takes `action_masks` is given the legal actions.

        Args:
            observation: the prefixes of S slots, padded on the right, int32 (S, max_tokens).
            state: what the last call returned; None at first. It is the agent's own affair, such
                as the memory of a recurrent policy.
            episode_start: the slots whose episode has just begun, bool (S,): what the state holds
                of them is of an episode that is over.
            deterministic: the best actions instead of drawn ones.
        """


@runtime_checkable
class TextPredictor(Predictor, Protocol):
    """One that reads prefixes as text and answers with text: a model behind an API, a person.

    Its `predict` takes one string, and returns one with the episode's next state: the answer, or
    in a dialogue the turn. `episode_start` is a bool, and no action masks are given. It is called
    from several threads at once, for an episode each.
    """

    @property
    def text_concurrency(self) -> int:
        """How many episodes it plays at once; an attribute will do."""


@runtime_checkable
class NeedsEnv(Protocol):
    """A predictor that looks into the environment, as the expert does."""

    def attach(self, env: VectorEnv[Any, Any, Any]) -> None:
        """Take the vector environment in which it is about to play."""


def as_predictor(agent: Predictor | str) -> Predictor:
    """An agent, or the one at a place.

    Args:
        agent: has the method `predict`; or ``"module:attribute"``, which is imported: an agent, or
            a class or function that makes one when it is called without arguments.

    Raises:
        AgentError: there is no such module or attribute, or what is there is no agent.
    """
    found, where = (_at(agent), f"{agent} gives") if isinstance(agent, str) else (agent, "this is")
    if isinstance(found, type):
        raise AgentError(f"this is the class {found.__name__}; expected an agent: make one of it")
    if not callable(getattr(found, "predict", None)):
        raise AgentError(
            "expected an agent, which has a method predict(observation, state, episode_start, "
            "deterministic), or the place of one as 'module:attribute'; "
            f"{where} {type(found).__name__}, which has none"
        )
    return cast("Predictor", found)


def takes_masks(agent: Predictor) -> bool:
    """Whether its `predict` is to be given the legal actions."""
    return "action_masks" in inspect.signature(agent.predict).parameters


def takes_prompt_lengths(agent: Predictor) -> bool:
    """Whether its observations are to tell how long prompts are, beside the tokens.

    So it is with agents that say ``prompts = True``, and with those that stable-baselines3 trained
    on such observations.
    """
    space = getattr(agent, "observation_space", None)
    return getattr(agent, "prompts", False) is True or isinstance(space, spaces.Dict)


def _at(place: str) -> object:
    """What stands at ``"module:attribute"``; made by it, if that is a class or a function."""
    module, _, name = place.partition(":")
    if not (name.isidentifier() and all(part.isidentifier() for part in module.split("."))):
        raise AgentError(
            f"the agent is {place!r}; expected the place of one as 'module:attribute', such as "
            "'my_agents:KeywordAgent'. agents.load_agent loads a checkpoint's"
        )
    try:
        namespace = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # it is there, and lacks something itself
        raise AgentError(
            f"the agent is {place!r}, but there is no module {error.name!r}: start Python in the "
            "folder that holds it, or name that folder in PYTHONPATH"
        ) from None
    try:
        found = getattr(namespace, name)
    except AttributeError:
        public = getattr(namespace, "__all__", ())
        own = [
            each
            for each, value in vars(namespace).items()
            if each in public or _could_be_meant(value, module)
        ]
        raise AgentError(
            f"the agent is {place!r}, but the module has no {name!r}. "
            f"It has: {nearest_first(name, own) or 'neither agents, classes nor functions'}"
        ) from None
    if isinstance(found, type) or (callable(found) and not hasattr(found, "predict")):
        try:
            inspect.signature(found).bind()
        except TypeError as error:
            raise AgentError(
                f"{place} is called without arguments to make the agent, but: {error}. Write a "
                "function that makes it, and name that"
            ) from None
        return found()
    return found


def _could_be_meant(value: object, module: str) -> bool:
    if isinstance(value, type) or inspect.isfunction(value):
        return value.__module__ == module
    return callable(getattr(value, "predict", None))
