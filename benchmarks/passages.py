"""Question answering over long passages: real ones of a SQuAD file, or joined built-in ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium

import textenvs  # noqa: F401  registers its ids
from textenvs.data.world import WorldQA

TOKENS = range(300, 401)
"""How many tokens a passage has."""


def write_joined_passages(path: Path) -> None:
    """Write a SQuAD file of built-in passages, several joined to one of about 300 tokens."""
    _write(list(_joined(40)), path)


def write_long_passages(source: Path, path: Path) -> None:
    """Write those paragraphs of a SQuAD file that have `TOKENS` tokens to another.

    Raises:
        ValueError: The source has no such paragraph.
    """
    data = json.loads(source.read_text("utf-8"))["data"]
    paragraphs = [paragraph for article in data for paragraph in article["paragraphs"]]
    env: Any = gymnasium.make("TextQA-v0", dataset=str(source), split="all").unwrapped
    tokenizer = env.task.tokenizer
    long = [p for p in paragraphs if len(tokenizer.encode(p["context"]).ids) in TOKENS]
    if not long:
        raise ValueError(f"{source} has no passage of {TOKENS[0]} to {TOKENS[-1]} tokens")
    _write(long, path)


def _joined(count: int) -> Iterator[dict[str, Any]]:
    """Paragraphs of built-in passages, with the questions about all of them."""
    examples = iter(WorldQA("train"))
    for number in range(count):
        context, questions = "", []
        while len(context) < 1_400:
            example = next(examples)
            questions.append(
                {
                    "id": f"{number}-{example.id}",
                    "question": example.question,
                    "answers": [
                        {"text": answer, "answer_start": len(context) + start}
                        for answer, start in zip(
                            example.answers, example.answer_starts, strict=True
                        )
                    ],
                }
            )
            context += example.passage + " "
        yield {"context": context.rstrip(), "qas": questions}


def _write(paragraphs: list[dict[str, Any]], path: Path) -> None:
    data = {"version": "1.1", "data": [{"title": "long", "paragraphs": paragraphs}]}
    path.write_text(json.dumps(data), "utf-8")
