"""Summarization: what a summary scores, what is legal, when it ends, and that nothing is lost."""

from __future__ import annotations

import json
import pickle
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv
from rouge_score.rouge_scorer import RougeScorer

from textenvs import DatasetError, DatasetWarning, OptionError
from textenvs.data.world.build_vocabulary import build_vocabulary
from textenvs.tasks import build_task
from textenvs.tokenization.pieces import PieceTokenizer

ID = "TextSummarization-v0"
ORACLE = RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"])

LONG = "The cat sat on the mat. A dog came in! The cat left; nobody knows why.\nIt rained."
RECORDS = [
    {"document": LONG, "summary1": "A cat left as a dog came.", "summary2": "The dog came in."},
    {"document": "a b c. a b c.", "summary1": "a b", "summary2": "c b a. a b"},
    {"document": "Zürich – 東京 – naïve café", "summary1": "café 東京 x y", "summary2": "é a b"},
]


DROPPED = "\u2603"


class Dropping(PieceTokenizer):
    """Leaves one character out, as tokenizers do that clean text."""

    @classmethod
    def builtin(cls):
        return cls(build_vocabulary())

    def encode(self, text):
        return super().encode(text.replace(DROPPED, ""))


def dataset(tmp_path, *records):
    path = tmp_path / "summaries.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    return str(path)


