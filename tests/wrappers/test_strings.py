"""A whole answer as one action."""

import json
import pickle
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import SyncVectorEnv
from gymnasium.wrappers import TimeLimit

import textenvs
from textenvs import OptionError, TextEnv
from textenvs.metrics import squad
from textenvs.tasks import Task
from textenvs.tasks.prompt import PromptTask
from textenvs.wrappers import StringAction, TextObservation, string_actions

ONE_ANSWER = sorted(set(textenvs.IDS) - {"TextDialogue-v0"})


def expert_text(env_id, index, **options):
    env = gymnasium.make(env_id, **options)
    env.reset(options={"index": index})
    done = False
    while not done:
        *_, done, _, info = env.step(env.unwrapped.expert_action())
    return info["text"]


@pytest.mark.parametrize("env_id", ONE_ANSWER)
@pytest.mark.parametrize("reward", ["terminal", "dense"])
def test_the_expert_s_answer_as_a_string_is_worth_as_much(env_id, reward):
    env = StringAction(gymnasium.make(env_id, split="test", reward=reward))
    for index in range(30):
        _, info = env.reset(options={"index": index})
        assert "action_mask" not in info
        _, total, terminated, truncated, info = env.step(expert_text(env_id, index, split="test"))
        assert terminated
        assert not truncated
        assert total == pytest.approx(1, abs=1e-12), index
        assert "action_mask" not in info
        assert info["actions_cut"] == 0
        assert info["actions_taken"] == env.unwrapped._episodes.steps[0]
        assert info["metrics"][env.unwrapped.score_name] == 1


@pytest.mark.parametrize("env_id", sorted(set(textenvs.IDS) - {"TextQASpan-v0"}))
def test_check_env(env_id):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it advises against checking a wrapped environment
        check_env(StringAction(gymnasium.make(env_id)), skip_render_check=True)


def test_any_text_is_scored_as_it_is():
    env = StringAction(gymnasium.make("TextQA-v0", split="test"))
    for text in ("The", "", "It was Maro.", "Où ?"):
        env.reset(options={"index": 0})
        _, reward, terminated, _, info = env.step(text)
        assert terminated
        assert reward == squad.f1(info["text"], env.unwrapped.task.examples[0].answers)
    assert "Où" not in info["text"]  # the built-in vocabulary is of ASCII


def test_what_is_over_the_budget_is_cut_and_told():
    env = StringAction(gymnasium.make("TextQA-v0", max_new_tokens=3))
    env.reset(seed=0)
    tokens = env.unwrapped.task.tokenizer.encode("one two three four").ids
    _, _, terminated, _, info = env.step("one two three four")
    assert terminated
    assert info["actions_taken"] == 3
    assert info["actions_cut"] == len(tokens) + 1 - 3
    assert info["text"] == env.unwrapped.task.tokenizer.decode(tokens[:3])


def test_tags():
    env = StringAction(gymnasium.make("TextNER-v0", split="test"))
    env.reset(options={"index": 0})
    words = len(env.unwrapped.task.examples[0].words)
    for text, tags, cut in [
        ("", ["O"] * words, 0),
        (" B-PER\nI-PER ", ["B-PER", "I-PER", *["O"] * (words - 2)], 0),
        ("B-PERSON O B-LOC", ["O", "O", "B-LOC", *["O"] * (words - 3)], 0),
        ("B-LOC " * (words + 4), ["B-LOC"] * words, 4),
    ]:
        env.reset(options={"index": 0})
        _, _, terminated, _, info = env.step(text)
        assert terminated
        assert info["text"].split() == tags
        assert (info["actions_taken"], info["actions_cut"]) == (words, cut)


def as_squad(folder, passage, *questions):
    """A file of questions, each given as its id and its answers."""
    qas = [
        {
            "id": name,
            "question": "What?",
            "is_impossible": not answers,
            "answers": [{"text": a, "answer_start": passage.find(a)} for a in answers],
        }
        for name, answers in questions
    ]
    path = folder / "squad.json"
    content = {"data": [{"paragraphs": [{"context": passage, "qas": qas}]}]}
    path.write_text(json.dumps(content), "utf-8")
    return str(path)


