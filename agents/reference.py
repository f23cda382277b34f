"""The policy as it was when training began, and how far to stay near it.

Shapes: N states, A actions, T steps of an episode.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from agents.batching import Batch, make_batch, microbatches, read
from agents.episodes import Episode
from agents.models.adapters import adapters_are_idle, adapters_off
from agents.models.distribution import masked_log_softmax, take
from agents.models.model import AgentModel
from agents.returns import Floats


class ReferencePolicy:
    """A frozen policy that shares with a model in training all that does not train.

    Of a model that trains as a whole that is nothing: it has a copy of the backbone and the
    policy's head. Of one with an adapter that has changed nothing so far it is the model with the
    adapter switched off; of one with a trained adapter, the model with a copy of that adapter.

    Args:
        model: the one in training.
        weights: what the reference has of its own, as `weights` gave it; None to begin as what
            the model is now.
        adapter_off: whether the model's adapter is switched off; goes with `weights`.

    Attributes:
        weights: the tensors that the reference has of its own, by their name in the model.
        adapter_off: whether the model's adapter is switched off.
    """

    def __init__(
        self,
        model: AgentModel,
        weights: Mapping[str, Tensor] | None = None,
        adapter_off: bool = False,
    ) -> None:
        """Take the weights, or copy those of the model that train."""
        self.model = model
        trained = {
            name: weight
            for name, weight in model.named_parameters()
            if weight.requires_grad and name.startswith(("backbone.", "policy."))
        }
        if weights is None:
            adapter_off = adapters_are_idle(model)
            own = trained
            if adapter_off:
                own = {name: w for name, w in trained.items() if name.startswith("policy.")}
            weights = {name: weight.detach().clone() for name, weight in own.items()}
        strangers = weights.keys() - trained.keys()
        if strangers:
            raise ValueError(f"the model trains no {sorted(strangers)}")
        self.adapter_off = adapter_off
        self.weights = {name: tensor.to(model.device) for name, tensor in weights.items()}
        self._policy = _Policy(model)

    @torch.no_grad()
    def log_probs(self, batch: Batch) -> Tensor:
        """Log-probabilities of all actions in every state, (N, A); -inf for illegal ones."""
        own = {f"model.{name}": tensor for name, tensor in self.weights.items()}
        with adapters_off(self.model) if self.adapter_off else nullcontext():
            log_probs_NA: Tensor = functional_call(self._policy, own, (batch,))
        return log_probs_NA

    def of_actions(
        self, episodes: Sequence[Episode], n_actions: int, max_tokens: int
    ) -> list[Floats]:
        """The log-probability of each action taken, one array (T,) an episode.

        Args:
            episodes: whose actions.
            n_actions: of the environment.
            max_tokens: padded tokens of one forward pass.
        """
        found: list[Floats] = [np.zeros(0)] * len(episodes)
        for places in microbatches(episodes, max_tokens):
            chosen = [episodes[place] for place in places]
            batch = make_batch(chosen, n_actions, self.model.device)
            log_probs_N = take(self.log_probs(batch), batch.actions_N).double().cpu().numpy()
            ends = np.cumsum([episode.steps for episode in chosen])[:-1]
            for place, log_probs_T in zip(places, np.split(log_probs_N, ends), strict=True):
                found[place] = log_probs_T
        return found


class _Policy(nn.Module):
    """A model's policy as a module's forward pass, which can be called with other weights."""

    def __init__(self, model: AgentModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> Tensor:
        return masked_log_softmax(self.model.logits(read(self.model, batch)), batch.legal_NA)


def kl_divergence(log_probs_NA: Tensor, reference_NA: Tensor) -> Tensor:
    """KL(policy || reference) in nats, (N,), with the gradient of the policy.

    Args:
        log_probs_NA: of the policy; -inf where an action is illegal, and there of both.
        reference_NA: of the reference.
    """
    illegal_NA = log_probs_NA == -torch.inf
    differences_NA = (log_probs_NA - reference_NA).masked_fill(illegal_NA, 0.0)
    return (log_probs_NA.exp() * differences_NA).sum(dim=-1)


def adapted_coefficient(
    coefficient: float, kl: float, target: float, actions: int, horizon: int
) -> float:
    """The next coefficient of a KL penalty that is to keep the KL near a target.

    Ziegler et al. 2019, "Fine-Tuning Language Models from Human Preferences", section 2.2:
    e = clip((KL - target) / target, -0.2, 0.2), beta <- beta (1 + K e), where K is the share of
    the horizon that went by, as in their code; at most all of it.

    >>> round(adapted_coefficient(0.2, kl=0.3, target=0.1, actions=1000, horizon=10_000), 6)
    0.204

    Args:
        coefficient: beta.
        kl: as measured, in nats an action.
        target: where it is to be.
        actions: how many it was measured on.
        horizon: actions over which a KL far off changes beta by a fifth.
    """
    error = min(max(kl / target - 1.0, -0.2), 0.2)
    return coefficient * (1.0 + error * min(actions / horizon, 1.0))
