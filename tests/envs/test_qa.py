"""Question answering: what is legal, when it ends, what an answer scores, and that none is lost."""

import copy
import json
import pickle
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.error import InvalidAction
from questions import (
    CITIES,
    QA,
    SCRIPTS,
    SPAN,
    UNANSWERABLE,
    action_of,
    assert_masks_by_definition,
    both_ids,
    expert_episode,
    expert_metrics,
    file_env,
    squad_file,
    white_space_words,
)

from textenvs import DatasetError, DatasetWarning
from textenvs.metrics import squad
from textenvs.tasks import sources


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_mask_is_what_keeps_the_answer_a_span(split):
    assert_masks_by_definition(gymnasium.make(QA, split=split), 60, seed=1)


@pytest.mark.parametrize("tokenizer", ["bpe:258", "bpe:400", "builtin"])
def test_the_mask_is_right_where_tokens_repeat(tmp_path, tokenizer):
    repeats = ("a a b a a b a a a c aaa abab b b a a", [("q?", ["a a b a a b a a a c"])])
    others = [UNANSWERABLE] if tokenizer == "builtin" else [UNANSWERABLE, SCRIPTS]
    env = file_env(QA, tmp_path, repeats, *others, tokenizer=tokenizer)
    assert_masks_by_definition(env, 80, seed=2, unanswerable=True)


def test_the_vector_mask_is_the_single_mask_after_slips(tmp_path):
    dataset = squad_file(tmp_path / "squad.json", ("a a b a a b a a a c", [("q?", ["b a a"])]))
    options = {"dataset": dataset, "split": "all", "tokenizer": "bpe:258"}
    envs = gymnasium.make_vec(QA, num_envs=8, autoreset_mode="NextStep", **options)
    singles = [gymnasium.make(QA, **options) for _ in range(8)]
    rng = np.random.default_rng(0)
    for env in (envs, *singles):
        env.reset(seed=0)
    for _ in range(4):
        tokens = rng.choice([*b"ab ", *b"a b"], 8)
        actions = [
            action_of(singles[0], singles[0].unwrapped.task.tokenizer.encode(chr(t)).ids[0])
            for t in tokens
        ]
        _, _, done, _, info = envs.step(np.array(actions))
        for slot, env in enumerate(singles):
            _, _, single_done, _, single_info = env.step(actions[slot])
            assert single_done == done[slot]
            np.testing.assert_array_equal(info["action_mask"][slot], single_info["action_mask"])
        assert not done.any()


def test_eos_is_legal_after_one_token_or_at_once_where_questions_lack_answers(tmp_path):
    env = file_env(QA, tmp_path, CITIES)
    eos = action_of(env, env.unwrapped.task.tokenizer.eos_token_id)
    _, info = env.reset(seed=0)
    assert info["action_mask"][eos] == 0
    assert env.step(env.unwrapped.expert_action())[4]["action_mask"][eos] == 1
    (tmp_path / "2").mkdir()
    env = file_env(QA, tmp_path / "2", CITIES, UNANSWERABLE)
    for index in range(env.unwrapped.num_examples):
        _, info = env.reset(options={"index": index})
        assert info["action_mask"][eos] == 1


def test_an_empty_answer_is_an_end_even_where_it_is_not_legal(tmp_path):
    env = file_env(QA, tmp_path, CITIES)
    eos = action_of(env, env.unwrapped.task.tokenizer.eos_token_id)
    env.reset(seed=0)
    _, reward, terminated, _, info = env.step(eos)
    assert (reward, terminated, info["text"]) == (0.0, True, "")
    assert info["metrics"] == {"f1": 0.0, "exact_match": 0.0}
    strict = file_env(QA, tmp_path, CITIES, illegal_action="raise")
    strict.reset(seed=0)
    with pytest.raises(InvalidAction, match="illegal in this state"):
        strict.step(eos)


