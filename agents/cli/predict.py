"""`textenvs predict`: a trained agent on text of one's own."""

from __future__ import annotations

import codecs
import io
import json
import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import tyro
from gymnasium.vector import AutoresetMode

from agents.agent import LanguageAgent
from agents.cli.runs import RunFolder, Which, open_agent
from agents.environment import attribute, make_env
from agents.errors import AgentError
from agents.traces import Trace, trace_in
from textenvs.cli.usage import UsageError
from textenvs.data.schema import Record
from textenvs.errors import DatasetError, TextEnvsError
from textenvs.tasks.sources import SourceTask
from textenvs.vector_env import TextVectorEnv


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Let a trained agent answer prompts from standard input, a line each, as JSON lines.

    A line is a JSON object with the fields of the task: passage and question (TextQA-v0,
    TextQASpan-v0), words (TextNER-v0), document (TextSummarization-v0), turns (what the user says
    one after the other: TextDialogue-v0, of agents that were trained on recorded dialogues); or,
    where a task has one field, plain text. Each line of the output has the number of the line
    (from 1), the text, and, of an agent with a policy, how likely all of it is together. What
    cannot be answered has an error instead, and makes the exit status 1.
    """

    run: tyro.conf.Positional[RunFolder]
    """The folder of a run or a checkpoint."""
    checkpoint: Which = "best"
    """Of a run: the weights that scored best on the validation split, or the last."""
    sample: bool = False
    """Draw actions from the policy, instead of taking the best."""
    tokens: bool = False
    """Also tell each token, with its probability."""
    batch: int = 64
    """Lines that are read and answered together; 1 for a program that waits for each answer, as is
    done on a terminal."""
    seed: int = 0
    """Of what is drawn."""
    device: str = "auto"
    """cpu, cuda, or auto."""


def run(settings: Settings) -> int:
    """Answer line by line: one at a time for a person, many together for a file.

    Raises:
        UsageError: the batch is empty.
    """
    if settings.batch < 1:
        raise UsageError(f"--batch is {settings.batch}; expected at least 1")
    agent = open_agent(settings.run, settings.checkpoint, settings.device)
    agent.seed_predictions(settings.seed)
    task = task_of(agent, settings.run)
    failed = False
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # one bad line does not end the others
    lines = ((number, line) for number, line in enumerate(sys.stdin, start=1) if line.strip())
    size = 1 if sys.stdin.isatty() else settings.batch
    if sys.stdin.isatty():
        print("a prompt a line; Ctrl-D ends", file=sys.stderr)
    codes = codecs.lookup(sys.stdout.encoding or "utf-8").name != "utf-8"
    while batch := list(islice(lines, size)):
        for answer in answers(agent, task, batch, settings):
            failed |= "error" in answer
            print(json.dumps(answer, ensure_ascii=codes), flush=True)
    return 1 if failed else 0


def task_of(agent: LanguageAgent, name: str) -> SourceTask[Any]:
    """The task that an agent was trained in.

    Raises:
        AgentError: it takes no prompts from outside.
    """
    if agent.env_id is None:
        raise AgentError(f"{name} does not say in which environment it was trained")
    env = make_env(agent.env_id, 1, AutoresetMode.DISABLED, **agent.env_kwargs)
    try:
        task = attribute(env, "task", None)
    finally:
        env.close()
    if isinstance(task, SourceTask) and hasattr(task, "asked"):
        return task
    raise AgentError(
        f"{agent.env_id} takes no prompts from outside: its examples are not made of text alone "
        "(in built-in dialogues a simulated user has a goal). textenvs watch shows the agent there"
    )


def answers(
    agent: LanguageAgent,
    task: SourceTask[Any],
    lines: Iterable[tuple[int, str]],
    settings: Settings,
) -> Iterator[dict[str, Any]]:
    """What the agent says to some lines, in their order."""
    found: dict[int, dict[str, Any]] = {}
    asked: dict[int, Any] = {}
    for number, line in lines:
        found[number] = {"line": number}
        try:
            example = read(task, line, f"line {number}")
            task.asking([example])
            asked[number] = example
        except TextEnvsError as error:
            found[number]["error"] = " ".join(str(error).split())
    if asked:
        asking = task.asking(list(asked.values()))
        env = TextVectorEnv(asking, num_envs=len(asked), autoreset_mode=AutoresetMode.DISABLED)
        try:
            traces = trace_in(agent, env, None, not settings.sample, 0, settings.seed)
        finally:
            env.close()
        for number, told in zip(asked, traces, strict=True):
            found[number] |= described(told, settings.tokens)
        for place, number in enumerate(asked):
            if cut := [reason for reason in asking.shortfalls_of(place) if "cut" in reason]:
                found[number]["warning"] = "; ".join(cut)
    yield from found.values()


def read(task: SourceTask[Any], line: str, place: str) -> Any:
    """The example of a line.

    Raises:
        DatasetError: it lacks a field, or is none.
    """
    needed = [name for name, spec in task.asked.fields.items() if spec.required]
    line = line.removeprefix("\ufeff")  # some programs begin a file with this mark
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:  # no JSON, or such as Python does not read
        if line.lstrip().startswith("{"):
            raise DatasetError(f"{place}: expected a JSON object: {error}") from error
        values = None
    if not isinstance(values, (dict, list)) and len(needed) == 1:
        text = values if isinstance(values, str) else line.strip()
        values = {task.asked.fields[needed[0]].columns[0]: text}
    if not isinstance(values, dict):
        example = json.dumps(dict.fromkeys(needed, "..."))
        raise DatasetError(f"{place}: expected a JSON object such as {example}")
    return task.asked.read([Record(place, place, values)], place, {}, "raise")[0]


def significant(value: float) -> float:
    """A number with four digits that count.

    >>> significant(0.000123456)
    0.0001235
    """
    return float(f"{value:.4g}")


def described(told: Trace, tokens: bool) -> dict[str, Any]:
    """An answer as JSON."""
    found: dict[str, Any] = {"text": told.text}
    likely = [step.probability for step in told.steps if step.probability is not None]
    if likely:
        found["probability"] = significant(math.prod(likely))
    if tokens:
        found["tokens"] = [
            [step.token, None if step.probability is None else significant(step.probability)]
            for step in told.steps
        ]
    return found
