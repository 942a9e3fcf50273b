"""MelGAN-VC's networks as published: the first kernel spans all bins, then there is only time.

Source: Pasini, "MelGAN-VC", 2019: 192 bins, tiles of 24 frames; 2.93 M weights in the generator and
4.50 M in the discriminator. Frequency becomes channels, so nothing learned at one pitch holds at
another.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from audiotransfer.spectral.models.base import SpectrogramNetwork
from audiotransfer.spectral.networks.generators import SLOPE, Norm, convolution, normalisation

_HALVINGS = 2


class WholeFrequencyGenerator(SpectrogramNetwork):
    """A U-Net along time, over channels that each stand for a spectrum.

    Spectral norm throughout; lengths are padded to a multiple of 4 frames inside.

    Args:
        bins: F, which must be what the spectrograms have.
        width: channels.
        norm: "batch" as published, or "group", which treats every tile by itself.
    """

    kind = "whole-frequency"

    def __init__(self, bins: int, width: int = 256, norm: Norm = "batch") -> None:
        super().__init__(bins, width=width, norm=norm)

        def along(inputs: int, kernel: int, stride: int, normed: bool = True) -> nn.Sequential:
            size, padding = (1, kernel), (0, kernel // 2)
            return nn.Sequential(
                convolution(inputs, width, size, (1, stride), padding, spectral=True),
                normalisation(norm if normed else "none", width),
                nn.LeakyReLU(SLOPE),
            )

        self.enter = nn.Sequential(
            convolution(1, width, (bins, 3), padding=(0, 1), spectral=True),
            normalisation(norm, width),
            nn.LeakyReLU(SLOPE),
        )
        self.down = nn.ModuleList([along(width, 9, 2), along(width, 7, 2)])
        self.up = nn.ModuleList([along(width, 7, 1), along(2 * width, 9, 1, normed=False)])
        leave = nn.ConvTranspose2d(2 * width, 1, (bins, 1), bias=False)
        nn.init.kaiming_uniform_(leave.weight, SLOPE)
        self.leave = spectral_norm(leave)

    def paint(self, unit: Tensor) -> Tensor:
        frames = unit.shape[-1]
        x = functional.pad(unit, (0, -frames % 2**_HALVINGS, 0, 0), mode="replicate")
        x = self.enter(x)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        for up in self.up:
            x = up(functional.interpolate(x, scale_factor=(1.0, 2.0), mode="nearest"))
            x = torch.cat([x, skips.pop()], 1)
        painted: Tensor = self.leave(x)
        return painted[..., :frames]


class WholeFrequencyDiscriminator(nn.Module):
    """One verdict on a window of three tiles: ``[B, 1, F, L] -> [B, 1]``, unbounded.

    Spectral norm throughout, no bias anywhere.

    Args:
        bins, frames: F and L, which must be what the windows have.
        width: channels.
    """

    def __init__(self, bins: int, frames: int, width: int = 512) -> None:
        super().__init__()
        left = frames - 2
        for _ in range(_HALVINGS):
            left = (left + 1) // 2
        verdict = nn.Linear(width * left, 1, bias=False)
        nn.init.kaiming_uniform_(verdict.weight, SLOPE)
        self.layers = nn.Sequential(
            convolution(1, width, (bins, 3), spectral=True),
            nn.LeakyReLU(SLOPE),
            convolution(width, width, (1, 9), (1, 2), (0, 4), spectral=True),
            nn.LeakyReLU(SLOPE),
            convolution(width, width, (1, 7), (1, 2), (0, 3), spectral=True),
            nn.LeakyReLU(SLOPE),
            nn.Flatten(),
            spectral_norm(verdict),
        )

    def forward(self, spectrogram: Tensor) -> Tensor:
        verdict: Tensor = self.layers(spectrogram)
        return verdict
