"""Environments over the user's own data, wherever it is."""

import copy
import gc
import json
import pickle
import warnings

import gymnasium
import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

from textenvs import DatasetError, DatasetWarning, OptionError
from textenvs.tasks import build_task, sources
from textenvs.tasks.qa import QATask

NAMES = ["Ada", "Bob", "Eve", "Mia", "Tom"]
QUESTIONS = [
    {
        "context": f"{name} lives in house {number}. The others live elsewhere.",
        "question": f"Who lives in house {number}?",
        "answers": {"text": [name], "answer_start": [0]},
    }
    for number in range(12)
    for name in NAMES
]
SENTENCES = {
    "tokens": [[name, "lives", "in", "Rome", str(i)] for i in range(12) for name in NAMES],
    "ner_tags": [[1, 0, 0, 2, 0]] * 60,
}
LABELS = ["O", "B-PER", "B-LOC", "I-PER"]


def questions():
    return Dataset.from_list(QUESTIONS)


def sentences():
    tags = List(ClassLabel(names=LABELS))
    return Dataset.from_dict(
        SENTENCES, Features({"tokens": List(Value("string")), "ner_tags": tags})
    )


DATA = {"TextQA-v0": questions, "TextQASpan-v0": questions, "TextNER-v0": sentences}
every_id = pytest.mark.parametrize("env_id", DATA)


def expert_score(env, index):
    env.reset(options={"index": index})
    done = False
    while not done:
        _, reward, done, _, _ = env.step(env.unwrapped.expert_action())
    return reward


@every_id
def test_a_dataset_is_played_alone_and_in_a_vector(env_id):
    env = gymnasium.make(env_id, dataset=DATA[env_id](), split="test")
    assert 0 < env.unwrapped.num_examples < 20
    assert [expert_score(env, i) for i in range(env.unwrapped.num_examples)] == [
        1.0
    ] * env.unwrapped.num_examples
    envs = gymnasium.make_vec(env_id, dataset=DATA[env_id](), split="test", num_envs=3)
    observations, _ = envs.reset(seed=[4, 5, 6])
    for row, seed in zip(observations, (4, 5, 6), strict=True):
        np.testing.assert_array_equal(row, env.reset(seed=seed)[0])


@every_id
def test_an_environment_over_a_dataset_is_copied_as_it_is(env_id):
    env = gymnasium.make(env_id, dataset=DatasetDict(train=DATA[env_id]()))
    env.reset(seed=3)
    for twin in (pickle.loads(pickle.dumps(env)), copy.deepcopy(env)):
        assert twin.unwrapped.task.examples == env.unwrapped.task.examples
        np.testing.assert_array_equal(twin.reset(seed=8)[0], env.reset(seed=8)[0])


def test_rows_as_a_list_are_an_option_like_any():
    env = gymnasium.make("TextQA-v0", dataset=QUESTIONS)
    again = gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert again.unwrapped.task is env.unwrapped.task


def write(folder, name, rows):
    path = folder / name
    if path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    else:
        Dataset.from_list(rows).to_csv(path, sep="\t" if path.suffix == ".tsv" else ",")
    return str(path)


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "tsv"])
@pytest.mark.parametrize("env_id", ["TextQA-v0", "TextNER-v0"])
def test_the_same_examples_from_every_kind_of_file(tmp_path, env_id, suffix):
    if env_id == "TextQA-v0":
        rows = [
            {"context": q["context"], "question": q["question"], "answer": q["answers"]["text"][0]}
            for q in QUESTIONS
        ]
    else:
        rows = [
            {"words": " ".join(words), "tags": " ".join(LABELS[tag] for tag in tags)}
            for words, tags in zip(*SENTENCES.values(), strict=True)
        ]
    for split in ("train", "dev"):
        write(tmp_path, f"x.{split}.{suffix}", rows)
    pattern = str(tmp_path / f"x.{{split}}.{suffix}")
    expected = build_task(DATA_TASKS[env_id], dataset=DATA[env_id](), split="all").examples
    for split, name in (("train", "train"), ("validation", "dev")):
        found = gymnasium.make(env_id, dataset=pattern, split=split).unwrapped.task.examples
        assert [e.id for e in found[:2]] == [f"x.{name}.{suffix}:{line}" for line in first(suffix)]
        assert [without_id(e) for e in found] == [without_id(e) for e in expected]


DATA_TASKS = {"TextQA-v0": "qa", "TextNER-v0": "ner"}


def first(suffix):
    return (1, 2) if suffix == "jsonl" else (2, 3)


def without_id(example):
    return [getattr(example, name) for name in example.__slots__ if name != "id"]


def test_columns_are_named_by_field(tmp_path):
    rows = [
        {"text": q["context"], "q": q["question"], "a": q["answers"]["text"][0]} for q in QUESTIONS
    ]
    path = write(tmp_path, "x.jsonl", rows)
    columns = {"passage": "text", "question": "q", "answers": ["a"]}
    env = gymnasium.make("TextQA-v0", dataset=path, split="all", columns=columns)
    assert env.unwrapped.task.examples[1].answers == ("Bob",)
    again = gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert again.unwrapped.task is env.unwrapped.task
    with pytest.raises(DatasetError, match=r"x\.jsonl:1: expected a column 'passage' or 'context'"):
        gymnasium.make("TextQA-v0", dataset=path)
    with pytest.raises(DatasetError, match=r"jsonl:1: unknown column for 'question' 'qq': did you"):
        gymnasium.make("TextQA-v0", dataset=path, columns={**columns, "question": "qq"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": {"question": "q"}}, "columns=.* is for data of your own"),
        (
            {"dataset": QUESTIONS, "columns": {"quest": "q"}},
            "unknown field in columns 'quest': did",
        ),
        ({"dataset": QUESTIONS, "columns": "q"}, "columns must name a column for each"),
        ({"dataset": QUESTIONS, "size": 3}, "size=3 is for built-in data"),
        ({"dataset": 3}, "dataset must be 'builtin', a path, 'hf:NAME'"),
        ({"dataset": QUESTIONS, "on_error": "ignore"}, "unknown on_error 'ignore'"),
    ],
)
def test_an_impossible_option_is_named(options, message):
    with pytest.raises(OptionError, match=message):
        gymnasium.make("TextQA-v0", **options)


