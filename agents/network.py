"""A language model with heads as a function of observations, for training loops of others.

Shapes: N observations, L tokens of one, A actions.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, Literal, TypeVar, cast

import gymnasium
import numpy as np
import numpy.typing as npt
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from agents.environment import Contract, Ints, make_env, prefix_lengths, read_contract
from agents.errors import ModelError
from agents.models.building import build_model
from agents.models.causal import CausalBackbone
from agents.models.grouping import grouped
from agents.models.heads import QForm, States
from agents.models.model import Heads
from agents.models.model_config import ModelConfig
from agents.models.prefix_cache import PrefixCache
from agents.models.recurrent import RecurrentBackbone

Self = TypeVar("Self", bound="TextNetwork")
TOKENS, PROMPT_LENGTH = "tokens", "prompt_length"
"""Keys of an observation that tells how long its prompt is."""
Rows = Tensor | npt.NDArray[Any]
Observations = Rows | Mapping[str, Rows]
"""Token ids (..., L) of any type, padded on the right; or those and the prompts' lengths (..., 1).

There may be any number of batch dimensions, and none."""
KEPT_CACHES = 4
"""So many numbers of rows are acted on in turn (training, evaluation) before a cache is dropped."""
ONE_WAY = (CausalBackbone.kind, RecurrentBackbone.kind)
"""Kinds of backbones whose states do not depend on where the prompt ends."""


class TextNetwork(nn.Module):
    """Policy, value and action values of prefixes, by a language model.

    In evaluation mode and without gradients, as one acts, a prefix is compared with the one that
    was last in its row, and only what is new is read (`PrefixCache`). Else all observations are
    read whole, those that are prefixes of one another in one sequence. Both give the same: what
    comes out depends on the observation alone. No mode turns dropout on.

    What was read is forgotten when weights have changed: by in-place operations, by loading, or by
    any optimizer after gradients. Writing to ``.data`` without these, as target networks are
    updated, is seen by nobody: give those ``cached_rows=0``, or call ``model.note_change()``.

    Args:
        contract: the environment's constants.
        model: a preset, a folder or Hub id of a language model, or its settings.
        seed: of new weights.
        q: action values: none, or of which form; see `QHead`.
        prompts: whether observations tell how long prompts are. If not, there is no pointer: where
            actions are positions, as in TextQASpan-v0, the language-model head learns them like
            words, from far more episodes.
        cached_rows: more observations than that at once are read whole; 0 reads all whole. A cache
            takes the memory of so many prefixes' keys and values.
        second_derivatives: compute attention by plain products, whose gradients have gradients;
            those of fused kernels have none.

    Attributes:
        contract: the environment's constants.
        prompts: as given; `agents.evaluate` then tells prompts' lengths.
        model: the language model with heads; it stays in evaluation mode while it learns (see
            `AgentModel`).

    Raises:
        ModelError: there is no such model, or it cannot read what the environment says.
    """

    def __init__(
        self,
        contract: Contract,
        model: str | ModelConfig = "tiny",
        seed: int = 0,
        q: Literal["none"] | QForm = "none",
        prompts: bool = False,
        cached_rows: int = 256,
        second_derivatives: bool = False,
    ) -> None:
        """Build the model."""
        super().__init__()
        points = prompts and contract.action_positions is not None
        heads = Heads(policy="pointer" if points else "lm", q=q)
        self.model = build_model(model, contract, seed, heads)
        self.contract = contract
        self.cached_rows = cached_rows
        self.second_derivatives = second_derivatives
        self.prompts = prompts
        self._caches: dict[tuple[int, torch.device, Any], PrefixCache] = {}
        self._may_have_learnt = False

    @classmethod
    def of(
        cls: type[Self],
        env: str | gymnasium.Env[Any, Any] | VectorEnv[Any, Any, Any],
        *args: Any,
        **kwargs: Any,
    ) -> Self:
        """A network for an environment; the other arguments are those of the class.

        Raises:
            ContractError: it is no token MDP.
        """
        if isinstance(env, VectorEnv):
            return cls(read_contract(env), *args, **kwargs)
        return cls(read_contract(make_env(env, 1, AutoresetMode.DISABLED)), *args, **kwargs)

    def forward(self, observations: Observations) -> tuple[Tensor, Tensor]:
        """Scores of all actions (..., A), of which the policy is the softmax, and values (...)."""
        states, shape = self.states(observations), _shape(observations)
        return self.model.logits(states).view(*shape, -1), self.model.values(states).view(shape)

    def q_values(self, observations: Observations, legal: Tensor | None = None) -> Tensor:
        """Action values (..., A); those of illegal actions have no meaning.

        Args:
            observations: with any batch dimensions.
            legal: bool (..., A); None where every action is legal, or nobody knows.
        """
        legal_NA = None if legal is None else legal.view(-1, legal.shape[-1])
        values_KNA = self.model.q_values(self.states(observations), legal_NA)
        return values_KNA[0].view(*_shape(observations), -1)

    @torch.no_grad()
    def predict(
        self,
        observation: Observations,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
        action_masks: npt.NDArray[Any] | None = None,
    ) -> tuple[Ints, Any]:
        """Actions by action values if there are any, else by the policy; see `agents.evaluate`.

        Args:
            observation: with any batch dimensions.
            state: handed back.
            episode_start: not needed.
            deterministic: the best action instead of a drawn one; by action values, always.
            action_masks: legal actions, (..., A); None where all are.
        """
        legal = None
        if action_masks is not None:
            legal = torch.as_tensor(action_masks).bool().to(self.model.device)
        by_values = self.model.heads.q != "none"
        scores = self.q_values(observation, legal) if by_values else self(observation)[0]
        if legal is not None:
            scores = scores.masked_fill(~legal, -torch.inf)
        if deterministic or by_values:
            actions = scores.argmax(dim=-1)
        else:
            shares = scores.softmax(dim=-1)
            drawn = torch.multinomial(shares.view(-1, shares.shape[-1]), 1)
            actions = drawn.view(shares.shape[:-1])
        return actions.cpu().numpy(), state

    def states(self, observations: Observations) -> States:
        """What the heads read, of N observations in one row.

        Raises:
            ModelError: the model needs to know where prompts end, and observations do not tell.
        """
        tokens_NL, prompts_N = _arrays(observations)
        if prompts_N is None:
            self.check_needs_no_prompts("give them as {'tokens': ..., 'prompt_length': ...}")
        lengths_N = prefix_lengths(tokens_NL, self.contract.pad_token_id)
        learns = self.training or torch.is_grad_enabled()
        self._may_have_learnt |= learns
        if learns or len(tokens_NL) > self.cached_rows or not self.model.has_its_own_weights:
            return self._read(tokens_NL, lengths_N, prompts_N)
        if self._may_have_learnt:  # some optimizers change weights without a trace
            self.model.note_change()
            self._may_have_learnt = False
        return self._cache(len(tokens_NL)).states(tokens_NL, lengths_N, prompt_lengths_S=prompts_N)

    def check_needs_no_prompts(self, advice: str) -> None:
        """Check that states do not depend on where prompts end.

        Raises:
            ModelError: they do.
        """
        built = self.model
        if built.memory or built.backbone.kind not in ONE_WAY:
            raise ModelError(
                f"a {built.backbone.kind} model {built.config.name!r} with a {built.heads.policy} "
                f"head looks at the prompt, but observations do not tell where it ends: {advice}, "
                "or use a causal or recurrent model with head 'lm'"
            )

    def train(self: Self, mode: bool = True) -> Self:
        """Set whether states are read whole; the model itself stays in evaluation mode."""
        self.training = mode
        return self

    def _apply(self: Self, *args: Any, **kwargs: Any) -> Self:
        """Move or convert weights, and read anew what was read with those before."""
        self._caches.clear()
        moved: Self = super()._apply(*args, **kwargs)  # type: ignore[no-untyped-call]
        return moved

    def __getstate__(self) -> dict[str, Any]:
        """All but what can be read again."""
        return {**self.__dict__, "_caches": {}}

    def _read(self, tokens_NL: Ints, lengths_N: Ints, prompts_N: Ints | None) -> States:
        """One pass over all sequences."""
        device = self.model.device
        found = grouped(tokens_NL, lengths_N, prompts_N)
        attention = sdpa_kernel(SDPBackend.MATH) if self.second_derivatives else nullcontext()
        with attention:
            return self.model.read(*(torch.from_numpy(array).to(device) for array in found))

    def _cache(self, rows: int) -> PrefixCache:
        """The cache for so many rows; the one used longest ago is dropped."""
        kind = self.model.device.type
        autocast = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
        key = rows, self.model.device, autocast
        cache = self._caches.pop(key, None) or PrefixCache(self.model, rows)
        self._caches[key] = cache
        if len(self._caches) > KEPT_CACHES:
            del self._caches[next(iter(self._caches))]
        return cache


def _shape(observations: Observations) -> tuple[int, ...]:
    """The batch dimensions."""
    rows = observations[TOKENS] if isinstance(observations, Mapping) else observations
    return tuple(rows.shape[:-1])


def _arrays(observations: Observations) -> tuple[Ints, Ints | None]:
    """Tokens (N, L) and lengths of the prompts (N,), where they are told."""
    if not isinstance(observations, Mapping):
        return _integers(observations), None
    # stable-baselines3 pads sequences of observations with zeros.
    prompts_N = np.maximum(_integers(observations[PROMPT_LENGTH])[:, 0], 1)
    return _integers(observations[TOKENS]), prompts_N


def _integers(rows: Rows) -> Ints:
    if isinstance(rows, Tensor):
        rows = rows.detach().cpu().numpy()
    return cast("Ints", rows.reshape(-1, rows.shape[-1]).astype(np.int64))
