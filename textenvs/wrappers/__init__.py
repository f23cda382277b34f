"""Wrappers that Gymnasium has not: other forms of the prefix, strings as actions, masks."""

from textenvs.wrappers.bag import BagOfTokens, VectorBagOfTokens
from textenvs.wrappers.embedding import EmbeddingObservation, VectorEmbeddingObservation
from textenvs.wrappers.encoder import FrozenEncoder, frozen_encoder
from textenvs.wrappers.mask import MaskedObservation, VectorMaskedObservation
from textenvs.wrappers.strings import StringAction, string_actions
from textenvs.wrappers.text import TextObservation, VectorTextObservation
from textenvs.wrappers.unicode import Unicode

__all__ = [
    "BagOfTokens",
    "EmbeddingObservation",
    "FrozenEncoder",
    "MaskedObservation",
    "StringAction",
    "TextObservation",
    "Unicode",
    "VectorBagOfTokens",
    "VectorEmbeddingObservation",
    "VectorMaskedObservation",
    "VectorTextObservation",
    "frozen_encoder",
    "string_actions",
]
