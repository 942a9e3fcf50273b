"""The network of deep Griffin-Lim iterations, and one iteration.

Y. Masuyama, K. Yatabe, Y. Koizumi, Y. Oikawa and N. Harada, "Deep Griffin-Lim iteration", ICASSP
2019. A spectrum X is given the wanted magnitudes (Y), then made consistent by the inverse transform
and the transform (Z); the network estimates from X, Y and Z what is still wrong with Z.

In the paper spectra enter as they are. Music is 60 dB quieter at the top than at the bottom, so
here they are divided by the local level of the wanted magnitudes and of Z, and the output is
multiplied by it: a change of gain of the input is one of the output.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from vocoder import stft
from vocoder.griffinlim import impose
from vocoder.spectrogram import SpectrogramSettings

_KERNEL = (5, 3)  # bins, frames
_NEAR = (33, 9)  # bins and frames of the local level
_TINY = 1e-12


class GatedComplexConv(nn.Module):
    """A complex convolution over bins and frames, times a gate from magnitudes."""

    def __init__(self, entering: int, leaving: int) -> None:
        super().__init__()
        margin = (_KERNEL[0] // 2, _KERNEL[1] // 2)
        self.real = nn.Parameter(torch.empty(leaving, entering, *_KERNEL))
        self.imaginary = nn.Parameter(torch.empty(leaving, entering, *_KERNEL))
        # The gates are about a half at first, and the outputs should be as large as the inputs.
        for part in (self.real, self.imaginary):
            nn.init.normal_(part, std=2 / (2 * entering * _KERNEL[0] * _KERNEL[1]) ** 0.5)
        self.gate = nn.Conv2d(entering + 1, leaving, _KERNEL, padding=margin)
        self.margin = margin

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """``[B, 2 * entering, F, L]``, real parts first, and ``[B, 1, F, L]`` to ``leaving``."""
        above = torch.cat([self.real, -self.imaginary], dim=1)
        below = torch.cat([self.imaginary, self.real], dim=1)
        made = functional.conv2d(x, torch.cat([above, below]), padding=self.margin)
        real, imaginary = x.chunk(2, dim=1)
        size = torch.sqrt(real.square() + imaginary.square() + 1e-8)
        gate = torch.sigmoid(self.gate(torch.cat([size, level], dim=1)))
        return made * torch.cat([gate, gate], dim=1)


class ResidualNetwork(nn.Module):
    """What is wrong with a consistent spectrum, from itself and the two that it was made from."""

    #: Frames on each side that a frame depends on, the local level's included.
    reach = 3 * (_KERNEL[1] // 2) + _NEAR[1] // 2

    def __init__(self, channels: int = 32, layers: int = 3) -> None:
        super().__init__()
        self.shape = {"channels": channels, "layers": layers}
        sizes = [3, *[channels] * layers]
        self.layers = nn.ModuleList(GatedComplexConv(*pair) for pair in itertools.pairwise(sizes))
        self.real = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.imaginary = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.reach = layers * (_KERNEL[1] // 2) + _NEAR[1] // 2

    def forward(self, spectra: Tensor, magnitude: Tensor) -> Tensor:
        """Complex X, Y and Z ``[B, 3, F, L]`` and magnitudes ``[B, F, L]`` to ``[B, F, L]``."""
        near = local_level(magnitude, spectra[:, 2])
        scale = near.clamp_min(_TINY)[:, None]
        level = (torch.log(magnitude[:, None] + 1e-4 * scale) - torch.log(scale)).clamp_min(-6.0)
        x = torch.cat([spectra.real / scale, spectra.imag / scale], dim=1)
        for layer in self.layers:
            x = layer(x, level)
        above = torch.cat([self.real, -self.imaginary], dim=1)
        below = torch.cat([self.imaginary, self.real], dim=1)
        found = functional.conv2d(x, torch.cat([above, below])).float()
        return torch.complex(found[:, 0], found[:, 1]) * near


def local_level(magnitude: Tensor, consistent: Tensor | None = None) -> Tensor:
    """Root of the mean power of the bins and frames around each: ``[B, F, L]`` to the same.

    With a spectrum ``[B, F, L]``, the mean of both powers: next to silence it can be much louder
    than the magnitudes are.
    """
    own = magnitude.square()
    if consistent is not None:
        own = (own + torch.view_as_real(consistent).square().sum(-1)) / 2
    power = functional.avg_pool2d(
        own[:, None],
        _NEAR,
        stride=1,
        padding=(_NEAR[0] // 2, _NEAR[1] // 2),
        count_include_pad=False,
    )
    return power[:, 0].sqrt()


def projections(
    spectrum: Tensor, magnitude: Tensor, length: int, settings: SpectrogramSettings
) -> Tensor:
    """X ``[B, F, L]`` with Y and Z of Griffin-Lim, ``[B, 3, F, L]``, for sound of `length`."""
    imposed = impose(spectrum.clone(), magnitude)
    sound = stft.inverse(imposed, length, settings.n_fft, settings.hop_length)
    consistent = stft.transform(sound, settings.n_fft, settings.hop_length, settings.padding)
    return torch.stack([spectrum, imposed, consistent], dim=1)
