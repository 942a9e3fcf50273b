"""Beat times between frames: local curves through the beats that were tracked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_AROUND = 3  # frames on each side whose centroid is a beat's time
_WEAKEST = 0.12  # activation below which a beat is interpolated from the others
_WINDOWS = (5, 8, 12, 20, 32)  # beats on each side of a local curve
_FEWEST = 4.5  # beats, by their nearness, that a local curve needs
_EXACT = 0.006  # s: a curve this close to its beats is taken over a shorter one
_WORSE = 1.15  # by which a longer curve may be further from its beats than a shorter one
_OUTLIER = 0.04  # s from its curve, at which a beat counts half
_ROUNDS = 2
_WORST_CONDITION = 1e6  # of the equations of a local curve


@dataclass(frozen=True)
class FittedBeats:
    """Beat times in seconds ``[N]``, their activations, and how far they lay from the curves.

    ``deviation`` is the root mean square of the distances in seconds, by the activations.
    """

    times: NDArray[np.float64]
    strengths: NDArray[np.float64]
    deviation: float


def fit_beats(
    frames: NDArray[np.int64], activation: NDArray[np.float32], rate: float
) -> FittedBeats:
    """Fits the times of beats tracked at ``frames`` of an activation at ``rate`` a second.

    A beat's own time is the centroid of the activation around its frame. Where one line fits the
    whole song about as well as local curves do, the tempo is constant and the line is taken. Else
    each beat lies on the longest local parabola that fits as well as a shorter one, so that a
    drifting tempo is followed. Beats without activation are interpolated by number.
    """
    times, strengths = _centroids(frames, activation.astype(np.float64), rate)
    clear = strengths >= _WEAKEST
    if clear.sum() < _FEWEST:
        return FittedBeats(times, strengths, float("inf"))
    numbers = np.arange(len(times), dtype=np.float64)
    slope, start = np.polyfit(numbers[clear], times[clear], 1, w=np.sqrt(strengths[clear]))
    rest = times - (start + slope * numbers)
    weights = np.where(clear, strengths, 0.0)
    trust = np.ones_like(weights)
    fitted = np.zeros_like(rest)
    for _ in range(_ROUNDS):
        fitted, shortest = _local_curves(rest, weights * trust, numbers)
        trust = 1 / (1 + ((rest - shortest) / _OUTLIER) ** 2)
    own = start + slope * numbers + fitted
    known = np.flatnonzero(clear)
    found = _continued(numbers, known.astype(np.float64), own[known])
    off = (rest - fitted)[clear]
    deviation = float(
        np.sqrt(np.average(np.minimum(off, 4 * _OUTLIER) ** 2, weights=weights[clear]))
    )
    return FittedBeats(found, strengths, deviation)


def _centroids(
    frames: NDArray[np.int64], activation: NDArray[np.float64], rate: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times in seconds and strengths of the activation's peaks around frames."""
    offsets = np.arange(-_AROUND, _AROUND + 1)
    padded = np.pad(activation, 2 * _AROUND)
    around = padded[frames[:, None] + offsets + 2 * _AROUND]
    peaks = frames + around.argmax(1) - _AROUND  # the tracked frame may lie beside the peak
    around = padded[peaks[:, None] + offsets + 2 * _AROUND]
    strengths = around[:, _AROUND]
    masses = np.maximum(around - 0.2 * strengths[:, None], 0)
    total = masses.sum(1)
    shifts = np.divide(masses @ offsets, total, out=np.zeros(len(frames)), where=total > 0)
    times = np.where(strengths >= _WEAKEST, peaks + shifts, frames) / rate
    return times, strengths


def _local_curves(
    values: NDArray[np.float64], weights: NDArray[np.float64], numbers: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values ``[N]`` of the longest curves that the data allow, and of the shortest."""
    slope, start = np.polyfit(numbers, values, 1, w=np.sqrt(weights))
    whole = start + slope * numbers
    far = np.sqrt(np.average((values - whole) ** 2, weights=weights))
    fitted, shortest = whole.copy(), whole.copy()
    limit = np.full_like(values, np.inf)
    growing = np.ones(len(values), dtype=bool)  # until a longer curve fits worse
    overall = np.inf
    for half in _WINDOWS:
        curve, deviation, usable = _window_curves(values, weights, half)
        first = usable & np.isinf(limit)
        shortest[first] = curve[first]
        better = usable & growing & (first | (deviation <= np.maximum(_EXACT, _WORSE * limit)))
        growing &= better | ~usable
        fitted[better] = curve[better]
        limit[usable] = np.minimum(limit, deviation)[usable]
        if half == _WINDOWS[1] and usable.any():
            overall = float(np.sqrt(np.mean(deviation[usable] ** 2)))
    return (whole if far <= max(_EXACT, _WORSE * overall) else fitted), shortest


def _window_curves(
    values: NDArray[np.float64], weights: NDArray[np.float64], half: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Local parabolas of ``half`` beats on each side: values, deviations, and where there is one.

    A parabola follows a tempo that changes evenly, to the ends of the song, where a line would be
    off by the square of its length.
    """
    offsets = np.arange(-half, half + 1) / half
    kernel = (1 - np.abs(offsets / (1 + 1 / half)) ** 3) ** 3

    def moment(data: NDArray[np.float64], power: int) -> NDArray[np.float64]:
        return np.convolve(np.pad(data, half), (kernel * offsets**power)[::-1], mode="valid")

    powers = np.stack([moment(weights, power) for power in range(5)], 1)
    left = powers[:, np.add.outer(np.arange(3), np.arange(3))]
    right = np.stack([moment(weights * values, power) for power in range(3)], 1)
    count = moment((weights > 0).astype(np.float64), 0)
    usable = (count >= _FEWEST) & (np.linalg.cond(left) < _WORST_CONDITION)
    safe = np.where(usable[:, None, None], left, np.eye(3))
    found = np.linalg.solve(safe, right[..., None])[..., 0]
    rest = np.maximum(moment(weights * values**2, 0) - (found * right).sum(1), 0)
    # Three beats' worth is lost to the curve, as in any estimate of its spread.
    freedom = np.maximum(1 - 3 / np.maximum(count, 3.5), 0.1) * np.maximum(powers[:, 0], 1e-9)
    deviations: NDArray[np.float64] = np.sqrt(rest / freedom)
    return found[:, 0].astype(np.float64), deviations, usable


def _continued(
    at: NDArray[np.float64], numbers: NDArray[np.float64], times: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Times at beat numbers, interpolated, and continued by the first and last 16 beats' line."""
    found = np.interp(at, numbers, times)
    for part, outside in ((slice(0, 16), at < numbers[0]), (slice(-16, None), at > numbers[-1])):
        edge = 0 if part.start == 0 else -1
        slope = np.polyfit(numbers[part], times[part], 1)[0]
        found[outside] = times[edge] + slope * (at[outside] - numbers[edge])
    return found
