"""Hears what is hit on a drum kit and plays it with the spectra of another kit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiotransfer.spectral.models.templates import QUIET, ChannelNorm, TemplateModel, played
from audiotransfer.spectral.models.unet import normalised

_BANDS = 16  # in which the source stays or goes


class _Block(nn.Module):
    """Dilated time, residual."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(width)
        self.near = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.out = nn.Conv1d(width, width, 1)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, W, L]`` to the same shape."""
        return x + self.out(functional.silu(self.near(self.norm(x))))


class DrumTemplateModel(TemplateModel):
    """From the spectrogram of a drum kit to that of every style's kit.

    Convolutions fold the spectrogram into one vector a frame, layers along time read the strokes in
    it, and every style plays them with spectra of its own: the spectrogram is the sum of their
    powers and of what stays of the source in each of 16 bands.

    Args:
        styles: names of the target bands.
        width: values that describe a frame.
        spectra: spectra per style.
    """

    kind = "hits"
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
        self.hands = nn.Conv1d(width, len(self.styles) * (spectra + _BANDS), 1)
        self.register_buffer("to_bins", _hats(_BANDS, bins), persistent=False)
        self.log_spectra = nn.Parameter(torch.zeros(len(self.styles), spectra, bins))

    def begin(self) -> DrumTemplateModel:
        """Humps, narrow and wide; all of the source stays."""
        quiet = torch.zeros(self.spectra + _BANDS)
        quiet[: self.spectra] = QUIET
        shape = len(self.styles), self.spectra + _BANDS
        self._begin(_humps(self.spectra, self.bins), quiet, shape)
        return self

    def shape(self) -> dict[str, Any]:
        """What builds the same network again."""
        return {
            "styles": list(self.styles),
            "width": self.width,
            "spectra": self.spectra,
            "dilations": list(self.dilations),
            "bins": self.bins,
        }

    @property
    def reach(self) -> int:
        """Every fold sees one neighbour."""
        return len(self.fold) + sum(self.dilations)

    def repaint(self, views: Tensor, stem: Tensor) -> Tensor:
        """Views ``[B, V, L]`` to spectrograms ``[B, F, L]`` of the one style that there is."""
        return self(views)[0].squeeze(1)

    def forward(self, spectrogram: Tensor) -> tuple[Tensor, None]:
        """Spectrograms ``[B, F, L]`` to spectrograms ``[B, S, F, L]`` of all styles; nothing is
        heard.
        """
        x = normalised(spectrogram)[:, None]
        for fold in self.fold:
            x = functional.silu(fold(x))
        x = self.frame(x.flatten(1, 2))
        for block in self.blocks:
            x = block(x)
        hands = self.hands(self.norm(x)).float().unflatten(1, (len(self.styles), -1))
        with torch.autocast(hands.device.type, enabled=False):
            stays = self.to_bins @ hands[:, :, self.spectra :]
            loud = hands[:, :, : self.spectra]
            return played(loud, self.log_spectra, spectrogram, stays), None


def _hats(bands: int, bins: int) -> Tensor:
    """Weights ``[bins, bands]`` of straight lines between the bands' centres."""
    at = torch.linspace(0, bands - 1, bins)
    return (1 - (at[:, None] - torch.arange(bands)[None]).abs()).clamp_min(0)


def _humps(spectra: int, bins: int) -> Tensor:
    """Where spectra start: log levels ``[spectra, bins]`` of humps, narrow and wide."""
    centre = torch.linspace(0, bins, spectra)[:, None]
    width = torch.tensor([12.0, 40.0, 120.0]).repeat(spectra // 3 + 1)[:spectra, None]
    return -0.5 * ((torch.arange(bins)[None] - centre) / width).square().clamp_max(16.0)
