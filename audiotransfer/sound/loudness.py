"""Integrated loudness in LUFS (ITU-R BS.1770-4), in a stream."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

_HOP = 0.1  # seconds: gating blocks are four hops long and overlap by three
_ABSOLUTE_GATE = -70.0  # LUFS
_RELATIVE_GATE = -10.0  # LU
_OFFSET = -0.691  # LU


class LoudnessMeter:
    """Measures integrated loudness.

    Channels count as L, R, C, Ls, Rs, with six and more as L, R, C, LFE and surround.
    """

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._rate = sample_rate
        self._sos = _k_weighting(sample_rate)
        self._state = np.zeros((2, channels, 2))
        self._weights = np.array(_weights(channels))
        self._hops: list[float] = []  # weighted energy of the hops that are complete
        self._open = 0.0  # and of the one that is not
        self._count = 0

    def push(self, block: Tensor) -> None:
        """Take the next samples [C, t]."""
        count = block.shape[1]
        if count == 0:
            return
        from scipy.signal import sosfilt  # slow to load, and MIDI has no loudness

        weighted, self._state = sosfilt(
            self._sos, block.detach().cpu().double().numpy(), zi=self._state
        )
        energy = self._weights @ np.square(weighted, out=weighted)
        begin, first = self._count, len(self._hops)
        self._count += count
        bounds: list[int] = []
        while (bound := self._bound(first + len(bounds) + 1)) <= self._count:
            bounds.append(bound - begin)
        sums = [float(part.sum()) for part in np.split(energy, bounds)]
        sums[0] += self._open
        *done, self._open = sums
        self._hops += done

    def integrated(self) -> float:
        """Loudness of all that was pushed, LUFS; -inf for silence.

        Under 0.4 s, where there is no gating block, the loudness of what there is.
        """
        hops = list(self._hops)
        rest = self._count - self._bound(len(hops))
        if self._count < 4 * _HOP * self._rate:
            return _lufs((sum(hops) + self._open) / max(1, self._count))
        if rest > _HOP * self._rate / 2:  # pyloudnorm rounds the number of blocks, so do we
            hops.append(self._open)
        blocks = np.convolve(hops, np.ones(4), "valid") / (4 * _HOP * self._rate)
        blocks = blocks[blocks > _energy(_ABSOLUTE_GATE)]
        if len(blocks):
            blocks = blocks[blocks > blocks.mean() * 10 ** (_RELATIVE_GATE / 10)]
        return _lufs(float(blocks.mean()) if len(blocks) else 0.0)

    def _bound(self, hop: int) -> int:
        return hop * self._rate // 10


def _lufs(energy: float) -> float:
    return _OFFSET + 10 * math.log10(energy) if energy > 0 else -math.inf


def _energy(lufs: float) -> float:
    return float(10 ** ((lufs - _OFFSET) / 10))


def _weights(channels: int) -> list[float]:
    if channels <= 5:
        return [1.0, 1.0, 1.0, 1.41, 1.41][:channels]
    return [1.0, 1.0, 1.0, 0.0] + [1.41] * (channels - 4)


def _k_weighting(rate: int) -> np.ndarray:
    """The standard's two filters for any rate, as second-order sections [2, 6].

    A shelf of 4 dB above 1.5 kHz and a high-pass at 38 Hz in the RBJ cookbook's form, the
    parametrisation that pyloudnorm uses.
    """
    gain = 10 ** (4.0 / 40)
    omega = 2 * math.pi * 1500.0 / rate
    cos, alpha, root = math.cos(omega), math.sin(omega) / math.sqrt(2), math.sqrt(gain)
    shelf = (
        gain * ((gain + 1) + (gain - 1) * cos + 2 * root * alpha),
        -2 * gain * ((gain - 1) + (gain + 1) * cos),
        gain * ((gain + 1) + (gain - 1) * cos - 2 * root * alpha),
        (gain + 1) - (gain - 1) * cos + 2 * root * alpha,
        2 * ((gain - 1) - (gain + 1) * cos),
        (gain + 1) - (gain - 1) * cos - 2 * root * alpha,
    )
    omega = 2 * math.pi * 38.0 / rate
    cos, alpha = math.cos(omega), math.sin(omega)  # Q = 1/2
    high = ((1 + cos) / 2, -(1 + cos), (1 + cos) / 2, 1 + alpha, -2 * cos, 1 - alpha)
    return np.array([[value / section[3] for value in section] for section in (shelf, high)])
