"""Tries of turns against a search through the list of turns."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from textenvs.tasks.turn_trie import NO_ACT, OFF, TriePlaces, build_trie

END, NODES = 9, 60
turn_lists = st.lists(st.lists(st.integers(0, 3), max_size=4), min_size=1, max_size=10)


def places_of(tries):
    """Where slots stand at the roots of the tries."""
    nodes = np.zeros(len(tries), np.int32)
    first = np.zeros((len(tries), NODES + 1), np.int32)
    edges, acts = np.zeros((2, len(tries), NODES), np.int32)
    for slot, trie in enumerate(tries):
        first[slot, : len(trie.first_edges)] = trie.first_edges
        edges[slot, : len(trie.edge_actions)] = trie.edge_actions
        acts[slot, : len(trie.node_acts)] = trie.node_acts
    return TriePlaces(nodes, first, edges, acts), nodes


@given(lists=st.lists(turn_lists, min_size=1, max_size=3), data=st.data())
def test_places_agree_with_a_search_through_all_turns(lists, data):
    said = [[(act, [*turn, END]) for act, turn in enumerate(turns)] for turns in lists]
    places, nodes = places_of([build_trie(turns) for turns in said])
    slots = np.arange(len(lists))
    begun = [[] for _ in lists]
    for _ in range(6):
        rows, actions = places.next_actions(slots)
        for slot, turns in enumerate(said):
            size = len(begun[slot])
            possible = {t[size] for _, t in turns if t[:size] == begun[slot] and len(t) > size}
            listed = actions[rows == slot].tolist()
            assert sorted(listed) == sorted(possible)
            meant = next((act for act, turn in turns if turn == begun[slot]), NO_ACT)
            assert places.acts(slot) == meant
            on = any(turn[:size] == begun[slot] for _, turn in turns)
            assert (nodes[slot] != OFF) == on
        assert places.acts(slots).tolist() == [places.acts(int(slot)) for slot in slots]
        chosen = [data.draw(st.sampled_from([0, 1, 2, 3, END])) for _ in lists]
        if data.draw(st.booleans()):
            places.advance(slots, np.array(chosen))
        else:
            for slot, action in enumerate(chosen):
                places.advance(slot, action)
        for turn, action in zip(begun, chosen, strict=True):
            turn.append(action)


def test_nodes_are_numbered_breadth_first():
    trie = build_trie([(5, [1, 2, END]), (6, [1, 3, END]), (7, [4, END]), (8, [4, END])])
    assert trie.edge_actions == [1, 4, 2, 3, END, END, END]
    assert trie.first_edges == [0, 2, 4, 5, 6, 7, 7, 7, 7]
    assert trie.node_acts == [NO_ACT] * 5 + [7, 5, 6], "of two equal turns the first counts"


def test_a_trie_of_no_turns_leads_nowhere():
    places, _ = places_of([build_trie([])])
    rows, actions = places.next_actions(np.array([0]))
    assert len(rows) == len(actions) == 0
