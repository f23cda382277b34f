"""TextDialogue-v0 with a simulated user: what the battery of all environments does not say."""

from __future__ import annotations

import pickle

import gymnasium
import numpy as np
import pytest
from playing import legal_action
from tokenizers import Tokenizer, models, pre_tokenizers

from textenvs.data.world.speech import SYSTEM_ACTS, SystemAct, system_sentences, system_turns
from textenvs.data.world.venues import KINDS
from textenvs.env import TextEnv
from textenvs.errors import DatasetWarning, OptionError
from textenvs.tasks import build_task
from textenvs.tasks.dialogue import SYSTEM, USER, dialogue_task, encoder_after, is_builtin
from textenvs.tasks.dialogue_expert import converse
from textenvs.tasks.dialogue_simulated import SimulatedDialogueTask
from textenvs.tasks.simulated_user import SimulatedUser
from textenvs.tokenization.backend import BackendTokenizer
from textenvs.tokenization.pieces import PieceTokenizer
from textenvs.vector_env import TextVectorEnv

short_of_something = pytest.mark.filterwarnings("ignore::textenvs.errors.DatasetWarning")
PUZZLED = ("Sorry, I do not understand.", "What do you mean?")


@pytest.fixture(scope="module")
def task():
    return SimulatedDialogueTask(size=300)


@pytest.fixture(scope="module")
def byte_pairs():
    """A tokenizer that splits words otherwise than the built-in one."""
    return SimulatedDialogueTask(size=1, tokenizer="bpe:400").tokenizer


def play(env, actions):
    """The rewards of some actions, and the last step's info; stops where the episode ends."""
    rewards, info = [], {}
    for action in actions:
        _, reward, done, _, info = env.step(action)
        rewards.append(reward)
        if done:
            break
    return rewards, info


def finish(env, done=False):
    """The expert's return from here on, and the last info."""
    total, info = 0.0, {}
    while not done:
        _, reward, done, _, info = env.step(env.expert_action())
        total += reward
    return total, info


def plain_goal(task):
    """The index of a goal whose user neither errs nor gives way, is clear, and asks two things."""
    return next(
        index
        for index in range(task.num_examples)
        if (goal := task.goal(index)).change is None
        and not goal.unclear_turn
        and len(goal.requests) == 2
    )


def turn(task, index, act, phrasing=0):
    """The actions of a turn."""
    goal = task.goal(index)
    return task.turn_actions(system_sentences(act, KINDS[goal.kind], goal.venues)[phrasing])


def right_offer(task, index):
    """The offer that the expert makes last."""
    _, course = converse(task.goal(index), task.patience)
    return [act for act, _ in course if act.kind == "offer"][-1]


def test_random_legal_play_and_a_fixed_rule_stay_well_below_the_expert():
    task = SimulatedDialogueTask(size=1_000, split="test")
    env = TextVectorEnv(task, 250)
    rng = np.random.default_rng(0)
    successes = []
    for start in range(0, 1_000, 250):
        env.reset(seed=0, options={"index": np.arange(start, start + 250)})
        running = np.ones(250, bool)
        while running.any():
            mask = env.action_masks()
            actions = (rng.random(mask.shape) * mask).argmax(1)
            _, _, ended, _, info = env.step(actions)
            first = ended & running
            running &= ~ended
            if first.any():
                successes += info["final_info"]["metrics"]["success"][first].tolist()
    assert len(successes) == 1_000
    assert np.mean(successes) < 0.05
    single, scores = TextEnv(task), []
    for index in range(300):
        single.reset(options={"index": index})
        scores.append(sum(play(single, task.heuristic(index))[0]))
    assert 0.1 < np.mean(scores) < 0.45


def test_legal_are_the_tokens_that_continue_a_well_formed_turn(task):
    env = TextEnv(task)
    rng = np.random.default_rng(0)
    for index in range(20):
        goal = task.goal(index)
        turns = [task.turn_actions(t) for _, t in system_turns(KINDS[goal.kind], goal.venues)]
        _, info = env.reset(options={"index": index})
        done, begun = False, []
        while not done:
            size = len(begun)
            possible = {t[size] for t in turns if t[:size] == tuple(begun) and len(t) > size}
            assert set(np.flatnonzero(info["action_mask"])) == possible
            action = legal_action(info["action_mask"], rng)
            begun = [] if action == task.eos_action else [*begun, action]
            _, _, done, _, info = env.step(action)


