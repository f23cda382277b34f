"""A simple rule plays every task legally, better than chance and well below the expert."""

import gymnasium
import numpy as np
import pytest
from playing import legal_action

import textenvs
from textenvs.data.examples import QAExample
from textenvs.tasks.guess import guess_span
from textenvs.tokenization.pieces import PieceTokenizer

every_id = pytest.mark.parametrize("env_id", sorted(textenvs.IDS))


def mean_score(env_id, choose):
    env = gymnasium.make(env_id, split="test", illegal_action="raise")
    scores = []
    for index in range(150):
        _, info = env.reset(options={"index": index})
        done = False
        while not done:
            _, reward, done, _, info = env.step(choose(env, info))
        scores.append(reward)
    return np.mean(scores)


@every_id
def test_the_heuristic_is_above_random_play_and_well_below_the_expert(env_id):
    rng = np.random.default_rng(0)
    n = gymnasium.make(env_id).action_space.n
    rule = mean_score(env_id, lambda env, info: env.unwrapped.heuristic_action())
    chance = mean_score(
        env_id, lambda env, info: legal_action(info.get("action_mask", np.ones(n)), rng)
    )
    assert chance < rule < 0.6


@every_id
def test_the_heuristic_of_the_vector_environment_is_the_single_one(env_id):
    env = gymnasium.make(env_id, split="test").unwrapped
    envs = gymnasium.make_vec(env_id, num_envs=3, split="test")
    envs.reset(options={"index": np.arange(3)})
    env.reset(options={"index": 1})
    done = False
    while not done:
        actions = envs.heuristic_actions()
        assert actions[1] == env.heuristic_action()
        envs.step(actions)
        done = env.step(int(actions[1]))[2]


@pytest.mark.parametrize(
    ("passage", "question", "guess"),
    [
        ("Ada lives in Rome. Bob likes tea.", "What does Bob like?", "likes tea"),
        ("Ada lives in Rome. Bob likes tea.", "Where does Ada live?", "lives in Rome"),
        ("It is.", "It is?", "It is"),
        ("", "Who?", ""),
    ],
)
def test_the_guess_is_what_the_likest_sentence_adds(passage, question, guess):
    example = QAExample("1", passage, question, (), ())
    tokenizer = PieceTokenizer.builtin()
    first, last = guess_span(example, tokenizer)
    ids = tokenizer.encode(passage).ids
    assert tokenizer.decode(ids[first : last + 1]) == guess