@pytest.mark.parametrize("how", ["the passage is over", "no span"])
def test_only_eos_is_left_where_nothing_can_follow(tmp_path, how):
    env = file_env(QA, tmp_path, ("The cat sat", [("q?", ["The cat sat"])]), tokenizer="bpe:258")
    unwrapped = env.unwrapped
    eos = action_of(env, unwrapped.task.tokenizer.eos_token_id)
    env.reset(seed=0)
    for letter in "sat" if how == "the passage is over" else "cz":
        token = unwrapped.task.tokenizer.encode(letter).ids[0]
        _, _, done, _, info = env.step(action_of(env, token))
    assert not done
    assert np.flatnonzero(info["action_mask"]).tolist() == [eos]
    assert unwrapped.expert_action() == eos
    _, _, done, _, info = env.step(eos)
    assert done
    assert info["text"] == ("sat" if how == "the passage is over" else "cz")


@pytest.mark.filterwarnings("ignore:built-in data:textenvs.DatasetWarning")
@pytest.mark.parametrize("constrain", [True, False])
def test_the_token_budget_ends_an_episode(constrain):
    env = gymnasium.make(QA, max_new_tokens=3, constrain=constrain)
    unwrapped = env.unwrapped
    assert unwrapped.task.max_steps == 3
    for seed in range(20):
        env.reset(seed=seed)
        task, index = unwrapped.task, int(unwrapped._episodes.indices[0])
        passage = task.tokenizer.encode(task.examples[index].passage).ids[:3]
        for step, token in enumerate(passage.tolist()):
            _, reward, terminated, truncated, info = env.step(action_of(env, token))
            assert (terminated, truncated) == (step == 2, False)
        assert info["text"] == task.tokenizer.decode(passage)
        assert reward == squad.f1(info["text"], task.examples[index].answers)


def test_unconstrained_every_action_is_legal_and_no_mask_is_given():
    env = gymnasium.make(QA, constrain=False, illegal_action="raise")
    rng = np.random.default_rng(0)
    for seed in range(20):
        _, info = env.reset(seed=seed)
        done = False
        while not done:
            assert "action_mask" not in info
            assert env.unwrapped.action_masks().shape == (env.action_space.n,)
            assert env.unwrapped.action_masks().all()
            _, _, done, _, info = env.step(int(rng.integers(env.action_space.n)))
    envs = gymnasium.make_vec(QA, num_envs=3, constrain=False, illegal_action="raise")
    _, info = envs.reset(seed=0)
    assert info == {}
    assert envs.action_masks().shape == (3, env.action_space.n)
    assert envs.action_masks().all()
    assert "action_mask" not in envs.step(rng.integers(env.action_space.n, size=3))[4]
    assert expert_episode(env, 5)[1] == 1.0


@both_ids
def test_random_answers_score_as_their_text(env_id, tmp_path):
    env = file_env(env_id, tmp_path, CITIES, SCRIPTS, UNANSWERABLE, tokenizer="bpe:300")
    task = env.unwrapped.task
    rng = np.random.default_rng(0)
    for _ in range(150):
        index = int(rng.integers(task.num_examples))
        _, info = env.reset(options={"index": index})
        done = False
        while not done:
            _, reward, done, _, info = env.step(
                int(rng.choice(np.flatnonzero(info["action_mask"])))
            )
        references = task.examples[index].answers
        metrics = info["metrics"]
        assert metrics["f1"] == pytest.approx(squad.f1(info["text"], references))
        assert metrics["exact_match"] == squad.exact_match(info["text"], references)
        assert metrics["answerable"] == bool(references)
        assert reward == metrics["f1"]


