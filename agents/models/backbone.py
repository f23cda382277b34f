"""What an agent's model asks of its backbone: the hidden state of every prefix of a sequence.

Shapes: B sequences, T tokens, N states, S slots, R of them, Q new tokens, P positions, D hidden
size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from typing_extensions import Self

Ints = npt.NDArray[np.int64]


class SlotCache(Protocol):
    """What a backbone keeps of every slot's prefix, so that only new tokens are read.

    Columns count the tokens of a prefix. Tokens are given on the CPU; hidden states come back on
    the backbone's device.
    """

    def reserve(self, columns: int) -> None:
        """Make room for prefixes of so many tokens, and keep what is there."""

    def begin(
        self, slots_R: Ints, tokens_RT: Ints, lengths_R: Ints, prompts_R: Ints, memory: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Read whole prefixes into some slots.

        Args:
            slots_R: which slots, each once.
            tokens_RT: their prefixes, padded on the right.
            lengths_R: tokens of each prefix.
            prompts_R: how many of them are its prompt.
            memory: how many of a prefix's first tokens heads look at.

        Returns:
            The hidden state of each prefix's last token, (R, D), and those of the first `memory`
            tokens, or of all T where there are fewer, (R, P, D). No others need be computed;
            `ends` takes them out of all.
        """

    def extend(self, tokens_SQ: Ints, starts_S: Ints, counts_S: Ints) -> Tensor:
        """Append tokens in every slot; their hidden states, (S, Q, D).

        Args:
            tokens_SQ: new tokens, padded on the right.
            starts_S: position of the first of them, that is, how much of the slot is kept. What
                lies behind is forgotten.
            counts_S: how many are new; 0 leaves the slot as it is, and its row of the result
                without meaning.
        """

    def copy_from(self, source: Self, rows_R: Ints, slots_R: Ints, columns: int) -> None:
        """Let slots begin with prompts that another cache has read.

        The slots then go on as if they had begun with these prompts themselves.

        Args:
            source: a cache of the same backbone and the same weights.
            rows_R: its slots, each of which holds a prompt and nothing behind it; some may be the
                same one.
            slots_R: where the prompts go, each slot once.
            columns: tokens of the longest of them; there is room for so many.
        """


def ends(hidden_RTD: Tensor, lengths_R: Ints, memory: int) -> tuple[Tensor, Tensor]:
    """What `SlotCache.begin` returns, out of the hidden states of all tokens."""
    last_R = torch.from_numpy(lengths_R - 1).to(hidden_RTD.device)
    rows_R = torch.arange(len(hidden_RTD), device=hidden_RTD.device)
    return hidden_RTD[rows_R, last_R], hidden_RTD[:, :memory]


class Backbone(nn.Module, ABC):
    """Reads sequences of tokens. The state after a token is the prefix that ends with it.

    An episode's prefix is its prompt and what was appended since. Every backbone gives all states
    of an episode in one pass: the hidden state of a state depends on no later token. Within the
    prompt, which is there from the first state on, it may look both ways.

    Attributes:
        kind: names the class in a checkpoint.
        width: D, the size of a hidden state.
    """

    kind: ClassVar[str]
    width: int

    @abstractmethod
    def forward(self, tokens_BT: Tensor, prompts_B: Tensor) -> Tensor:
        """The hidden states of all tokens, (B, T, D).

        At the prompt's last token and behind it they are those of the states; before that, of the
        prompt's own tokens, for heads that point at them.

        Args:
            tokens_BT: prefixes, padded on the right by any token.
            prompts_B: how many tokens of each are its prompt, at least 1.
        """

    def states(
        self,
        tokens_BT: Tensor,
        prompts_B: Tensor,
        rows_N: Tensor,
        columns_N: Tensor,
        memory: int = 0,
    ) -> tuple[Tensor, Tensor]:
        """What of `forward` is asked for; a backbone may compute no more than that.

        Args:
            tokens_BT: prefixes, padded on the right by any token.
            prompts_B: how many tokens of each are its prompt.
            rows_N: the sequence of each state.
            columns_N: the position of its last token.
            memory: how many of a sequence's first tokens heads look at.

        Returns:
            The hidden state of each state's last token, (N, D), and those of the first `memory`
            tokens of each sequence, or of all T where there are fewer, (B, P, D).
        """
        hidden_BTD: Tensor = self(tokens_BT, prompts_B)
        cells_N = rows_N * tokens_BT.shape[1] + columns_N
        return hidden_BTD.flatten(0, 1).index_select(0, cells_N), hidden_BTD[:, :memory]

    @abstractmethod
    def slots(self, num_slots: int) -> SlotCache:
        """An empty cache for acting in so many slots; it is dropped when the weights change."""

    @abstractmethod
    def output_embeddings(self) -> nn.Module:
        """The language-model head: `weight` (vocabulary, D), and `bias` or None."""

    @abstractmethod
    def config_json(self) -> dict[str, Any]:
        """What `kind` needs to build the same architecture again, for a checkpoint."""

    @abstractmethod
    def save_pretrained(self, folder: Path) -> None:
        """Write a folder that transformers loads and generates with.

        Raises:
            ModelError: this is no architecture of transformers.
        """
