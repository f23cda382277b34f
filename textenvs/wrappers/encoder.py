"""A frozen transformers model as an encoder of prefixes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from textenvs.errors import OptionError, unknown

POOLING = ("mean", "last")


class FrozenEncoder:
    """Features of token ids by a transformers model that does not learn; made by `frozen_encoder`.

    Args:
        model: The model, or of one with a decoder the encoder.
        pooling: ``"mean"`` or ``"last"``.

    Attributes:
        vocab_size: How many token ids the model knows.
        max_tokens: The longest prefix that it takes; None for no limit.
    """

    def __init__(self, model: Any, pooling: str) -> None:
        self._model = model.eval()
        self._pooling = pooling
        self.vocab_size = int(model.get_input_embeddings().weight.shape[0])
        limit = getattr(model.config, "max_position_embeddings", None)
        self.max_tokens = None if limit is None else int(limit) - _first_position(model)

    def __call__(
        self, prefixes: NDArray[np.int32], lengths: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """Features of prefixes; padding does not change them.

        Args:
            prefixes: Token ids, ``(B, T)``, padded on the right.
            lengths: The length of each, ``(B,)``; an empty one counts as one token.

        Returns:
            The last layer's states, pooled, float32 ``(B, D)``.
        """
        import torch

        device = self._model.device
        ids_BT = torch.from_numpy(prefixes.astype(np.int64)).to(device)
        lengths_B = torch.from_numpy(np.maximum(lengths, 1)).to(device)
        mask_BT = torch.arange(ids_BT.shape[1], device=device) < lengths_B[:, None]
        with torch.inference_mode():
            output = self._model(
                input_ids=ids_BT.where(mask_BT, 0),
                attention_mask=mask_BT.long(),
                output_hidden_states=True,
            )
            states_BTD = output.hidden_states[-1].float()
            if self._pooling == "last":
                rows_B = torch.arange(len(ids_BT), device=device)
                pooled_BD = states_BTD[rows_B, lengths_B - 1]
            else:
                pooled_BD = (states_BTD * mask_BT[..., None]).sum(1) / lengths_B[:, None]
        features: NDArray[np.float32] = pooled_BD.cpu().numpy()
        return features


def _first_position(model: Any) -> int:
    """How many positions no token can have: RoBERTa counts from behind that of its padding."""
    embeddings = getattr(getattr(model, "base_model", model), "embeddings", None)
    padding = getattr(getattr(embeddings, "position_embeddings", None), "padding_idx", None)
    return 0 if padding is None else int(padding) + 1


def frozen_encoder(model: Any, pooling: str = "mean") -> FrozenEncoder:
    """An encoder for `EmbeddingObservation` made of a transformers model.

    Args:
        model: A name on the Hub or a folder, or a model. It is put into evaluation mode, and no
            gradient is computed; of one with a decoder, the encoder is used.
        pooling: ``"mean"`` over the prefix's tokens, for models that look both ways; ``"last"``,
            the state of the last token, for causal ones.

    Raises:
        OptionError: There is no such pooling or model, or transformers or torch is missing.
    """
    if pooling not in POOLING:
        raise unknown("pooling", pooling, POOLING)
    try:
        import torch  # noqa: F401  # transformers has no models without it
        from transformers import AutoModel
    except ImportError as error:
        raise OptionError(
            'frozen_encoder needs torch and transformers: pip install "textenvs[agents]"'
        ) from error
    if isinstance(model, str):
        try:
            model = AutoModel.from_pretrained(model)
        except (OSError, ValueError) as error:
            raise OptionError(f"there is no model {model!r} to load: {error}") from error
    if not hasattr(model, "get_input_embeddings"):
        raise OptionError(
            f"expected a transformers model or the name of one, got {type(model).__name__}"
        )
    if getattr(model.config, "is_encoder_decoder", False):
        model = model.get_encoder()
    return FrozenEncoder(model, pooling)
