"""Pitched stems: a network on a pitch axis predicts activations of each key's templates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiotransfer.spectral.models.base import normalised
from audiotransfer.spectral.models.templates import QUIET, ChannelNorm, TemplateModel, synthesise
from vocoder.pitch import BINS_PER_SEMITONE, PITCH_BINS, PitchSpectrogram, pitch_hz
from vocoder.spectrogram import SpectrogramSettings

KEYS = 88
_GRID = BINS_PER_SEMITONE * KEYS
#: Partials 1/2, 1 to 6 and 8 of a note, in thirds of a semitone above its fundamental.
_PARTIALS = (-36, 0, 36, 57, 72, 84, 93, 108)
#: Bands on each side whose mean a band is compared with.
_NEIGHBOURS = 6


class NoteTemplateModel(TemplateModel):
    """Features of a pitched stem (`PitchSpectrogram`) to spectrograms in every style's instruments.

    Convolutions on the pitch axis see each note with its partials stacked as channels, so every key
    shares their weights. They give, for each key, logits of the notes that sound, the activations
    of a few templates per style, and a gain of the source. The output is the sum of templates and
    source as powers: where the network is in doubt partials get quieter, but stay sharp.

    Args:
        styles: names of the target styles, each with its own templates.
        channels: width.
        spectra: templates per key and style: attacks, sustains, struck and held instruments.
        dilations: of the residual blocks.
        spectrogram: its settings.
        contrast: factor by which predicted bands differ more from their neighbours' mean. In
            validation songs of the first styles 1.3 raises contrast from 0.71 to 0.91 of the true
            renderings', and distance by 3 %.
    """

    mel_to_pitch: Tensor
    key_to_mel: Tensor
    kind = "note-templates"
    learns_keys = True

    def __init__(
        self,
        styles: Sequence[str],
        channels: int = 48,
        spectra: int = 6,
        dilations: Sequence[int] = (1, 2, 4, 8, 1, 2),
        spectrogram: SpectrogramSettings | None = None,
        contrast: float = 1.3,
    ) -> None:
        super().__init__()
        self.styles, self.channels, self.spectra = tuple(styles), channels, spectra
        self.contrast = contrast
        self.dilations = tuple(dilations)
        self.spectrogram = spectrogram or SpectrogramSettings()
        self.bins = self.spectrogram.bins
        centres = self.spectrogram.centres()
        pitches = pitch_hz()
        self.register_buffer("mel_to_pitch", _interpolation(pitches, centres), persistent=False)
        keys = pitches[1:_GRID:BINS_PER_SEMITONE].contiguous()
        self.register_buffer("key_to_mel", _interpolation(centres, keys), persistent=False)
        self.enter = nn.Conv2d(3 * len(_PARTIALS), 24, 3, padding=1)
        self.fine = nn.Conv2d(24, 24, 3, padding=1)
        self.to_keys = nn.Conv2d(24, channels, 3, stride=(3, 1), padding=(0, 1))
        self.blocks = nn.ModuleList(_Block(channels, d) for d in self.dilations)
        self.norm = ChannelNorm(channels)
        self.note_logits = nn.Conv2d(channels, 4, 1)
        self.activations = nn.Conv2d(channels + 4, 2 * len(self.styles) * (spectra + 1), 1)
        self.templates = nn.Parameter(torch.zeros(len(self.styles), KEYS, spectra, self.bins))

    def initialise(self) -> NoteTemplateModel:
        """Harmonic templates, dull to bright, at a low level; the source passes at 0 dB."""
        bias = torch.zeros(self.spectra + 1, 2)
        bias[: self.spectra] = QUIET
        shape = len(self.styles), self.spectra + 1, 2
        self._initialise(_harmonic_tones(self.spectrogram, self.spectra), bias, shape)
        return self

    def shape(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON takes them."""
        return {
            "styles": list(self.styles),
            "channels": self.channels,
            "spectra": self.spectra,
            "dilations": list(self.dilations),
            "contrast": self.contrast,
        }

    @staticmethod
    def features(sound: Tensor, spectrogram: SpectrogramSettings) -> Tensor:
        """A `PitchSpectrogram` ``[V, L]`` of sound ``[C, T]``: spectrogram, then pitch axis."""
        return PitchSpectrogram(spectrogram)(sound)

    @staticmethod
    def feature_reach(spectrogram: SpectrogramSettings) -> int:
        """Half of the pitch axis's window, in samples."""
        return PitchSpectrogram(spectrogram).n_fft // 2

    @property
    def reach(self) -> int:
        """Three convolutions and the blocks' dilations, at half of the frame rate."""
        return 2 * (3 + sum(self.dilations)) + 1

    @staticmethod
    def frequencies(spectrogram: SpectrogramSettings) -> Tensor:
        """The centres of the spectrogram's bands, then of the pitch axis's bins, in Hz."""
        return torch.cat([spectrogram.centres(), pitch_hz()])

    def predict(self, features: Tensor, stem: Tensor) -> Tensor:
        """Features ``[B, V, L]`` to spectrograms ``[B, F, L]`` of the only style.

        A network that minimises a distance predicts a mean, in which partials stand out less than
        they should: each band's difference from its neighbours' mean is raised.
        """
        spectrogram = self(features)[0].squeeze(1)
        mean = functional.avg_pool2d(
            functional.pad(spectrogram, (0, 0, *[_NEIGHBOURS] * 2), mode="replicate"),
            (2 * _NEIGHBOURS + 1, 1),
            stride=1,
        )
        return torch.lerp(mean, spectrogram, self.contrast)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features ``[B, 580, L]`` to spectrograms ``[B, S, 256, L]`` of all styles and note logits
        ``[B, 4, 88, ceil(L / 2)]``: struck and held keys that sound, and those that begin.
        """
        activations, passthrough, note_logits = self._predict_parts(features)
        source = features[:, : self.bins]
        with torch.autocast(source.device.type, enabled=False):
            return synthesise(activations, self.flat_templates(), source, passthrough), note_logits

    def parts(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Activations ``[B, S, spectra * 88, L]`` and gains of the source ``[B, S, F, L]``."""
        return self._predict_parts(features)[:2]

    def flat_templates(self) -> Tensor:
        """The templates as ``[S, spectra * 88, F]``."""
        return self.templates.transpose(1, 2).flatten(1, 2)

    def _predict_parts(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`parts`, and note logits ``[B, 4, 88, ceil(L / 2)]``."""
        frames = features.shape[-1]
        features = functional.pad(features, (0, frames % 2), mode="replicate")
        x = self.norm(self._encode(features))
        note_logits = self.note_logits(x)
        x = torch.cat([x, note_logits.clamp(-6.0, 6.0) / 3], dim=1)
        activations, passthrough = self._decode(x)
        return activations[..., :frames], passthrough[..., :frames], note_logits

    def _encode(self, features: Tensor) -> Tensor:
        """Features of an even number of frames to ``[B, channels, 88, L / 2]``."""
        short = self.mel_to_pitch @ features[:, : self.bins]
        long = features[:, self.bins :, ::2]
        x = torch.cat([short.unflatten(-1, (-1, 2)).permute(0, 3, 1, 2), long[:, None]], dim=1)
        x = normalised(x)
        x = functional.pad(x, (0, 0, 36, max(_PARTIALS) + _GRID - PITCH_BINS), value=-2.0)
        x = torch.cat([x[:, :, 36 + p : 36 + p + _GRID] for p in _PARTIALS], dim=1)
        x = functional.silu(self.enter(x))
        x = functional.silu(self.fine(x))
        keys: Tensor = self.to_keys(x)
        for block in self.blocks:
            keys = block(keys)
        return keys

    def _decode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Encoded keys to activations ``[B, S, spectra * 88, L]`` and gains ``[B, S, F, L]``."""
        output = self.activations(x).float()
        batch, _, keys, half = output.shape
        output = output.view(batch, len(self.styles), self.spectra + 1, 2, keys, half)
        # Two frames of the spectrogram to one of the network.
        output = output.permute(0, 1, 2, 4, 5, 3).reshape(
            batch, len(self.styles), self.spectra + 1, keys, 2 * half
        )
        with torch.autocast(output.device.type, enabled=False):
            passthrough = self.key_to_mel @ output[:, :, self.spectra]
            return output[:, :, : self.spectra].flatten(2, 3), passthrough


class _Block(nn.Module):
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


def _interpolation(wanted: Tensor, given: Tensor) -> Tensor:
    """Weights ``[wanted, given]`` of linear interpolation from given to wanted frequencies."""
    above = torch.searchsorted(given, wanted.contiguous()).clamp(1, len(given) - 1)
    low, high = given[above - 1], given[above]
    share = ((wanted - low) / (high - low)).clamp(0, 1)
    weights = torch.zeros(len(wanted), len(given), dtype=torch.float64)
    rows = torch.arange(len(wanted))
    weights[rows, above - 1] = 1 - share
    weights[rows, above] += share
    return weights.float()


def _harmonic_tones(spectrogram: SpectrogramSettings, count: int) -> Tensor:
    """Log spectra ``[88, count, bins]`` of each key's harmonic tones, dull to bright."""
    length = 2 * spectrogram.n_fft
    time = torch.arange(length, dtype=torch.float64) / spectrogram.sample_rate
    generator = torch.Generator().manual_seed(0)
    found = torch.empty(KEYS, count, spectrogram.bins)
    for key in range(KEYS):
        hertz = float(pitch_hz()[BINS_PER_SEMITONE * key + 1])
        orders = torch.arange(1, min(60, int(spectrogram.f_max / hertz)) + 1, dtype=torch.float64)
        phases = torch.rand(len(orders), generator=generator, dtype=torch.float64)
        waves = torch.sin(2 * math.pi * (orders[:, None] * hertz * time + phases[:, None]))
        slopes = torch.linspace(0.3, 3.0, count, dtype=torch.float64)
        tones = (orders[None] ** -slopes[:, None]) @ waves
        levels = spectrogram(tones.float())[..., spectrogram.frames(length) // 2]
        found[key] = (levels - levels.amax(-1, keepdim=True)).clamp_min(-9.0)
    return found
