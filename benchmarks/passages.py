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


def write_long_passages(source: Path | None, path: Path) -> None:
    """Write the paragraphs of `TOKENS` tokens to a SQuAD file.

    Args:
        source: A SQuAD file to take them from; None joins built-in passages.
        path: The file to write.

    Raises:
        ValueError: The source has no such paragraph.
    """
    if source is None:
        paragraphs = list(_joined(40))
    else:
        data = json.loads(source.read_text("utf-8"))["data"]
        paragraphs = [paragraph for article in data for paragraph in article["paragraphs"]]
    _write(paragraphs, path)
    tokenizer = gymnasium.make("TextQA-v0", dataset=str(path), split="all").unwrapped.task.tokenizer  # type: ignore[attr-defined]
    long = [p for p in paragraphs if len(tokenizer.encode(p["context"]).ids) in TOKENS]
    if not long:
        raise ValueError(f"{source or 'built-in data'} has no passage of 300 to 400 tokens")
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
