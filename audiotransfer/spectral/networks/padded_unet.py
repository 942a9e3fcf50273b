"""A U-Net of strided convolutions for pictures of any size, mirrored by a cell where halves fail.

84 x 938 goes down as 84, 42, 21, 10, 5, 2, 1 bins and 938, 469, 234, 117, 58, 29, 14 frames; where
doubling gives one cell less than there was (4 for 5, 20 for 21) it is mirrored at alternating
sides, so that no level is displaced against the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiotransfer.errors import AudioTransferError
from audiotransfer.spectral.networks.layers import SLOPE, Norm, convolution, normalisation
from audiotransfer.spectral.networks.painter import Painter


class PaddedUNet(Painter):
    """Halves both axes once for each of `channels` and doubles them back, with skips.

    Args:
        bins: F, which must leave at least one cell at the lowest level.
        channels: of each level, from the top.
        norm: of every layer but the first, the lowest and the last.
        spectral: convolutions of gain at most 1.

    Raises AudioTransferError for a picture that cannot be halved so often.
    """

    kind = "padded-unet"

    def __init__(
        self,
        bins: int,
        channels: Sequence[int] = (64, 128, 256, 256),
        norm: Norm = "instance",
        spectral: bool = True,
    ) -> None:
        super().__init__(bins, channels=list(channels), norm=norm, spectral=spectral)
        _require(bins, len(channels), "bins")
        self.feature_channels = (1, *channels)
        levels = list(pairwise(self.feature_channels))
        self.down = nn.ModuleList()
        for level, (inputs, outputs) in enumerate(levels):
            kind: Norm = "none" if level in (0, len(levels) - 1) else norm
            self.down.append(_layer(inputs, outputs, 4, 2, kind, spectral))
        ups = [_layer(lower + upper, upper, 3, 1, norm, spectral) for upper, lower in levels[1:]]
        last = _layer(channels[0], channels[0], 3, 1, norm, spectral)
        self.up = nn.ModuleList([*reversed(ups), last])
        self.leave = convolution(channels[0], 1, 3, padding=1, bias=True)

    def paint(self, unit: Tensor) -> Tensor:
        *skips, x = self.encode(unit)
        for level, up in enumerate(self.up):
            skip = skips.pop()
            x = _double(x, skip.shape[-2:], low=level % 2 == 0)
            x = up(torch.cat([x, skip], 1) if skips else x)
        painted: Tensor = self.leave(x)
        return painted

    def encode(self, unit: Tensor) -> list[Tensor]:
        """What each level on the way down makes of ``[B, 1, F, L]``, that picture first."""
        _require(unit.shape[-1], len(self.down), "frames")
        features = [unit]
        for down in self.down:
            features.append(down(features[-1]))
        return features


def _layer(
    inputs: int, outputs: int, kernel: int, stride: int, norm: Norm, spectral: bool
) -> nn.Sequential:
    return nn.Sequential(
        convolution(inputs, outputs, kernel, stride, 1, bias=norm == "none", spectral=spectral),
        normalisation(norm, outputs),
        nn.LeakyReLU(SLOPE),
    )


def _double(x: Tensor, size: Sequence[int], low: bool) -> Tensor:
    """Twice as large, and mirrored by one cell where `size` is odd: at its low end or the high."""
    x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
    missing = [wanted - has for wanted, has in zip(size, x.shape[-2:], strict=True)]
    if not any(missing):
        return x
    bins, frames = missing
    padding = (frames, 0, bins, 0) if low else (0, frames, 0, bins)
    return functional.pad(x, padding, mode="reflect")


def _require(size: int, halvings: int, what: str) -> None:
    if size < 2**halvings:
        raise AudioTransferError(
            f"{size} {what} cannot be halved {halvings} times; take {2**halvings} or more, or "
            "fewer channels"
        )
