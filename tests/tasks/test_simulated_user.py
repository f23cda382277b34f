"""What users say to each act of a system, and the rule-based system that contents them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textenvs.data.world.dialogue import Change, Goal, WorldDialogue, fits
from textenvs.data.world.entities import SPLITS
from textenvs.data.world.speech import PAIRS, SYSTEM_ACTS, SystemAct, UserAct, all_user_sentences
from textenvs.data.world.venues import Venue
from textenvs.tasks.dialogue_expert import RuleBasedSystem, converse, opening_acts
from textenvs.tasks.dialogue_simulated import PATIENCE
from textenvs.tasks.simulated_user import SimulatedUser

PRICE, FOOD, AREA = range(3)
PHONE, STREET, CHEF = range(3)
RIGHT, SOUTH, GREEK, DEAR = range(4)
VENUES = (
    Venue("Halora", ("cheap", "French", "north"), ("412", "Halford Road", "Mara")),
    Venue("Vosax", ("cheap", "French", "south"), ("413", "Vosford Road", "Dano")),
    Venue("Dunix", ("cheap", "Greek", "north"), ("414", "Dunford Road", "Vera")),
    Venue("Elmtek", ("expensive", "French", "north"), ("415", "Elmford Road", "Julia")),
)
RESERVED, TALKATIVE = 0x1111111111111111, 0
"""Tempers that never and always tell more than was asked for."""


def user(patience=3, **changes):
    goal = {
        "id": "one",
        "kind": "restaurant",
        "venues": VENUES,
        "wishes": ("cheap", "French", "north"),
        "change": None,
        "requests": (STREET, CHEF),
        "opening": (PRICE,),
        "first_turn": "I want a cheap restaurant.",
        "unclear_turn": 0,
        "temper": RESERVED,
    }
    return SimulatedUser(Goal(**{**goal, **changes}), patience)


def ask(slot):
    return SystemAct("ask", slot)


def offer(venue):
    return SystemAct("offer", -1, venue)


def answer(fact, venue=RIGHT):
    return SystemAct("answer", fact, venue)


NOTHING, BYE, GARBLED = SystemAct("nothing"), SystemAct("bye"), None


def say(someone, act):
    """What the user answers, and how useless the turn was."""
    before = someone.useless
    acts = someone.reply(act)
    return acts, someone.useless - before


class TestWishes:
    def test_a_question_is_answered(self):
        assert say(user(), ask(AREA)) == ((UserAct("inform", AREA, "north"),), 0)

    def test_no_wish_is_said_to_be_none(self):
        someone = user(wishes=("cheap", None, "north"))
        acts, useless = say(someone, ask(FOOD))
        assert (acts, useless) == ((UserAct("inform", FOOD, None),), 0)
        assert someone.sentences(acts) == ("Any food is fine.",)

    def test_a_talkative_user_tells_more(self):
        told = UserAct("inform", FOOD, "French"), UserAct("also", AREA, "north")
        someone = user(temper=TALKATIVE)
        assert say(someone, ask(FOOD)) == (told, 0)
        assert say(someone, ask(AREA)) == ((UserAct("repeat", AREA, "north"),), 1)

    def test_what_was_told_is_repeated_and_tries_patience(self):
        assert say(user(), ask(PRICE)) == ((UserAct("repeat", PRICE, "cheap"),), 1)

    def test_an_unclear_user_is_clear_when_asked_again(self):
        someone = user(unclear_turn=2)
        assert say(someone, ask(AREA)) == ((UserAct("inform", AREA, "north"),), 0)
        assert say(someone, ask(FOOD)) == ((UserAct("unclear"),), 0)
        assert say(someone, ask(FOOD)) == ((UserAct("inform", FOOD, "French"),), 0)


class TestOffers:
    def test_an_offer_against_what_was_told_is_rejected_for_it(self):
        someone = user()
        assert say(someone, offer(DEAR)) == ((UserAct("reject", PRICE, "cheap"),), 1)
        assert someone.choice < 0

    def test_a_wrong_guess_is_refused_and_tells_nothing(self):
        someone = user()
        assert say(someone, offer(SOUTH)) == ((UserAct("refuse"),), 1)
        assert say(someone, ask(AREA)) == ((UserAct("inform", AREA, "north"),), 0)
        assert say(someone, offer(SOUTH)) == ((UserAct("reject", AREA, "north"),), 1)

    def test_a_fitting_offer_is_accepted_and_the_requests_follow_in_order(self):
        someone = user()
        assert say(someone, offer(RIGHT)) == ((UserAct("accept"), UserAct("request", STREET)), 0)
        assert someone.progress == pytest.approx(1 / 3)
        assert say(someone, answer(STREET)) == ((UserAct("thank"), UserAct("request", CHEF)), 0)
        assert say(someone, answer(CHEF)) == ((UserAct("done"),), 0)
        assert someone.content
        assert not someone.left
        assert say(someone, BYE) == ((UserAct("close"),), 0)
        assert someone.left

    def test_a_venue_fits_whatever_it_is_where_the_user_does_not_mind(self):
        someone = user(wishes=("cheap", "French", None))
        say(someone, offer(SOUTH))
        assert someone.choice == SOUTH

    def test_once_chosen_nothing_else_helps(self):
        for act in (offer(RIGHT), offer(SOUTH), ask(AREA), NOTHING, answer(PHONE)):
            someone = user()
            someone.reply(offer(RIGHT))
            assert say(someone, act) == ((UserAct("insist", STREET),), 1)
            assert someone.choice == RIGHT


class TestRequests:
    def test_a_fact_told_early_is_not_asked_for(self):
        someone = user()
        someone.reply(offer(RIGHT))
        assert say(someone, answer(CHEF)) == ((UserAct("thank"), UserAct("request", STREET)), 0)
        assert say(someone, answer(STREET)) == ((UserAct("done"),), 0)
        assert someone.content

    def test_a_fact_before_a_choice_is_none(self):
        someone = user()
        assert say(someone, answer(STREET)) == ((UserAct("early"),), 1)
        someone.reply(offer(RIGHT))
        assert someone.progress == pytest.approx(1 / 3)

    def test_a_false_answer_is_believed_until_the_system_corrects_itself(self):
        someone = user(requests=(CHEF,))
        someone.reply(offer(RIGHT))
        assert say(someone, answer(CHEF, SOUTH)) == ((UserAct("done"),), 0)
        assert not someone.content
        assert say(someone, answer(CHEF)) == ((UserAct("done"),), 1)
        assert someone.content


MISTAKEN = {"wishes": ("cheap", "French", "south"), "change": Change("correct", AREA, "north")}
CORRECTION = UserAct("correct", AREA, "north")


class TestChanges:
    def test_a_mistake_is_told_then_corrected_with_the_next_answer(self):
        someone = user(**MISTAKEN)
        assert say(someone, ask(AREA)) == ((UserAct("inform", AREA, "south"),), 0)
        acts, useless = say(someone, ask(FOOD))
        assert acts == (UserAct("inform", FOOD, "French"), CORRECTION)
        assert useless == 0

    @pytest.mark.parametrize("act", [offer(SOUTH), NOTHING, ask(AREA)])
    def test_a_mistake_is_corrected_where_it_shows(self, act):
        someone = user(**MISTAKEN)
        someone.reply(ask(AREA))
        assert say(someone, act) == ((CORRECTION,), 0)
        assert say(someone, offer(RIGHT))[0][0] == UserAct("accept")

    @pytest.mark.parametrize("value", ["north", None])
    def test_a_wish_is_given_up_when_nothing_fits(self, value):
        someone = user(wishes=("cheap", "French", "west"), change=Change("relax", AREA, value))
        assert say(someone, offer(RIGHT)) == ((UserAct("refuse"),), 1)
        assert say(someone, NOTHING) == ((UserAct("relax", AREA, value),), 0)
        assert say(someone, offer(RIGHT))[0][0] == UserAct("accept")

    def test_it_is_doubted_that_nothing_fits_where_something_does(self):
        assert say(user(), NOTHING) == ((UserAct("doubt", PRICE, "cheap"),), 1)
        given_up = {"wishes": ("free", "French", "north"), "change": Change("relax", PRICE, None)}
        someone = user(**given_up)
        someone.reply(NOTHING)
        assert say(someone, NOTHING) == ((UserAct("protest"),), 1)


class TestPatience:
    def test_who_is_not_helped_leaves(self):
        someone = user(patience=3)
        assert someone.reply(GARBLED) == (UserAct("puzzled"),)
        assert someone.reply(ask(PRICE)) == (UserAct("repeat", PRICE, "cheap"),)
        assert someone.reply(answer(CHEF)) == (UserAct("leave"),)
        assert someone.left
        assert not someone.content

    def test_a_goodbye_ends_it_at_once(self):
        someone = user()
        assert someone.reply(BYE) == (UserAct("close"),)
        assert someone.left
        assert someone.progress == 0


GOALS = WorldDialogue("train", size=300)
SENTENCES = set(all_user_sentences())


@given(index=st.integers(0, 299), acts=st.lists(st.sampled_from([*SYSTEM_ACTS, None]), max_size=20))
def test_users_are_consistent_whatever_they_hear(index, acts):
    goal = GOALS[index]
    someone, twin = SimulatedUser(goal, 4), SimulatedUser(goal, 4)
    system = RuleBasedSystem(goal.venues, opening_acts(goal))
    for act in acts:
        if act is not None and act.venue >= len(goal.venues):
            continue
        said = someone.reply(act)
        assert said == twin.reply(act)
        assert set(someone.sentences(said)) <= SENTENCES
        kinds = [one.kind for one in said]
        assert len(kinds) == 1 or (
            len(kinds) == 2 and all(map(set.__contains__, map(set, PAIRS), kinds))
        )
        assert 0 <= someone.progress <= 1
        assert someone.choice < 0 or fits(goal.venues[someone.choice], goal.final_wishes)
        assert someone.left == (act == BYE or someone.useless >= 4)
        system.hear(act, said)
        if someone.left:
            return
    # From anywhere the rule-based system brings a patient user to an end.
    someone.patience = 100
    for _ in range(15):
        act = system.act()
        system.hear(act, someone.reply(act))
    assert someone.left
    told_truly = all(
        goal.venues[someone.choice].facts[fact] == value for fact, value in someone.answers.items()
    )
    assert someone.content == told_truly


@pytest.mark.parametrize("split", SPLITS)
def test_the_rule_based_system_contents_every_user(split):
    courses = [converse(goal, PATIENCE) for goal in WorldDialogue(split, size=1_000)]
    assert all(someone.content for someone, _ in courses)
    turns = [len(turns) for _, turns in courses]
    assert min(turns) >= 3
    assert max(turns) <= 12
    assert max(someone.useless for someone, _ in courses) < PATIENCE


@pytest.mark.parametrize(("reads", "most"), [(False, 0.4), (True, 0.57)])
def test_whoever_offers_without_asking_disappoints_many(reads, most):
    """It offers all venues in turn, or those that meet the first turn, and answers truly."""
    contented = 0
    for goal in GOALS:
        someone = SimulatedUser(goal, PATIENCE)
        told = [wish if slot in goal.opening else None for slot, wish in enumerate(goal.wishes)]
        for number, venue in enumerate(goal.venues):
            if someone.choice < 0 and not someone.left and (fits(venue, told) or not reads):
                someone.reply(offer(number))
        if someone.choice >= 0:
            for fact in goal.requests:
                someone.reply(answer(fact, someone.choice))
        contented += someone.content
    assert contented / len(GOALS) < most


def test_the_rule_based_system_asks_when_its_guess_was_refused():
    goal = user(wishes=("cheap", "French", "west"), change=Change("relax", AREA, "north")).goal
    venues = tuple(venue for venue in VENUES if venue.values[AREA] == "north")
    system = RuleBasedSystem(venues, (UserAct("inform", PRICE, "cheap"),))
    someone = SimulatedUser(replace(goal, venues=venues), 3)
    said = []
    while not someone.left:
        said.append(system.act())
        system.hear(said[-1], someone.reply(said[-1]))
    assert someone.content
    assert [act.kind for act in said[:5]] == ["ask", "offer", "ask", "nothing", "offer"]
    assert someone.useless == 1


def test_the_rule_based_system_asks_only_for_what_tells_venues_apart():
    someone = user(requests=(PHONE,))
    system = RuleBasedSystem(VENUES, opening_acts(someone.goal))
    said = []
    while not someone.left:
        said.append(system.act())
        system.hear(said[-1], someone.reply(said[-1]))
    assert said == [ask(FOOD), ask(AREA), offer(RIGHT), answer(PHONE), BYE]
