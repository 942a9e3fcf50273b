"""Silent windows teach nothing.

All cells of silence are alike, and every instance norm turns what little a gradient says about them
up three-hundred-fold: after a dozen layers it is no number any more.
"""

from __future__ import annotations

import torch
from torch import Tensor

from audiotransfer.spectral.features import INAUDIBLE


def sounding(picture: Tensor) -> Tensor:
    """Say of each picture [B, F, L] of log level whether anything in it is heard: [B]."""
    return picture.amax((1, 2)) > INAUDIBLE


def taught(made: Tensor, sounds: Tensor) -> Tensor:
    """Return what was made of pictures [B, ..] as it is; where they do not sound [B], no gradient
    goes back.
    """
    return torch.where(sounds.view(-1, *[1] * (made.ndim - 1)), made, made.detach())
