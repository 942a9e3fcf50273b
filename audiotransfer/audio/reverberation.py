"""Blind estimation of a room from its sound: decay time, level and brightness of reverberation.

Where a sound ends and nothing follows at once, its envelope first falls to the level of the
reverberation and then decays with the room (free decay regions; after Lebart, Boucher and
Denbigh 2001, and Vieira 2004). A sound cannot decay faster than its room lets it, so of all decays
the fast ones count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_RATE = 44100
_HOP = 441  # samples of the envelope, 10 ms
_WINDOW = 1024
_BANDS = ((350.0, 1400.0), (1000.0, 4000.0), (4000.0, 12000.0))  # Hz
_HIGH = 2  # index of the band whose reverberation counts as bright
_SMOOTHED = 5  # frames
_LOUD_DB = 25.0  # a peak lies no further below the loud parts of the song
_AROUND = 8  # frames that a peak is the highest of, on each side
_RISES_DB, _PATIENCE = 3.0, 12  # what ends a decay: it rises again, or falls no more for 120 ms
_LEAST_DB = 20.0  # of a decay that is used
_FEWEST = 8  # frames of its later part
_STRAIGHT_DB = 2.0  # deviation of that from a line
_ENOUGH = 6  # decays from which an estimate is made
#: Quantiles of the decays' times and levels that are the room's, and a line for the levels: fitted
#: to singing, drums and a duo in artificial rooms of 0.4 to 2.5 s and -18 to -6 dB.
_TIME_QUANTILE, _LEVEL_QUANTILE, _LEVEL_LINE = 0.3, 0.1, (1.6, 5.0)


@dataclass(frozen=True)
class RoomEstimate:
    """Decay time by 60 dB in seconds, level relative to the direct sound in dB, brightness 0..1.

    ``decays`` is the number of decays that it was estimated from, ``spread`` their quartiles'
    ratio: above 2 the estimate says little.
    """

    decay_seconds: float
    level_db: float
    brightness: float
    decays: int
    spread: float


class ReverberationMeter:
    """Estimates the room of a sound, pushed block by block: 3 kB a second are kept."""

    def __init__(self) -> None:
        self._rest = torch.zeros(0)
        self._envelopes: list[NDArray[np.float32]] = []
        hertz = torch.fft.rfftfreq(_WINDOW, 1.0 / _RATE)
        self._bands = torch.stack([((hertz >= a) & (hertz < b)).float() for a, b in _BANDS])
        self._shape = torch.hann_window(_WINDOW)

    def push(self, block: Tensor) -> None:
        """Takes the next samples ``[C, t]`` at 44.1 kHz."""
        sound = torch.cat([self._rest, block.detach().cpu().float().mean(0)])
        count = max(0, (len(sound) - _WINDOW) // _HOP + 1)
        if count:
            frames = sound[: (count - 1) * _HOP + _WINDOW].unfold(0, _WINDOW, _HOP)
            power = torch.fft.rfft(frames * self._shape).abs().square()
            self._envelopes.append((self._bands @ power.T).numpy().astype(np.float32))
        self._rest = sound[count * _HOP :].clone()

    def estimate(self) -> RoomEstimate | None:
        """The room, or ``None`` where too few sounds decay freely."""
        if not self._envelopes:
            return None
        power = np.concatenate(self._envelopes, axis=1).astype(np.float64)
        smooth = np.ones(_SMOOTHED) / _SMOOTHED
        found = [
            free_decays(10.0 * np.log10(np.convolve(band, smooth, "same") + 1e-12))
            for band in power
        ]
        decays = np.concatenate(found[:_HIGH])
        if len(decays) < _ENOUGH:
            return None
        seconds, levels = decays.T
        low, high = np.quantile(seconds, (0.25, 0.75))
        level = _level(levels)
        bright = 0.5
        if len(found[_HIGH]) >= _ENOUGH:
            bright = 10.0 ** ((_level(found[_HIGH][:, 1]) - level) / 20.0)
        return RoomEstimate(
            float(np.quantile(seconds, _TIME_QUANTILE)),
            level,
            min(bright, 1.0),
            len(decays),
            float(high / low),
        )


def _level(levels: NDArray[np.float64]) -> float:
    """Level in dB of the reverberation: that at the most abrupt ends of sounds, calibrated."""
    slope, offset = _LEVEL_LINE
    return slope * float(np.quantile(levels, _LEVEL_QUANTILE)) + offset


def free_decays(envelope: NDArray[np.float64]) -> NDArray[np.float64]:
    """Decay time (s, by 60 dB) and level (dB) of reverberation at each decay ``[D, 2]``.

    ``envelope`` ``[L]`` is in dB, each 10 ms. The later half of a decay is the room's; where its
    line passes the end of the sound is the level of the reverberation.
    """
    found: list[tuple[float, float]] = []
    if len(envelope) <= 2 * _AROUND:
        return np.zeros((0, 2))
    loud = np.percentile(envelope, 95) - _LOUD_DB
    windows = np.lib.stride_tricks.sliding_window_view(envelope, 2 * _AROUND + 1)
    peaks = _AROUND + np.flatnonzero(windows.argmax(axis=1) == _AROUND)
    for peak in peaks[envelope[peaks] > loud]:
        end = _end_of_decay(envelope, int(peak))
        fallen = envelope[peak] - envelope[end]
        if fallen < _LEAST_DB:
            continue
        decay = envelope[peak : end + 1] - envelope[peak]
        ends = int(np.flatnonzero(decay > -3.0)[-1])  # where the sound itself ends
        late = np.flatnonzero((decay < -0.45 * fallen) & (decay > -0.95 * fallen))
        late = late[late > ends]
        if len(late) < _FEWEST:
            continue
        slope, offset = np.polyfit(late, decay[late], 1)
        off = decay[late] - (slope * late + offset)
        if slope < 0 and np.sqrt(np.mean(off**2)) < _STRAIGHT_DB:
            found.append((-0.6 / slope, slope * ends + offset))
    return np.array(found, dtype=np.float64).reshape(-1, 2)


def _end_of_decay(envelope: NDArray[np.float64], peak: int) -> int:
    """Frame of the lowest value before the envelope rises again, or falls no more."""
    lowest, at = envelope[peak], peak
    for index in range(peak + 1, len(envelope)):
        value = envelope[index]
        if value < lowest:
            lowest, at = value, index
        elif value > lowest + _RISES_DB or index - at > _PATIENCE:
            break
    return at
