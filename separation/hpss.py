"""Four stems by signal processing alone: harmonic/percussive, low/high and centre/side splits."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from separation.base import check_mix, complete
from separation.stft import HOP_LENGTH, N_FFT, istft, stft

FRAMES = 31
"""Length of the median across time (frames) and across frequency (bins)."""


class HpssSeparator:
    """Separation by rules, without training.

    Drums are the percussive part (vertical lines of the spectrogram), bass is the harmonic part
    below 160 Hz, vocals are what the channels share of the harmonic part above 200 Hz, and `other`
    is the rest. The harmonic part of a mono mix above 200 Hz goes to the vocals.

    Harmonic and percussive parts by median filters with squared soft masks: FitzGerald,
    "Harmonic/percussive separation using median filtering" (DAFx 2010).
    """

    stems: tuple[str, ...] = ("drums", "bass", "other", "vocals")
    sample_rate = 44100
    context = (FRAMES // 2) * HOP_LENGTH + N_FFT
    """A sample depends on frames within half a window, and those on their median's neighbours."""
    grid = HOP_LENGTH

    def __init__(self, device: str = "cpu") -> None:
        self.device = device

    def __call__(self, mix: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Mix `[C, T]` to the four stems; uses no random numbers."""
        check_mix(mix)
        length = mix.shape[-1]
        if length == 0:
            return {name: mix.clone() for name in self.stems}
        spectrum = stft(mix.detach().to(self.device))
        percussive = percussive_mask(spectrum.abs().square().mean(0).sqrt())
        harmonic = spectrum * (1 - percussive)
        frequencies = torch.linspace(
            0, self.sample_rate / 2, spectrum.shape[1], device=spectrum.device
        )
        low = 1 - _ramp(frequencies, 140, 180)
        high = _ramp(frequencies, 180, 220)
        spectra = {
            "drums": spectrum * percussive,
            "bass": harmonic * low,
            "vocals": (centre(harmonic) * high).expand_as(spectrum),
        }
        claimed = {name: istft(part, length).to(mix) for name, part in spectra.items()}
        stems = complete(mix.detach(), claimed)
        return {name: stems[name] for name in self.stems}


def percussive_mask(magnitude: Tensor) -> Tensor:
    """Share (0 to 1) of each bin that is percussive, `[F, L]`, from magnitudes `[F, L]`."""
    across_time = _running_median(magnitude).square()
    across_frequency = _running_median(magnitude.T).T.square()
    return across_frequency / (across_time + across_frequency).clamp_min(1e-20)


def centre(bins: Tensor) -> Tensor:
    """The part common to all channels, `[1, F, L]`, of a complex spectrum `[C, F, L]`.

    A bin is weighted by the share of its energy that lies in the mean of the channels, from 0 (in
    one channel only, or out of phase) to 1 (equal in all).
    """
    channels = bins.shape[0]
    mean = bins.mean(0, keepdim=True)
    if channels == 1:
        return mean
    energy = bins.abs().square().mean(0, keepdim=True).clamp_min(1e-20)
    shared = (channels * mean.abs().square() / energy - 1) / (channels - 1)
    return mean * shared.clamp(0, 1).square()


def _ramp(frequencies: Tensor, start: float, stop: float) -> Tensor:
    """0 below `start`, 1 above `stop` (Hz), half a cosine between: a mask `[F, 1]`."""
    share = ((frequencies - start) / (stop - start)).clamp(0, 1)
    return (0.5 - 0.5 * torch.cos(math.pi * share))[:, None]


def _running_median(rows: Tensor) -> Tensor:
    """Median of `FRAMES` neighbours along the last axis, edges repeated: `[N, M]` to `[N, M]`."""
    half = FRAMES // 2
    padded = functional.pad(rows[None], (half, half), mode="replicate")[0]
    # A few rows at a time: unfolding all rows would take FRAMES times the memory.
    pieces = [piece.unfold(1, FRAMES, 1).median(-1).values for piece in padded.split(128)]
    return torch.cat(pieces)
