"""Frequency bands of a mix's spectrum, and stems by masks on them, a few frames at a time.

Whole spectra are never held: they take ten times the memory of the sound, and a few frames stay in
a core's cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from separation.stft import HOP_LENGTH, N_FFT, frame_count

SCALE = N_FFT / 64
"""Divisor of spectra: a full-scale sine has a magnitude of about 16 whatever the window is."""
_FRAMES = 32  # transformed at a time on a CPU


def band_matrix(n_fft: int, single_bins: int, wide_bands: int) -> Tensor:
    """Weights ``[single_bins + wide_bands, n_fft // 2 + 1]`` that sum to 1 over each bin's bands.

    The first ``single_bins`` bins are bands of their own, because basses and kicks lie only a
    few bins apart; above, band centres grow geometrically up to the Nyquist frequency.
    """
    bins = n_fft // 2 + 1
    first = single_bins - 1
    steps = torch.linspace(0.0, 1.0, wide_bands + 1)
    ratio = (bins - 1) / first
    centres = first * torch.exp(steps * math.log(ratio))
    positions = torch.arange(bins, dtype=torch.float32)
    matrix = torch.zeros(single_bins + wide_bands, bins)
    matrix[:single_bins, :single_bins] = torch.eye(single_bins)
    # A bin between two centres belongs to both bands, in proportion to its distance from each.
    upper = torch.bucketize(positions[single_bins:], centres).clamp(1, wide_bands)
    lower_centre, upper_centre = centres[upper - 1], centres[upper]
    share = ((positions[single_bins:] - lower_centre) / (upper_centre - lower_centre)).clamp(0, 1)
    columns = torch.arange(single_bins, bins)
    matrix[first + upper, columns] += share
    matrix[first + upper - 1, columns] += 1 - share
    return matrix


class Bands(nn.Module):
    """Conversion between the bins of a spectrum and its bands (see `band_matrix`)."""

    wide: Tensor
    widths: Tensor

    def __init__(self, single_bins: int = 256, wide_bands: int = 128, n_fft: int = N_FFT) -> None:
        super().__init__()
        matrix = band_matrix(n_fft, single_bins, wide_bands)
        self.count = single_bins + wide_bands
        # All but the last of the single bins are bands by themselves and need no arithmetic.
        self.single = single_bins - 1
        wide = matrix[self.single :, self.single :]
        self.register_buffer("wide", wide.contiguous(), persistent=False)
        self.register_buffer("widths", matrix.sum(1)[:, None], persistent=False)

    def energy(self, bins: Tensor) -> Tensor:
        """Weighted sum over each band's bins: ``[..., bins, L]`` to ``[..., bands, L]``."""
        return torch.cat([bins[..., : self.single, :], self.wide @ bins[..., self.single :, :]], -2)

    def reduce(self, magnitude: Tensor) -> Tensor:
        """RMS of magnitudes in each band: ``[..., bins, L]`` to ``[..., bands, L]``."""
        return (self.energy(magnitude.square()) / self.widths).clamp_min(1e-12).sqrt()

    def expand(self, masks: Tensor) -> Tensor:
        """Masks of bands ``[..., bands, L]`` interpolated to bins ``[..., bins, L]``."""
        rest = self.wide.T @ masks[..., self.single :, :]
        return torch.cat([masks[..., : self.single, :], rest], -2)


class MidSide:
    """Mid and side of a stereo mix ``[2, T]`` as overlapping frames, centred as in `stft`."""

    def __init__(self, mix: Tensor) -> None:
        self.length = mix.shape[-1]
        self.count = frame_count(self.length)
        left, right = mix
        half = N_FFT // 2
        self.padded = functional.pad(torch.stack([left + right, left - right]) / 2, (half, half))
        self.window = torch.hann_window(N_FFT, device=mix.device)

    def levels(self, bands: Bands) -> Tensor:
        """Root mean square in each band ``[2, F, L]``."""
        parts = [
            bands.reduce(spectra.abs().div_(SCALE).transpose(-1, -2))
            for _, spectra in self._spectra()
        ]
        return torch.cat(parts, dim=-1)

    def masked(self, masks: Tensor, bands: Bands) -> Tensor:
        """Stems ``[S, 2, T]``, left and right, by masks ``[S, 2, F, L]`` of mid and side."""
        total = self.padded.new_zeros(len(masks), *self.padded.shape)
        weight = self.padded.new_zeros(1, self.padded.shape[-1])
        for frames, spectra in self._spectra():
            for stem, mask in zip(total, masks[..., frames], strict=True):
                gains = bands.expand(mask).transpose(-1, -2)
                segments = torch.fft.irfft(gains * spectra, n=N_FFT)
                _overlap_add(stem, segments.mul_(self.window), frames.start)
            count = frames.stop - frames.start
            _overlap_add(weight, self.window.square().expand(1, count, N_FFT), frames.start)
        half = N_FFT // 2
        inside = slice(half, half + self.length)
        mid, side = (total[..., inside] / weight[:, inside]).unbind(1)
        return torch.stack([mid + side, mid - side], dim=1)

    def _spectra(self) -> Iterator[tuple[slice, Tensor]]:
        """Consecutive ranges of frames, and their complex spectra ``[2, l, bins]``."""
        step = _FRAMES if self.padded.device.type == "cpu" else self.count
        framed = self.padded.unfold(-1, N_FFT, HOP_LENGTH)
        for first in range(0, self.count, step):
            frames = slice(first, min(first + step, self.count))
            yield frames, torch.fft.rfft(framed[:, frames] * self.window)


def _overlap_add(total: Tensor, segments: Tensor, first: int) -> None:
    """Add frames ``[N, l, N_FFT]``, of which one is the ``first`` in all, to ``[N, T]``."""
    count = segments.shape[1]
    # Slices one hop long never overlap: each is a single addition.
    for start in range(0, N_FFT, HOP_LENGTH):
        at = first * HOP_LENGTH + start
        place = total[:, at : at + count * HOP_LENGTH].unflatten(-1, (count, HOP_LENGTH))
        place += segments[..., start : start + HOP_LENGTH]
