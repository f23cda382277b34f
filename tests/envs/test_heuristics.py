"""A simple rule plays every task legally, better than chance and well below the expert."""

import json

import gymnasium
import numpy as np
import pytest
from playing import legal_action

import textenvs
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
    tokenizer = PieceTokenizer.builtin()
    tokens = tokenizer.encode(passage)
    first, last = guess_span(passage, tokens, tokenizer.encode(question).ids)
    assert tokenizer.decode(tokens.ids[first : last + 1]) == guess


@pytest.mark.parametrize("constrain", [True, False])
def test_a_plan_beyond_what_is_left_of_a_cut_passage_is_still_played(constrain, tmp_path):
    passage = "Ada lives in Rome, she says. " * 3 + "Bob likes green tea."
    start = passage.index("green")
    answer = {"text": "green tea", "answer_start": start}
    question = {"id": "1", "question": "What does Bob like?", "answers": [answer]}
    record = {"context": passage, "qas": [question]}
    path = tmp_path / "cut.json"
    path.write_text(json.dumps({"data": [{"paragraphs": [record]}]}), "utf-8")
    options = {"dataset": str(path), "split": "all", "tokenizer": "builtin"}
    with pytest.warns(textenvs.DatasetWarning, match="cut"):
        env = gymnasium.make(
            "TextQASpan-v0", **options, max_prompt_tokens=20, constrain=constrain
        ).unwrapped
    env.reset(options={"index": 0})
    env.step(env.heuristic_action())
    assert env.step(env.heuristic_action())[2]