@both_ids
@pytest.mark.parametrize("reward", ["terminal", "dense"])
def test_questions_without_an_answer(env_id, reward, tmp_path):
    env = file_env(env_id, tmp_path, CITIES, UNANSWERABLE, reward=reward)
    unwrapped = env.unwrapped
    metrics = expert_metrics(env)
    assert metrics["answerable"].tolist() == [1, 1, 1, 1, 0, 1]
    assert metrics["f1"].tolist() == metrics["exact_match"].tolist() == [1.0] * 6
    assert all(value == 1.0 for value in unwrapped.aggregate_metrics(metrics).values())
    # To say nothing at once is right for one question and wrong for the others.
    nothing = (
        unwrapped.task.no_answer
        if env_id == SPAN
        else action_of(env, unwrapped.task.tokenizer.eos_token_id)
    )
    silent, texts = [], []
    for index in range(6):
        _, info = env.reset(options={"index": index})
        assert info["action_mask"][nothing] == 1
        _, got, done, _, info = env.step(nothing)
        assert done
        assert got == info["metrics"]["f1"]
        silent.append(info["metrics"])
        texts.append(info["text"])
    assert texts == [""] * 6
    silent = {name: np.array([m[name] for m in silent]) for name in silent[0]}
    scores = unwrapped.aggregate_metrics(silent)
    expected = squad.squad_scores(texts, [e.answers for e in unwrapped.task.examples])
    assert scores == pytest.approx(expected)
    assert scores["HasAns_f1"] == 0.0
    assert scores["NoAns_f1"] == 1.0


def test_a_split_is_scored_as_the_squad_script_does(tmp_path):
    env = file_env(QA, tmp_path, CITIES, SCRIPTS, UNANSWERABLE)
    rng = np.random.default_rng(4)
    metrics, texts = [], []
    for index in range(env.unwrapped.num_examples):
        _, info = env.reset(options={"index": index})
        done = False
        while not done:
            _, _, done, _, info = env.step(int(rng.choice(np.flatnonzero(info["action_mask"]))))
        metrics.append(info["metrics"])
        texts.append(info["text"])
    stacked = {name: np.array([m[name] for m in metrics]) for name in metrics[0]}
    expected = squad.squad_scores(texts, [e.answers for e in env.unwrapped.task.examples])
    assert env.unwrapped.aggregate_metrics(stacked) == pytest.approx(expected)


def test_the_pad_token_is_no_action(tmp_path):
    for env in (gymnasium.make(QA), file_env(QA, tmp_path, CITIES)):
        tokenizer = env.unwrapped.task.tokenizer
        assert tokenizer.pad_token_id not in env.unwrapped.action_tokens
        assert env.action_space.n == tokenizer.vocab_size - 1


REPEATS = [
    ("He had had a cat.", "had a"),
    ("It is 1 1 1 2 then.", "1 1 2"),
    ("It is so so so.", "so so."),
    ("a a a b", "a a b"),
    ("x x x x", "x x"),
    ("no no yes no no yes", "no yes no"),
]


@pytest.mark.parametrize("tokenizer", ["bpe", "bpe:258"])
@pytest.mark.parametrize(("passage", "answer"), REPEATS)
def test_the_expert_keeps_to_its_span_where_the_token_before_is_the_same(
    tmp_path, tokenizer, passage, answer
):
    """A reference may stand at any of its occurrences, the last one here."""
    start = passage.rindex(answer)
    reference = {"text": answer, "answer_start": start}
    record = {"id": "0", "question": "q?", "answers": [reference]}
    data = {"data": [{"paragraphs": [{"context": passage, "qas": [record]}]}]}
    (tmp_path / "squad.json").write_text(json.dumps(data), "utf-8")
    options = {"dataset": str(tmp_path / "squad.json"), "split": "all", "tokenizer": tokenizer}
    env = gymnasium.make(QA, **options)
    _, reward, info = expert_episode(env, 0)
    assert (info["text"].strip(), reward) == (answer, 1.0)
    envs = gymnasium.make_vec(QA, num_envs=2, autoreset_mode="Disabled", **options)
    envs.reset(seed=0)
    done = np.zeros(2, bool)
    while not done.any():
        _, rewards, done, _, _ = envs.step(envs.expert_actions())
    assert done.all()
    assert rewards.tolist() == [1.0, 1.0]