def test_off_the_grammar_only_the_end_is_legal_and_the_user_is_puzzled(task):
    env = TextEnv(task)
    _, info = env.reset(options={"index": 0})
    illegal = int(np.flatnonzero(info["action_mask"] == 0)[-1])
    _, _, _, _, info = env.step(illegal)
    assert np.flatnonzero(info["action_mask"]).tolist() == [task.eos_action]
    assert env.expert_action() == task.eos_action
    _, _, done, _, info = env.step(task.eos_action)
    assert not done
    assert env._episodes.text(0).split("\n")[1].removeprefix("User: ") in PUZZLED
    assert info["action_mask"].sum() > 1, "the next turn is a new one"


@pytest.mark.parametrize("own", [True, False])
def test_other_ways_to_write_a_turn_are_understood(own, byte_pairs):
    tokenizer = "auto" if own else byte_pairs
    task = SimulatedDialogueTask(size=50, tokenizer=tokenizer, max_turn_tokens=60)
    env = TextEnv(task)
    index = plain_goal(task)
    goal = task.goal(index)
    text = system_sentences(right_offer(task, index), KINDS[goal.kind], goal.venues)[0]
    for change in (str.lower, str.upper, "  {}!! ".format):
        env.reset(options={"index": index})
        actions = task.turn_actions(change(text))
        assert actions != task.turn_actions(text)
        play(env, actions)
        assert env._episodes._users[0].choice >= 0


@short_of_something
def test_a_turn_ends_without_eos_when_its_tokens_are_used_up(task):
    longest = task.max_turn_tokens
    env = TextEnv(task)
    env.reset(options={"index": 0})
    word = legal_action(env.action_masks(), np.random.default_rng(0))
    play(env, [word] * (longest - 1))
    assert USER not in env._episodes.text(0)
    play(env, [word])
    assert USER in env._episodes.text(0)
    index = plain_goal(task)
    offer = turn(task, index, right_offer(task, index))[:-1]
    short = SimulatedDialogueTask(size=300, max_turn_tokens=len(offer))
    env = TextEnv(short)
    env.reset(options={"index": index})
    play(env, offer)
    assert env._episodes._users[0].choice >= 0, "a turn that is complete but for EOS is understood"


def test_dense_rewards_pay_the_parts_of_success_and_take_them_back(task):
    env = TextEnv(task, reward="dense")
    index = plain_goal(task)
    first, second = task.goal(index).requests
    offer = right_offer(task, index)
    wrong = (offer.venue + 1) % len(task.goal(index).venues)
    for said, paid in (
        ((offer, SystemAct("answer", first, offer.venue)), (1 / 3, 1 / 3)),
        ((offer, SystemAct("answer", second, wrong)), (1 / 3, 0)),
        ((offer, SystemAct("bye")), (1 / 3, -1 / 3)),
        ((SystemAct("bye"),), (0,)),
    ):
        env.reset(options={"index": index})
        for act, reward in zip(said, paid, strict=True):
            rewards, _ = play(env, turn(task, index, act))
            assert rewards[:-1] == [0.0] * (len(rewards) - 1)
            assert rewards[-1] == pytest.approx(reward)


@pytest.mark.parametrize(("cost", "score"), [(0.05, 0.95), (0.0, 1.0), (1.0, 0.0)])
def test_an_extra_turn_costs(cost, score):
    task = SimulatedDialogueTask(size=300, turn_cost=cost)
    env = TextEnv(task)
    index = plain_goal(task)
    env.reset(options={"index": index})
    play(env, [task.eos_action])
    total, info = finish(env)
    assert total == pytest.approx(score)
    assert info["metrics"]["success"] == 1
    assert info["metrics"]["extra_turns"] == 1


@short_of_something
def test_a_dialogue_ends_after_max_turns_and_when_patience_does():
    index = 0
    for options, turns in (({"max_turns": 2}, 2), ({"patience": 5}, 5), ({}, 2)):
        task = SimulatedDialogueTask(size=300, **options)
        env = TextEnv(task)
        env.reset(options={"index": index})
        rewards, info = play(env, [task.eos_action] * 20)
        assert len(rewards) == info["metrics"]["turns"] == turns
        assert not info["text"].endswith(SYSTEM)
        assert sum(rewards) == 0


