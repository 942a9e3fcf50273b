"""The separator's view of a spectrum: single bins below, triangular bands above."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

N_FFT = 4096
HOP_LENGTH = 1024
SAMPLE_RATE = 44100


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
    # Bins between two centres belong to both, in proportion to their nearness.
    upper = torch.bucketize(positions[single_bins:], centres).clamp(1, wide_bands)
    lower_centre, upper_centre = centres[upper - 1], centres[upper]
    share = ((positions[single_bins:] - lower_centre) / (upper_centre - lower_centre)).clamp(0, 1)
    columns = torch.arange(single_bins, bins)
    matrix[first + upper, columns] += share
    matrix[first + upper - 1, columns] += 1 - share
    return matrix


class Bands(nn.Module):
    """Between bins and bands.

    ``energy``: energies of bins ``[..., bins, L]`` summed into bands ``[..., bands, L]``;
    ``reduce``: magnitudes to the root mean square in each band; ``expand``: masks of bands back
    to bins by interpolation.
    """

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
        """Sum over each band's bins, by how much of a bin belongs to it."""
        return torch.cat([bins[..., : self.single, :], self.wide @ bins[..., self.single :, :]], -2)

    def reduce(self, magnitude: Tensor) -> Tensor:
        """Level in each band."""
        return (self.energy(magnitude.square()) / self.widths).clamp_min(1e-12).sqrt()

    def expand(self, masks: Tensor) -> Tensor:
        """Masks for each bin."""
        rest = self.wide.T @ masks[..., self.single :, :]
        return torch.cat([masks[..., : self.single, :], rest], -2)