@both_ids
@pytest.mark.parametrize("order", [1, -1])
def test_a_reference_that_normalises_to_nothing_is_not_the_experts_choice(env_id, order, tmp_path):
    """SQuAD's rules leave it out, so to answer it would score 0."""
    passage = "It was the A of the Vitamin group."
    env = file_env(env_id, tmp_path, (passage, [("q?", ["A", "Vitamin"][::order])]))
    assert expert_episode(env, 0)[1] == 1.0
    assert dict(env.unwrapped.task.shortfalls) == {}


COPIES = [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))]


@pytest.mark.parametrize(("data_seed", "duplicate"), [*enumerate(COPIES, start=71)])
def test_a_copy_scores_right_whatever_the_original_reads_next(data_seed, duplicate):
    """Words are numbered as they come; original and copy must not number them apart."""
    env = gymnasium.make(QA, split="test", reward="dense", data_seed=data_seed)
    env.reset(options={"index": 700})
    env.step(env.unwrapped.expert_action())
    twin = duplicate(env)
    for index in range(720, 740):
        expert_episode(env, index)
    done = False
    while not done:  # the episode that was going on
        _, _, done, _, info = twin.step(twin.unwrapped.expert_action())
    assert info["metrics"]["f1"] == 1.0
    returns = [expert_episode(twin, index)[1] for index in range(739, 715, -1)]
    assert returns == pytest.approx([1.0] * 24)


def test_a_vector_environment_goes_on_in_another_process():
    envs = gymnasium.make_vec(QA, num_envs=4, split="test", reward="dense")
    envs.reset(seed=3)
    for _ in range(9):
        envs.step(envs.expert_actions())
    code = (
        "import pickle, sys, numpy as np; envs = pickle.load(sys.stdin.buffer);"
        "trace = [envs.step(envs.expert_actions()) for _ in range(20)];"
        "print([(o.sum(), r.round(9).tolist(), t.tolist()) for o, r, t, *_ in trace])"
    )
    theirs = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(envs), capture_output=True, check=True
    ).stdout.decode()
    trace = [envs.step(envs.expert_actions()) for _ in range(20)]
    ours = [(o.sum(), r.round(9).tolist(), t.tolist()) for o, r, t, *_ in trace]
    assert theirs.strip() == str(ours)
    assert sum(sum(ended) for _, _, ended in ours) > 4


# What falls short stays, is counted, and is said once.


@both_ids
def test_a_cut_prompt_is_counted_reported_once_and_scored(env_id, tmp_path):
    long = ("Alba sat. " * 30 + "Then Otto came.", [("Who came?", ["Otto"]), ("?", ["Alba"])])
    short = ("Ida ran.", [("Who ran?", ["Ida"])])
    dataset = squad_file(tmp_path / "squad.json", long, short)
    options = {"dataset": dataset, "split": "all", "tokenizer": "bpe:258", "max_prompt_tokens": 60}
    with pytest.warns(DatasetWarning) as caught:
        env = gymnasium.make(env_id, **options)
    assert len(caught) == 1
    other = gymnasium.make(env_id, **options)  # a second warning would fail the test
    envs = gymnasium.make_vec(env_id, num_envs=2, **options)
    message = str(caught[0].message)
    assert "squad.json (all): of 3 examples" in message
    assert "2 passages cut at max_prompt_tokens" in message
    assert "1 answers that no allowed span of tokens gives" in message
    task = env.unwrapped.task
    assert other.unwrapped.task is task is envs.unwrapped.task
    assert dict(task.shortfalls) == {
        "passages cut at max_prompt_tokens": 2,
        "answers that no allowed span of tokens gives": 1,
    }
    assert env.unwrapped.num_examples == 3
    assert task.max_tokens == 60 + task.max_steps
    scores = [expert_episode(env, index)[1] for index in range(3)]
    assert scores == [0.0, 1.0, 1.0]
    prompt, _ = env.reset(options={"index": 0})
    text = task.tokenizer.decode([t for t in prompt.tolist() if t != task.tokenizer.pad_token_id])
    assert text == ("Alba sat. " * 30)[: 60 - len("\nWho came?\n")] + "\nWho came?\n"


