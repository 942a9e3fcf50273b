"""What an objective of this package hands to a trainer: optimiser groups, losses, previews."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class OptimiserGroup:
    """Networks that one optimiser updates, and its settings."""

    networks: tuple[str, ...]
    learning_rate: float
    betas: tuple[float, float]
    weight_decay: float
    rates: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class VocoderTurn:
    """One update of one optimiser group: named losses and their weights."""

    group: str
    terms: dict[str, Tensor]
    weights: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class VocoderPreview:
    """For the training log: images ``[F, L]``, audio ``([C, T], rate in Hz)`` and embeddings
    ``[B, D]``.
    """

    images: dict[str, Tensor]
    audio: dict[str, tuple[Tensor, int]] = field(default_factory=dict)
    embeddings: dict[str, Tensor] = field(default_factory=dict)
