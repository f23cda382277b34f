"""Models behind an API, which here is a small server that answers as OpenAI's does, or as badly."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

pytest.importorskip("httpx", reason='needs httpx: pip install "textenvs[chat]"')

import one_skill  # noqa: F401  registers its id
import test_text_play as texts

import textenvs
from agents import AgentError, evaluate
from agents.chat import PROMPTS, ChatAgent, ChatEndpoint, endpoint
from agents.chat.prompts import prompt_for
from agents.errors import EndpointError

KEY = "sk-this-is-secret"
Reply = tuple[int, dict[str, str], str]


def saying(text: str | None, **choice: Any) -> Reply:
    message = {"role": "assistant", "content": text}
    return 200, {}, json.dumps({"choices": [{"index": 0, "message": message} | choice]})


class Server:
    """Listens, and answers the n-th request, from 0, with `reply(n, request)`."""

    def __init__(self) -> None:
        self.reply: Callable[[int, dict[str, Any]], Reply] = lambda n, request: saying("x")
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with outer.lock:
                    number = len(outer.requests)
                    outer.requests.append(json.loads(body))
                    outer.headers.append({"path": self.path, **self.headers})
                status, headers, text = outer.reply(number, json.loads(body))
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(text.encode()))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *arguments: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))

    def endpoint(self, **settings: Any) -> ChatEndpoint:
        return ChatEndpoint(**{"base_url": self.url, "api_key": KEY, "timeout": 5.0} | settings)

    def agent(self, **settings: Any) -> ChatAgent:
        return ChatAgent(**{"model": "m", "endpoint": self.endpoint()} | settings)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    server = Server()
    server.http.daemon_threads = True
    server.thread.start()
    yield server
    server.http.shutdown()
    server.thread.join()
    server.http.server_close()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited, without waiting."""
    waited: list[float] = []
    monkeypatch.setattr(endpoint.time, "sleep", waited.append)
    return waited


# Playing


@pytest.mark.parametrize("env_id", textenvs.IDS)
def test_a_model_that_knows_it_all_reaches_the_maximum(env_id: str, server: Server) -> None:
    table = texts.what_the_expert_says(env_id)
    server.reply = lambda n, request: saying(f" {table[request['messages'][1]['content']]}\n")
    agent = server.agent()
    result = evaluate(agent, env_id, episodes=texts.EPISODES, size=texts.SIZE)
    assert result.score == (1, 1, 1)
    assert len(server.requests) == len(table)


def test_what_is_sent(server: Server) -> None:
    agent = server.agent(temperature=0.7, max_tokens=9, options={"seed": 3})
    evaluate(agent, "TextNER-v0", episodes=1, size=50)
    assert server.headers[0]["path"] == "/v1/chat/completions"
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    request = server.requests[0]
    system, user = request.pop("messages")
    assert request == {"model": "m", "temperature": 0, "max_tokens": 9, "seed": 3}
    assert (system["role"], user["role"]) == ("system", "user")
    assert "O, B-LOC, I-LOC, B-MISC, I-MISC, B-ORG, I-ORG, B-PER, I-PER" in system["content"]
    assert user["content"].count("\n") == 1
    evaluate(agent, "TextNER-v0", episodes=1, size=50, deterministic=False)
    assert server.requests[1]["temperature"] == 0.7
    plain = server.agent(temperature=None, max_tokens=None, system_prompt="Tag!")
    evaluate(plain, "TextNER-v0", episodes=1, size=50, deterministic=False)
    assert server.requests[2].keys() == {"model", "messages"}
    assert server.requests[2]["messages"][0]["content"] == "Tag!"


