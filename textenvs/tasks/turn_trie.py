"""Well-formed turns as a trie of actions, and where many slots stand in tries of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from textenvs.tasks.base import Slots

OFF = -1
"""The node of a turn that no well-formed one begins with."""
NO_ACT = -1
"""The act of a node at which no turn ends."""

_Tree: TypeAlias = "dict[int, _Tree | int]"


class TurnTrie(NamedTuple):
    """A trie whose nodes are numbered breadth first: edge e leads to node e + 1.

    So the edges of a node stand side by side, those of node n from ``first_edges[n]`` up to
    ``first_edges[n + 1]``.

    Attributes:
        first_edges: ``(nodes + 1,)``.
        edge_actions: The action of each edge, ``(nodes - 1,)``.
        node_acts: What a turn means that ends at a node, else `NO_ACT`, ``(nodes,)``.
    """

    first_edges: list[int]
    edge_actions: list[int]
    node_acts: list[int]


def build_trie(turns: Iterable[tuple[int, Sequence[int]]]) -> TurnTrie:
    """The trie of some turns, each its act and its actions; of equal turns the first counts.

    No turn may begin with another, which holds where each ends with EOS.
    """
    root: _Tree = {}
    for act, actions in turns:
        node = root
        for action in actions[:-1]:
            child = node.get(action)
            if child is None:
                child = node[action] = {}
            assert isinstance(child, dict), "a turn begins with another"
            node = child
        node.setdefault(actions[-1], act)
    trie = TurnTrie([], [], [])
    queue: list[_Tree | int] = [root]
    for child in queue:  # grows meanwhile
        trie.first_edges.append(len(trie.edge_actions))
        if isinstance(child, int):
            trie.node_acts.append(child)
        else:
            trie.node_acts.append(NO_ACT)
            trie.edge_actions.extend(child)
            queue.extend(child.values())
    trie.first_edges.append(len(trie.edge_actions))
    return trie


class TriePlaces:
    """The node at which each of N slots stands in its own trie.

    Args:
        nodes: ``(N,)``; `OFF` or a node. Changed in place.
        first_edges: ``(N, nodes + 1)``.
        edge_actions: ``(N, edges)``.
        node_acts: ``(N, nodes)``.
    """

    def __init__(
        self,
        nodes: NDArray[np.int32],
        first_edges: NDArray[np.int32],
        edge_actions: NDArray[np.int32],
        node_acts: NDArray[np.int32],
    ) -> None:
        self._nodes = nodes
        self._first_edges, self._edge_actions = first_edges, edge_actions
        self._node_acts = node_acts

    def advance(self, slots: Slots, actions: Any) -> None:
        """Go along the edges of these actions, or off the tries."""
        first, count = self._edges(slots)
        if isinstance(slots, int):
            hits = np.flatnonzero(self._edge_actions[slots, first : first + count] == actions)
            self._nodes[slots] = first + hits[0] + 1 if len(hits) else OFF
            return
        columns = np.arange(max(1, int(count.max(initial=0))))
        edges = np.minimum(first[:, None] + columns, self._edge_actions.shape[1] - 1)
        here = self._edge_actions[slots[:, None], edges] == actions[:, None]
        here &= columns < count[:, None]
        self._nodes[slots] = np.where(here.any(-1), first + here.argmax(-1) + 1, OFF)

    def next_actions(self, slots: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
        """The actions that lead on, of all slots one after another, and whose they are.

        Returns:
            For each action its place in ``slots``, and the action; two arrays of one length.
        """
        first, count = self._edges(slots)
        rows = np.repeat(np.arange(len(slots)), count)
        begins = np.cumsum(count) - count
        edges = np.arange(len(rows)) + (first - begins)[rows]
        return rows, self._edge_actions[slots[rows], edges]

    def _edges(self, slots: Slots) -> tuple[Any, Any]:
        """The first edge of each slot's node, and how many there are; none off the trie."""
        nodes = self._nodes[slots]
        first = self._first_edges[slots, nodes]
        count = self._first_edges[slots, nodes + 1] - first
        return first, count * (nodes != OFF)

    def acts(self, slots: Slots) -> Any:
        """What the turns mean that end here, `NO_ACT` where none does."""
        nodes = self._nodes[slots]
        return np.where(nodes == OFF, NO_ACT, self._node_acts[slots, nodes])
