"""Band levels of a mix, and stems by masks on its spectrum, a few frames at a time.

Whole spectra never exist: they take ten times the memory of the sound, and a few frames stay in a
core's cache.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from separation.embedded.bands import HOP_LENGTH, N_FFT, Bands

SCALE = N_FFT / 64
"""Spectra are divided by it: a full-scale sine has magnitude of about 16 whatever the window is."""
_FRAMES = 32  # worked on at a time on a CPU


class MidSide:
    """Mid and side of a stereo mix ``[2, T]`` as overlapping frames.

    They are centred, with silence around the mix: T // HOP_LENGTH + 1 frames.
    """

    def __init__(self, mix: Tensor) -> None:
        self.length = mix.shape[-1]
        self.count = self.length // HOP_LENGTH + 1
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
        """Masks ``[S, 2, F, L]`` of mid and side to stems ``[S, 2, T]``, left and right."""
        total = self.padded.new_zeros(len(masks), *self.padded.shape)
        weight = self.padded.new_zeros(1, self.padded.shape[-1])
        for frames, spectra in self._spectra():
            for stem, mask in zip(total, masks[..., frames], strict=True):
                gains = bands.expand(mask).transpose(-1, -2)
                pieces = torch.fft.irfft(gains * spectra, n=N_FFT)
                _overlap_add(stem, pieces.mul_(self.window), frames.start)
            count = frames.stop - frames.start
            _overlap_add(weight, self.window.square().expand(1, count, N_FFT), frames.start)
        half = N_FFT // 2
        inside = slice(half, half + self.length)
        mid, side = (total[..., inside] / weight[:, inside]).unbind(1)
        return torch.stack([mid + side, mid - side], dim=1)

    def _spectra(self) -> Iterator[tuple[slice, Tensor]]:
        """Which frames, and their complex spectra ``[2, l, bins]``."""
        step = _FRAMES if self.padded.device.type == "cpu" else self.count
        framed = self.padded.unfold(-1, N_FFT, HOP_LENGTH)
        for first in range(0, self.count, step):
            frames = slice(first, min(first + step, self.count))
            yield frames, torch.fft.rfft(framed[:, frames] * self.window)


def _overlap_add(total: Tensor, pieces: Tensor, first: int) -> None:
    """Adds frames ``[N, l, N_FFT]``, of which one is the ``first`` in all, to ``[N, T]``."""
    count = pieces.shape[1]
    # Slices one hop long never overlap: each is a single addition.
    for start in range(0, N_FFT, HOP_LENGTH):
        at = first * HOP_LENGTH + start
        place = total[:, at : at + count * HOP_LENGTH].unflatten(-1, (count, HOP_LENGTH))
        place += pieces[..., start : start + HOP_LENGTH]