def test_the_key_is_the_environments_and_may_be_missing(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER_KEY", "other")
    server.endpoint(api_key=None, key_variable="OTHER_KEY").complete("m", [])
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    server.endpoint(api_key=None, base_url=f"{server.url}/").complete("m", [])
    assert server.headers[0]["Authorization"] == "Bearer other"
    assert "Authorization" not in server.headers[1]
    assert server.headers[1]["path"] == "/v1/chat/completions"


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (saying("<think>Ulm?\nNo.</think>\n\nthe organ "), "the organ"),
        (saying(""), ""),
        (saying(None, finish_reason="content_filter"), ""),
        ((200, {}, '{"choices": [{"message": {"content": null, "refusal": "No."}}]}'), "No."),
        (saying("Où ?"), "Où ?"),
    ],
)
def test_what_is_taken_of_a_reply(server: Server, reply: Reply, text: str) -> None:
    server.reply = lambda n, request: reply
    assert server.agent(system_prompt="Say.").predict("What?") == (text, None)


def test_every_task_has_a_prompt_of_its_own() -> None:
    prompts = set()
    for env_id in textenvs.IDS:
        prompt = prompt_for(texts.gymnasium.make(env_id, size=50).unwrapped.task)
        assert prompt is not None
        assert "{" not in prompt
        prompts.add(prompt)
    assert len(prompts) == len(textenvs.IDS)
    assert len(PROMPTS) == len(textenvs.IDS) + 1  # recorded dialogues


def test_questions_without_an_answer_are_told_of() -> None:
    class Task:
        name, has_unanswerable = "qa", True

    assert "reply with nothing at all" in (prompt_for(Task) or "")


def test_the_forms_that_the_user_understands_are_understood() -> None:
    """The prompt of simulated dialogues gives forms of turns: none of them puzzles the user."""
    env = texts.make_text_env("TextDialogue-v0", split="test")
    text, _ = env.reset(options={"index": 1})
    _, columns, *_ = (text.split("\n")[0]).split()
    row = text.split("\n")[1].split()
    forms = PROMPTS["simulated_dialogue"].split("\n")[1:6]
    for form in forms:
        env.reset(options={"index": 1})
        turn = form.replace("The COLUMN", "The phone number").replace("COLUMN", columns)
        answer, *_ = env.step(turn.replace("NAME", row[0]).replace("VALUE", row[4]))
        assert "understand" not in answer
        assert "What do you mean" not in answer


def test_tasks_without_a_prompt_need_one(server: Server) -> None:
    agent = server.agent()
    with pytest.raises(
        AgentError, match=r"no prompt for the task None, only for qa, .*system_prompt"
    ):
        evaluate(agent, "OneSkill-v0")
    with pytest.raises(AgentError, match="the model is told of no task"):
        agent.predict("What?")
    with pytest.raises(AgentError, match="ChatAgent reads text, got list"):
        server.agent(system_prompt="Say.").predict([1, 2])  # type: ignore[arg-type]


# When something is wrong


REFUSED: dict[str, tuple[Reply, str]] = {
    "400": ((400, {}, '{"error": "no"}'), "400 Bad Request: .*see what it says of the request"),
    "401": ((401, {}, f"wrong key {KEY}"), r"401 Unauthorized: wrong key \*\*\*.* OPENAI_API_KEY"),
    "404": ((404, {}, ""), r"404 Not Found: \(empty\)\. .*check the model's name and base_url"),
    "html": ((200, {}, "<html>\n<b>Welcome"), "what came is not JSON: <html> <b>Welcome"),
    "bytes": ((200, {}, "x" * 999), "not JSON: x{300}\\.\\.\\."),
    "list": ((200, {}, "[1]"), r"without choices: \[1\]"),
    "none": ((200, {}, '{"choices": []}'), "without choices"),
    "odd": ((200, {}, '{"choices": [7]}'), "without choices"),
    "silent": ((200, {}, '{"choices": [{}]}'), "a choice without a message"),
    "parts": (saying([{"type": "text"}]), "a message that is no text"),  # type: ignore[arg-type]
    "cut": (saying(None, finish_reason="length"), "cut off .*raise max_tokens"),
    "moved": ((302, {"Location": "/other"}, ""), "302 Found: .*check base_url"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_what_cannot_get_better_is_said_at_once(fault: str, server: Server) -> None:
    reply, message = REFUSED[fault]
    server.reply = lambda n, request: reply
    with pytest.raises(EndpointError, match=message) as caught:
        server.endpoint().complete("llm", [])
    assert f"asked {server.url}/chat/completions for a chat completion of model 'llm'" in str(
        caught.value
    )
    assert KEY not in str(caught.value)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "message"),
    [(429, "429 Too Many Requests: busy. .*lower concurrency"), (503, "503 .*server has failed")],
)
def test_what_may_get_better_is_tried_again(
    status: int, message: str, server: Server, waits: list[float]
) -> None:
    server.reply = lambda n, request: (status, {}, "busy") if n < 3 else saying("done")
    assert server.endpoint(retries=3).complete("m", []) == "done"
    assert all(2**n / 4 <= wait <= 2**n / 2 for n, wait in enumerate(waits))
    assert len(waits) == 3
    server.requests.clear()
    with pytest.raises(EndpointError, match=message):
        server.endpoint(retries=2).complete("m", [])
    assert len(server.requests) == 3


