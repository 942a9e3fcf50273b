"""A mel spectrogram stacked with one of finer pitch resolution."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor

from vocoder import stft
from vocoder.spectrogram import TINY, SpectrogramSettings

LOWEST_HZ = 27.5  # A0, the lowest key of a piano
BINS_PER_SEMITONE = 3
SEMITONES = 108  # up to 13 kHz: the keys of a piano and the partials above them
PITCH_BINS = BINS_PER_SEMITONE * SEMITONES


@dataclass(frozen=True)
class PitchSpectrogram:
    """A mel spectrogram stacked on a spectrogram of the same sound with a logarithmic pitch axis.

    Sound ``[.., C, T]`` to ``[.., spectrogram.bins + 324, L]``: the mel spectrogram of all
    channels, then natural-log magnitudes in thirds of a semitone from 27.5 Hz on. The pitch part
    has a window of 8192 samples (four times as long; every second frame, repeated), which separates
    neighbouring notes down to about C3; the mel part resolves their onsets.
    """

    spectrogram: SpectrogramSettings = field(default_factory=SpectrogramSettings)
    n_fft: int = 8192

    @property
    def bins(self) -> int:
        """Values per frame."""
        return self.spectrogram.bins + PITCH_BINS

    def __call__(self, audio: Tensor) -> Tensor:
        """Both spectrograms of a sound, stacked along the bins."""
        mel = self.spectrogram.stereo(audio)
        pitches = pitch_levels(audio, self.n_fft, 2 * self.spectrogram.hop_length, self.spectrogram)
        pitches = pitches.repeat_interleave(2, dim=-1)[..., : mel.shape[-1]]
        return torch.cat([mel, pitches], dim=-2)


def pitch_levels(
    audio: Tensor, n_fft: int, hop_length: int, spectrogram: SpectrogramSettings
) -> Tensor:
    """Log magnitudes on the pitch axis, of all channels: ``[.., C, T]`` to ``[.., 324, L]``.

    Sample rate and floor are those of the spectrogram.
    """
    bands = pitch_bands(spectrogram.sample_rate, n_fft, audio.device)
    power = stft.mean_power(
        audio, n_fft, hop_length, "reflect-centre", lambda power: (power + TINY) @ bands
    )
    return spectrogram.logarithm(power.sqrt()).transpose(-1, -2)


def pitch_hz(bins: int = PITCH_BINS) -> Tensor:
    """Centre frequency of each pitch bin in Hz ``[bins]``, float64."""
    steps = torch.arange(bins, dtype=torch.float64) - BINS_PER_SEMITONE // 2
    return LOWEST_HZ * 2 ** (steps / (12 * BINS_PER_SEMITONE))


@lru_cache(maxsize=4)
def pitch_bands(sample_rate: int, n_fft: int, device: torch.device) -> Tensor:
    """Weights ``[n_fft // 2 + 1, 324]`` from STFT power to pitch bins: triangles that sum to one.

    Their width is the distance of neighbouring bins, but at least that of the STFT's own bins.
    """
    with torch.inference_mode(False):
        hz = torch.arange(n_fft // 2 + 1, dtype=torch.float64) * sample_rate / n_fft
        centres = pitch_hz()
        width = (centres * (2 ** (1 / (12 * BINS_PER_SEMITONE)) - 1)).clamp_min(sample_rate / n_fft)
        weights = (1 - (hz[:, None] - centres[None]).abs() / width[None]).clamp_min(0)
        return (weights / weights.sum(0).clamp_min(1e-9)).float().to(device)