def test_what_success_was_reached_counts_though_the_goodbye_is_missing(task):
    env = TextEnv(task)
    index = plain_goal(task)
    env.reset(options={"index": index})
    while env._episodes._users[0].progress < 1:
        env.step(env.expert_action())
    rewards, info = play(env, [task.eos_action] * 20)
    assert info["metrics"]["success"] == 1
    extra = info["metrics"]["extra_turns"]
    assert extra == task.patience - 1, "the goodbye's turn is not extra"
    assert sum(rewards) == pytest.approx(1 - 0.05 * extra)


def test_the_prefix_is_the_dialogue_in_tokens_and_nothing_is_encoded_again(task):
    """The built-in tokenizer encodes line by line: the whole text gives the same tokens."""
    env, tokenizer = TextEnv(task), PieceTokenizer.builtin()
    rng = np.random.default_rng(0)
    for index in range(30):
        observation, info = env.reset(options={"index": index})
        done = False
        while not done:
            action = env.expert_action() if index % 2 else legal_action(info["action_mask"], rng)
            observation, _, done, _, info = env.step(action)
        tokens = observation[observation != tokenizer.pad_token_id]
        text = f"{task.prompt_text(index)} {info['text']}"
        assert tokenizer.decode(tokens) == text
        spoken = tokens[tokens != tokenizer.eos_token_id]
        np.testing.assert_array_equal(spoken, tokenizer.encode(text).ids)
        assert text.count(f"{SYSTEM} ") == info["metrics"]["turns"]


@pytest.mark.parametrize("own", [True, False])
def test_no_dialogue_is_too_long(own, byte_pairs):
    """Turns as long and replies as many as can be; only the sum of all bounds holds them."""
    tokenizer = "auto" if own else byte_pairs
    task = SimulatedDialogueTask(size=30, tokenizer=tokenizer, patience=1_000, max_turns=20)
    env = TextVectorEnv(task, 30)
    env.reset(seed=0, options={"index": np.arange(30)})
    rng = np.random.default_rng(0)
    longest = 0
    for _ in range(task.max_steps):
        mask = env.action_masks()
        mask[:, task.eos_action] &= mask.sum(1) == 1
        env.step((rng.random(mask.shape) * mask).argmax(1))
        longest = max(longest, int(env._episodes.lengths.max()))
    assert longest <= task.max_tokens


def test_every_turn_of_a_user_has_room(task):
    rng = np.random.default_rng(0)
    for index in range(300):
        user = SimulatedUser(task.goal(index), patience=100)
        for _ in range(20):
            act = SYSTEM_ACTS[rng.integers(len(SYSTEM_ACTS) - 1)]  # but goodbye
            if act.venue < len(task.goal(index).venues):
                tokens = task.writer.user_turn(user.sentences(user.reply(act)), False)
                assert len(tokens) <= task.writer.longest_user_turn


def test_prompts_and_turns_of_the_built_in_data_fit_what_they_are_given():
    for split in ("train", "validation", "test"):
        task = SimulatedDialogueTask(split=split, size=1_000)
        for index in range(0, 1_000, 2):
            task.row(index)
        assert task.shortfalls == {}


@short_of_something
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"max_turn_tokens": 5}, "well-formed turns longer"),
        ({"max_prompt_tokens": 40}, "prompts cut"),
        ({"max_turns": 3}, "too few turns"),
    ],
)
def test_what_falls_short_is_counted_and_can_be_played(options, reason):
    task = SimulatedDialogueTask(size=10, **options)
    env = TextEnv(task, illegal_action="raise")
    for index in range(10):
        env.reset(options={"index": index})
        score, _ = finish(env)
        assert 0 <= score <= 1
    assert any(reason in name for name in task.shortfalls)


@short_of_something
@pytest.mark.parametrize("unknown", ["<pad>", "<eos>"])
def test_words_that_the_tokenizer_cannot_write_are_left_out(unknown):
    words = ["<pad>", "<eos>", "What", "Which", "How", "price", "want", "Goodbye", "you", "?", "."]
    backend = Tokenizer(models.WordLevel({w: n for n, w in enumerate(words)}, unk_token=unknown))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = BackendTokenizer(backend.to_str(), pad_token_id=0, eos_token_id=1)
    task = SimulatedDialogueTask(size=10, tokenizer=tokenizer)
    env = TextEnv(task, illegal_action="raise")
    for index in range(10):
        env.reset(options={"index": index})
        finish(env)
    assert task.shortfalls["well-formed turns that the tokenizer writes alike"] == 10


