"""Published data sets, whole: the expert is perfect, or what it cannot reach is counted."""

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support

from textenvs import DatasetWarning
from textenvs.metrics import squad
from textenvs.metrics.entities import entities

QA_IDS = ["TextQA-v0", "TextQASpan-v0"]


def data_set(shared_data, env_id):
    """The file, by what it holds."""
    if env_id in QA_IDS:
        return str(shared_data / "squad" / "xquad.en.json")
    return str(shared_data / "conll" / "wnut17.{split}.conll")


def make(env_id, shared_data, maker=gymnasium.make, **options):
    """The environment, and the warnings that it gave."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        env = maker(env_id, dataset=data_set(shared_data, env_id), **options)
    assert all(issubclass(w.category, DatasetWarning) for w in caught), [w.message for w in caught]
    return env, [str(w.message) for w in caught]


def play(env, choose):
    """The tokens or tags, texts and metrics of every episode of the split, in order."""
    texts, metrics, returns = [], [], []
    for index in range(env.unwrapped.num_examples):
        _, info = env.reset(options={"index": index})
        total, done = 0.0, False
        while not done:
            _, reward, done, _, info = env.step(choose(env, info))
            total += reward
        texts.append(info["text"])
        metrics.append(info["metrics"])
        returns.append(total)
    stacked = {name: np.array([m[name] for m in metrics]) for name in metrics[0]}
    return texts, stacked, np.array(returns)


def expert(env, info):
    return env.unwrapped.expert_action()


@pytest.mark.parametrize("env_id", QA_IDS)
@pytest.mark.parametrize("split", ["test", "all"])
def test_the_expert_answers_xquad_but_for_what_is_counted(env_id, split, shared_data):
    env, said = make(env_id, shared_data, split=split, reward="dense", illegal_action="raise")
    texts, metrics, returns = play(env, expert)
    short = int((metrics["f1"] < 1).sum())
    reasons = {"answers that no allowed span of tokens gives": short} if short else {}
    assert dict(env.unwrapped.task.shortfalls) == reasons
    assert len(said) == len(reasons)
    if short:
        assert f"of {len(texts)} examples" in said[0]
        assert f"{short} answers" in said[0]
    assert short <= 1, "one reference of XQuAD breaks off in a number: '(2,70' of '(2,700'"
    np.testing.assert_allclose(returns, metrics["f1"], atol=1e-12)
    references = [example.answers for example in env.unwrapped.task.examples]
    expected = squad.squad_scores(texts, references)
    assert env.unwrapped.aggregate_metrics(metrics) == pytest.approx(expected)
    assert expected["f1"] > 0.999


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_the_expert_tags_wnut_without_a_fault(split, shared_data):
    env, said = make("TextNER-v0", shared_data, split=split, reward="dense", illegal_action="raise")
    task = env.unwrapped.task
    texts, metrics, returns = play(env, expert)
    assert (metrics["f1"] == 1).all()
    np.testing.assert_allclose(returns, 1.0, atol=1e-12)
    assert dict(task.shortfalls) == {}
    assert not [message for message in said if "full score" in message]
    assert [text.split() for text in texts] == [list(e.tags) for e in task.examples]
    scores = env.unwrapped.aggregate_metrics(metrics)
    assert scores["precision"] == scores["recall"] == scores["f1"] == 1.0
    kinds = [kind for e in task.examples for kind, _, _ in entities(e.tags)]
    for kind in task.types:
        assert metrics[f"{kind}/gold"].sum() == kinds.count(kind)
        assert scores[f"{kind}/f1"] == (kind in kinds)


def test_seqeval_agrees_on_a_random_tagger_of_wnut(shared_data):
    env, _ = make("TextNER-v0", shared_data, split="test")
    task = env.unwrapped.task
    rng = np.random.default_rng(0)
    tags = {
        index: [t if rng.random() < 0.8 else str(rng.choice(task.labels)) for t in example.tags]
        for index, example in enumerate(task.examples)
    }
    queue = (task.labels.index(tag) for index in range(len(tags)) for tag in tags[index])
    _, metrics, _ = play(env, lambda env, info: next(queue))
    golds = [list(example.tags) for example in task.examples]
    predictions = list(tags.values())
    names = ("precision", "recall", "f1")
    scores = env.unwrapped.aggregate_metrics(metrics)
    micro = precision_recall_fscore_support(golds, predictions, average="micro", zero_division=0)
    assert [scores[name] for name in names] == pytest.approx(list(micro[:3]))
    each = precision_recall_fscore_support(golds, predictions, average=None, zero_division=0)
    for row, kind in enumerate(task.types):
        ours = [scores[f"{kind}/{name}"] for name in names]
        assert ours == pytest.approx([each[column][row] for column in range(3)])
    assert 0.01 < scores["f1"] < 0.9


@pytest.mark.parametrize("env_id", [*QA_IDS, "TextNER-v0"])
@pytest.mark.parametrize("legal", [True, False])
def test_the_vector_environment_over_real_data_is_the_loop(env_id, legal, shared_data):
    options = {"split": "validation", "reward": "dense"}
    single, _ = make(env_id, shared_data, **options)
    envs, said = make(env_id, shared_data, gymnasium.make_vec, num_envs=6, **options)
    assert envs.unwrapped.task is single.unwrapped.task
    assert said == []
    kwargs = {"dataset": data_set(shared_data, env_id), **options}
    loop = SyncVectorEnv(
        [lambda: gymnasium.make(env_id, **kwargs)] * 6, autoreset_mode=AutoresetMode.SAME_STEP
    )
    rng = np.random.default_rng(0)
    (ours, info), (theirs, loop_info) = envs.reset(seed=5), loop.reset(seed=5)
    finished = 0
    for _ in range(120):
        np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(info["action_mask"], loop_info["action_mask"])
        experts = envs.expert_actions()
        assert experts.tolist() == [env.unwrapped.expert_action() for env in loop.envs]
        masks = info["action_mask"] if legal else np.ones_like(info["action_mask"])
        guesses = [int(rng.choice(np.flatnonzero(mask))) for mask in masks]
        actions = np.where(rng.random(6) < 0.6, experts, guesses)
        ours, *rest, info = envs.step(actions)
        theirs, *loop_rest, loop_info = loop.step(actions)
        for a, b in zip(rest, loop_rest, strict=True):
            np.testing.assert_array_equal(a, b)
        assert info.keys() == loop_info.keys()
        if "final_info" in info:
            finished += int(info["_final_info"].sum())
            final, loop_final = info["final_info"], loop_info["final_info"]
            assert final["text"].tolist() == loop_final["text"].tolist()
            for name, values in loop_final["metrics"].items():
                np.testing.assert_array_equal(final["metrics"][name], values)
    assert finished > 6
