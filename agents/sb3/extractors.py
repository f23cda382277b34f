"""Features of prefixes for the policies of stable-baselines3.

Shapes: N observations, L tokens of one, D size of the features.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from agents.checkpoint import from_json
from agents.environment import Contract, Ints, prefix_lengths
from agents.errors import AgentError, ModelError
from agents.models.building import build_model
from agents.models.causal import CausalBackbone
from agents.models.heads import QForm, States
from agents.models.model import Heads
from agents.models.model_config import ModelConfig
from agents.models.prefix_cache import PrefixCache
from agents.models.recurrent import RecurrentBackbone
from agents.sb3.grouping import grouped
from agents.sb3.vec_env import PROMPT_LENGTH, TOKENS

Observations = Tensor | dict[str, Tensor]
Self = TypeVar("Self", bound="StatesExtractor")
KEPT_CACHES = 4
"""So many numbers of rows are acted on in turn (training, evaluation) before a cache is dropped."""
ONE_WAY = (CausalBackbone.kind, RecurrentBackbone.kind)
"""Kinds of backbones whose states do not depend on where the prompt ends."""


class TokenEmbeddingExtractor(BaseFeaturesExtractor):
    """Embeddings of a prefix's tokens: small features for any policy, without a language model.

    Args:
        observation_space: integer ``Box(0, vocab_size - 1, (L,))``.
        pad_token_id: fills an observation to the right of its prefix.
        features_dim: D.
        pool: the mean of all embeddings, or that of the last token.

    Raises:
        AgentError: the observations are no tokens, or there is no such pooling.
    """

    def __init__(
        self,
        observation_space: spaces.Box,
        pad_token_id: int = 0,
        features_dim: int = 64,
        pool: Literal["mean", "last"] = "mean",
    ) -> None:
        """Draw embeddings."""
        super().__init__(observation_space, features_dim)
        if not isinstance(observation_space, spaces.Box) or len(observation_space.shape) != 1:
            raise AgentError(
                f"the observation space is {observation_space}; expected token ids, Box(0, "
                "vocab_size - 1, (max_tokens,)), as TextVecEnv has them without prompt_length"
            )
        if pool not in ("mean", "last"):
            raise AgentError(f"pool is {pool!r}; expected 'mean' or 'last'")
        self.pad_token_id = pad_token_id
        self.pool = pool
        self.embedding = nn.Embedding(int(observation_space.high.max()) + 1, features_dim)

    def forward(self, observations: Tensor) -> Tensor:
        """Features (N, D) of token ids (N, L), which the library has turned into floats."""
        tokens_NL = observations.long()
        lengths_N = prefix_lengths(tokens_NL.cpu().numpy(), self.pad_token_id)
        ends_N1 = torch.from_numpy(lengths_N).to(tokens_NL.device).unsqueeze(1)
        if self.pool == "last":
            last_ND: Tensor = self.embedding(tokens_NL.gather(1, ends_N1 - 1)).squeeze(1)
            return last_ND
        longest = int(lengths_N.max())
        inside_NL = torch.arange(longest, device=tokens_NL.device) < ends_N1
        embedded_NLD: Tensor = self.embedding(tokens_NL[:, :longest])
        return (embedded_NLD * inside_NL.unsqueeze(-1)).sum(dim=1) / ends_N1


class StatesExtractor(BaseFeaturesExtractor):
    """Reads prefixes with a model of our agents: the states that its heads read.

    In evaluation mode and without gradients, as algorithms act, a prefix is compared with the one
    that was last in its row, and only what is new is read (`PrefixCache`). Else all observations
    are read whole, those that are prefixes of one another in one sequence. Both give the same
    states: features depend on the observation alone.

    The library redraws the linear layers of features extractors (`ortho_init`) by `apply`, which
    therefore leaves the model's as they are.

    Args:
        observation_space: that of `TextVecEnv` or of the single environments.
        contract: the environment's constants, as plain data.
        model: a `ModelConfig` as plain data.
        seed: of new weights.
        q: action values: none, or of which form; see `QHead`.
        cached_rows: more observations than that at once are read whole; 0 reads all whole. A cache
            takes the memory of so many prefixes' keys and values.
        second_derivatives: compute attention by plain products, whose gradients have gradients;
            those of fused kernels have none.

    Attributes:
        model: the language model with heads; it stays in evaluation mode while it learns (see
            `AgentModel`).

    Raises:
        ModelError: there is no such model, or it needs the prompts' lengths, and observations do
            not tell them.
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        contract: Mapping[str, Any],
        model: Mapping[str, Any],
        seed: int = 0,
        q: Literal["none"] | QForm = "none",
        cached_rows: int = 256,
        second_derivatives: bool = False,
    ) -> None:
        """Build the model."""
        constants, config = from_json(Contract, contract), from_json(ModelConfig, model)
        heads = Heads(policy="lm" if constants.action_positions is None else "pointer", q=q)
        built = build_model(config, constants, seed, heads)
        super().__init__(observation_space, built.backbone.width)
        self.model = built
        if not isinstance(observation_space, spaces.Dict) and not (
            built.backbone.kind in ONE_WAY and built.memory == 0
        ):
            raise ModelError(
                f"a {built.backbone.kind} model {config.name!r} with a {built.heads.policy} head "
                "looks at the prompt, but observations do not tell where it ends: use "
                "TextVecEnv(..., prompt_length=True), or a causal or recurrent model with head 'lm'"
            )
        self.pad_token_id = constants.pad_token_id
        self.cached_rows = cached_rows
        self.second_derivatives = second_derivatives
        self._caches: dict[tuple[int, torch.device], PrefixCache] = {}

    def train(self: Self, mode: bool = True) -> Self:
        """Set whether states are read whole; the model itself stays in evaluation mode.

        Learning may change weights without a trace: they count as changed.
        """
        self.training = mode
        if mode:
            self.model.note_change()
        return self

    def apply(self: Self, fn: Callable[[nn.Module], None]) -> Self:
        """Leave the model as it is."""
        return self

    def __getstate__(self) -> dict[str, Any]:
        """All but what can be read again."""
        return {**self.__dict__, "_caches": {}}

    def forward(self, observations: Observations) -> Any:
        """The `States` of observations, which the library has turned into floats."""
        tokens_NL, prompts_N = _arrays(observations)
        lengths_N = prefix_lengths(tokens_NL, self.pad_token_id)
        whole = self.training or torch.is_grad_enabled() or len(tokens_NL) > self.cached_rows
        if whole:
            return self._read(tokens_NL, lengths_N, prompts_N)
        return self._cache(len(tokens_NL)).states(tokens_NL, lengths_N, prompt_lengths_S=prompts_N)

    def _read(self, tokens_NL: Ints, lengths_N: Ints, prompts_N: Ints | None) -> States:
        """One pass over all sequences."""
        device = self.model.device
        found = grouped(tokens_NL, lengths_N, prompts_N)
        attention = sdpa_kernel(SDPBackend.MATH) if self.second_derivatives else nullcontext()
        with attention:
            return self.model.read(*(torch.from_numpy(array).to(device) for array in found))

    def _cache(self, rows: int) -> PrefixCache:
        """The cache for so many rows; the one used longest ago is dropped."""
        key = rows, self.model.device
        cache = self._caches.pop(key, None) or PrefixCache(self.model, rows)
        self._caches[key] = cache
        if len(self._caches) > KEPT_CACHES:
            del self._caches[next(iter(self._caches))]
        return cache


def _arrays(observations: Observations) -> tuple[Ints, Ints | None]:
    """Tokens (N, L) and lengths of the prompts (N,), where they are told."""
    if isinstance(observations, Tensor):
        return _integers(observations), None
    # The library pads sequences of observations with zeros.
    prompts_N = np.maximum(_integers(observations[PROMPT_LENGTH]).squeeze(1), 1)
    return _integers(observations[TOKENS]), prompts_N


def _integers(observations: Tensor) -> Ints:
    return observations.detach().cpu().numpy().astype(np.int64)


class LMExtractor(StatesExtractor):
    """The hidden state of a prefix's last token, for any policy; see `StatesExtractor`.

    The model's own heads are not used.
    """

    def forward(self, observations: Observations) -> Tensor:
        """Features (N, D)."""
        states: States = super().forward(observations)
        return states.hidden_ND


def plain(record: Any) -> dict[str, Any]:
    """A dataclass as JSON has it."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in dataclasses.asdict(record).items()
    }
