"""Small question answering data, and the rules of its masks, for tests."""

import json

import gymnasium
import numpy as np
import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

QA, SPAN = "TextQA-v0", "TextQASpan-v0"
both_ids = pytest.mark.parametrize("env_id", [QA, SPAN])

CITIES = (
    "Nairobi is a city. The city of Nairobi, in  Kenya, has 4,397,073 people.",
    [
        ("Which city is it?", ["Nairobi", "The city of Nairobi", "city of Nairobi"]),
        ("Where?", ["in  Kenya", "Kenya"]),
        ("How many?", ["4,397,073 people"]),
    ],
)
SCRIPTS = (
    "東京は日本の首都。 A\xa0naïve café\u3000in Zürich sold 😀😀 to Ωmega.\tYes.",
    [("首都?", ["東京"]), ("Wo?", ["Zürich"]), ("Was?", ["naïve café"]), ("?", ["😀😀"])],
)
UNANSWERABLE = (
    "The dog sat on the mat.",
    [("Who sat?", ["dog", "The dog"]), ("Who stood?", []), ("Where?", ["the mat", "on the mat"])],
)


def squad_file(path, *paragraphs):
    """A SQuAD file; an answer stands where it first occurs in the passage."""
    records = []
    for p, (passage, questions) in enumerate(paragraphs):
        qas = []
        for q, (question, answers) in enumerate(questions):
            found = [{"text": text, "answer_start": passage.index(text)} for text in answers]
            qas.append(
                {
                    "id": f"{p}.{q}",
                    "question": question,
                    "answers": found,
                    "is_impossible": not found,
                }
            )
        records.append({"context": passage, "qas": qas})
    data = {"data": [{"title": "t", "paragraphs": records}]}
    path.write_text(json.dumps(data, ensure_ascii=False), "utf-8")
    return str(path)


def file_env(env_id, tmp_path, *paragraphs, split="all", **options):
    dataset = squad_file(tmp_path / "squad.json", *paragraphs)
    return gymnasium.make(env_id, dataset=dataset, split=split, **options)


def expert_episode(env, index):
    """The last observation, the return and the last info of the expert's episode."""
    env.reset(options={"index": index})
    done, total = False, 0.0
    while not done:
        observation, reward, done, _, info = env.step(env.unwrapped.expert_action())
        total += reward
    return observation, total, info


def expert_metrics(env):
    metrics = [expert_episode(env, i)[2]["metrics"] for i in range(env.unwrapped.num_examples)]
    return {name: np.array([m[name] for m in metrics]) for name in metrics[0]}


def action_of(env, token):
    (action,) = np.flatnonzero(env.unwrapped.action_tokens == token)
    return int(action)


def slow_mask(env, index, answer, unanswerable):
    """By definition: the tokens after each occurrence of the answer so far in the passage."""
    task = env.unwrapped.task
    example = task.examples[index]
    passage = task.tokenizer.encode(example.passage).ids.tolist()
    ends = [
        start + len(answer)
        for start in range(len(passage) - len(answer))
        if passage[start : start + len(answer)] == answer
    ]
    legal = {passage[end] for end in ends}
    if answer or unanswerable:
        legal.add(task.tokenizer.eos_token_id)
    return np.isin(env.unwrapped.action_tokens, sorted(legal)).astype(np.int8)


def assert_masks_by_definition(env, episodes, seed, unanswerable=False, slips=0.1):
    """Under play that is legal but for a share of slips, mostly of tokens of the passage."""
    rng = np.random.default_rng(seed)
    task = env.unwrapped.task
    eos = action_of(env, task.tokenizer.eos_token_id)
    for _ in range(episodes):
        index = int(rng.integers(min(task.num_examples, 500)))
        _, info = env.reset(options={"index": index})
        passage = task.tokenizer.encode(task.examples[index].passage).ids
        answer, done = [], False
        while not done:
            np.testing.assert_array_equal(
                info["action_mask"], slow_mask(env, index, answer, unanswerable)
            )
            choices = np.flatnonzero(info["action_mask"])
            if len(choices) > 1 and rng.random() < 0.9:
                choices = choices[choices != eos]
            action = int(rng.choice(choices))
            if rng.random() < slips:
                token = int(rng.choice(passage))
                action = action_of(env, token) if rng.random() < 0.7 else int(rng.choice(eos + 9))
            _, _, done, _, info = env.step(action)
            answer.append(int(env.unwrapped.action_tokens[action]))


def white_space_words(words, unknown="<unk>"):
    """A tokenizer whose tokens are what stands between spaces."""
    vocabulary = {word: i for i, word in enumerate(["<pad>", "<eos>", "<unk>", *words])}
    backend = Backend(models.WordLevel(vocabulary, unk_token=unknown))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<eos>", pad_token="<pad>", unk_token=unknown
    )