def make(tmp_path, *records, **options):
    """An environment on a file, with whatever it warns of as a list of texts."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        env = gymnasium.make(ID, dataset=dataset(tmp_path, *records), split="all", **options)
    return env, [str(warning.message) for warning in caught]


def play(env, index, policy):
    """The rewards of an episode and its last info."""
    _, info = env.reset(options={"index": index})
    rewards, done = [], False
    while not done:
        _, reward, done, _, info = env.step(policy(info))
        rewards.append(reward)
    return rewards, info


def play_expert(env, index):
    return play(env, index, lambda info: env.unwrapped.expert_action())


def any_token(env, rng, bias=0.8):
    """Tokens of the example, mostly, and any."""
    task = env.unwrapped.task

    def policy(info):
        index = int(env.unwrapped._episodes.indices[0])
        text = " ".join(task.texts(task.examples[index]))
        known = task.action_of_token[task.tokenizer.encode(text).ids]
        return int(rng.choice(known) if rng.random() < bias else rng.integers(env.action_space.n))

    return policy


class TestScore:
    @pytest.mark.parametrize("tokenizer", ["builtin", "bpe:300"])
    def test_metrics_are_those_of_rouge_score(self, tokenizer):
        env = gymnasium.make(ID, tokenizer=tokenizer, split="test", size=40)
        policy = any_token(env, np.random.default_rng(0))
        seen = []
        for index in range(40):
            rewards, info = play(env, index, policy)
            references = env.unwrapped.task.examples[index].summaries
            expected = ORACLE.score_multi(references, info["text"])
            for name, score in expected.items():
                assert info["metrics"][name] == pytest.approx(score.fmeasure, abs=1e-9)
            mean = np.mean([expected[n].fmeasure for n in ("rouge1", "rouge2", "rougeL")])
            assert rewards == [0.0] * (len(rewards) - 1) + [pytest.approx(mean, abs=1e-9)]
            seen.append(mean)
        assert 0.02 < np.mean(seen) < 0.9

    @pytest.mark.parametrize("tokenizer", ["builtin", "bpe:300"])
    def test_dense_rewards_are_the_changes_of_the_score(self, tokenizer, tmp_path):
        env, _ = make(tmp_path, *RECORDS, tokenizer=tokenizer, reward="dense", max_new_tokens=25)
        policy = any_token(env, np.random.default_rng(1))
        for index in [0, 1, 2] * 8:
            references = env.unwrapped.task.examples[index].summaries
            env.reset(options={"index": index})
            total, done = 0.0, False
            while not done:
                _, reward, done, _, info = env.step(policy(None))
                total += reward
                text = env.unwrapped._episodes.text(0)
                scores = ORACLE.score_multi(references, text)
                mean = np.mean([scores[n].fmeasure for n in ("rouge1", "rouge2", "rougeL")])
                assert total == pytest.approx(mean, abs=1e-9)
            assert total == pytest.approx(info["metrics"]["rouge"], abs=1e-12)

    def test_a_score_that_nobody_asks_for_is_not_kept(self):
        task = build_task("summarization", size=8, data_seed=99)
        envs = gymnasium.make_vec(ID, num_envs=4, size=8, data_seed=99)
        assert envs.unwrapped.task is task
        envs.reset(seed=0)
        rng = np.random.default_rng(0)
        for _ in range(40):
            envs.step(rng.integers(0, envs.single_action_space.n, 4))
        assert "lexicon" not in vars(task)

    def test_the_split_has_the_means(self):
        task = build_task("summarization")
        assert task.aggregate({"rouge": np.array([0.0, 0.5])}) == {"rouge": 0.25}


class TestExpert:
    def test_it_takes_up_the_reference_where_it_was_left(self, tmp_path):
        env, _ = make(tmp_path, RECORDS[0], max_new_tokens=40)
        unwrapped = env.unwrapped
        task = unwrapped.task
        target = task.action_of_token[task.tokenizer.encode(RECORDS[0]["summary1"]).ids].tolist()
        other = next(a for a in range(99) if a not in (*target, task.eos_action))
        env.reset(options={"index": 0})
        for action in (target[0], other, other, target[1], other):
            env.step(action)
        written = []
        while (action := unwrapped.expert_action()) != task.eos_action:
            written.append(action)
            assert not env.step(action)[2]
        assert written == target[2:]

    def test_it_fills_up_with_what_costs_nothing(self):
        env = gymnasium.make(ID, min_new_tokens=34, illegal_action="raise", split="validation")
        for index in range(20):
            rewards, info = play_expert(env, index)
            assert len(rewards) >= 35
            assert rewards[-1] == 1.0, info["text"]
        assert env.unwrapped.task.shortfalls == {}

    def test_it_copies_what_can_be_copied(self):
        env = gymnasium.make(ID, copy=True, illegal_action="raise", split="test", size=60)
        with pytest.warns(DatasetWarning, match="tokens that their document lacks"):
            scores = [play_expert(env, index)[0][-1] for index in range(60)]
        assert 0.6 < np.mean(scores) < 1
        (count,) = env.unwrapped.task.shortfalls.values()
        assert count == sum(score < 1 for score in scores)


def slow_mask(task, index, steps):
    """By definition: the document's tokens; EOS late enough, or if there is nothing else."""
    eos = task.tokenizer.eos_token_id
    document = task.tokenizer.encode(task.examples[index].document).ids
    document = document[: task.max_tokens - task.max_steps - task.line_break_length]
    allowed = np.isin(task.action_tokens, document) if task.copy else task.action_tokens >= 0
    allowed &= task.action_tokens != eos
    if steps >= task.min_new_tokens or not allowed.any():
        allowed |= task.action_tokens == eos
    return allowed


OPTIONS = [
    {"copy": True},
    {"min_new_tokens": 4},
    {"copy": True, "min_new_tokens": 3},
    {"copy": True, "min_new_tokens": 12, "max_new_tokens": 12, "max_prompt_tokens": 8},
]


