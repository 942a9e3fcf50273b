"""Mel filterbank (Slaney's scale and area normalisation) and its inverses.

For wide bands it equals librosa's `filters.mel(norm="slaney")`. librosa samples each triangle at
the bins, so a band narrower than the bin spacing can be empty or change level with its position
between two bins. Here the spectrum is interpolated linearly between bins and each triangle is
integrated over it: narrow bands interpolate, none is empty, and all have the same total weight.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

BREAK_HZ, HZ_PER_MEL = 1000.0, 200.0 / 3.0
LOG_STEP = math.log(6.4) / 27.0
# Integration points per bin: with 32 the error is below 1e-3 for the narrowest bands in use.
OVERSAMPLING = 32
_BANDS = 16
_BINS = 64  # that `Filters` multiplies at a time
RIDGE = 1e-3
REFINEMENTS = 6


def hz_to_mel(hz: Tensor) -> Tensor:
    """Hz to Slaney's mel: linear below 1 kHz, logarithmic above."""
    above = BREAK_HZ / HZ_PER_MEL + torch.log(hz.clamp(min=BREAK_HZ) / BREAK_HZ) / LOG_STEP
    return torch.where(hz < BREAK_HZ, hz / HZ_PER_MEL, above)


def mel_to_hz(mel: Tensor) -> Tensor:
    """The inverse of `hz_to_mel`."""
    knee = BREAK_HZ / HZ_PER_MEL
    above = BREAK_HZ * torch.exp(LOG_STEP * (mel.clamp(min=knee) - knee))
    return torch.where(mel < knee, mel * HZ_PER_MEL, above)


def band_edges(bins: int, f_min: float, f_max: float) -> Tensor:
    """The bins + 2 corner frequencies in Hz, float64.

    Band b rises from corner b to b + 1 and falls to b + 2.
    """
    low, high = hz_to_mel(torch.tensor([f_min, f_max], dtype=torch.float64)).tolist()
    return mel_to_hz(torch.linspace(low, high, bins + 2, dtype=torch.float64))


@lru_cache(maxsize=16)
def filterbank(
    sample_rate: int, n_fft: int, bins: int, f_min: float, f_max: float, device: torch.device
) -> Tensor:
    """Weights [n_fft // 2 + 1, bins]: magnitude spectrum @ weights = bands."""
    with torch.inference_mode(False):
        size = n_fft // 2 + 1
        spacing = sample_rate / n_fft
        edges = band_edges(bins, f_min, f_max)
        grid = torch.arange((size - 1) * OVERSAMPLING + 1, dtype=torch.float64) / OVERSAMPLING
        hz = (grid * spacing)[:, None]
        # A triangle's value at a grid point is split between the two nearest bins, by distance.
        left = torch.arange(len(grid)) // OVERSAMPLING
        share = (grid - left)[:, None]
        weights = torch.zeros(size + 1, bins, dtype=torch.float64)
        corners = (edges[:-2], edges[1:-1], edges[2:])
        # A few bands at a time: the grids of all bands would take a quarter of a gigabyte.
        for some, low, centre, high in zip(
            weights.split(_BANDS, 1), *(corner.split(_BANDS) for corner in corners), strict=True
        ):
            triangle = torch.minimum((hz - low) / (centre - low), (high - hz) / (high - centre))
            triangle.clamp_(min=0)
            some.index_add_(0, left, triangle * (1 - share))
            some.index_add_(0, left + 1, triangle * share)
        weights = weights[:size] / weights[:size].sum(0) / spacing
        return weights.float().to(device)


@lru_cache(maxsize=16)
def pseudo_inverse(
    sample_rate: int, n_fft: int, bins: int, f_min: float, f_max: float, device: torch.device
) -> Tensor:
    """Pseudo-inverse [bins, n_fft // 2 + 1] of `filterbank`.

    A small ridge damps it where low bands are finer than the bins.
    """
    with torch.inference_mode(False):
        cpu = torch.device("cpu")
        weights = filterbank(sample_rate, n_fft, bins, f_min, f_max, cpu).double()
        gram = weights.T @ weights
        ridge = RIDGE * gram.diagonal().mean() * torch.eye(bins, dtype=torch.float64)
        inverse: Tensor = torch.linalg.solve(gram + ridge, weights.T)
        return inverse.float().to(device)


