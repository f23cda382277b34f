"""An agent's model: one backbone, and heads for policy, value and action values.

Shapes: B sequences, T tokens, N states, A actions, D hidden size.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from agents.errors import ModelError
from agents.models.backbone import Backbone
from agents.models.heads import (
    ActionHead,
    LinearHead,
    LMHead,
    QForm,
    QHead,
    Scores,
    States,
    ValueHead,
    vocabulary,
)
from agents.models.model_config import ModelConfig
from agents.models.pointing import CopyHead, PointerHead

WHOLE_PROMPT = sys.maxsize
VERSION = attrgetter("_version")
"""How often a tensor was written in place."""


@dataclass(frozen=True, kw_only=True)
class Heads:
    """Which heads a model has beside policy and value.

    Attributes:
        policy: "lm" reads the language-model head at the action tokens, "copy" lets it say tokens
            of the prompt again as well, "pointer" compares the state with the tokens at the
            actions' positions.
        q: action values: none, or of which form; see `QHead`.
        twins: two heads for action values instead of one.
    """

    policy: Literal["lm", "copy", "pointer"] = "lm"
    q: Literal["none"] | QForm = "none"
    twins: bool = False


class AgentModel(nn.Module):
    """Policy, value and action values of a state, read off the hidden state of its last token.

    One forward pass over an episode gives the hidden states of all its prefixes. The module stays
    in eval mode while it learns: dropout would make the probability of an action in the update
    differ from the one it was drawn with.

    Args:
        backbone: reads the prefixes.
        action_tokens: the token id that each action appends.
        action_positions: the position in the prefix that each action points at (-1 for none); None
            where actions do not point.
        heads: which heads to put on; the pointer needs `action_positions`.
        config: how the backbone was prepared, and the precision in which it runs.

    Attributes:
        temperature: the policy is the softmax of the scores divided by it.
    """

    action_tokens: Tensor
    temperature: float = 1.0

    def __init__(
        self,
        backbone: Backbone,
        action_tokens: tuple[int, ...],
        action_positions: tuple[int, ...] | None = None,
        heads: Heads | None = None,
        config: ModelConfig | None = None,
    ) -> None:
        """Put heads on the backbone."""
        super().__init__()
        self.backbone = backbone
        self.config = ModelConfig() if config is None else config
        self.heads = Heads() if heads is None else heads
        rows = vocabulary(backbone.output_embeddings())
        if max(action_tokens) >= rows:
            raise ModelError(
                f"an action appends token {max(action_tokens)}, but the model's head has {rows} "
                "rows"
            )
        self.register_buffer("action_tokens", torch.tensor(action_tokens), persistent=False)
        self.policy: ActionHead
        self.memory = 0
        """How many of a sequence's first tokens the heads look at, if its prompt has so many."""
        if self.heads.policy == "pointer":
            if action_positions is None:
                raise ModelError(
                    "a pointer head needs to know where actions point, but the environment has no "
                    "action_positions: use the language-model head"
                )
            self.policy = PointerHead(backbone.width, torch.tensor(action_positions))
            self.memory = max(action_positions) + 1
        else:
            self.policy = LMHead(backbone.output_embeddings, torch.tensor(action_tokens))
        if self.heads.policy == "copy":
            assert isinstance(self.policy, LMHead)
            tokens = torch.tensor(action_tokens)
            self.policy = CopyHead(backbone.width, self.policy, rows, tokens)
            self.memory = WHOLE_PROMPT
        self.value_head = ValueHead(backbone.width)
        self.q_head: QHead | None = None
        if self.heads.q != "none":
            self.add_q_head(self.heads)
        self._counted: list[nn.Parameter] | None = None
        self._uncounted_changes = 0
        self.register_load_state_dict_post_hook(_count_anew)  # type: ignore[no-untyped-call]
        self.eval()

    def add_q_head(self, heads: Heads) -> None:
        """Put on a head for action values that ranks actions as the policy does now.

        Args:
            heads: `q` and `twins` say which; `policy` must be the model's.
        """
        self.heads = heads
        scorers = [self._q_scorer() for _ in range(1 + heads.twins)]
        assert heads.q != "none"
        self.q_head = QHead(scorers, self.backbone.width, heads.q)
        self.q_head.to(self.device).eval()
        self._counted = None

    def _q_scorer(self) -> ActionHead:
        if isinstance(self.policy, PointerHead | CopyHead):
            return self.policy.copy()
        assert isinstance(self.policy, LMHead)
        weight, bias = self.policy.rows()
        return LinearHead(weight, bias)

    @property
    def weights_version(self) -> int:
        """Changes with the weights: when tensors are written in place, and by `note_change`."""
        changes: int = sum(map(VERSION, self._own_weights()))
        return self._uncounted_changes + changes

    def _own_weights(self) -> list[nn.Parameter]:
        if self._counted is None:
            self._counted = list(self.parameters())
        return self._counted

    @property
    def has_its_own_weights(self) -> bool:
        """Whether nobody has lent it others, as `torch.func.functional_call` does."""
        pairs = zip(self.parameters(), self._own_weights(), strict=True)
        return all(now is own for now, own in pairs)

    def _apply(self, *args: Any, **kwargs: Any) -> AgentModel:
        """Move or convert weights."""
        moved: AgentModel = super()._apply(*args, **kwargs)  # type: ignore[no-untyped-call]
        _count_anew(self)
        return moved

    def note_change(self) -> None:
        """Say that the weights were changed; fused optimizers do so without a trace."""
        self._uncounted_changes += 1

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.action_tokens.device

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision of the backbone's forward passes, as a context to run them in."""
        if self.config.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def read(
        self, tokens_BT: Tensor, prompts_B: Tensor, rows_N: Tensor, columns_N: Tensor
    ) -> States:
        """N states from one forward pass over B whole sequences.

        Args:
            tokens_BT: sequences, padded on the right by any token.
            prompts_B: how many tokens of each are its prompt.
            rows_N: the sequence of each state.
            columns_N: the position of its last token.
        """
        memory = min(self.memory, int(prompts_B.max())) if self.memory else 0
        with self.autocast():
            hidden_ND, memory_BPD = self.backbone.states(
                tokens_BT, prompts_B, rows_N, columns_N, memory
            )
        if not self.memory:
            return States(hidden_ND.float(), rows_N=rows_N)
        read_BP = tokens_BT[:, : memory_BPD.shape[1]]
        return States(hidden_ND.float(), memory_BPD.float(), rows_N, prompts_B, read_BP)

    def logits(self, states: States) -> Tensor:
        """Unnormalised log-probabilities of the actions under the policy, (N, A)."""
        return self.prepared_logits()(states)

    def prepared_logits(self) -> Scores:
        """`logits` as a function that may keep what depends on the weights alone."""
        scores, temperature = self.policy.prepared(), self.temperature
        if temperature == 1.0:
            return scores
        return lambda states: scores(states) / temperature

    def values(self, states: States) -> Tensor:
        """Value estimates in float32, (N,)."""
        values_N: Tensor = self.value_head(states.hidden_ND)
        return values_N

    def q_values(self, states: States, legal_NA: Tensor | None) -> Tensor:
        """Action values in float32, (K, N, A) of K heads.

        Args:
            states: N of them.
            legal_NA: bool, or None where every action is legal.
        """
        assert self.q_head is not None
        values_KNA: Tensor = self.q_head(states, legal_NA)
        return values_KNA


def _count_anew(model: AgentModel, *_: object) -> None:
    """Weights may be other objects now, as after loading with ``assign=True``."""
    model._counted = None
    model.note_change()


class Decision(NamedTuple):
    """What an agent chose in each of N states, as tensors (N,).

    Attributes:
        actions: int64.
        log_probs: of the action under the distribution that it was drawn from.
        values: the estimate of the state's value, or of the action's.
    """

    actions: Tensor
    log_probs: Tensor
    values: Tensor