def test_a_cut_prompt_keeps_what_the_user_says():
    task = SimulatedDialogueTask(size=10, max_prompt_tokens=40)
    with pytest.warns(DatasetWarning):
        row = task.row(0)
    text = task.tokenizer.decode(row[:40])
    assert text.endswith(f"{task.goal(0).first_turn}\n{SYSTEM}")


def test_the_expert_completes_what_was_begun_and_goes_on_sensibly(task):
    env = TextEnv(task)
    rng = np.random.default_rng(0)
    for index in range(40):
        _, info = env.reset(options={"index": index})
        for _ in range(int(rng.integers(1, 12))):
            _, _, done, _, info = env.step(legal_action(info["action_mask"], rng))
            if done:
                break
        else:
            before = env._episodes._users[0].useless
            _, info = finish(env)
            assert not any(text in info["text"] for text in PUZZLED)
            assert env._episodes._users[0].useless <= before + 2


def test_a_copy_in_the_middle_of_a_dialogue_goes_on_the_same():
    env = gymnasium.make("TextDialogue-v0", size=300, reward="dense")
    rng = np.random.default_rng(0)
    env.reset(options={"index": plain_goal(env.unwrapped.task)})
    for _ in range(12):
        env.step(env.unwrapped.expert_action())
    copy = pickle.loads(pickle.dumps(env))
    done = False
    while not done:
        action = env.unwrapped.expert_action()
        assert copy.unwrapped.expert_action() == action
        if rng.random() < 0.3:
            action = legal_action(env.unwrapped.action_masks(), rng)
        ours, theirs = env.step(action), copy.step(action)
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[-1].pop("action_mask"), theirs[-1].pop("action_mask"))
        assert ours[1:] == theirs[1:]
        done = ours[2]


def test_unconstrained_every_action_is_legal():
    env = gymnasium.make("TextDialogue-v0", size=300, constrain=False)
    _, info = env.reset(options={"index": 0})
    assert "action_mask" not in info
    assert env.unwrapped.action_masks().all()
    total, _ = finish(env.unwrapped)
    assert total == 1.0


@pytest.mark.parametrize(
    "options",
    [
        {"turn_cost": 2},
        {"turn_cost": "much"},
        {"turn_cost": float("nan")},
        {"patience": 0},
        {"patience": None},
        {"max_turns": None},
        {"constrain": "no"},
        {"max_turns": 0},
        {"max_turn_tokens": -1},
        {"max_prompt_tokens": 2},
        {"dataset": "users.json"},
        {"split": "all"},
    ],
)
def test_impossible_options_are_named(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        SimulatedDialogueTask(**options)


def test_the_data_chooses_the_user():
    assert dialogue_task({}) is dialogue_task({"dataset": "builtin"}) is SimulatedDialogueTask
    assert type(build_task("dialogue", size=5)) is SimulatedDialogueTask
    assert dialogue_task({"dataset": "talks.json"}).__name__ == "RecordedDialogueTask"
    assert not is_builtin([{"turns": []}])


def test_a_turn_is_encoded_as_it_stands_behind_its_speaker():
    tokenizer = PieceTokenizer.builtin()
    encode = encoder_after(tokenizer, SYSTEM)
    whole = tokenizer.encode(f"{SYSTEM} How about Halora?").ids
    np.testing.assert_array_equal(
        whole[-len(encode("How about Halora?")) :], encode("How about Halora?")
    )


class Gluing(PieceTokenizer):
    """Drops spaces, so that a text runs together with what stands before it."""

    def encode(self, text):
        return super().encode(text.replace(": ", ":").replace(":H", "H"))


def test_a_turn_that_runs_together_with_its_speaker_is_encoded_alone():
    tokenizer = Gluing(PieceTokenizer.builtin()._tokens)
    np.testing.assert_array_equal(
        encoder_after(tokenizer, SYSTEM)("How about Halora?"),
        tokenizer.encode("How about Halora?").ids,
    )
