"""The dynamics of a recording over time, and the gain by which a band follows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

HOP_SECONDS = 0.1
"""Length of a window of power."""
_GATE_DB = -30.0  # below the mean: windows that do not count for the usual level
_SILENT_DB = -55.0  # below the usual level: silence
_SHORTEST_SILENCE = 0.5  # s; shorter ones are gaps between notes
_SMOOTHING = 1.0  # s, standard deviation
_SHARE = 0.7  # of the source's changes of level; the arrangement has its own dynamics too
_FADED_DB = -10.0  # from here down the source is followed in full
_MOST_DB = 6.0
_LEAST = 1e-20  # power


class PowerMeter:
    """Mean power of successive windows of 0.1 s, over all channels."""

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._done: list[float] = []
        self._open = 0.0
        self._count = 0

    def push(self, audio: Tensor) -> None:
        """Takes the next samples ``[C, t]``."""
        if not audio.shape[-1]:
            return
        energy = audio.detach().double().square().mean(0).numpy()
        first, begin = len(self._done), self._count
        self._count += len(energy)
        last = int(self._count / (self._rate * HOP_SECONDS)) + 1
        bounds = [self._bound(hop) - begin for hop in range(first + 1, last + 1)]
        bounds = [bound for bound in bounds if bound <= len(energy)]
        sums = [float(part.sum()) for part in np.split(energy, bounds)]
        sums[0] += self._open
        *done, self._open = sums
        lengths = np.diff([self._bound(hop) for hop in range(first, first + len(done) + 1)])
        self._done += [total / length for total, length in zip(done, lengths, strict=True)]

    def powers(self) -> NDArray[np.float64]:
        """The mean power of each window, the last one with what it holds."""
        rest = self._count - self._bound(len(self._done))
        powers = [*self._done, self._open / rest] if rest > 0 else self._done
        return np.array(powers, dtype=np.float64)

    def _bound(self, hop: int) -> int:
        """First sample of a window."""
        return round(hop * self._rate * HOP_SECONDS)


def sounding(powers: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which windows are not in a silence of at least half a second."""
    loud: NDArray[np.bool_] = powers > _usual(powers) * _ratio(_SILENT_DB)
    edges = np.flatnonzero(np.diff(np.r_[False, ~loud, False]))
    result = np.ones(len(powers), dtype=bool)
    for start, end in edges.reshape(-1, 2):
        if (end - start) * HOP_SECONDS >= _SHORTEST_SILENCE:
            result[start:end] = False
    return result


def span(powers: NDArray[np.float64]) -> tuple[float, float]:
    """First and last time in seconds at which something sounds; ``(0, 0)`` for silence."""
    places = np.flatnonzero(sounding(powers)) if powers.any() else np.zeros(0)
    if not len(places):
        return 0.0, 0.0
    return float(places[0]) * HOP_SECONDS, float(places[-1] + 1) * HOP_SECONDS


def gain_curve(source: NDArray[np.float64], band: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear gains, one for each window of 0.1 s, with which a band follows the source's level.

    Levels are compared relative to their usual ones and smoothed over about two seconds; where the
    source is silent for half a second or longer the gain is 0. A fade-out is followed in full.
    """
    count = max(len(source), len(band))
    source = np.pad(source, (0, count - len(source)))
    band = np.pad(band, (0, count - len(band)))
    if not source.any():
        return np.zeros(count)
    open_ = sounding(source)
    level, own = (_decibels(_smoothed(one, open_) / _usual(one)) for one in (source, band))
    followed = np.where(level > _FADED_DB, _SHARE * level, level + (1 - _SHARE) * -_FADED_DB)
    gain = np.minimum(followed - np.clip(_SHARE * own, -_MOST_DB, _MOST_DB), _MOST_DB)
    return np.where(open_, 10.0 ** (gain / 20.0), 0.0)


def gains_at(gains: NDArray[np.float64], start: int, count: int, sample_rate: int) -> Tensor:
    """The gains ``[count]`` of samples from sample ``start`` on, interpolated between windows."""
    places = (start + np.arange(count)) / (sample_rate * HOP_SECONDS) - 0.5
    found = np.interp(places, np.arange(len(gains)), gains) if len(gains) else np.ones(count)
    return torch.from_numpy(found.astype(np.float32))


def _usual(powers: NDArray[np.float64]) -> float:
    """Mean power of the windows that are at most 30 dB below the mean."""
    loud = powers[powers > powers.mean() * _ratio(_GATE_DB)] if len(powers) else powers
    return max(float(loud.mean()), _LEAST) if len(loud) else _LEAST


def _smoothed(powers: NDArray[np.float64], open_: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Powers smoothed over the windows that are open."""
    from scipy.ndimage import gaussian_filter1d

    width = _SMOOTHING / HOP_SECONDS
    total = gaussian_filter1d(np.where(open_, powers, 0.0), width, mode="constant")
    weight = gaussian_filter1d(open_.astype(np.float64), width, mode="constant")
    smoothed: NDArray[np.float64] = total / np.maximum(weight, 1e-6)
    return smoothed


def _decibels(power: NDArray[np.float64]) -> NDArray[np.float64]:
    decibels: NDArray[np.float64] = 10.0 * np.log10(np.maximum(power, 1e-10))
    return decibels


def _ratio(decibels: float) -> float:
    return float(10.0 ** (decibels / 10.0))
