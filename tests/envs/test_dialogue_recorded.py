"""TextDialogue-v0 with recorded dialogues, against slow and independent scores."""

import json
import pickle
import warnings

import numpy as np
import pytest
import sacrebleu
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from textenvs import DatasetError, DatasetWarning, OptionError, TextEnv, TextVectorEnv
from textenvs.metrics import squad
from textenvs.tasks import build_task
from textenvs.tasks.dialogue_recorded import RecordedDialogueTask

DIALOGUES = [
    [("A table, please.", "For when?"), ("Tonight at 7 p.m.", "It is booked."), ("Bye.", "Bye!")],
    [("I need a taxi to the port", "Where are you now?"), ("At home.", "A taxi is coming.")],
    [("Stop!", "..."), ("Go on", "The show goes on, the show must go on.")],
    [("Bonjour à tous", "Où est-ce ? 東京\u00a0!")],
]


def as_sgd(dialogues):
    return [
        {
            "dialogue_id": str(number),
            "turns": [
                {"speaker": speaker, "utterance": text}
                for pair in dialogue
                for speaker, text in zip(("USER", "SYSTEM"), pair, strict=True)
            ],
        }
        for number, dialogue in enumerate(dialogues)
    ]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("dialogues") / "dialogues.json"
    path.write_text(json.dumps(as_sgd(DIALOGUES)), "utf-8")
    return str(path)


@pytest.fixture(scope="module")
def task(path):
    return build_task("dialogue", dataset=path, split="all")


def play(env, index, actions):
    """Plays the actions; returns the last observation, the rewards, whether it ended, the info."""
    observation, info = env.reset(options={"index": index})
    rewards, done = [], False
    for action in actions:
        observation, reward, done, truncated, info = env.step(action)
        assert not truncated
        rewards.append(reward)
    return observation, rewards, done, info


def turn_actions(task, *turns):
    """The actions that write turns, each ended by EOS."""
    encoded = (task.action_of_token[task.tokenizer.encode(turn).ids].tolist() for turn in turns)
    return [action for actions in encoded for action in [*actions, task.eos_action]]


def slow_f1(index, turns):
    references = [system for _, system in DIALOGUES[index]]
    return np.mean([squad.f1(t, [r]) for t, r in zip(turns, references, strict=True)])


def random_actions(task, rng, index):
    """A state's action: words of the references, any token, or EOS."""
    draw = rng.random()
    if draw < 0.2:
        return task.eos_action
    if draw < 0.5:
        return int(rng.integers(len(task.action_tokens)))
    words = " ".join(system for _, system in DIALOGUES[index]).split()
    tokens = task.tokenizer.encode(f" {rng.choice(words)}").ids
    return int(task.action_of_token[rng.choice(tokens)])


def test_the_user_says_what_was_recorded_and_the_system_s_tokens_stay(task):
    env = TextEnv(task)
    observation, info = env.reset(options={"index": 0})
    decode = task.tokenizer.decode
    assert decode(observation) == "User: A table, please.\nSystem:"
    assert info == {}
    # "When" letter by letter is another sequence of tokens than the tokenizer's own.
    letters = [int(task.action_of_token[task.tokenizer.encode(c).ids[0]]) for c in " When?"]
    assert letters != turn_actions(task, " When?")[:-1]
    prompt = observation[observation != task.tokenizer.pad_token_id]
    observation, _, done, _ = play(env, 0, [*letters, task.eos_action])
    assert not done
    written = [*task.action_tokens[letters], task.tokenizer.eos_token_id]
    user = task.tokenizer.encode("\nUser: Tonight at 7 p.m.\nSystem:").ids
    expected = np.concatenate([prompt, written, user])
    np.testing.assert_array_equal(observation[: len(expected)], expected)
    assert (observation[len(expected) :] == task.tokenizer.pad_token_id).all()


