"""How far a picture is from the true one, as it is heard."""

from __future__ import annotations

from torch import Tensor

from audiotransfer.spectral.features import INAUDIBLE


def audible(made: Tensor, true: Tensor) -> Tensor:
    """The difference of log levels (nats) above the level at which a mix hides everything."""
    return made.clamp_min(INAUDIBLE) - true.clamp_min(INAUDIBLE)


def per_frame(made: Tensor, true: Tensor) -> Tensor:
    """The root of its mean square over the bands of each frame, as listeners' distances are taken:
    ``[.., F, L]`` both to ``[.., L]``.
    """
    return (audible(made, true).square().mean(-2) + 1e-4).sqrt()
