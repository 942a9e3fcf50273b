"""Hears the notes of a stem and plays them with the spectra of other instruments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiotransfer.spectral.models.templates import QUIET, ChannelNorm, TemplateModel, played
from audiotransfer.spectral.models.unet import normalised
from vocoder.pitch import BINS_PER_SEMITONE, PITCH_BINS, PitchSpectrogram, pitch_hz
from vocoder.spectrogram import SpectrogramSettings

KEYS = 88
_GRID = BINS_PER_SEMITONE * KEYS
#: Where partials 1/2, 1 to 6 and 8 of a note lie, in thirds of a semitone above it.
_PARTIALS = (-36, 0, 36, 57, 72, 84, 93, 108)
#: Bands on each side that a band is compared with, and how much of the difference is painted: in
#: validation songs contrast rises from 0.71 to 0.91 of the true renderings', distance by 3 %.
_NEIGHBOURS, _RELIEF = 6, 1.3


class _Block(nn.Module):
    """Neighbouring keys and dilated time, then all keys with each other, both residual."""

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
        return x + self.out(inner)


class NoteTemplateModel(TemplateModel):
    """From how a stem sounds to how loudly each key sounds, and from there to a style's
    spectrogram.

    Eyes on the pitch axis see every note the same way, wherever it lies, with its partials
    stacked above it. Hands are, per style, how loudly each of a few learned spectra of each key
    sounds, and how much of the source stays. The spectrogram is the sum of their powers: partials
    stay sharp where the network is in doubt, they only get quieter.

    Args:
        styles: names of the target bands, each with its own spectra.
        channels: width.
        spectra: spectra per key and style: attacks, sustains, struck and held instruments.
    """

    mel_to_pitch: Tensor
    key_to_mel: Tensor
    kind = "notes"
    told_keys = True

    def __init__(
        self,
        styles: Sequence[str],
        channels: int = 48,
        spectra: int = 6,
        dilations: Sequence[int] = (1, 2, 4, 8, 1, 2),
        spectrogram: SpectrogramSettings | None = None,
    ) -> None:
        super().__init__()
        self.styles, self.channels, self.spectra = tuple(styles), channels, spectra
        self.dilations = tuple(dilations)
        self.spectrogram = spectrogram or SpectrogramSettings()
        self.bins = self.spectrogram.bins
        centres = self.spectrogram.centres()
        pitches = pitch_hz()
        self.register_buffer("mel_to_pitch", _lines(pitches, centres), persistent=False)
        keys = pitches[1:_GRID:BINS_PER_SEMITONE].contiguous()
        self.register_buffer("key_to_mel", _lines(centres, keys), persistent=False)
        self.enter = nn.Conv2d(3 * len(_PARTIALS), 24, 3, padding=1)
        self.fine = nn.Conv2d(24, 24, 3, padding=1)
        self.to_keys = nn.Conv2d(24, channels, 3, stride=(3, 1), padding=(0, 1))
        self.blocks = nn.ModuleList(_Block(channels, d) for d in self.dilations)
        self.norm = ChannelNorm(channels)
        self.heard = nn.Conv2d(channels, 4, 1)
        self.hands = nn.Conv2d(channels + 4, 2 * len(self.styles) * (spectra + 1), 1)
        self.log_spectra = nn.Parameter(torch.zeros(len(self.styles), KEYS, spectra, self.bins))

    def begin(self) -> NoteTemplateModel:
        """Harmonic tones, dull to bright; all of the source stays."""
        quiet = torch.zeros(self.spectra + 1, 2)
        quiet[: self.spectra] = QUIET
        shape = len(self.styles), self.spectra + 1, 2
        self._begin(_combs(self.spectrogram, self.spectra), quiet, shape)
        return self

    def shape(self) -> dict[str, Any]:
        """What builds the same network again."""
        return {
            "styles": list(self.styles),
            "channels": self.channels,
            "spectra": self.spectra,
            "dilations": list(self.dilations),
        }

    @staticmethod
    def look(sound: Tensor, spectrogram: SpectrogramSettings) -> Tensor:
        """Sound ``[C, T]`` to a `PitchSpectrogram` ``[V, L]``."""
        return PitchSpectrogram(spectrogram)(sound)

    @staticmethod
    def sees(spectrogram: SpectrogramSettings) -> int:
        """Half of the long window."""
        return PitchSpectrogram(spectrogram).n_fft // 2

    @property
    def reach(self) -> int:
        """Three convolutions before the blocks, at half of the frame rate."""
        return 2 * (3 + sum(self.dilations)) + 1

    @staticmethod
    def hertz(spectrogram: SpectrogramSettings) -> Tensor:
        """The bands of the spectrogram, then the bins of its finer look at pitch."""
        return torch.cat([spectrogram.centres(), pitch_hz()])

    def repaint(self, views: Tensor, stem: Tensor) -> Tensor:
        """Views ``[B, V, L]`` to spectrograms ``[B, F, L]`` of the one style that there is.

        A network that minimises a distance paints what is likely, and partials stand out less
        than they should: what stands out from its neighbours is raised again.
        """
        spectrogram = self(views)[0].squeeze(1)
        ground = functional.avg_pool2d(
            functional.pad(spectrogram, (0, 0, *[_NEIGHBOURS] * 2), mode="replicate"),
            (2 * _NEIGHBOURS + 1, 1),
            stride=1,
        )
        return torch.lerp(ground, spectrogram, _RELIEF)

    def forward(self, view: Tensor) -> tuple[Tensor, Tensor]:
        """Views ``[B, 580, L]`` to spectrograms ``[B, S, 256, L]`` of all styles.

        Also logits of what is heard ``[B, 4, 88, ceil(L / 2)]``: struck and held keys that sound,
        and those that begin.
        """
        frames = view.shape[-1]
        view = functional.pad(view, (0, frames % 2), mode="replicate")
        features = self.norm(self._look(view))
        heard = self.heard(features)
        features = torch.cat([features, heard.clamp(-6.0, 6.0) / 3], dim=1)
        return self._play(view[:, : self.bins], features)[..., :frames], heard

    def _look(self, view: Tensor) -> Tensor:
        """Views of an even number of frames to ``[B, channels, 88, L / 2]``."""
        short = self.mel_to_pitch @ view[:, : self.bins]
        long = view[:, self.bins :, ::2]
        x = torch.cat([short.unflatten(-1, (-1, 2)).permute(0, 3, 1, 2), long[:, None]], dim=1)
        x = normalised(x)
        below = functional.pad(x, (0, 0, 36, max(_PARTIALS) + _GRID - PITCH_BINS), value=-2.0)
        x = torch.cat([below[:, :, 36 + p : 36 + p + _GRID] for p in _PARTIALS], dim=1)
        x = functional.silu(self.enter(x))
        x = functional.silu(self.fine(x))
        x = self.to_keys(x)
        for block in self.blocks:
            x = block(x)
        return x

    def _play(self, source: Tensor, features: Tensor) -> Tensor:
        """Levels of every spectrum and of the source, summed as powers."""
        hands = self.hands(features).float()
        batch, _, keys, half = hands.shape
        hands = hands.view(batch, len(self.styles), self.spectra + 1, 2, keys, half)
        # Two frames of the spectrogram to one of the network.
        hands = hands.permute(0, 1, 2, 4, 5, 3).reshape(
            batch, len(self.styles), self.spectra + 1, keys, 2 * half
        )
        with torch.autocast(hands.device.type, enabled=False):
            stays = self.key_to_mel @ hands[:, :, self.spectra]
            loud = hands[:, :, : self.spectra].flatten(2, 3)
            spectra = self.log_spectra.transpose(1, 2).flatten(1, 2)
            return played(loud, spectra, source, stays)


def _lines(wanted: Tensor, given: Tensor) -> Tensor:
    """Weights ``[wanted, given]`` that read values at wanted frequencies off straight lines."""
    above = torch.searchsorted(given, wanted.contiguous()).clamp(1, len(given) - 1)
    low, high = given[above - 1], given[above]
    way = ((wanted - low) / (high - low)).clamp(0, 1)
    weights = torch.zeros(len(wanted), len(given), dtype=torch.float64)
    rows = torch.arange(len(wanted))
    weights[rows, above - 1] = 1 - way
    weights[rows, above] += way
    return weights.float()


def _combs(spectrogram: SpectrogramSettings, spectra: int) -> Tensor:
    """Where spectra start: log levels ``[88, spectra, bins]`` of harmonic tones, dull to bright."""
    length = 2 * spectrogram.n_fft
    time = torch.arange(length, dtype=torch.float64) / spectrogram.sample_rate
    generator = torch.Generator().manual_seed(0)
    found = torch.empty(KEYS, spectra, spectrogram.bins)
    for key in range(KEYS):
        hertz = float(pitch_hz()[BINS_PER_SEMITONE * key + 1])
        orders = torch.arange(1, min(60, int(spectrogram.f_max / hertz)) + 1, dtype=torch.float64)
        phases = torch.rand(len(orders), generator=generator, dtype=torch.float64)
        waves = torch.sin(2 * math.pi * (orders[:, None] * hertz * time + phases[:, None]))
        slopes = torch.linspace(0.3, 3.0, spectra, dtype=torch.float64)
        tones = (orders[None] ** -slopes[:, None]) @ waves
        shown = spectrogram(tones.float())[..., spectrogram.frames(length) // 2]
        found[key] = (shown - shown.amax(-1, keepdim=True)).clamp_min(-9.0)
    return found
