"""Pointers at a passage."""

import numpy as np
import pytest
from questions import (
    CITIES,
    SCRIPTS,
    SPAN,
    UNANSWERABLE,
    file_env,
)

from textenvs.metrics import squad


@pytest.mark.parametrize("tokenizer", ["bpe:258", "bpe:320"])
def test_pointers_give_the_passage_to_the_letter(tokenizer, tmp_path):
    env = file_env(SPAN, tmp_path, SCRIPTS, ("Ida ran.", [("?", ["Ida"])]), tokenizer=tokenizer)
    task = env.unwrapped.task
    passage = SCRIPTS[0]
    ids = task.tokenizer.encode(passage).ids
    rng = np.random.default_rng(0)
    whole = 0
    for _ in range(300):
        first, last = sorted(rng.integers(len(ids), size=2).tolist())
        env.reset(options={"index": 0})
        env.step(first)
        _, reward, done, _, info = env.step(last)
        assert done
        assert info["text"] in passage
        decoded = task.tokenizer.decode(ids[first : last + 1])
        if "\ufffd" not in decoded:  # no character was cut in two
            whole += 1
            assert info["text"].strip() == decoded.strip()
        assert reward == squad.f1(info["text"], task.examples[0].answers)
    assert whole > 50


@pytest.mark.parametrize("reward", ["terminal", "dense"])
def test_pointers_beyond_the_passage_or_reversed_answer_nothing(reward, tmp_path):
    short = ("Ida ran.", [("Who ran?", ["Ida"])])
    env = file_env(SPAN, tmp_path, CITIES, short, tokenizer="bpe:258", reward=reward)
    size = len(short[0])
    beyond = env.action_space.n - 1
    assert beyond == len(CITIES[0]) - 1
    for first, last in ((2, 0), (beyond, beyond), (0, size), (beyond, 0), (size - 1, beyond)):
        _, info = env.reset(options={"index": 3})
        assert info["action_mask"].tolist() == [1] * size + [0] * (env.action_space.n - size)
        _, some, done, _, info = env.step(first)
        assert not done
        least = min(first, size - 1)
        assert np.flatnonzero(info["action_mask"]).tolist() == list(range(least, size))
        _, more, done, _, info = env.step(last)
        assert done
        assert (info["text"], info["metrics"]["f1"], some + more) == ("", 0.0, 0.0)


def test_the_pointer_to_no_answer_is_the_last_action_and_ends_at_once(tmp_path):
    env = file_env(SPAN, tmp_path, UNANSWERABLE, tokenizer="bpe:258")
    nothing = env.unwrapped.task.no_answer
    assert nothing == env.action_space.n - 1
    token = int(env.unwrapped.action_tokens[nothing])
    assert env.unwrapped.task.token_name(token) == "<no answer>"
    env.reset(options={"index": 0})
    _, _, done, _, info = env.step(4)
    assert info["action_mask"][nothing] == 0
    _, reward, done, _, info = env.step(nothing)  # illegal, and answers nothing
    assert (reward, done, info["text"]) == (0.0, True, "")
    env.reset(options={"index": 1})
    assert env.step(nothing)[1:3] == (1.0, True)