def test_faulty_records_are_skipped_counted_and_told_once(tmp_path):
    path = write(tmp_path, "x.jsonl", [*QUESTIONS, {"context": "a"}, {"question": "b"}])
    with pytest.raises(DatasetError, match=r"x\.jsonl:61: expected a column 'question'"):
        gymnasium.make("TextQA-v0", dataset=path)
    with pytest.warns(DatasetWarning) as caught:
        env = gymnasium.make("TextQA-v0", dataset=path, split="all", on_error="skip")
    assert [str(w.message).split("; ")[0] for w in caught] == [
        f"{path}: left out 2 records that broke the format"
    ]
    assert env.unwrapped.num_examples == 60


@pytest.mark.parametrize("options", [{}, {"max_prompt_tokens": 200}, {"max_new_tokens": 3}])
@pytest.mark.parametrize("batch", [1, 5_000])
def test_opening_counts_all_that_falls_short(options, batch, shared_data, monkeypatch):
    monkeypatch.setattr(sources, "BATCH_CHARACTERS", batch)
    path = str(shared_data / "squad" / "xquad.en.json")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DatasetWarning)
        task = QATask(dataset=path, split="validation", **options)
    told = dict(task.shortfalls)
    assert bool(told) == bool(options)
    prompts = [
        task.layout.fields(task.row(i)[None])["lengths"][0] for i in range(len(task.examples))
    ]
    assert dict(task.shortfalls) == told
    assert max(prompts) <= task.max_tokens - task.max_steps


def test_a_tokenizer_is_trained_on_an_even_share_of_much_text(monkeypatch):
    seen = []

    class Watched(QATask):
        @staticmethod
        def texts(example):
            seen.append(example.question)
            return (example.passage, example.question)

    characters = sum(len(q["context"]) + len(q["question"]) for q in QUESTIONS)
    monkeypatch.setattr(sources, "TRAINING_CHARACTERS", characters // 2)
    Watched(dataset={"train": QUESTIONS})
    everything = [q["question"] for q in QUESTIONS]
    step = 2 + characters % 2
    counted, trained_on, measured = everything, everything[::step], everything
    assert seen == [*counted, *trained_on, *measured]


def jsonl(path, rows):
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")


def test_splits_have_one_tokenizer_even_where_none_is_to_train_on(tmp_path):
    jsonl(tmp_path / "x.dev.jsonl", QUESTIONS[:30])
    rows = [{"passage": f"Quartz {i}.", "question": "What?", "answer": "Quartz"} for i in range(9)]
    jsonl(tmp_path / "x.test.jsonl", rows)
    path = str(tmp_path / "x.{split}.jsonl")
    dev, test = (gymnasium.make("TextQA-v0", dataset=path, split=s) for s in ("validation", "test"))
    assert dev.observation_space == test.observation_space
    assert dev.action_space == test.action_space
    text = "Who lives in the Quartz house?"
    ours, theirs = (env.unwrapped.task.tokenizer.encode(text).ids for env in (dev, test))
    np.testing.assert_array_equal(ours, theirs)


def test_the_splits_of_a_file_are_looked_at_once(tmp_path, monkeypatch):
    measured = []

    class Watched(QATask):
        def _measure(self, example):
            measured.append(example)
            return super()._measure(example)

    path = tmp_path / "x.jsonl"
    jsonl(path, QUESTIONS)

    def build(split, **options):
        measured.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DatasetWarning)
            return Watched(dataset=str(path), split=split, **options), len(measured)

    for options in ({}, {"max_new_tokens": 2}, {"max_prompt_tokens": 10}):
        alone, looks = build("validation", **options)
        told, size = dict(alone.shortfalls), alone.max_tokens
        assert looks == len(QUESTIONS)
        del alone
        gc.collect()
        train, looks = build("train", **options)  # nothing is left of what was known
        assert looks == len(QUESTIONS)
        after, looks = build("validation", **options)
        assert looks == 0
        assert (dict(after.shortfalls), after.max_tokens) == (told, size)
        assert after.max_tokens == train.max_tokens
        assert bool(told) == ("max_prompt_tokens" in options)
    jsonl(path, QUESTIONS[:-10])
    _, looks = build("test", **options)
    assert looks == len(QUESTIONS) - 10


def test_a_pandas_frame_is_rows():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {"article": ["Ada met Bob in Rome.", "Bob is ill."], "summary": "They met."}
    )
    env = gymnasium.make("TextSummarization-v0", dataset=frame, split="all").unwrapped
    assert [e.document for e in env.task.examples] == ["Ada met Bob in Rome.", "Bob is ill."]
    assert {e.summaries for e in env.task.examples} == {("They met.",)}