class TestLegal:
    @pytest.mark.parametrize("options", OPTIONS)
    def test_the_mask_is_its_definition(self, options, tmp_path):
        empty = {"document": DROPPED, "summary": "x y"}
        env, _ = make(tmp_path, *RECORDS, empty, tokenizer=Dropping.builtin(), **options)
        unwrapped, rng = env.unwrapped, np.random.default_rng(2)
        policy = any_token(env, rng)
        for index in [0, 1, 2, 3] * 6:
            _, info = env.reset(options={"index": index})
            done, steps = False, 0
            while not done:
                expected = slow_mask(unwrapped.task, index, steps)
                np.testing.assert_array_equal(info["action_mask"], expected)
                assert expected[unwrapped.expert_action()]
                legal = int(rng.choice(np.flatnonzero(expected)))
                _, _, done, _, info = env.step(legal if rng.random() < 0.7 else policy(info))
                steps += 1

    @pytest.mark.parametrize("options", [{}, *OPTIONS])
    def test_the_vector_environment_is_a_loop_of_single_ones(self, options):
        kwargs = {"reward": "dense", "split": "test", **options}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DatasetWarning)
            ours = gymnasium.make_vec(ID, num_envs=3, autoreset_mode="NextStep", **kwargs)
            loop = SyncVectorEnv([lambda: gymnasium.make(ID, **kwargs)] * 3)
            (obs, _), (loop_obs, _) = ours.reset(seed=4), loop.reset(seed=4)
            rng = np.random.default_rng(0)
            for _ in range(70):
                np.testing.assert_array_equal(obs, loop_obs)
                masks = ours.action_masks()
                experts = loop.call("expert_action")
                assert ours.expert_actions().tolist() == list(experts)
                legal = [int(rng.choice(np.flatnonzero(mask))) for mask in masks]
                actions = np.where(rng.random(3) < 0.7, experts, legal)
                obs, reward, ended, _, info = ours.step(actions)
                loop_obs, loop_reward, loop_ended, _, loop_info = loop.step(actions)
                np.testing.assert_array_equal(reward, loop_reward)
                np.testing.assert_array_equal(ended, loop_ended)
                if options:
                    np.testing.assert_array_equal(info["action_mask"], loop_info["action_mask"])
                else:
                    assert "action_mask" not in info

    def test_an_unconstrained_environment_says_nothing_of_masks(self):
        env = gymnasium.make(ID)
        _, info = env.reset(seed=0)
        assert info == {}
        assert env.unwrapped.action_masks().all()
        assert not env.unwrapped.task.constrained

    @pytest.mark.filterwarnings("ignore:built-in data")
    def test_a_copy_goes_on_as_the_original(self):
        env = gymnasium.make(ID, copy=True, min_new_tokens=5, reward="dense")
        env.reset(seed=3)
        for _ in range(4):
            env.step(env.unwrapped.expert_action())
        copy = pickle.loads(pickle.dumps(env))
        for _ in range(4):
            action = env.unwrapped.expert_action()
            assert copy.unwrapped.expert_action() == action
            ours, theirs = env.step(action), copy.step(action)
            np.testing.assert_array_equal(ours[0], theirs[0])
            np.testing.assert_array_equal(ours[4]["action_mask"], theirs[4]["action_mask"])
            assert ours[1] == theirs[1]


class TestShortfalls:
    @pytest.mark.parametrize(
        ("record", "options", "reason"),
        [
            ({"document": "東京 x", "summary": "東京。"}, {}, "without a word that ROUGE counts"),
            ({"document": "a b", "summary": "one"}, {}, "of a single word"),
            ({"document": "a b", "summary": "a q b"}, {"copy": True}, "that their document lacks"),
            ({"document": "a", "summary": LONG}, {"max_new_tokens": 5}, "longer than max_new"),
            ({"document": LONG, "summary": "The cat sat"}, {"max_prompt_tokens": 9}, "cut at max"),
        ],
    )
    def test_what_cannot_score_is_counted_and_stays(self, tmp_path, record, options, reason):
        env, messages = make(tmp_path, record, RECORDS[0], tokenizer="bpe:258", **options)
        assert env.unwrapped.num_examples == 2
        assert any(reason in text for text in env.unwrapped.task.shortfalls)
        assert any(reason in message for message in messages)
        _, info = play_expert(env, 0)
        score = info["metrics"]["rouge"]
        assert 0 <= score <= 1
        assert (score == 1) == ("cut at" in reason)

    def test_a_second_reference_can_make_up_for_the_first(self, tmp_path):
        record = {"document": "b", "summaries": ["東京 b c", "b c"]}
        env, messages = make(tmp_path, record)
        assert messages == []
        assert play_expert(env, 0)[0][-1] == 1.0

    def test_an_unwritable_summary(self, tmp_path):
        record = {"document": "b", "summaries": ["caféx b"]}
        env, messages = make(tmp_path, record, tokenizer="builtin")
        assert "as they can be written" in messages[0]
        assert 0 < play_expert(env, 0)[0][-1] < 1


