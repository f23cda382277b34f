"""Whole answers as strings, one step each, beside GEM's QaEnv on the same questions.

Either is told the right answer, and scores it: GEM by exact match, TextQA-v0 by its F1 and exact
match, after it turned the string into tokens and played them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import gymnasium

import textenvs  # noqa: F401  registers its ids
from benchmarks.contest import Child
from benchmarks.measuring import Measurement, beside
from textenvs.data.world import WorldQA
from textenvs.wrappers import StringAction


def answers_beside_gem(python: Path, questions: int, answers: int, rounds: int) -> Measurement:
    """Answers per second.

    Args:
        python: Of an environment that has GEM.
        questions: How many different ones.
        answers: A round.
        rounds: How many.

    Raises:
        ChildProcessError: GEM does not run there; the error has the last that it wrote.
    """
    examples = list(islice(WorldQA("train"), questions))
    env = StringAction(gymnasium.make("TextQA-v0", size=questions))
    right = [example.answers[0] for example in examples]
    turns: Iterator[int] = cycle(range(questions))

    def ours() -> float:
        start = time.perf_counter()
        for index in islice(turns, answers):
            env.reset(options={"index": index})
            env.step(right[index])
        return answers / (time.perf_counter() - start)

    asked = {
        "question": [f"{example.passage}\n{example.question}" for example in examples],
        "answer": right,
    }
    with Child("GEM", ("benchmarks.peers_gem",), python) as gem:
        gem.tell(json.dumps(asked))
        return beside(
            "TextQA-v0, an answer a step",
            "answers/s",
            ours,
            "GEM's QaEnv",
            lambda: answers / float(gem.ask(str(answers))),
            rounds,
        )
