"""A look-ahead limiter for true peaks."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from audiotransfer.audio import true_peak

_ATTACK = 0.0025  # seconds on each side of a peak in which the gain falls and is held
_MARGIN = 0.98  # of the ceiling, for limited peaks: a varying gain adds ripple
_TOLERANCE = 1 + 1e-5  # rounding errors are not limited
_HOP = 1 << 15


class Limiter:
    """Keeps true peaks at or below a ceiling (linear); below it samples are unchanged.

    All channels have one gain: it falls smoothly (Hann, 5 ms around a peak) and recovers by
    `release` dB per second. The limiter works in hops of fixed size, so that blocks of any size
    give the same samples.

    Each hop looks two radii ahead: the wanted gain is known 2 radii after the samples that are
    returned, the gain with hold and recovery 1 radius after them.
    """

    def __init__(self, sample_rate: int, ceiling: float, release: float = 30.0) -> None:
        self._ceiling = ceiling
        self._radius = max(true_peak.REACH, round(_ATTACK * sample_rate))
        window = np.hanning(2 * self._radius + 3)[1:-1]
        self._window = window / window.sum()
        self._recovery = release / 20 * math.log(10) / sample_rate * np.arange(_HOP + 1)  # nepers
        self._input: np.ndarray | None = None  # [C, …] from the first sample not yet returned
        self._wanted = np.ones(2 * self._radius)
        self._held = np.ones(2 * self._radius)
        # The stream is preceded by silence, into which its first samples are interpolated.
        self._skip = 2 * self._radius + true_peak.REACH
        self._due = 0

    def push(self, block: Tensor, last: bool = False) -> Tensor:
        """Take a block [C, t] and return finished samples [C, u].

        In total as many samples are returned as were taken; `last` ends the stream.
        """
        samples = block.detach().cpu().float().numpy()
        if self._input is None:
            self._input = np.zeros((samples.shape[0], self._skip), dtype=np.float32)
        self._due += samples.shape[1]
        reach = _HOP + 2 * self._radius + true_peak.REACH
        parts = [self._input, samples]
        if last:
            parts.append(np.zeros((samples.shape[0], reach), dtype=np.float32))
        joined = np.concatenate(parts, axis=1)
        hops = max(0, (joined.shape[1] - reach) // _HOP + 1)
        finished = [self._hop(joined[:, n * _HOP : n * _HOP + reach]) for n in range(hops)]
        self._input = joined[:, hops * _HOP :]
        out = np.concatenate([samples[:, :0], *finished], axis=1)
        skipped = min(self._skip, out.shape[1])
        out = out[:, skipped : skipped + self._due]
        self._skip -= skipped
        self._due -= out.shape[1]
        return torch.from_numpy(np.ascontiguousarray(out))

    def _hop(self, samples: np.ndarray) -> np.ndarray:
        """Limit the first _HOP of samples [C, _HOP + 2 radii + REACH]."""
        radius = self._radius
        reached = true_peak.envelope(samples[:, 2 * radius - true_peak.REACH + 1 :], self._ceiling)
        over = reached > self._ceiling * _TOLERANCE
        out = samples[:, :_HOP]
        if not over.any() and self._wanted.min() == 1 and self._held.min() == 1:
            return out
        from scipy.ndimage import minimum_filter1d  # slow to import, and few hops need it

        wanted = np.ones(2 * radius + _HOP)
        wanted[: 2 * radius] = self._wanted
        wanted[2 * radius :][over] = self._ceiling * _MARGIN / reached[over]
        lowest = minimum_filter1d(wanted, 2 * radius + 1)[radius:-radius]
        falling = np.log(np.append(self._held[-1], lowest)) - self._recovery
        recovered = np.exp(np.minimum.accumulate(falling) + self._recovery)[1:]
        held = np.append(self._held, recovered)
        self._wanted, self._held = wanted[_HOP:], held[_HOP:]
        return (out * np.convolve(held, self._window, "valid")).astype(np.float32)