def test_spans_of_the_passage(tmp_path):
    path = as_squad(tmp_path, "Bob met Ada. Ada met Bob.", ("a", ["Bob"]), ("b", ["Ada met"]))
    env = StringAction(gymnasium.make("TextQASpan-v0", dataset=path, split="all"))
    starts = lambda: env.unwrapped._episodes.starts[0, env.unwrapped._episodes.actions[0]].tolist()  # noqa: E731
    for index, text, reward, where in [
        (0, "Bob", 1, [0, 0]),
        (0, "met Bob", 2 / 3, [17, 21]),
        (1, " Ada met\n", 1, [13, 17]),
        (1, "da me", 1, [13, 17]),  # the tokens that cover it
    ]:
        env.reset(options={"index": index})
        _, total, terminated, _, info = env.step(text)
        assert (total, terminated, info["actions_cut"]) == (reward, True, 0)
        assert starts() == where


def test_what_is_no_span_is_refused_and_the_episode_goes_on(tmp_path):
    env = StringAction(gymnasium.make("TextQASpan-v0", split="test"))
    env.reset(options={"index": 0})
    for text in ("no such text", ""):
        with pytest.raises(InvalidAction, match="an answer is text of the passage, got '"):
            env.step(text)
    with pytest.raises(InvalidAction, match="an action is a string, got int: 3"):
        env.step(3)
    _, total, _, _, _ = env.step(env.unwrapped.task.examples[0].answers[0])
    assert total == 1
    path = as_squad(tmp_path, "Bob met Ada.", ("a", ["Bob"]), ("b", []))
    env = StringAction(gymnasium.make("TextQASpan-v0", dataset=path, split="all"))
    env.reset(options={"index": 1})
    _, total, terminated, _, info = env.step(" ")
    assert (total, terminated, info["text"], info["actions_taken"]) == (1, True, "", 1)


@pytest.fixture
def recorded(tmp_path):
    path = tmp_path / "dialogues.jsonl"
    turns = ["A table, please.", "For when?", "Tonight.", "It is booked for tonight."]
    path.write_text(json.dumps({"id": "0", "turns": turns}), "utf-8")
    return {"dataset": str(path), "split": "all"}


def test_a_turn_of_a_dialogue_is_an_action(recorded):
    env = StringAction(TextObservation(gymnasium.make("TextDialogue-v0", **recorded)))
    observation, _ = env.reset(options={"index": 0})
    assert observation == "User: A table, please.\nSystem:"
    observation, reward, terminated, _, info = env.step("For when?")
    assert observation == ("User: A table, please.\nSystem: For when?\nUser: Tonight.\nSystem:")
    assert (reward, terminated) == (0, False)
    observation, reward, terminated, _, info = env.step("It is booked for tonight.")
    assert observation.endswith("System: It is booked for tonight.")
    assert (reward, terminated) == (1, True)
    assert info["metrics"]["f1"] == 1


def test_a_long_turn_is_cut_and_does_not_run_into_the_next(recorded):
    env = StringAction(gymnasium.make("TextDialogue-v0", **recorded))
    env.reset(options={"index": 0})
    budget = env.unwrapped.task.max_turn_tokens
    _, _, terminated, _, info = env.step("when " * 100)
    assert not terminated
    assert info["actions_taken"] == budget
    assert info["actions_cut"] > 0
    assert env.unwrapped._episodes.turn[0] == 1
    _, _, terminated, _, info = env.step("It is booked for tonight.")
    assert terminated
    # "when" of "for when", once in as many words as the budget allows
    first = squad.f1(info["text"].splitlines()[0], ["For when?"])
    assert 0 < first < 1
    assert info["metrics"]["f1"] == pytest.approx((first + 1) / 2)


