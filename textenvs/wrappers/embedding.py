"""The prefix as features of a frozen encoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from textenvs.errors import OptionError
from textenvs.tasks import Task
from textenvs.wrappers.prefix import (
    PrefixObservation,
    PrefixView,
    VectorPrefixObservation,
    task_of,
)

Encoder: TypeAlias = "Callable[[NDArray[np.int32], NDArray[np.intp]], NDArray[np.float32]]"
"""From token ids (B, T), padded on the right, and their lengths (B,) to features (B, D)."""


class PrefixEmbedding(PrefixView):
    """Prefixes as an encoder's features, float32 ``(D,)`` each.

    Args:
        task: The task.
        encoder: The encoder; its attributes ``vocab_size`` and ``max_tokens``, where it has them,
            say which ids and how long a prefix it takes.

    Raises:
        OptionError: The encoder does not take the task's prefixes, or gives no features.
    """

    def __init__(self, task: Task, encoder: Encoder) -> None:
        name = type(encoder).__name__
        vocab_size = getattr(encoder, "vocab_size", None)
        if vocab_size is not None and vocab_size < task.vocab_size:
            own = f", {len(task.extra_tokens)} of them the task's own" if task.extra_tokens else ""
            raise OptionError(
                f"{name} takes {vocab_size} token ids, the task has {task.vocab_size}{own}: use "
                "the encoder's own tokenizer in the environment, and make room for the task's "
                "tokens with model.resize_token_embeddings(env.unwrapped.task.vocab_size)"
            )
        max_tokens = getattr(encoder, "max_tokens", None)
        if max_tokens is not None and max_tokens < task.max_tokens:
            raise OptionError(
                f"{name} takes {max_tokens} tokens, a prefix can have {task.max_tokens}: make the "
                "environment with a smaller max_prompt_tokens"
            )
        self._encoder = encoder
        sample = self._encode(
            np.full((2, 1), task.tokenizer.eos_token_id, np.int32), np.ones(2, np.intp)
        )
        self.space = spaces.Box(-np.inf, np.inf, sample.shape[1:], np.float32)

    def _encode(
        self, prefixes: NDArray[np.int32], lengths: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        features = self._encoder(prefixes, lengths)
        if not (
            isinstance(features, np.ndarray)
            and features.dtype == np.float32
            and features.ndim == 2
            and len(features) == len(prefixes)
        ):
            got = getattr(features, "shape", type(features).__name__)
            raise OptionError(
                f"an encoder must give a float32 array of shape ({len(prefixes)}, features), got "
                f"{got} of type {getattr(features, 'dtype', type(features).__name__)}"
            )
        return features

    def __call__(
        self, prefixes: NDArray[np.int32], lengths: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """The features of each prefix, ``(N, D)``; columns that all pad are left out."""
        longest = max(1, int(lengths.max()))
        return self._encode(prefixes[:, :longest], lengths)


class EmbeddingObservation(PrefixObservation, RecordConstructorArgs):
    """The prefix as features of a frozen encoder, float32 ``(D,)``; for agents with an MLP.

    Args:
        env: An environment of textenvs.
        encoder: From token ids (B, T), int32 and padded on the right, and lengths (B,) to features
            (B, D), float32; such as `frozen_encoder` makes of a transformers model.

    Raises:
        OptionError: The encoder does not take the environment's prefixes, or gives no features.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], encoder: Encoder) -> None:
        RecordConstructorArgs.__init__(self, encoder=encoder, _disable_deepcopy=True)
        super().__init__(env, PrefixEmbedding(task_of(env), encoder))


class VectorEmbeddingObservation(VectorPrefixObservation):
    """`EmbeddingObservation` of every slot in one call, float32 ``(num_envs, D)``."""

    def __init__(self, env: VectorEnv[Any, Any, Any], encoder: Encoder) -> None:
        super().__init__(env, PrefixEmbedding(task_of(env), encoder))