class TestData:
    def test_published_dialogues(self, shared_data):
        folder = shared_data / "summarization"
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            env = gymnasium.make(
                ID, dataset=str(folder / "dialogsum.test.jsonl"), split="test", reward="dense"
            )
        task = env.unwrapped.task
        assert task.num_references == 3
        assert {len(example.summaries) for example in task.examples} == {3}
        lines = (folder / "dialogsum.test.jsonl").read_text("utf-8").splitlines()
        recorded = {json.loads(line)["dialogue"] for line in lines}
        assert {example.document for example in task.examples} <= recorded
        for index in range(20):
            rewards, _ = play_expert(env, index)
            assert sum(rewards) == pytest.approx(1.0)
        assert [str(w.message) for w in caught] == []

    def test_one_reference_and_columns_of_ones_own(self, shared_data):
        path = shared_data / "summarization" / "dialogsum.dev.jsonl"
        columns = {"document": "dialogue", "summaries": "topic"}
        with pytest.warns(DatasetWarning, match="of a single word, which has no ROUGE-2"):
            env = gymnasium.make(ID, dataset=str(path), columns=columns, split="test")
        assert env.unwrapped.task.num_references == 1
        assert max(len(e.summaries[0]) for e in env.unwrapped.task.examples) < 60

    def test_the_line_break_ends_the_prompt(self, tmp_path):
        env, _ = make(tmp_path, *RECORDS, max_prompt_tokens=12, tokenizer="bpe:300")
        observation, _ = env.reset(options={"index": 0})
        text = env.unwrapped.task.tokenizer.decode(observation)
        assert text.endswith("\n")
        assert LONG.startswith(text[:-1])
        assert env.unwrapped.task.prompt_text(0) == LONG + "\n"

    def test_a_file_without_columns(self, tmp_path):
        path = tmp_path / "summaries.txt"
        path.write_text("a\n")
        with pytest.raises(DatasetError, match="named columns"):
            gymnasium.make(ID, dataset=str(path))


class TestHeuristic:
    def lead(self, env, index):
        return play(env, index, lambda info: env.unwrapped._episodes.heuristic(0))

    def test_lead_is_well_below_the_expert(self):
        env = gymnasium.make(ID, split="test")
        episodes = [self.lead(env, index) for index in range(100)]
        assert 0.3 < np.mean([rewards[-1] for rewards, _ in episodes]) < 0.55
        for index, (_, info) in enumerate(episodes):
            document = env.unwrapped.task.examples[index].document
            assert document.startswith(info["text"])
            assert info["text"].endswith(".")

    @pytest.mark.parametrize(
        ("budget", "text"),
        [
            (200, "The cat sat on the mat. A dog came in! The cat left; nobody knows why."),
            (45, "The cat sat on the mat. A dog came in!"),
            (30, "The cat sat on the mat."),
            (8, "The cat"),
        ],
    )
    def test_whole_sentences_as_far_as_there_is_room(self, tmp_path, budget, text):
        env, _ = make(tmp_path, RECORDS[0], tokenizer="bpe:258", max_new_tokens=budget)
        assert self.lead(env, 0)[1]["text"].rstrip() == text

    def test_nothing_to_lead_with(self, tmp_path):
        record = {"document": DROPPED, "summary": "x y"}
        env, _ = make(tmp_path, record, max_new_tokens=4, tokenizer=Dropping.builtin())
        assert self.lead(env, 0)[1]["text"] == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_new_tokens": 0}, "min_new_tokens must be"),
        ({"max_new_tokens": -1}, "max_new_tokens must be"),
        ({"min_new_tokens": 9, "max_new_tokens": 8}, "more than max_new_tokens, which is 8"),
        ({"max_prompt_tokens": 1}, "no room for a document: it must be at least 2"),
        ({"copy": "no"}, "copy must be True or False, got 'no'"),
        ({"copi": True}, "did you mean 'copy'"),
        ({"split": "all"}, "split of the built-in data"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(OptionError, match=message):
        gymnasium.make(ID, **options)