def test_simulated_dialogues_go_as_they_do_token_by_token():
    env = StringAction(gymnasium.make("TextDialogue-v0", reward="dense"))
    plain = gymnasium.make("TextDialogue-v0", reward="dense")
    eos = plain.unwrapped.task.eos_action
    for index in range(5):
        env.reset(options={"index": index})
        plain.reset(options={"index": index})
        done = False
        while not done:
            turn, total = [], 0.0
            while not done and (not turn or turn[-1] != eos):
                turn.append(plain.unwrapped.expert_action())
                expected, reward, done, *_ = plain.step(turn[-1])
                total += reward
            text = plain.unwrapped.task.tokenizer.decode(plain.unwrapped.action_tokens[turn])
            observation, reward, terminated, _, info = env.step(text.strip())
            np.testing.assert_array_equal(observation, expected)
            assert (terminated, info["actions_taken"]) == (done, len(turn))
            assert reward == pytest.approx(total, abs=1e-12)


class Upper(PromptTask):
    def load(self, split):
        return ["a", "b"]

    def prompt(self, example):
        return f"{example}\n"

    def answer(self, example):
        return example.upper()

    def score(self, example, text):
        return float(text == self.answer(example))


class ByNumber(Upper):
    """Its own rule goes before that of its base."""


@string_actions.register
def _(task: ByNumber, episodes, text):
    return [int(number) for number in text.split()]


class Mute(Task):
    """A task without a rule for strings."""

    def episodes(self, num_slots):
        raise AssertionError

    row = prompt_text = episodes


class MuteEnv(gymnasium.Env):
    task = Mute()


def test_tasks_of_one_s_own():
    env = StringAction(TextEnv(Upper()))
    env.reset(options={"index": 1})
    assert env.step("B")[1] == 1
    env = StringAction(TextEnv(ByNumber()))
    env.reset(seed=0)
    assert env.step("7 8")[4]["text"] == env.unwrapped.task.tokenizer.decode(
        env.unwrapped.action_tokens[[7, 8]]
    )
    with pytest.raises(OptionError, match="no rule by which Mute takes strings: add one with"):
        StringAction(MuteEnv())


def test_it_is_asked_for_in_order():
    env = StringAction(gymnasium.make("TextQA-v0"))
    with pytest.raises(ResetNeeded, match="no episode has begun: call"):
        env.step("a")
    env.reset(seed=0)
    env.step("a")
    with pytest.raises(ResetNeeded, match="the episode has ended"):
        env.step("a")


def test_a_time_limit_within_ends_the_episode():
    env = StringAction(TimeLimit(gymnasium.make("TextQA-v0"), 2))
    env.reset(seed=0)
    _, _, terminated, truncated, info = env.step("one two three four")
    assert (terminated, truncated, info["actions_taken"]) == (False, True, 2)
    with pytest.raises(ResetNeeded):
        env.step("a")


def test_illegal_actions_cannot_be_errors_here():
    with pytest.raises(OptionError, match="make the environment with illegal_action='allow'"):
        StringAction(gymnasium.make("TextQA-v0", illegal_action="raise"))
    with pytest.raises(OptionError, match="for environments of textenvs"):
        StringAction(gymnasium.make("CartPole-v1"))


def test_half_a_surrogate_pair_is_no_text_whatever_the_tokenizer():
    for tokenizer in ("auto", "bpe:300"):
        env = StringAction(gymnasium.make("TextQA-v0", size=20, tokenizer=tokenizer))
        env.reset(seed=0)
        with pytest.raises(InvalidAction, match="Unicode text, got half a surrogate"):
            env.step("\ud83d")
        assert env.step("\U0001f695")[2]


def test_in_a_vector_environment():
    envs = SyncVectorEnv([lambda: StringAction(gymnasium.make("TextQA-v0"))] * 2)
    envs.reset(seed=0)
    _, rewards, terminated, _, info = envs.step(("one", "two words"))
    assert terminated.all()
    assert rewards.tolist() == [0, 0]
    assert info["text"].tolist() == ["one", "two words"]


def test_it_pickles_and_its_spec_makes_it_again():
    env = StringAction(gymnasium.make("TextQA-v0"))
    env.reset(seed=0)
    copy = pickle.loads(pickle.dumps(env))
    np.testing.assert_array_equal(env.step("Maro")[0], copy.step("Maro")[0])
    spec = gymnasium.envs.registration.EnvSpec.from_json(env.spec.to_json())
    made = gymnasium.make(spec)
    made.reset(seed=0)
    assert made.step("Maro")[2]
