"""Losses of the spectral objectives: distances of spectrograms, and adversarial losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from audiotransfer.spectral.models.base import SPREAD, normalised

#: Below this level (natural log) nothing of a stem is audible in its mix.
INAUDIBLE = -6.0
#: Discriminators see nothing below this level, which differs by soundfont, not by style.
DISCRIMINATOR_FLOOR = -9.0


def audible_difference(made: Tensor, true: Tensor) -> Tensor:
    """The difference of log levels (nats), both raised to at least `INAUDIBLE`.

    Where only the truth is above that level the gradient still reaches ``made``, so that a missing
    note gets louder; it is 0 only where both are below.
    """
    return _difference_above(made, true, INAUDIBLE)


def frame_distance(made: Tensor, true: Tensor) -> Tensor:
    """The root mean square of the audible difference over bands: ``[.., F, L]`` to ``[.., L]``."""
    return (audible_difference(made, true).square().mean(-2) + 1e-4).sqrt()


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
    return _difference_above(made.float(), true.float(), DISCRIMINATOR_FLOOR) / SPREAD


def _difference_above(made: Tensor, true: Tensor, floor: float) -> Tensor:
    """The difference of both, clamped to the floor.

    Clamping alone would stop the gradient of all that was made below the floor, also where the
    truth is above it: there it passes straight through.
    """
    above = made.clamp_min(floor)
    straight_through = made + (above - made).detach()
    return torch.where(true > floor, straight_through, above) - true.clamp_min(floor)


def is_audible(spectrogram: Tensor) -> Tensor:
    """Whether any cell of each log-level spectrogram ``[B, F, L]`` is audible: ``[B]``."""
    return spectrogram.amax((1, 2)) > INAUDIBLE


def detach_silent(made: Tensor, audible: Tensor) -> Tensor:
    """The values ``[B, ..]``, without gradient for examples that are not ``audible`` ``[B]``."""
    return torch.where(audible.view(-1, *[1] * (made.ndim - 1)), made, made.detach())


Game = Literal["lsgan", "hinge", "wgan-gp"]


@dataclass(frozen=True)
class AdversarialLoss:
    """The losses of both sides of a GAN, from discriminator outputs of any shape.

    Args:
        discriminator: (on real, on generated) -> loss.
        generator: on generated -> loss.
        penalised: whether the discriminator needs a gradient penalty (`training.adversarial`).
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    penalised: bool = False


def discriminator_hinge(
    real: Tensor, made: Tensor, use_real: Tensor | None = None, use_made: Tensor | None = None
) -> Tensor:
    """Half the sum of both hinges: outputs above 1 on real, below -1 on generated examples.

    Args:
        real, made: outputs ``[B, ..]``; the two B may differ.
        use_real, use_made: ``[B]``, which examples count; all by default.
    """
    above, below = torch.relu(1 - real.float()), torch.relu(1 + made.float())
    return 0.5 * (masked_mean(above, use_real) + masked_mean(below, use_made))


def masked_mean(values: Tensor, use: Tensor | None) -> Tensor:
    """The mean of ``[B, ..]`` over the examples to use ``[B]``; 0, with a gradient, for none."""
    each = values.float().flatten(1).mean(1) if values.ndim > 1 else values.float()
    if use is None:
        return each.mean()
    return (each * use).sum() / use.sum().clamp(min=1)


def _least_squares(real: Tensor, made: Tensor) -> Tensor:
    return 0.5 * ((real.float() - 1).square().mean() + made.float().square().mean())


def _least_squares_generator(made: Tensor) -> Tensor:
    return (made.float() - 1).square().mean()


def _wasserstein(real: Tensor, made: Tensor) -> Tensor:
    return made.float().mean() - real.float().mean()


def _negative_mean(made: Tensor) -> Tensor:
    return -made.float().mean()


#: Mao et al. 2017; Lim and Ye 2017; Gulrajani et al. 2017.
ADVERSARIAL_LOSSES: dict[Game, AdversarialLoss] = {
    "lsgan": AdversarialLoss(_least_squares, _least_squares_generator),
    "hinge": AdversarialLoss(discriminator_hinge, _negative_mean),
    "wgan-gp": AdversarialLoss(_wasserstein, _negative_mean, penalised=True),
}
