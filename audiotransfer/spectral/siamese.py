"""The siamese network: a point for each tile, so that "how two tiles differ" is a vector."""

from __future__ import annotations

from torch import Tensor, nn

from audiotransfer.spectral.networks.layers import SLOPE, Norm, normalisation


class Siamese(nn.Module):
    """Maps a tile to a point: [B, 1, F, L] -> [B, D].

    Normalised in groups of channels, each tile by itself: batch statistics, which the paper has,
    mix source, target and converted tiles. No bias at the end: it would cancel in every difference.

    Args:
        bins: F of the tiles.
        frames: L of the tiles, from 3 on.
        width: channels.
        size: D.
        norm: "group", or "batch" as published.

    Source: the siamese network of MelGAN-VC (Pasini 2019).
    """

    def __init__(
        self, bins: int, frames: int, width: int = 128, size: int = 128, norm: Norm = "group"
    ) -> None:
        super().__init__()
        left = frames - 2
        for _ in range(2):
            left = (left + 1) // 2
        self.layers = nn.Sequential(
            nn.Conv2d(1, width, (bins, 3), bias=False),
            normalisation(norm, width),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(width, width, (1, 9), (1, 2), (0, 4), bias=False),
            normalisation(norm, width),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(width, width, (1, 7), (1, 2), (0, 3), bias=False),
            normalisation(norm, width),
            nn.LeakyReLU(SLOPE),
            nn.Flatten(),
            nn.Linear(width * left, size, bias=False),
        )
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_uniform_(layer.weight, SLOPE)

    def forward(self, tile: Tensor) -> Tensor:
        point: Tensor = self.layers(tile)
        return point