class Filters:
    """Products with a filterbank's weights [F, bins], most of which are 0.

    Some bins at a time, with the bands that these are in: a sixth of the work.
    """

    def __init__(self, weights: Tensor, bins: int = _BINS) -> None:
        self.bands = weights.shape[1]
        self._parts: list[tuple[slice, slice, Tensor]] = []
        for first, part in zip(range(0, len(weights), bins), weights.split(bins), strict=True):
            used = part.any(0).nonzero().flatten()
            bands = slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 0)
            self._parts.append((slice(first, first + len(part)), bands, part[:, bands]))

    def of(self, magnitude: Tensor) -> Tensor:
        """Magnitudes [.., L, F] to bands [.., L, bins]: magnitude @ weights."""
        total = magnitude.new_zeros(*magnitude.shape[:-1], self.bands)
        for bins, bands, part in self._parts:
            total[..., bands] += magnitude[..., bins] @ part
        return total

    def back(self, bands: Tensor) -> Tensor:
        """Bands [.., L, bins] to bins [.., L, F]: bands @ weights.T."""
        return torch.cat([bands[..., some] @ part.T for _, some, part in self._parts], dim=-1)


def to_magnitude(
    bands: Tensor, weights: Tensor, back: Tensor, refinements: int = REFINEMENTS
) -> Tensor:
    """Non-negative magnitude spectrum [.., L, F] that has the given bands [.., L, bins].

    The pseudo-inverse `back` is applied and its negative parts are cut off; a few multiplicative
    updates of non-negative least squares (Lee and Seung 2001) then correct the bands.
    """
    tiny = 1e-12
    peak = bands.amax(-1, keepdim=True).clamp(min=tiny)
    filters = Filters(weights)
    target = filters.back(bands)
    magnitude = (
        (bands @ back).clamp_(min=0).add_(target, alpha=1e-4 / float(weights.square().sum()))
    )
    for _ in range(refinements):
        magnitude *= target / filters.back(filters.of(magnitude)).add_(tiny * peak)
    return magnitude


def with_contrast(levels: Tensor, factor: float, neighbours: int = 6) -> Tensor:
    """Log levels [.., F, L] whose differences from their neighbours' mean are ``factor`` times.

    A network that minimises a distance predicts a mean, in which partials stand out less than they
    should. ``neighbours``: bands on each side.
    """
    if factor == 1.0:
        return levels
    return torch.lerp(neighbours_mean(levels, neighbours), levels, factor)


def neighbours_mean(levels: Tensor, neighbours: int = 6) -> Tensor:
    """The mean of each band [.., F, L] and of those around it; the outermost count on."""
    flat = levels.reshape(-1, 1, *levels.shape[-2:])
    padded = functional.pad(flat, (0, 0, neighbours, neighbours), mode="replicate")
    return functional.avg_pool2d(padded, (2 * neighbours + 1, 1), stride=1).view(levels.shape)


def corrected(
    magnitude: Tensor, bands: Tensor, weights: Tensor, times: int, floor: float = 1e-12
) -> Tensor:
    """Magnitudes [.., L, F] whose bands come nearer to the given ones, [.., L, bins].

    Each time every bin is scaled by the mean of how far the bands that it is in are off. Bands
    below ``floor`` of their frame's greatest count as that.
    """
    filters, total = Filters(weights), weights.sum(1).clamp_min(1e-12)
    peak = bands.amax(-1, keepdim=True).clamp_min(1e-12)
    for _ in range(times):
        share = bands / filters.of(magnitude).clamp_min(floor * peak)
        magnitude = magnitude * (filters.back(share) / total)
    return magnitude


def least_squares(bands: Tensor, weights: Tensor, start: Tensor, iterations: int) -> Tensor:
    """Non-negative spectrum [.., L, F] whose bands are nearest to [.., L, bins] in least squares.

    Projected gradients with momentum (A. Beck and M. Teboulle, "A fast iterative
    shrinkage-thresholding algorithm for linear inverse problems", 2009) from `start`; all bands
    count alike, however wide they are.
    """
    scale = 1 / weights.norm(dim=0).clamp_min(1e-12)
    scaled, target = weights * scale, bands * scale
    filters = Filters(scaled)
    step = 1 / float(torch.linalg.matrix_norm(scaled, 2)) ** 2
    found = ahead = start
    factor = 1.0
    for _ in range(iterations):
        before = found
        found = (ahead - step * filters.back(filters.of(ahead) - target)).clamp_(min=0)
        after = (1 + math.sqrt(1 + 4 * factor**2)) / 2
        ahead = found + (factor - 1) / after * (found - before)
        factor = after
    return found