def test_a_budget_shorter_than_the_answer_is_counted(tmp_path):
    with pytest.warns(DatasetWarning, match="1 answers that no allowed span of tokens gives"):
        env = file_env(QA, tmp_path, CITIES, tokenizer="bpe:258", max_new_tokens=7)
    _, reward, info = expert_episode(env, 0)
    assert (reward, info["text"]) == (1.0, "Nairobi")
    _, reward, info = expert_episode(env, 2)
    assert (reward, info["text"]) == (0.0, "4,397,0")


@pytest.mark.filterwarnings("ignore::textenvs.errors.DatasetWarning")
@pytest.mark.parametrize("unknown", ["<pad>", "<eos>", "<unk>"])
def test_the_expert_is_legal_where_the_answer_cannot_be_written(unknown, tmp_path):
    tokenizer = white_space_words(["The", "dog", "sat.", "Who?"], unknown)
    example = ("The Nairobi dog sat.", [("Who?", ["Nairobi"])])
    env = file_env(QA, tmp_path, example, tokenizer=tokenizer, illegal_action="raise")
    _, info = env.reset(options={"index": 0})
    done = False
    while not done:
        action = env.unwrapped.expert_action()
        assert info["action_mask"][action] == 1
        _, _, done, _, info = env.step(action)


@both_ids
def test_an_answer_inside_a_token_is_counted(env_id, tmp_path):
    passage = "The Nairobi-based firm grew."
    tokenizer = white_space_words([*passage.split(), "Who?"])
    questions = [("Who?", ["Nairobi"]), ("Who?", ["firm"])]
    with pytest.warns(DatasetWarning, match=r"of 2 examples .*: 1 answers that no allowed span"):
        env = file_env(env_id, tmp_path, (passage, questions), tokenizer=tokenizer)
    assert sum(env.unwrapped.task.shortfalls.values()) == 1
    assert [expert_episode(env, index)[1] for index in range(2)] == [0.0, 1.0]


@both_ids
def test_examples_that_fit_no_cache_are_counted_once(env_id, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "CACHED_NUMBERS", 1)
    with pytest.warns(DatasetWarning, match="3 passages cut"):
        env = file_env(env_id, tmp_path, CITIES, tokenizer="bpe:258", max_prompt_tokens=40)
    before = dict(env.unwrapped.task.shortfalls)
    for index in (0, 1, 2, 0, 1, 2):
        env.reset(options={"index": index})
    assert dict(env.unwrapped.task.shortfalls) == before


def test_a_malformed_file_of_another_split_is_not_passed_over(tmp_path):
    squad_file(tmp_path / "qa.train.json", CITIES)
    (tmp_path / "qa.dev.json").write_text("{broken", "utf-8")
    with pytest.raises(DatasetError, match=r"qa\.dev\.json:1:2"):
        gymnasium.make(QA, dataset=str(tmp_path / "qa.{split}.json"))


def test_a_relative_path_is_read_where_it_leads_now(tmp_path, monkeypatch):
    texts = []
    kept = []  # alive, so that equal options could share their task
    for name, paragraph in (("a", CITIES), ("b", UNANSWERABLE)):
        (tmp_path / name).mkdir()
        squad_file(tmp_path / name / "squad.json", paragraph)
        monkeypatch.chdir(tmp_path / name)
        kept.append(gymnasium.make(QA, dataset="squad.json", split="all"))
        texts.append(kept[-1].unwrapped.task.examples[0].passage)
    assert texts == [CITIES[0], UNANSWERABLE[0]]
