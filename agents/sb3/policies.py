"""Policies of stable-baselines3 and sb3-contrib that are language models with our agents' heads.

| algorithm | policy |
|---|---|
| PPO, A2C | `LMPolicy` |
| MaskablePPO | `LMMaskablePolicy` |
| TRPO | `LMTRPOPolicy` |
| DQN | `LMDQNPolicy` |
| QRDQN | `LMQRDQNPolicy` |
| RecurrentPPO | its own "MlpLstmPolicy" behind `LMExtractor` |

"MlpLstmPolicy" is "MultiInputLstmPolicy" where observations tell the prompt's length.

Only MaskablePPO keeps to the legal actions; the others choose among all of them.

`save` and `load` are the library's own, which pickle: load no file from a stranger. The arguments
of a policy are plain data, from which `load` builds the model again before it sets the weights.

Shapes: N observations, A actions, Q quantiles.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, cast

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from sb3_contrib.qrdqn.policies import QRDQNPolicy, QuantileNetwork
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv
from stable_baselines3.dqn.policies import DQNPolicy, QNetwork
from torch import Tensor, nn

from agents.environment import Contract, read_contract
from agents.errors import AgentError
from agents.models.heads import States
from agents.models.model import AgentModel
from agents.models.model_config import ModelConfig
from agents.network import TOKENS
from agents.sb3.extractors import StatesExtractor, plain


def lm_policy_kwargs(
    env: VecEnv | gymnasium.Env[Any, Any],
    model: str | ModelConfig = "tiny",
    seed: int = 0,
    cached_rows: int = 256,
) -> dict[str, Any]:
    """The `policy_kwargs` of a language model for an environment, as plain data.

    Args:
        env: what the algorithm is given.
        model: a preset, a folder or Hub id of a language model, or its settings.
        seed: of new weights.
        cached_rows: see `TextNetwork`.

    Raises:
        ContractError: the environment is no token MDP.
    """
    config = model if isinstance(model, ModelConfig) else ModelConfig(name=model)
    return {
        "features_extractor_kwargs": {
            "contract": plain(contract_of(env)),
            "model": plain(config),
            "seed": seed,
            "cached_rows": cached_rows,
        }
    }


def contract_of(env: VecEnv | gymnasium.Env[Any, Any]) -> Contract:
    """The constants of an environment in any of the library's wrappers.

    Raises:
        ContractError: a part is missing or inconsistent.
    """
    slots = env if isinstance(env, VecEnv) else DummyVecEnv([lambda: env])
    return read_contract(cast("VectorEnv[Any, Any, Any]", _FirstSlot(slots)))


class _FirstSlot:
    """The first slot of a `VecEnv`, as `read_contract` looks at an environment."""

    def __init__(self, env: VecEnv) -> None:
        space = env.observation_space
        self._env = env
        self.unwrapped = self
        self.single_observation_space = space[TOKENS] if isinstance(space, spaces.Dict) else space
        self.single_action_space = env.action_space

    def __getattr__(self, name: str) -> Any:
        return self._env.get_attr(name, 0)[0]


class _LanguagePolicy(BasePolicy):
    """What all these policies share.

    Args:
        net_arch: there are no other layers.
        features_extractor_kwargs: from `lm_policy_kwargs`.

    Raises:
        AgentError: the latter are missing, or there are to be other layers.
    """

    settings: ClassVar[dict[str, Any]] = {}
    """What the policy needs of its `StatesExtractor`."""

    def __init__(
        self,
        *args: Any,
        net_arch: Any = None,
        features_extractor_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if net_arch:
            raise AgentError(
                f"net_arch is {net_arch}; expected none, as the language model brings its heads. "
                "For layers of your own, use the library's policy behind LMExtractor"
            )
        if not features_extractor_kwargs:
            raise AgentError(
                f"{type(self).__name__} needs to know the environment's tokens: give "
                "policy_kwargs=lm_policy_kwargs(env)"
            )
        kwargs.setdefault("features_extractor_class", StatesExtractor)
        super().__init__(
            *args,
            net_arch=[],
            features_extractor_kwargs=self.settings | features_extractor_kwargs,
            **kwargs,
        )

    def load_from_vector(self, vector: npt.NDArray[np.floating]) -> None:
        """Set all weights, which leaves no trace on them."""
        super().load_from_vector(vector)
        for module in self.modules():
            if isinstance(module, StatesExtractor):
                module.model.note_change()


class _ActorCritic(_LanguagePolicy):
    """Policy and value head on one backbone, or on two (`share_features_extractor=False`)."""

    pi_features_extractor: Any
    vf_features_extractor: Any
    _build_mlp_extractor: Any

    def _build(self, lr_schedule: Schedule) -> None:
        """Make the optimizer; the features extractor has all weights."""
        self._build_mlp_extractor()  # without layers: it hands on what it is given
        self.optimizer = self.optimizer_class(
            self.parameters(),
            lr=lr_schedule(1),  # type: ignore[call-arg]
            **self.optimizer_kwargs,
        )

    def action_net(self, states: States) -> Tensor:
        """Scores of the actions, (N, A)."""
        model: AgentModel = self.pi_features_extractor.model
        return model.logits(states)

    def value_net(self, states: States) -> Tensor:
        """Values, (N, 1)."""
        model: AgentModel = self.vf_features_extractor.model
        return model.values(states).unsqueeze(1)


class LMPolicy(_ActorCritic, ActorCriticPolicy):  # type: ignore[misc]
    """A language model as the policy of PPO or A2C.

    Args:
        features_extractor_kwargs: from `lm_policy_kwargs`.
        share_features_extractor: False for a backbone of its own for the value.

    Raises:
        AgentError: these are missing.
        ModelError: the model cannot play the environment.
    """


class LMMaskablePolicy(_ActorCritic, MaskableActorCriticPolicy):  # type: ignore[misc]
    """A language model as the policy of MaskablePPO; see `LMPolicy`."""


class LMTRPOPolicy(LMPolicy):
    """A language model as the policy of TRPO, which takes gradients of gradients; see `LMPolicy`.

    The library takes them of one parameter after the other: the fewer train (`frozen_layers`, an
    `adapter`), the less time it needs.
    """

    settings: ClassVar[dict[str, Any]] = {"second_derivatives": True}

    def named_parameters(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, nn.Parameter]]:
        """What trains, under names that tell TRPO what the policy depends on.

        TRPO leaves out what has "value" in its name, as parts of BERT's attention have, and asks
        for gradients of all else.
        """
        for name, parameter in super().named_parameters(*args, **kwargs):
            if parameter.requires_grad:
                of_value = ".value_head." in name
                yield name if of_value else name.replace("value", "val"), parameter


def never_acts(target: BasePolicy) -> None:
    """Let a target network read minibatches whole; it is always in evaluation mode."""
    assert isinstance(target.features_extractor, StatesExtractor)
    target.features_extractor.network.cached_rows = 0


class _LMQNetwork(QNetwork):
    """Action values of the language model's own head."""

    features_extractor: StatesExtractor

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        del self.q_net

    def forward(self, obs: PyTorchObs) -> Tensor:
        """Action values, (N, A)."""
        states: Any = self.extract_features(obs, self.features_extractor)
        return self.features_extractor.model.q_values(states, None)[0]


