"""What losses of the spectral objectives share: views, sums and masks of spectrograms."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from audiotransfer.spectral.models.base import SPREAD, normalised
from audiotransfer.training.distances import INAUDIBLE, difference_above

#: Discriminators see nothing below this level, which differs by soundfont, not by style.
DISCRIMINATOR_FLOOR = -9.0


def power_sum(spectrograms: Sequence[Tensor]) -> Tensor:
    """The log-level spectrogram of a sum of incoherent sounds, whose powers add up."""
    return (
        torch.logsumexp(2 * torch.stack([spectrogram.float() for spectrogram in spectrograms]), 0)
        / 2
    )


def discriminator_view(spectrogram: Tensor) -> Tensor:
    """The discriminators' input: a spectrogram clamped to their floor, and normalised."""
    return normalised(spectrogram.float().clamp_min(DISCRIMINATOR_FLOOR))


def visible_difference(made: Tensor, true: Tensor) -> Tensor:
    """The difference of both `discriminator_view`s, with gradients as `audible_difference`."""
    return difference_above(made.float(), true.float(), DISCRIMINATOR_FLOOR) / SPREAD


def is_audible(spectrogram: Tensor) -> Tensor:
    """Whether any cell of each log-level spectrogram ``[B, F, L]`` is audible: ``[B]``."""
    return spectrogram.amax((1, 2)) > INAUDIBLE


def detach_silent(made: Tensor, audible: Tensor) -> Tensor:
    """The values ``[B, ..]``, without gradient for examples that are not ``audible`` ``[B]``."""
    return torch.where(audible.view(-1, *[1] * (made.ndim - 1)), made, made.detach())
