"""An agent that is a language model behind an API."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gymnasium.vector import VectorEnv

from agents.chat.endpoint import ChatEndpoint
from agents.chat.prompts import PROMPTS, prompt_for
from agents.environment import attribute
from agents.errors import AgentError

THOUGHTS = re.compile(r"\A.*</think>", re.DOTALL)
"""What models that think aloud say before their answer."""


@dataclass(kw_only=True)
class ChatAgent:
    """Answers with what a language model behind an API says, a whole answer or turn at a time.

    It plays the environments of textenvs as text: the model is told what the task is, and given
    the prefix, which in a dialogue holds all turns so far; so that nothing else is kept between
    calls. `agents.evaluate` scores it as any agent, `agents.record` keeps its episodes as tokens
    and actions, from which behaviour cloning learns::

        from agents import evaluate
        from agents.chat import ChatAgent

        agent = ChatAgent(model="Qwen/Qwen2.5-7B-Instruct", endpoint="http://localhost:8000/v1")
        result = evaluate(agent, "TextQA-v0", episodes=200, predictions="qwen.jsonl")

    Raises:
        AgentError: a setting is out of its range.
    """

    model: str
    """The model's name at the endpoint."""
    endpoint: ChatEndpoint | str = field(default_factory=ChatEndpoint)
    """Where it is asked, or the base URL of that; OpenAI's API by default."""
    system_prompt: str | None = None
    """What the model is told first; None for what `PROMPTS` has for the task."""
    temperature: float | None = 1.0
    """Of what is drawn; with ``deterministic=True``, which is `evaluate`'s default, 0 is sent. None
    sends none at all, as some models want it."""
    max_tokens: int | None = 1024
    """At most so many tokens a reply; None for no limit."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the request, such as ``{"seed": 1}``."""
    concurrency: int = 8
    """How many requests are under way at once."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.concurrency < 1:
            raise AgentError(f"concurrency is {self.concurrency}; expected at least 1")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise AgentError(f"max_tokens is {self.max_tokens}; expected at least 1, or None")
        given = self.endpoint
        self._endpoint = ChatEndpoint(base_url=given) if isinstance(given, str) else given
        self._task_prompt: str | None = None

    @property
    def text_concurrency(self) -> int:
        """See `TextPredictor`."""
        return self.concurrency

    def attach(self, env: VectorEnv[Any, Any, Any]) -> None:
        """Learn which task is to be played.

        Raises:
            AgentError: there is no prompt for it.
        """
        task = attribute(env, "task", None)
        self._task_prompt = prompt_for(task)
        if self._task_prompt is None and self.system_prompt is None:
            raise AgentError(
                f"the agent has no prompt for the task {getattr(task, 'name', task)!r}, only for "
                f"{', '.join(PROMPTS)}: tell the model in system_prompt what to reply with"
            )

    def predict(
        self,
        observation: str,
        state: None = None,
        episode_start: object = None,
        deterministic: bool = True,
    ) -> tuple[str, None]:
        """The model's answer to a prefix; `attach` an environment first, or set `system_prompt`.

        Raises:
            EndpointError: there is none; says what was asked, what came, and what to do.
            AgentError: the observation is no text, or there is no prompt.
        """
        del state, episode_start
        told = self._task_prompt if self.system_prompt is None else self.system_prompt
        if told is None:
            raise AgentError("the model is told of no task: call attach(env), or set system_prompt")
        if not isinstance(observation, str):
            raise AgentError(
                f"ChatAgent reads text, got {type(observation).__name__}: wrap the environment as "
                "textenvs.wrappers.StringAction(TextObservation(env)), as agents.evaluate does"
            )
        messages = [
            {"role": "system", "content": told},
            {"role": "user", "content": observation},
        ]
        temperature = self.temperature
        if temperature is not None and deterministic:
            temperature = 0.0
        limits = {"temperature": temperature, "max_tokens": self.max_tokens}
        sent = {name: value for name, value in limits.items() if value is not None}
        reply = self._endpoint.complete(self.model, messages, **sent, **self.options)
        return THOUGHTS.sub("", reply).strip(), None
