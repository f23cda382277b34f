"""An actor-critic on a causal language model: one trunk, a policy head and a value head.

Shapes: B sequences, T tokens, N states, A actions, D hidden size.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from agents.errors import ModelError


class ActorCritic(nn.Module):
    """Policy and value of a state, read off the hidden state of its prefix's last token.

    The policy head is the language-model head at the rows of `action_tokens`, so that a pretrained
    model starts as the policy that it is. The value head is a small perceptron whose last layer
    starts at zero. As the trunk is causal, one forward pass over an episode gives the hidden
    states of all its prefixes.

    The module stays in eval mode while it learns: dropout would make the probability of an action
    in the update differ from the one it was drawn with.

    Args:
        backbone: any causal LM of transformers (GPT-2, Llama, Qwen and the like).
        action_tokens_A: the token id of each action.
    """

    action_tokens: Tensor

    def __init__(self, backbone: PreTrainedModel, action_tokens_A: Tensor) -> None:
        """Put heads on the backbone."""
        super().__init__()
        self.backbone = backbone
        head = backbone.get_output_embeddings()
        rows, width = head.weight.shape
        if int(action_tokens_A.max()) >= rows:
            raise ModelError(
                f"an action appends token {int(action_tokens_A.max())}, but the model's head has "
                f"{rows} rows"
            )
        self.register_buffer("action_tokens", action_tokens_A.long(), persistent=False)
        self._acts_on_all_tokens = torch.equal(self.action_tokens, torch.arange(rows))
        self.value_head = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1))
        for parameter in self.value_head[-1].parameters():
            nn.init.zeros_(parameter)
        self._counted = list(self.parameters())
        self._uncounted_changes = 0
        self.eval()

    @property
    def weights_version(self) -> int:
        """Changes with the weights: when tensors are written in place, and by `note_change`."""
        return self._uncounted_changes + sum(weight._version for weight in self._counted)

    def note_change(self) -> None:
        """Say that the weights were changed; fused optimizers do so without a trace."""
        self._uncounted_changes += 1

    @property
    def trunk(self) -> nn.Module:
        """The backbone without its language-model head."""
        trunk: nn.Module = self.backbone.base_model
        return trunk

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.action_tokens.device

    def policy_head(self) -> tuple[Tensor, Tensor | None]:
        """The language-model head at the action tokens: weight (A, D) and bias (A,) or None."""
        head = self.backbone.get_output_embeddings()
        weight, bias = head.weight, getattr(head, "bias", None)
        if self._acts_on_all_tokens:
            return weight, bias
        return weight[self.action_tokens], None if bias is None else bias[self.action_tokens]

    def logits(self, hidden_ND: Tensor, head: tuple[Tensor, Tensor | None] | None = None) -> Tensor:
        """Unnormalised scores of the actions, (N, A).

        Args:
            hidden_ND: hidden states of the N prefixes' last tokens.
            head: `policy_head()`, where the caller keeps it over several calls.
        """
        weight, bias = self.policy_head() if head is None else head
        return nn.functional.linear(hidden_ND, weight, bias)

    def values(self, hidden_ND: Tensor) -> Tensor:
        """Value estimates in float32, (N,)."""
        values_N1: Tensor = self.value_head(hidden_ND)
        return values_N1.squeeze(-1).float()

    def hidden(self, tokens_BT: Tensor, rows_N: Tensor, columns_N: Tensor) -> Tensor:
        """Hidden states of N prefixes in one forward pass over B whole sequences, (N, D).

        Args:
            tokens_BT: sequences, padded on the right by any token: a causal trunk does not see it.
            rows_N: the sequence of each prefix.
            columns_N: the position of its last token.
        """
        hidden_BTD: Tensor = self.trunk(input_ids=tokens_BT, use_cache=False).last_hidden_state
        return hidden_BTD[rows_N, columns_N]


class Decision(NamedTuple):
    """What an agent chose in each of N states, as tensors (N,)."""

    actions: Tensor
    log_probs: Tensor
    values: Tensor
