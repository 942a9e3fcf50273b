"""The baseline without training: steady against sudden, low against high, centre against sides."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from separation.base import check_mix, complete
from separation.spectrum import HOP_LENGTH, N_FFT, sound, spectrum

FRAMES = 31
"""Length of the median across time (frames) and across frequency (bins)."""


class HpssSeparator:
    """Rules of thumb for the four usual stems.

    Drums are what stands out as vertical lines of the spectrogram (percussive part), bass is the
    steady part below 160 Hz, vocals are what the channels share of the steady part above 200 Hz,
    and `other` is the rest. A mono mix is all centre: its steady part goes to the vocals.

    Harmonic and percussive parts by median filters with squared soft masks: FitzGerald,
    "Harmonic/percussive separation using median filtering" (DAFx 2010).
    """

    stems: tuple[str, ...] = ("drums", "bass", "other", "vocals")
    sample_rate = 44100
    context = (FRAMES // 2) * HOP_LENGTH + N_FFT
    """A sample hears the frames within half a window, each of them its median's neighbours."""
    grid = HOP_LENGTH

    def __init__(self, device: str = "cpu") -> None:
        self.device = device

    def __call__(self, mix: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """`[C, T]` to the four stems; draws no random numbers."""
        check_mix(mix)
        length = mix.shape[-1]
        if length == 0:
            return {name: mix.clone() for name in self.stems}
        bins = spectrum(mix.detach().to(self.device))
        percussive = percussive_mask(bins.abs().square().mean(0).sqrt())
        steady = bins * (1 - percussive)
        frequencies = torch.linspace(0, self.sample_rate / 2, bins.shape[1], device=bins.device)
        low = 1 - _ramp(frequencies, 140, 180)
        high = _ramp(frequencies, 180, 220)
        claimed = {
            "drums": bins * percussive,
            "bass": steady * low,
            "vocals": (centre(steady) * high).expand_as(bins),
        }
        sounds = {name: sound(part, length).to(mix) for name, part in claimed.items()}
        whole = complete(mix.detach(), sounds)
        return {name: whole[name] for name in self.stems}


def percussive_mask(magnitude: Tensor) -> Tensor:
    """Magnitudes `[F, L]` to the share (0 to 1) of each bin that belongs to sudden sounds."""
    across_time = _running_median(magnitude).square()
    across_frequency = _running_median(magnitude.T).T.square()
    return across_frequency / (across_time + across_frequency).clamp_min(1e-20)


def centre(bins: Tensor) -> Tensor:
    """What all channels share: complex `[C, F, L]` to `[1, F, L]`.

    A bin counts by the share of its energy that is in the mean of the channels, from 0 (in one
    channel only, or out of phase) to 1 (equal in all).
    """
    channels = bins.shape[0]
    mean = bins.mean(0, keepdim=True)
    if channels == 1:
        return mean
    energy = bins.abs().square().mean(0, keepdim=True).clamp_min(1e-20)
    shared = (channels * mean.abs().square() / energy - 1) / (channels - 1)
    return mean * shared.clamp(0, 1).square()


def _ramp(frequencies: Tensor, start: float, stop: float) -> Tensor:
    """0 below `start`, 1 above `stop` (Hz), half a cosine between: `[F, 1]` for masks."""
    share = ((frequencies - start) / (stop - start)).clamp(0, 1)
    return (0.5 - 0.5 * torch.cos(math.pi * share))[:, None]


def _running_median(rows: Tensor) -> Tensor:
    """Median of `FRAMES` neighbours along the last axis, the ends held: `[N, M]` to `[N, M]`."""
    half = FRAMES // 2
    padded = functional.pad(rows[None], (half, half), mode="replicate")[0]
    # A few rows at a time: the windows of all rows together would take FRAMES times the memory.
    pieces = [piece.unfold(1, FRAMES, 1).median(-1).values for piece in padded.split(128)]
    return torch.cat(pieces)
