"""Features of prefixes for the policies of stable-baselines3.

Shapes: N observations, L tokens of one, D size of the features.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from agents.checkpoint import from_json
from agents.environment import Contract, prefix_lengths
from agents.errors import AgentError
from agents.models.heads import States
from agents.models.model import AgentModel
from agents.models.model_config import ModelConfig
from agents.network import TextNetwork

Self = TypeVar("Self", bound="StatesExtractor")


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
    """What the heads of a `TextNetwork` read, as features.

    The library redraws the linear layers of features extractors (`ortho_init`) by `apply`, which
    therefore leaves the network's as they are.

    Args:
        observation_space: that of `TextVecEnv` or of the single environments.
        contract: the environment's constants, as plain data.
        model: a `ModelConfig` as plain data.
        **settings: of the `TextNetwork`.

    Attributes:
        network: the model as a function of observations.
        model: the language model with heads.

    Raises:
        ModelError: there is no such model, or it needs the prompts' lengths, and observations do
            not tell them.
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        contract: Mapping[str, Any],
        model: Mapping[str, Any],
        **settings: Any,
    ) -> None:
        """Build the model."""
        constants, config = from_json(Contract, contract), from_json(ModelConfig, model)
        network = TextNetwork(constants, config, prompts=True, **settings)
        super().__init__(observation_space, network.model.backbone.width)
        self.network = network
        if not isinstance(observation_space, spaces.Dict):
            network.check_needs_no_prompts("use TextVecEnv(..., prompt_length=True)")

    @property
    def model(self) -> AgentModel:
        """The language model with heads."""
        return self.network.model

    def apply(self: Self, fn: Callable[[nn.Module], None]) -> Self:
        """Leave the network as it is."""
        return self

    def forward(self, observations: Any) -> Any:
        """The `States` of observations, which the library has turned into floats."""
        return self.network.states(observations)


class LMExtractor(StatesExtractor):
    """The hidden state of a prefix's last token, for any policy; see `StatesExtractor`.

    The model's own heads are not used.
    """

    def forward(self, observations: Any) -> Tensor:
        """Features (N, D)."""
        states: States = super().forward(observations)
        return states.hidden_ND


def plain(record: Any) -> dict[str, Any]:
    """A dataclass as JSON has it."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in dataclasses.asdict(record).items()
    }
