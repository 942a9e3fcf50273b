"""True peaks: peaks of the waveform between samples (four times oversampled, BS.1770-5)."""

from __future__ import annotations

import numpy as np
from torch import Tensor

OVERSAMPLING = 4
REACH = 16  # samples on each side that an interpolated value depends on
_ROW = 32  # samples interpolated by one row of a matrix product
_PIECE = 1 << 16


def _kernels() -> np.ndarray:
    """Windowed-sinc weights [2 * REACH, 3] of the points between samples REACH-1 and REACH."""
    place = np.arange(2 * REACH)[:, None] - (REACH - 1)
    distance = place - np.arange(1, OVERSAMPLING) / OVERSAMPLING
    weights = np.sinc(distance) * np.i0(7.0 * np.sqrt(np.maximum(0, 1 - (distance / REACH) ** 2)))
    return np.asarray(weights / weights.sum(axis=0))


def _banded(kernels: np.ndarray) -> np.ndarray:
    """The kernels as a banded matrix [_ROW + 2 * REACH - 1, 3 * _ROW], faster than filters."""
    band = np.zeros((_ROW + 2 * REACH - 1, _ROW, OVERSAMPLING - 1), dtype=np.float32)
    for n in range(_ROW):
        band[n : n + 2 * REACH, n] = kernels
    return band.reshape(len(band), -1)


_BAND = _banded(_kernels())
# An interpolated value is at most this times the largest of its samples.
_GROWTH = float(np.abs(_kernels()).sum(axis=0).max())


def envelope(padded: np.ndarray, above: float = 0.0) -> np.ndarray:
    """Largest magnitude over channels at each sample and at the points between it and the next.

    padded [C, REACH - 1 + T + REACH] gives [T]. Where interpolated values cannot exceed `above`,
    they are not computed.
    """
    count = padded.shape[1] - 2 * REACH + 1
    peaks: np.ndarray = np.abs(padded[:, REACH - 1 : REACH - 1 + count]).max(axis=0)
    rows = -(-count // _ROW)
    for channel in padded:
        if rows * _ROW > count:
            channel = np.pad(channel, (0, rows * _ROW - count))
        window = np.lib.stride_tricks.sliding_window_view(channel, len(_BAND))[::_ROW]
        step = max(1, _PIECE // _ROW)
        for start in range(0, rows, step):
            part = window[start : start + step]
            size = np.abs(part).max(axis=1) * _GROWTH
            loud = np.flatnonzero(size > above)
            if not len(loud):
                continue
            between = np.abs(part[loud] @ _BAND).reshape(-1, _ROW, OVERSAMPLING - 1).max(axis=2)
            where = ((start + loud)[:, None] * _ROW + np.arange(_ROW)).ravel()
            inside = where < count
            where, values = where[inside], between.ravel()[inside]
            peaks[where] = np.maximum(peaks[where], values)
    return peaks


class TruePeakMeter:
    """True peak of a stream, and each channel's largest sample."""

    def __init__(self, channels: int) -> None:
        self._history = np.zeros((channels, 2 * REACH - 1), dtype=np.float32)
        self._peak = 0.0
        self._samples = np.zeros(channels, dtype=np.float32)

    def push(self, block: Tensor) -> None:
        """Take the next samples [C, t]."""
        samples = block.detach().cpu().float().numpy()
        for start in range(0, samples.shape[1], _PIECE):
            part = samples[:, start : start + _PIECE]
            self._samples = np.maximum(self._samples, np.abs(part).max(axis=1, initial=0.0))
            self._peak = max(self._peak, float(self._samples.max()))
            self._history = self._measure(np.concatenate((self._history, part), axis=1))

    def peak(self) -> float:
        """True peak of all samples so far, linear (1 is full scale), as if silence followed."""
        ahead, before = self._history, self._peak
        self._measure(np.pad(ahead, ((0, 0), (0, 2 * REACH))))
        peak, self._peak = self._peak, before
        return peak

    def samples(self) -> tuple[float, ...]:
        """Largest magnitude of a sample in each channel, linear."""
        return tuple(self._samples.tolist())

    def _measure(self, padded: np.ndarray) -> np.ndarray:
        if padded.shape[1] >= 2 * REACH:
            self._peak = max(self._peak, float(envelope(padded, self._peak).max()))
        return padded[:, -(2 * REACH - 1) :]


def measure_true_peak(audio: Tensor) -> float:
    """True peak of audio [C, T], linear; 0 for no samples."""
    meter = TruePeakMeter(audio.shape[0])
    meter.push(audio)
    return meter.peak() if audio.shape[1] else 0.0
