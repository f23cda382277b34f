"""OpenAI's chat completions over HTTP: one request, repeated where that can help."""

from __future__ import annotations

import os
import random
import re
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from agents.errors import AgentError, EndpointError

FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0
"""Seconds before the first repetition, doubled before each further one, and the most of them."""
SHOWN = 300
"""How many characters of a reply an error shows."""
TRANSIENT = frozenset({408, 409, 425, 429, *range(500, 600)})
"""The statuses after which the same request may succeed later."""
_REQUEST = "see what it says of the request; some models take no temperature or no max_tokens"
ADVICE = {
    400: _REQUEST,
    401: "set the environment variable {variable} to a valid key, or give api_key",
    403: "the key may not use this model: ask for access, or use another key in {variable}",
    404: "check the model's name and base_url, which mostly ends in /v1",
    408: "give a longer timeout, or a lower concurrency",
    422: _REQUEST,
    429: "give a lower concurrency or more retries, or look whether the account has credit left",
}


@dataclass(kw_only=True)
class ChatEndpoint:
    """Where chat completions are asked for, and how patiently; many threads may use it.

    Raises:
        AgentError: a setting is out of its range.
    """

    base_url: str = "https://api.openai.com/v1"
    """What stands before /chat/completions."""
    api_key: str | None = field(default=None, repr=False)
    """None for the environment variable's; without any none is sent, as local servers need none."""
    key_variable: str = "OPENAI_API_KEY"
    """The environment variable that has the key."""
    timeout: float = 60.0
    """Seconds to wait for a connection, and for each part of a reply."""
    retries: int = 5
    """How often a request is repeated after a status of `TRANSIENT`, a timeout or a lost
    connection; the wait doubles each time, and adds to what the API asks for (Retry-After)."""
    seed: int = 0
    """Of how much each wait is shortened, lest all threads come back at once."""

    def __post_init__(self) -> None:
        """Check the settings, and open the client, which keeps connections."""
        check_url(self.base_url)
        if not self.timeout > 0 or self.retries < 0:
            raise AgentError(
                f"timeout is {self.timeout} and retries is {self.retries}; expected seconds above "
                "0, and a count of at least 0"
            )
        self._key = self.api_key or os.environ.get(self.key_variable, "")
        if not (self._key.isascii() and self._key.isprintable() and " " not in self._key):
            raise AgentError(
                "the API key has spaces, line breaks or characters that are not ASCII; expected "
                f"the key alone, in api_key or in the environment variable {self.key_variable}"
            )
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        self._client = httpx.Client(headers=headers, timeout=self.timeout)
        weakref.finalize(self, self._client.close)
        self._rng = random.Random(self.seed)

    @property
    def url(self) -> str:
        """What is asked."""
        return f"{self.base_url.rstrip('/')}/chat/completions"

    def complete(self, model: str, messages: Sequence[Mapping[str, str]], **options: Any) -> str:
        """The model's reply to some messages.

        Args:
            model: its name there.
            messages: each a ``role`` and a ``content``.
            options: the request's further fields, such as ``temperature``.

        Raises:
            EndpointError: there is no reply; says what was asked, what came, and what to do.
        """
        asked = f"asked {self.url} for a chat completion of model {model!r}"
        body = {"model": model, "messages": list(messages), **options}
        for attempt in range(self.retries + 1):
            last = attempt == self.retries
            wait = min(LONGEST_WAIT, FIRST_WAIT * 2**attempt) * self._rng.uniform(0.5, 1)
            try:
                response = self._client.post(self.url, json=body)
            except httpx.HTTPError as error:
                if last or not isinstance(error, httpx.TransportError):
                    raise EndpointError(self._no_response(asked, error)) from error
            else:
                if response.status_code == httpx.codes.OK:
                    return self._reply(asked, response)
                told = retry_after(response.headers.get("Retry-After", ""))
                if last or response.status_code not in TRANSIENT or told > LONGEST_WAIT:
                    raise EndpointError(self._refusal(asked, response, told))
                wait += told
            time.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _no_response(self, asked: str, error: httpx.HTTPError) -> str:
        tries = f"{self.retries + 1} times" if self.retries else "once"
        if isinstance(error, httpx.TimeoutException):
            return (
                f"{asked}, {tries}; nothing came within {self.timeout} seconds. Give a longer "
                "timeout, a lower concurrency, or see whether the server is busy"
            )
        return (
            f"{asked}, {tries}; there was no response: {self._shown(str(error))}. See whether "
            "the server runs, and whether base_url is right"
        )

    def _refusal(self, asked: str, response: httpx.Response, told: float) -> str:
        status = response.status_code
        advice = ADVICE.get(status, "check base_url")
        if status >= httpx.codes.INTERNAL_SERVER_ERROR:
            advice = "the server has failed: try later, or see its log"
        if told > LONGEST_WAIT:
            advice = f"come back in {told:.0f} seconds, as it says; {advice}"
        return (
            f"{asked}; the answer was {status} {response.reason_phrase}: "
            f"{self._shown(response.text)}. What to do: {advice.format(variable=self.key_variable)}"
        )

    def _reply(self, asked: str, response: httpx.Response) -> str:
        """The text of a reply's first choice; of a refusal what it says, if anything."""
        try:
            reply = response.json()
        except ValueError as error:
            raise self._nonsense(asked, "not JSON", response) from error
        choices = reply.get("choices") if isinstance(reply, dict) else None
        if not (isinstance(choices, list) and choices and isinstance(choices[0], dict)):
            raise self._nonsense(asked, "without choices", response)
        message, reason = choices[0].get("message"), choices[0].get("finish_reason")
        if not isinstance(message, dict):
            raise self._nonsense(asked, "a choice without a message", response)
        text = message.get("content") or message.get("refusal") or ""
        if not isinstance(text, str):
            raise self._nonsense(asked, "a message that is no text", response)
        if not text and reason == "length":
            raise EndpointError(
                f"{asked}; what came is empty, cut off (finish_reason 'length') before the answer "
                "began, as of models that think first: raise max_tokens, or None for no limit"
            )
        return text

    def _nonsense(self, asked: str, what: str, response: httpx.Response) -> EndpointError:
        return EndpointError(
            f"{asked}; what came is {what}: {self._shown(response.text)}. See whether base_url is "
            "that of an OpenAI-style API"
        )

    def _shown(self, text: str) -> str:
        """The beginning of what came, without the key, which some servers repeat."""
        text = " ".join(text.split())
        if self._key:
            text = text.replace(self._key, "***")
        return f"{text[:SHOWN]}..." if len(text) > SHOWN else text or "(empty)"


def check_url(base_url: str) -> None:
    """Raise an AgentError unless it is an address that keys may be sent to."""
    try:
        url = httpx.URL(base_url)
        known = url.scheme in ("http", "https") and url.host and not url.userinfo
    except httpx.InvalidURL:
        known = False
    if not known:
        raise AgentError(
            f"base_url is {re.sub('//.*@', '//***@', base_url)!r}; expected http://... or "
            "https://... without a user's name and password, such as http://localhost:8000/v1"
        )


def retry_after(header: str) -> float:
    """The seconds that a Retry-After header asks for, as a number or a date (RFC 9110, 10.2.3).

    >>> retry_after("3"), retry_after(""), retry_after("soon")
    (3.0, 0.0, 0.0)
    """
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return max(0.0, (moment - datetime.now(timezone.utc)).total_seconds())