class LMDQNPolicy(_LanguagePolicy, DQNPolicy):
    """A language model whose action values are DQN's, dueling ones.

    `features_extractor_kwargs["q"]` names another form of them (see `QHead`). See `LMPolicy`.
    """

    settings: ClassVar[dict[str, Any]] = {"q": "dueling"}

    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        never_acts(self.q_net_target)

    def make_q_net(self) -> QNetwork:
        """The network, or the target network."""
        arguments = self._update_features_extractor(self.net_args, features_extractor=None)
        return _LMQNetwork(**arguments).to(self.device)


class _LMQuantileNetwork(QuantileNetwork):  # type: ignore[misc]
    """Quantiles that begin at the action values of the language model's own head."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for parameter in self.quantile_net.parameters():
            nn.init.zeros_(parameter)

    def forward(self, obs: PyTorchObs) -> Tensor:
        """Quantiles, (N, Q, A)."""
        states: States = self.extract_features(obs, self.features_extractor)
        values_1NA: Tensor = self.features_extractor.model.q_values(states, None)
        spread: Tensor = self.quantile_net(states.hidden_ND)
        return values_1NA.transpose(0, 1) + spread.view(len(spread), self.n_quantiles, -1)


class LMQRDQNPolicy(_LanguagePolicy, QRDQNPolicy):  # type: ignore[misc]
    """A language model whose action values' quantiles are QR-DQN's; see `LMPolicy`."""

    settings: ClassVar[dict[str, Any]] = {"q": "plain"}
    quantile_net_target: Any
    net_args: Any

    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        never_acts(self.quantile_net_target)

    def make_quantile_net(self) -> Any:
        """The network, or the target network."""
        arguments = self._update_features_extractor(self.net_args, features_extractor=None)
        return _LMQuantileNetwork(**arguments).to(self.device)
