"""Goals of simulated users: splits that share nothing, goals that can be met, texts that read."""

from __future__ import annotations

import pickle
import re
from collections import Counter

import pytest

from textenvs.data.world.build_vocabulary import build_vocabulary
from textenvs.data.world.dialogue import Goal, WorldDialogue, fits
from textenvs.data.world.entities import SPLITS, split_of
from textenvs.data.world.speech import (
    GREETINGS,
    WISHES,
    all_user_sentences,
    opening,
    system_turns,
)
from textenvs.data.world.venues import KINDS, MAX_VENUES, NUM_FACTS, NUM_SLOTS
from textenvs.tasks.dialogue_simulated import SimulatedDialogueTask
from textenvs.tokenization.pieces import SPACE, PieceTokenizer

TOKENIZER = PieceTokenizer.builtin()
COMMON = {token.removeprefix(SPACE) for token in build_vocabulary() if token.startswith(SPACE)}


@pytest.fixture(scope="module")
def goals() -> dict[str, list[Goal]]:
    return {split: list(WorldDialogue(split, size=1_000)) for split in SPLITS}


@pytest.fixture(scope="module")
def everyone(goals: dict[str, list[Goal]]) -> list[Goal]:
    return [goal for split in goals.values() for goal in split]


def told_wishes(goal: Goal) -> tuple[str | None, ...]:
    """The final wishes, those left out that the first turn does not tell."""
    final = enumerate(goal.final_wishes)
    return tuple(wish if slot in goal.opening else None for slot, wish in final)


def test_a_goal_depends_on_seed_split_and_index_alone() -> None:
    data = WorldDialogue("train", seed=3)
    assert len(data) == 50_000
    late = data[40_000]
    assert WorldDialogue("train", seed=3, size=90_000)[40_000] == late
    assert pickle.loads(pickle.dumps(data))[40_000] == late
    others = WorldDialogue("train", seed=4)[40_000], WorldDialogue("train", seed=3)[40_001]
    assert all(other.venues != late.venues for other in others)


def test_goals_are_many_and_no_two_of_them_alike() -> None:
    contents = [SimulatedDialogueTask.content(goal) for goal in WorldDialogue("train", size=20_000)]
    assert len(set(contents)) == 20_000


def test_no_name_of_a_split_is_in_another(goals: dict[str, list[Goal]]) -> None:
    for split, examples in goals.items():
        words = {
            word
            for goal in examples
            for word in re.findall(r"[A-Z][a-z]+", SimulatedDialogueTask.content(goal))
        }
        names = words - COMMON
        assert len(names) > 50
        assert {split_of(name) for name in names} == {split}


def test_splits_share_no_example(goals: dict[str, list[Goal]]) -> None:
    contents = [set(map(SimulatedDialogueTask.content, examples)) for examples in goals.values()]
    assert len(set.union(*contents)) == sum(map(len, contents))
    listed = [{venue for goal in examples for venue in goal.venues} for examples in goals.values()]
    assert len(set.union(*listed)) == sum(map(len, listed))


def test_every_goal_can_be_met_but_not_by_a_guess(everyone: list[Goal]) -> None:
    for goal in everyone:
        fitting = sum(fits(venue, goal.final_wishes) for venue in goal.venues)
        plausible = sum(fits(venue, told_wishes(goal)) for venue in goal.venues)
        assert 1 <= fitting <= plausible
        assert plausible >= 2, goal


def test_what_a_user_gives_up_is_not_there_and_what_one_mistakes_is(everyone: list[Goal]) -> None:
    reasons = Counter()
    for goal in everyone:
        if goal.change is None:
            assert goal.final_wishes == goal.wishes
            continue
        why, slot, value = goal.change
        reasons[why] += 1
        assert goal.wishes[slot] not in (None, value)
        assert goal.final_wishes[slot] == value
        if why == "relax":
            assert not any(fits(venue, goal.wishes) for venue in goal.venues)
        else:
            assert goal.wishes[slot] in {venue.values[slot] for venue in goal.venues}
    assert min(reasons["relax"], reasons["correct"]) > 0.15 * len(everyone)


def test_venues_can_be_told_apart(everyone: list[Goal]) -> None:
    for goal in everyone:
        assert 5 <= len(goal.venues) <= MAX_VENUES
        for column in (
            [venue.name for venue in goal.venues],
            [venue.values for venue in goal.venues],
            *([venue.facts[fact] for venue in goal.venues] for fact in range(NUM_FACTS)),
        ):
            assert len(set(column)) == len(column), goal
        assert 1 <= len(goal.opening) <= 2
        assert None not in [goal.wishes[slot] for slot in goal.opening]
        assert 1 <= len(set(goal.requests)) == len(goal.requests)


def test_kinds_have_the_slots_and_facts_that_acts_can_number() -> None:
    for kind in KINDS.values():
        assert len(kind.slots) == NUM_SLOTS
        assert len(kind.facts) == NUM_FACTS
        leading = [slot.leads for slot in kind.slots]
        assert leading == sorted(leading, reverse=True), "adjectives stand before the rest"


def test_sentences_read_well_and_common_words_are_one_token(everyone: list[Goal]) -> None:
    texts = set(all_user_sentences())
    for goal in everyone[:100]:
        texts.add(goal.first_turn)
        texts.update(text for _, text in system_turns(KINDS[goal.kind], goal.venues))
    for text in texts:
        assert re.fullmatch(r"[A-Z][^{}]*[.?]", text), text
        assert not re.search(r"\ba [aeio]|\ban [^aeio]|(\b\w+\b) \1\b|  ", text), text
        for word in re.findall(r"[A-Za-z]+", text):
            assert word not in COMMON or len(TOKENIZER.encode(word).ids) == 1, word
    for text in all_user_sentences():
        assert set(re.findall(r"[A-Za-z]+", text)) <= COMMON


@pytest.mark.parametrize("kind", KINDS)
def test_openings_tell_any_two_wishes(kind: str) -> None:
    slots = KINDS[kind].slots
    for first in range(NUM_SLOTS):
        for second in range(first, NUM_SLOTS):
            told = {number: slots[number].values[-1] for number in sorted({first, second})}
            text = opening(KINDS[kind], told, GREETINGS[0], WISHES[-1])
            assert kind in text
            assert all(value in text for value in told.values())
