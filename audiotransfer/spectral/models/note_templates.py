"""Pitched stems: a network on a pitch axis predicts activations of each key's templates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiotransfer.spectral.models.base import normalised
from audiotransfer.spectral.models.templates import QUIET, TemplateModel, synthesise
from vocoder.mel import with_contrast
from vocoder.pitch import PitchSpectrogram, pitch_hz
from vocoder.pitch_layers import (
    KEYS,
    PARTIALS,
    ChannelNorm,
    KeyBlock,
    harmonic_tones,
    interpolation,
    key_hz,
    with_partials,
)
from vocoder.spectrogram import SpectrogramSettings


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
        self.register_buffer("mel_to_pitch", interpolation(pitches, centres), persistent=False)
        keys = key_hz()
        self.register_buffer("key_to_mel", interpolation(centres, keys), persistent=False)
        self.enter = nn.Conv2d(3 * len(PARTIALS), 24, 3, padding=1)
        self.fine = nn.Conv2d(24, 24, 3, padding=1)
        self.to_keys = nn.Conv2d(24, channels, 3, stride=(3, 1), padding=(0, 1))
        self.blocks = nn.ModuleList(KeyBlock(channels, d) for d in self.dilations)
        self.norm = ChannelNorm(channels)
        self.note_logits = nn.Conv2d(channels, 4, 1)
        self.activations = nn.Conv2d(channels + 4, 2 * len(self.styles) * (spectra + 1), 1)
        self.templates = nn.Parameter(torch.zeros(len(self.styles), KEYS, spectra, self.bins))

    def initialise(self) -> NoteTemplateModel:
        """Harmonic templates, dull to bright, at a low level; the source passes at 0 dB."""
        bias = torch.zeros(self.spectra + 1, 2)
        bias[: self.spectra] = QUIET
        shape = len(self.styles), self.spectra + 1, 2
        self._initialise(harmonic_tones(self.spectrogram, self.spectra), bias, shape)
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
        """Features ``[B, V, L]`` to spectrograms ``[B, F, L]`` of the only style."""
        return with_contrast(self(features)[0].squeeze(1), self.contrast)

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
        x = functional.silu(self.enter(with_partials(x, -2.0)))
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
