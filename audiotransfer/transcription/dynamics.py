"""The loudness curve of a recording, and the energy of its bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.audio.levels import HopMeans

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Values of the loudness curve a second.
RATE = 20
#: Level of silence in dB.
SILENCE = -120.0
_RANGE = 12.0  # dB between the quietest and the loudest bars, at least
_PERCENTILES = (5, 95)
_QUIET = 40.0  # dB below the loud bars at which nothing is played


class LoudnessCurve:
    """Measures levels in dB, `RATE` a second, of samples pushed in blocks of any length."""

    def __init__(self, sample_rate: int) -> None:
        self._length = sample_rate // RATE
        self._powers = HopMeans(self._length)
        self._levels: list[NDArray[np.float32]] = []

    def push(self, mono: NDArray[np.floating], last: bool = False) -> None:
        """Takes the next samples ``[t]``; ``last`` measures what is left too."""
        means = self._powers.push(np.square(mono, dtype=np.float64))
        if last and len(self._powers.rest):
            silence = np.zeros(self._length - len(self._powers.rest))
            means = np.append(means, self._powers.push(silence))
        levels = 10.0 * np.log10(np.maximum(means, 10 ** (SILENCE / 10)))
        self._levels.append(levels.astype(np.float32))

    def levels(self) -> NDArray[np.float32]:
        """The levels ``[K]`` so far."""
        return np.concatenate([np.zeros(0, dtype=np.float32), *self._levels])


def bar_energy(levels: NDArray[np.floating], edges: NDArray[np.float64]) -> tuple[float, ...]:
    """Energy 0..1 of B bars between edges in seconds ``[B + 1]``, from levels in dB at `RATE`.

    The middle between the song's quiet (5th percentile) and loud bars (95th) is 0.5, and the
    distance between them, but at least 12 dB, is 1. Bars of silence have 0.
    """
    power = 10.0 ** (np.asarray(levels, dtype=np.float64) / 10)
    at = np.clip(np.rint(edges * RATE).astype(np.int64), 0, len(power))
    means = [
        power[start : max(end, start + 1)].mean() if start < len(power) else 0.0
        for start, end in zip(at[:-1].tolist(), at[1:].tolist(), strict=True)
    ]
    decibels = 10.0 * np.log10(np.maximum(means, 10 ** (SILENCE / 10)))
    played = decibels > max(float(decibels.max(initial=SILENCE)) - _QUIET, SILENCE + 30)
    if not played.any():
        return (0.0,) * len(decibels)
    low, high = np.percentile(decibels[played], _PERCENTILES)
    energy = 0.5 + (decibels - (low + high) / 2) / max(high - low, _RANGE)
    return tuple(np.round(np.where(played, np.clip(energy, 0.0, 1.0), 0.0), 3).tolist())
