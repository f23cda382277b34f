"""What an agent's model asks of its backbone: the hidden state of every prefix of a sequence.

Shapes: B sequences, T tokens, S slots, R of them, Q new tokens, D hidden size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

Ints = npt.NDArray[np.int64]


class SlotCache(Protocol):
    """What a backbone keeps of every slot's prefix, so that only new tokens are read.

    Columns count the tokens of a prefix. Tokens are given on the CPU; hidden states come back on
    the backbone's device.
    """

    def reserve(self, columns: int) -> None:
        """Make room for prefixes of so many tokens, and keep what is there."""

    def begin(self, slots_R: Ints, tokens_RT: Ints, lengths_R: Ints, prompts_R: Ints) -> Tensor:
        """Read whole prefixes into some slots; the hidden state of each token, (R, T, D).

        Args:
            slots_R: which slots.
            tokens_RT: their prefixes, padded on the right.
            lengths_R: tokens of each prefix.
            prompts_R: how many of them are its prompt.
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

    def store(self, slot: int, length: int) -> tuple[Tensor, ...]:
        """A copy of what is kept of a slot's first `length` tokens, all of them its prompt."""

    def restore(self, slots_R: Ints, stored: list[tuple[Tensor, ...]]) -> None:
        """Put what `store` gave into slots, which then begin as if they had read it."""


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
