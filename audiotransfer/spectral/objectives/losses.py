"""How far a spectrogram is from the true one, as it is heard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from audiotransfer.spectral.models.unet import DISCRIMINATOR_FLOOR, INAUDIBLE, SPREAD
from audiotransfer.spectral.objectives.melgan_vc import discriminator_hinge


def audible(made: Tensor, true: Tensor) -> Tensor:
    """The difference of log levels (nats) above the level at which a mix hides everything.

    A missed note counts as if it were made at that level, and its gradient still says louder: it
    is 0 only where neither is heard.
    """
    return _above(made, true, INAUDIBLE)


def per_frame(made: Tensor, true: Tensor) -> Tensor:
    """The root of its mean square over the bands of each frame, as listeners' distances are taken:
    ``[.., F, L]`` both to ``[.., L]``.
    """
    return (audible(made, true).square().mean(-2) + 1e-4).sqrt()


def seen(made: Tensor, true: Tensor) -> Tensor:
    """The difference of what discriminators see (see `features.normalised`), taught as `audible`
    is.
    """
    return _above(made.float(), true.float(), DISCRIMINATOR_FLOOR) / SPREAD


def _above(made: Tensor, true: Tensor, floor: float) -> Tensor:
    """The difference of both where they are above the floor; what is below lies on it.

    Clamping alone takes the gradient of all that was made below the floor, also where the truth
    is above it: there it is let through as if nothing had been clamped.
    """
    above = made.clamp_min(floor)
    taught = made + (above - made).detach()
    return torch.where(true > floor, taught, above) - true.clamp_min(floor)


def sounding(spectrogram: Tensor) -> Tensor:
    """Say of each spectrogram [B, F, L] of log level whether anything in it is heard: [B]."""
    return spectrogram.amax((1, 2)) > INAUDIBLE


def taught(made: Tensor, sounds: Tensor) -> Tensor:
    """Return what was made of spectrograms [B, ..] as it is; where they do not sound [B], no
    gradient goes back.
    """
    return torch.where(sounds.view(-1, *[1] * (made.ndim - 1)), made, made.detach())


Game = Literal["lsgan", "hinge", "wgan-gp"]


@dataclass(frozen=True)
class Rules:
    """What each side descends, from verdicts of any shape.

    discriminator: (on real, on made) -> loss; generator: on made -> loss; penalised: the
    discriminator's slope must be held near 1 besides (see `training.slopes`).
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    penalised: bool = False


def _least_squares(real: Tensor, made: Tensor) -> Tensor:
    return 0.5 * ((real.float() - 1).square().mean() + made.float().square().mean())


def _least_squares_generator(made: Tensor) -> Tensor:
    return (made.float() - 1).square().mean()


def _distance(real: Tensor, made: Tensor) -> Tensor:
    return made.float().mean() - real.float().mean()


def _raise(made: Tensor) -> Tensor:
    return -made.float().mean()


#: Mao et al. 2017; Lim and Ye 2017; Gulrajani et al. 2017.
RULES: dict[Game, Rules] = {
    "lsgan": Rules(_least_squares, _least_squares_generator),
    "hinge": Rules(discriminator_hinge, _raise),
    "wgan-gp": Rules(_distance, _raise, penalised=True),
}
