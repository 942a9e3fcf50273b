"""Drum stems: a convolutional network predicts activations of each style's drum templates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiotransfer.spectral.models.base import normalised
from audiotransfer.spectral.models.templates import QUIET, TemplateModel, synthesise
from vocoder.pitch_layers import ChannelNorm

_BANDS = 16  # in which the source passes through


class DrumTemplateModel(TemplateModel):
    """Spectrograms of a drum kit to those of every style's kit.

    Strided convolutions reduce each frame to a vector, dilated ones run along time. The output is
    the sum of the styles' templates and of the source with a gain in each of 16 bands.

    Args:
        styles: names of the target styles.
        width: values that describe a frame.
        spectra: templates per style.
        dilations: of the residual blocks.
        bins: F of the spectrograms.
    """

    kind = "drum-templates"
    to_bins: Tensor

    def __init__(
        self,
        styles: Sequence[str],
        width: int = 128,
        spectra: int = 64,
        dilations: Sequence[int] = (1, 2, 4, 8, 16, 1, 2, 4, 8, 16),
        bins: int = 256,
    ) -> None:
        super().__init__()
        self.styles, self.width, self.spectra, self.bins = tuple(styles), width, spectra, bins
        self.dilations = tuple(dilations)
        self.fold = nn.ModuleList(
            nn.Conv2d(a, b, (5, 3), stride=(2, 1), padding=(2, 1))
            for a, b in ((1, 16), (16, 24), (24, 32), (32, 48))
        )
        self.frame = nn.Conv1d(48 * bins // 16, width, 1)
        self.blocks = nn.ModuleList(_Block(width, d) for d in self.dilations)
        self.norm = ChannelNorm(width)
        self.activations = nn.Conv1d(width, len(self.styles) * (spectra + _BANDS), 1)
        self.register_buffer("to_bins", _triangles(_BANDS, bins), persistent=False)
        self.templates = nn.Parameter(torch.zeros(len(self.styles), spectra, bins))

    def initialise(self) -> DrumTemplateModel:
        """Gaussian templates, narrow and wide, at a low level; the source passes at 0 dB."""
        bias = torch.zeros(self.spectra + _BANDS)
        bias[: self.spectra] = QUIET
        shape = len(self.styles), self.spectra + _BANDS
        self._initialise(_gaussians(self.spectra, self.bins), bias, shape)
        return self

    def shape(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON takes them."""
        return {
            "styles": list(self.styles),
            "width": self.width,
            "spectra": self.spectra,
            "dilations": list(self.dilations),
            "bins": self.bins,
        }

    @property
    def reach(self) -> int:
        """One frame for each strided convolution, and the blocks' dilations."""
        return len(self.fold) + sum(self.dilations)

    def predict(self, features: Tensor, stem: Tensor) -> Tensor:
        """Features ``[B, V, L]`` to spectrograms ``[B, F, L]`` of the only style."""
        spectrograms: Tensor = self(features)[0]
        return spectrograms.squeeze(1)

    def forward(self, spectrogram: Tensor) -> tuple[Tensor, None]:
        """Spectrograms ``[B, F, L]`` to those of all styles ``[B, S, F, L]``; no note logits."""
        activations, passthrough = self.parts(spectrogram)
        with torch.autocast(activations.device.type, enabled=False):
            return synthesise(activations, self.templates, spectrogram, passthrough), None

    def parts(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Activations ``[B, S, spectra, L]`` and gains of the source ``[B, S, F, L]``."""
        x = normalised(features)[:, None]
        for fold in self.fold:
            x = functional.silu(fold(x))
        x = self.frame(x.flatten(1, 2))
        for block in self.blocks:
            x = block(x)
        output = self.activations(self.norm(x)).float().unflatten(1, (len(self.styles), -1))
        with torch.autocast(output.device.type, enabled=False):
            passthrough = self.to_bins @ output[:, :, self.spectra :]
            return output[:, :, : self.spectra], passthrough


class _Block(nn.Module):
    """Residual block with a convolution dilated along time."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(width)
        self.near = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.out = nn.Conv1d(width, width, 1)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, W, L]`` to the same shape."""
        change: Tensor = self.out(functional.silu(self.near(self.norm(x))))
        return x + change


def _triangles(bands: int, bins: int) -> Tensor:
    """Weights ``[bins, bands]`` that interpolate linearly between the bands' centres."""
    at = torch.linspace(0, bands - 1, bins)
    return (1 - (at[:, None] - torch.arange(bands)[None]).abs()).clamp_min(0)


def _gaussians(count: int, bins: int) -> Tensor:
    """Log spectra ``[count, bins]`` of Gaussian shape, in turn narrow, wider and wide."""
    centre = torch.linspace(0, bins, count)[:, None]
    width = torch.tensor([12.0, 40.0, 120.0]).repeat(count // 3 + 1)[:count, None]
    return -0.5 * ((torch.arange(bins)[None] - centre) / width).square().clamp_max(16.0)