def test_scores_by_hand(task):
    actions = turn_actions(task, " When?", "", " Good bye")
    observation, rewards, done, info = play(TextEnv(task), 0, actions)
    assert done
    assert info["text"] == "When?\n\nGood bye"
    # "when" of "for when": 2/3; nothing of three words: 0; "bye" of "good bye": 2/3.
    assert info["metrics"]["f1"] == pytest.approx(4 / 9)
    assert info["metrics"]["turns"] == 3
    assert rewards == [0.0] * (len(actions) - 1) + [info["metrics"]["f1"]]
    last = task.tokenizer.decode(observation).splitlines()
    assert last == [
        "User: A table, please.",
        "System: When?",
        "User: Tonight at 7 p.m.",
        "System:",
        "User: Bye.",
        "System: Good bye",
    ]


def test_dense_rewards_come_when_a_word_does(task):
    actions = turn_actions(task, " When", " It is", " x")
    _, rewards, done, _ = play(TextEnv(task, reward="dense"), 0, actions)
    assert done
    starts = np.cumsum([0, *(len(turn_actions(task, t)) for t in (" When", " It is"))])
    turns = [sum(rewards[a:b]) for a, b in zip(starts, [*starts[1:], None], strict=True)]
    assert turns == pytest.approx([2 / 3 / 3, 0.8 / 3, 0])


def test_a_turn_without_words_is_answered_by_none(task):
    for first, f1 in (("", 1), (" ?!", 1), (" the", 1), (" no", 0)):
        for reward in ("terminal", "dense"):
            env = TextEnv(task, reward=reward)
            _, rewards, _, info = play(env, 2, turn_actions(task, first, ""))
            assert info["metrics"]["f1"] == f1 / 2
            assert sum(rewards) == pytest.approx(f1 / 2)


