"""A spectrogram with a finer look at pitch below it: what tells notes apart."""

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
class PitchView:
    """A mel spectrogram, and the same sound through a window four times as long on a pitch axis.

    Sound ``[.., C, T]`` to ``[.., spectrogram.bins + 324, L]``: first the spectrogram of all
    channels, then natural-log magnitudes in thirds of a semitone from 27.5 Hz on. The long window
    (8192 samples, every second frame, held for two) parts neighbouring notes down to about C3; the
    spectrogram's own knows when they begin.
    """

    spectrogram: SpectrogramSettings = field(default_factory=SpectrogramSettings)
    n_fft: int = 8192

    @property
    def bins(self) -> int:
        """Values a frame."""
        return self.spectrogram.bins + PITCH_BINS

    def __call__(self, audio: Tensor) -> Tensor:
        """The spectrogram and the pitches of a sound."""
        shown = self.spectrogram.stereo(audio)
        bands = pitch_bands(self.spectrogram.sample_rate, self.n_fft, audio.device)
        power = stft.mean_power(
            audio,
            self.n_fft,
            2 * self.spectrogram.hop_length,
            "reflect-centre",
            lambda power: (power + TINY) @ bands,
        )
        pitches = self.spectrogram.logarithm(power.sqrt()).transpose(-1, -2)
        pitches = pitches.repeat_interleave(2, dim=-1)[..., : shown.shape[-1]]
        return torch.cat([shown, pitches], dim=-2)


def pitch_hz(bins: int = PITCH_BINS) -> Tensor:
    """Centre of each pitch bin in Hz ``[bins]``, float64."""
    steps = torch.arange(bins, dtype=torch.float64) - BINS_PER_SEMITONE // 2
    return LOWEST_HZ * 2 ** (steps / (12 * BINS_PER_SEMITONE))


@lru_cache(maxsize=4)
def pitch_bands(sample_rate: int, n_fft: int, device: torch.device) -> Tensor:
    """Weights ``[n_fft // 2 + 1, 324]`` from STFT power to pitch bins: triangles that sum to one.

    They are as wide as their neighbours are far, but never narrower than the STFT's own bins.
    """
    with torch.inference_mode(False):
        hz = torch.arange(n_fft // 2 + 1, dtype=torch.float64) * sample_rate / n_fft
        centres = pitch_hz()
        width = (centres * (2 ** (1 / (12 * BINS_PER_SEMITONE)) - 1)).clamp_min(sample_rate / n_fft)
        weights = (1 - (hz[:, None] - centres[None]).abs() / width[None]).clamp_min(0)
        return (weights / weights.sum(0).clamp_min(1e-9)).float().to(device)