def test_waits_are_as_long_as_asked_for(server: Server, waits: list[float]) -> None:
    late = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=20), usegmt=True)
    asked = ["7", late, "soon", "-3"]
    server.reply = lambda n, request: (
        (429, {"Retry-After": asked[n]}, "") if n < 4 else saying("done")
    )
    assert server.endpoint().complete("m", []) == "done"
    assert 7 < waits[0] < 8
    assert 18 < waits[1] < 22
    assert waits[2] <= 2
    assert waits[3] <= 4
    server.reply = lambda n, request: (429, {"Retry-After": "7200"}, "")
    with pytest.raises(EndpointError, match="come back in 7200 seconds"):
        server.endpoint().complete("m", [])
    assert len(waits) == 4


def test_a_server_that_is_too_slow_or_gone(server: Server) -> None:
    def slowly(number: int, request: object) -> Reply:
        time.sleep(0.3)
        return saying("late")

    server.reply = slowly
    with pytest.raises(
        EndpointError, match=r"once; nothing came within 0\.05 seconds\. Give a longer"
    ):
        server.endpoint(timeout=0.05, retries=0).complete("m", [])
    assert server.endpoint(timeout=3.0).complete("m", []) == "late"


def test_nobody_listens(server: Server, waits: list[float]) -> None:
    url = "http://127.0.0.1:1/v1"
    with pytest.raises(EndpointError, match=r"3 times; there was no response: .*base_url is right"):
        server.endpoint(base_url=url, retries=2).complete("m", [])
    assert len(waits) == 2


def test_an_error_ends_the_evaluation(server: Server) -> None:
    server.reply = lambda n, request: (401, {}, "no")
    with pytest.raises(EndpointError, match="401"):
        evaluate(server.agent(concurrency=2), "TextNER-v0", episodes=50, size=50)
    assert len(server.requests) < 10


@pytest.mark.parametrize(
    "url", ["localhost:8000/v1", "ftp://x/v1", "http://u:pw@x/v1", "http://x:y"]
)
def test_addresses_are_checked(url: str) -> None:
    with pytest.raises(AgentError, match=r"base_url is .*expected http://\.\.\.") as caught:
        ChatEndpoint(base_url=url)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"timeout": 0.0}, "timeout is 0.0"),
        ({"retries": -1}, "retries is -1"),
        ({"api_key": "sk-x\n"}, "the API key has spaces, line breaks"),
    ],
)
def test_settings_of_the_endpoint_are_checked(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(AgentError, match=message):
        ChatEndpoint(**settings)


def test_settings_of_the_agent_are_checked() -> None:
    with pytest.raises(AgentError, match="concurrency is 0"):
        ChatAgent(model="m", concurrency=0)
    with pytest.raises(AgentError, match="max_tokens is 0"):
        ChatAgent(model="m", max_tokens=0)
    agent = ChatAgent(model="m", endpoint=ChatEndpoint(api_key=KEY))
    assert KEY not in repr(agent)
    assert ChatAgent(model="m", endpoint="http://x/v1").text_concurrency == 8
