"""How far a picture is from the true one, as it is heard."""

from __future__ import annotations

import torch
from torch import Tensor

from audiotransfer.spectral.features import CRITIC_FLOOR, INAUDIBLE, SPREAD


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
    """The difference of what critics see (see `features.normalised`), taught as `audible` is."""
    return _above(made.float(), true.float(), CRITIC_FLOOR) / SPREAD


def _above(made: Tensor, true: Tensor, floor: float) -> Tensor:
    """The difference of both where they are above the floor; what is below lies on it.

    Clamping alone takes the gradient of all that was made below the floor, also where the truth
    is above it: there it is let through as if nothing had been clamped.
    """
    above = made.clamp_min(floor)
    taught = made + (above - made).detach()
    return torch.where(true > floor, taught, above) - true.clamp_min(floor)