@pytest.mark.parametrize("tokenizer", ["auto", "builtin"])
def test_random_play_is_scored_as_the_slow_scores_have_it(path, tokenizer):
    """Dense rewards at every step, F1 of each turn, and BLEU over all of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DatasetWarning)  # the shipped vocabulary is of ASCII
        task = build_task("dialogue", dataset=path, split="all", tokenizer=tokenizer)
    env = TextEnv(task, reward="dense")
    rng = np.random.default_rng(0)
    hypotheses, references, metrics = [], [], []
    for episode in range(60):
        index = episode % len(DIALOGUES)
        env.reset(options={"index": index})
        total, done, closed, turn = 0.0, False, [], []
        while not done:
            action = random_actions(task, rng, index)
            _, reward, done, _, info = env.step(action)
            total += reward
            turn.append(action)
            ended = action == task.eos_action or len(turn) == task.max_turn_tokens
            text = task.tokenizer.decode(task.action_tokens[turn])
            turns = [*closed, text]
            f1s = [
                squad.f1(said, [expected])
                for said, (_, expected) in zip(turns, DIALOGUES[index], strict=False)
            ]
            assert total == pytest.approx(sum(f1s) / len(DIALOGUES[index]), abs=1e-12)
            if ended:
                closed, turn = turns, []
        assert total == pytest.approx(slow_f1(index, closed), abs=1e-12)
        assert info["text"].split("\n") == [" ".join(said.split()) for said in closed]
        assert info["metrics"]["f1"] == pytest.approx(total, abs=1e-12)
        hypotheses += closed
        references += [system for _, system in DIALOGUES[index]]
        metrics.append(info["metrics"])
    scores = env.aggregate_metrics({k: np.array([m[k] for m in metrics]) for k in metrics[0]})
    assert scores.keys() == {"f1", "bleu"}
    assert scores["f1"] == pytest.approx(np.mean([m["f1"] for m in metrics]))
    hypotheses = [" ".join(text.split()) for text in hypotheses]
    expected = sacrebleu.corpus_bleu(hypotheses, [references]).score
    assert scores["bleu"] == pytest.approx(expected, abs=1e-9)
    assert 0 < expected < 100


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("reward", ["terminal", "dense"])
def test_the_vector_environment_is_a_loop_of_single_ones(task, mode, reward):
    ours = TextVectorEnv(task, 5, reward=reward, autoreset_mode=mode)
    loop = SyncVectorEnv([lambda: TextEnv(task, reward=reward)] * 5, autoreset_mode=mode)
    rng = np.random.default_rng(0)
    (obs, _), (loop_obs, _) = ours.reset(seed=3), loop.reset(seed=3)
    finished = 0
    for _ in range(80):
        np.testing.assert_array_equal(obs, loop_obs)
        experts = ours.expert_actions()
        assert experts.tolist() == [env.unwrapped.expert_action() for env in loop.envs]
        guesses = rng.integers(len(task.action_tokens), size=5)
        actions = np.where(rng.random(5) < 0.5, experts, guesses)
        actions = np.where(rng.random(5) < 0.1, task.eos_action, actions)
        obs, *rest, info = ours.step(actions)
        loop_obs, *loop_rest, loop_info = loop.step(actions)
        for a, b in zip(rest, loop_rest, strict=True):
            np.testing.assert_array_equal(a, b)
        final, loop_final = (i.get("final_info", i) for i in (info, loop_info))
        assert final.keys() == loop_final.keys()
        if "text" in final:
            assert final["text"].tolist() == loop_final["text"].tolist()
            for name, values in loop_final["metrics"].items():
                np.testing.assert_array_equal(final["metrics"][name], values)
        ended = rest[1]
        finished += int(ended.sum())
        if mode is AutoresetMode.DISABLED and ended.any():
            options = {"reset_mask": ended}
            (obs, _), (loop_obs, _) = ours.reset(options=options), loop.reset(options=options)
    assert finished > 4


def test_the_expert_goes_on_with_the_recorded_turn_from_anywhere(task):
    env = TextEnv(task)
    rng = np.random.default_rng(1)
    for index in range(len(DIALOGUES)):
        for _ in range(10):
            env.reset(options={"index": index})
            for _ in range(3):
                if env.step(int(rng.integers(len(task.action_tokens))))[2]:
                    break
            else:
                done = False
                while not done:
                    _, _, done, _, info = env.step(env.expert_action())
                if len(DIALOGUES[index]) > 1:  # the turns after the spoilt one are perfect
                    assert info["metrics"]["f1"] >= 1 - 1 / len(DIALOGUES[index]) - 1e-12


def test_a_turn_ends_at_its_budget(path):
    with pytest.warns(DatasetWarning, match="4 dialogues with a turn that no allowed tokens give"):
        task = RecordedDialogueTask(dataset=path, split="all", max_turn_tokens=2)
    assert task.max_steps == 6
    env = TextEnv(task)
    action = int(task.action_of_token[task.tokenizer.encode("x").ids[0]])
    observation, _, done, info = play(env, 0, [action] * 6)
    assert done
    assert info["text"] == "xx\nxx\nxx"
    assert "System:xx\nUser: Bye.\nSystem:xx" in task.tokenizer.decode(observation)
    # Where a turn fits but for its EOS, it is whole.
    tokens = max(len(task.system_tokens(system)) for d in DIALOGUES for _, system in d)
    whole = RecordedDialogueTask(dataset=path, split="all", max_turn_tokens=tokens)
    assert whole.shortfalls == {}
    assert whole.max_turn_tokens == RecordedDialogueTask(dataset=path).max_turn_tokens - 1


def test_longer_dialogues_are_cut_and_counted(path):
    with pytest.warns(DatasetWarning, match="1 dialogues cut at max_turns"):
        task = RecordedDialogueTask(dataset=path, split="all", max_turns=2)
    _, _, done, info = play(TextEnv(task), 0, turn_actions(task, " For when?", " It is booked."))
    assert done
    assert info["metrics"]["f1"] == 1
    assert info["metrics"]["bleu/reference_length"] == 3 + 4
    assert RecordedDialogueTask(dataset=path, max_turns=9).max_turns == 3


def test_long_prompts_are_cut_and_counted(path):
    with pytest.warns(DatasetWarning, match="first turns of the user cut at max_prompt_tokens"):
        task = RecordedDialogueTask(dataset=path, split="all", max_prompt_tokens=8)
    observation, _ = TextEnv(task).reset(options={"index": 1})
    text = task.tokenizer.decode(observation)
    assert text.startswith("User: I")
    assert text.endswith("\nSystem:")
    assert "port" not in text
    with pytest.raises(OptionError, match="no room for the user's first turn: it must be at least"):
        RecordedDialogueTask(dataset=path, max_prompt_tokens=2)


def test_an_environment_pickles_in_the_middle_of_a_dialogue(path):
    env = TextEnv("dialogue", dataset=path, split="all", reward="dense")
    actions = turn_actions(env.task, " For when?", " It is")
    play(env, 0, actions[:-1])
    copy = pickle.loads(pickle.dumps(env))
    assert copy.task is env.task
    for ours, theirs in zip(env.step(actions[-1]), copy.step(actions[-1]), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_check_env(task):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(TextEnv(task), skip_render_check=True)
    assert [str(w.message) for w in caught] == []


def test_the_heuristic_says_what_the_user_said(path):
    task = RecordedDialogueTask(dataset=path, split="all", max_turn_tokens=40)
    _, _, done, info = play(TextEnv(task), 0, task.heuristic(0))
    assert done
    assert info["text"] == "A table, please.\nTonight at 7 p.m.\nBye."


def test_impossible_options(path):
    with pytest.raises(OptionError, match="constrain=True is for the built-in data"):
        build_task("dialogue", dataset=path, constrain=True)
    with pytest.raises(OptionError, match="max_turns must be an integer of at least 1, got 0"):
        build_task("dialogue", dataset=path, max_turns=0)
    with pytest.raises(OptionError, match="max_turn_tokens must be"):
        build_task("dialogue", dataset=path, max_turn_tokens=1.5)
    with pytest.raises(OptionError, match="did you mean 'max_turns'"):
        build_task("dialogue", dataset=path, max_turn=3)
    with pytest.raises(OptionError, match="recorded dialogues come from a data set"):
        RecordedDialogueTask()


def test_records_with_a_column_of_turns(tmp_path):
    path = tmp_path / "mine.jsonl"
    lines = [{"id": 1, "turns": ["Hi.", "Hello!", "Bye.", "Good bye."]}]
    path.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    env = TextEnv("dialogue", dataset=str(path), split="all")
    _, _, done, info = play(env, 0, turn_actions(env.task, " Hello!", " Good bye."))
    assert done
    assert info["metrics"]["f1"] == 1


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_the_expert_is_perfect_on_real_dialogues(shared_data, split):
    path = shared_data / "dialogue" / "sgd.dev.dialogues_005.json"
    env = TextEnv("dialogue", dataset=str(path), split=split, reward="dense")
    assert env.task.shortfalls == {}
    metrics, hypotheses, references = [], [], []
    for index in range(env.num_examples):
        env.reset(options={"index": index})
        total, done = 0.0, False
        while not done:
            _, reward, done, _, info = env.step(env.expert_action())
            total += reward
        assert total == pytest.approx(1, abs=1e-12)
        assert info["metrics"]["f1"] == 1.0
        metrics.append(info["metrics"])
        hypotheses += info["text"].split("\n")
        references += env.task.examples[index].system
    assert len(hypotheses) == len(references)
    scores = env.aggregate_metrics({k: np.array([m[k] for m in metrics]) for k in metrics[0]})
    assert scores["f1"] == 1.0
    expected = sacrebleu.corpus_bleu(hypotheses, [references]).score
    assert scores["bleu"] == pytest.approx(expected, abs=1e-9)
    assert scores["bleu"] == pytest.approx(100, abs=1)


def test_the_real_schema_is_no_data_set(shared_data):
    with pytest.raises(DatasetError, match="a service of a schema"):
        build_task("dialogue", dataset=str(shared_data / "dialogue" / "sgd.dev.schema.json"))
