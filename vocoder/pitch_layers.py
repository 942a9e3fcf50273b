"""Layers of networks whose second axis are a piano's keys, and harmonic tones of the keys.

Every key sees its partials as channels, so that convolutions share their weights among all keys.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from vocoder.pitch import BINS_PER_SEMITONE, PITCH_BINS, pitch_hz
from vocoder.spectrogram import SpectrogramSettings

KEYS = 88
#: Partials 1/2, 1 to 6 and 8 of a note, in thirds of a semitone above its fundamental.
PARTIALS = (-36, 0, 36, 57, 72, 84, 93, 108)
_GRID = BINS_PER_SEMITONE * KEYS


def key_hz() -> Tensor:
    """Fundamental frequency of each key in Hz ``[88]``, float64."""
    return pitch_hz()[1:_GRID:BINS_PER_SEMITONE].contiguous()


def with_partials(x: Tensor, outside: float) -> Tensor:
    """``[B, C, 324, L]`` on the pitch axis to ``[B, 8 * C, 264, L]``: partials as channels.

    ``outside`` is the value of what lies beyond the axis.
    """
    x = functional.pad(x, (0, 0, 36, max(PARTIALS) + _GRID - PITCH_BINS), value=outside)
    return torch.cat([x[:, :, 36 + p : 36 + p + _GRID] for p in PARTIALS], dim=1)


class ChannelNorm(nn.Module):
    """Scales the channels of every cell to unit root mean square, then by a learned gain."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, ..]`` to the same shape."""
        gain = self.gain.view(-1, *[1] * (x.dim() - 2))
        return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-4) * gain


class KeyBlock(nn.Module):
    """Residual block: a convolution over keys and dilated time, a dense layer over all keys."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.near = nn.Conv2d(channels, channels, 3, padding=(1, dilation), dilation=(1, dilation))
        self.out = nn.Conv2d(channels, channels, 1)
        self.keys = nn.Conv1d(KEYS, KEYS, 1, bias=False)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.keys.weight)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, 88, L]`` to the same shape."""
        inner = functional.silu(self.near(self.norm(x)))
        batch, channels, keys, frames = inner.shape
        flat = inner.transpose(1, 2).reshape(batch, keys, channels * frames)
        inner = inner + self.keys(flat).view(batch, keys, channels, frames).transpose(1, 2)
        change: Tensor = self.out(inner)
        return x + change


def interpolation(wanted: Tensor, given: Tensor) -> Tensor:
    """Weights ``[wanted, given]`` of linear interpolation from given to wanted frequencies."""
    above = torch.searchsorted(given, wanted.contiguous()).clamp(1, len(given) - 1)
    low, high = given[above - 1], given[above]
    share = ((wanted - low) / (high - low)).clamp(0, 1)
    weights = torch.zeros(len(wanted), len(given), dtype=torch.float64)
    rows = torch.arange(len(wanted))
    weights[rows, above - 1] = 1 - share
    weights[rows, above] += share
    return weights.float()


def harmonic_tones(spectrogram: SpectrogramSettings, count: int) -> Tensor:
    """Log spectra ``[88, count, bins]`` of each key's harmonic tones, dull to bright."""
    length = 2 * spectrogram.n_fft
    time = torch.arange(length, dtype=torch.float64) / spectrogram.sample_rate
    generator = torch.Generator().manual_seed(0)
    found = torch.empty(KEYS, count, spectrogram.bins)
    for key in range(KEYS):
        hertz = float(key_hz()[key])
        orders = torch.arange(1, min(60, int(spectrogram.f_max / hertz)) + 1, dtype=torch.float64)
        phases = torch.rand(len(orders), generator=generator, dtype=torch.float64)
        waves = torch.sin(2 * math.pi * (orders[:, None] * hertz * time + phases[:, None]))
        slopes = torch.linspace(0.3, 3.0, count, dtype=torch.float64)
        tones = (orders[None] ** -slopes[:, None]) @ waves
        levels = spectrogram(tones.float())[..., spectrogram.frames(length) // 2]
        found[key] = (levels - levels.amax(-1, keepdim=True)).clamp_min(-9.0)
    return found
