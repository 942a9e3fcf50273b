"""Distances of log-level spectrograms in which what nobody hears does not count."""

from __future__ import annotations

import torch
from torch import Tensor

#: Below this level (natural log) nothing of a stem is audible in its mix.
INAUDIBLE = -6.0


def audible_difference(made: Tensor, true: Tensor) -> Tensor:
    """The difference of log levels (nats), both raised to at least `INAUDIBLE`.

    Where only the truth is above that level the gradient still reaches ``made``, so that a missing
    note gets louder; it is 0 only where both are below.
    """
    return difference_above(made, true, INAUDIBLE)


def frame_distance(made: Tensor, true: Tensor) -> Tensor:
    """The root mean square of the audible difference over bands: ``[.., F, L]`` to ``[.., L]``."""
    return (audible_difference(made, true).square().mean(-2) + 1e-4).sqrt()


def difference_above(made: Tensor, true: Tensor, floor: float) -> Tensor:
    """The difference of both, clamped to the floor.

    Clamping alone would stop the gradient of all that was made below the floor, also where the
    truth is above it: there it passes straight through.
    """
    above = made.clamp_min(floor)
    straight_through = made + (above - made).detach()
    return torch.where(true > floor, straight_through, above) - true.clamp_min(floor)
