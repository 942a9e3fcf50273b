"""The most likely beats of a beat activation: dynamic programming with a slowly changing tempo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from scipy.ndimage import maximum_filter1d

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

#: Slowest and fastest felt tempo, in beats per minute.
SLOWEST, FASTEST = 45.0, 240.0
_STEP = 0.015  # of the tempo, from one candidate to the next
_LIKELY_TEMPO = 120.0  # bpm
_TEMPO_WEIGHT = 0.3  # log-likelihood a beat, at an octave from the likely tempo
_FLOOR = 0.03  # probability that is added to activations: no single beat decides
_REACH = 1.2  # s, on each side, whose strongest activation a beat is compared with
_NEAR = 0.05  # s around a beat in which a peak counts as that beat
_CHANGE = 1.2  # log-likelihood of a tempo change by one candidate from beat to beat
_CHANGES = 3  # candidates by which the tempo can change from beat to beat
_JITTER = 0.016  # s: standard deviation of a beat's interval around the tempo's
_OFFSETS = 4  # frames by which an interval can differ from the tempo's


def track_beats(activation: NDArray[np.float32], rate: float) -> NDArray[np.int64]:
    """Frames of the most likely beats of an activation ``[L]``, probabilities at ``rate`` a second.

    Every tempo from `SLOWEST` to `FASTEST` is followed at once. A beat costs what its activation
    falls behind the strongest nearby, so that pauses cost nothing; a peak between two beats costs
    the probability that it is none. The tempo changes by small steps, while single beats may lie
    a little off it. Fewer than two beats are none: ``[0]``.
    """
    periods = _periods(rate)
    if len(activation) < periods[-1] * 2:
        return np.zeros(0, dtype=np.int64)
    beat, between = _log_likelihoods(activation.astype(np.float64), rate)
    octaves = np.log2(60.0 * rate / periods / _LIKELY_TEMPO)
    prior = -_TEMPO_WEIGHT * octaves**2
    offsets = np.arange(-_OFFSETS, _OFFSETS + 1)
    spread = (np.rint(periods)[:, None] + offsets - periods[:, None]) / (_JITTER * rate)
    near = max(1, round(_NEAR * rate))
    scores, steps = _forward(beat, between, prior, np.rint(periods), -0.5 * spread**2, near)
    return _backward(scores, steps, np.rint(periods).astype(np.int64))


def beat_likelihoods(
    ways: Sequence[NDArray[np.int64]], activation: NDArray[np.float32], rate: float
) -> list[float]:
    """Log-likelihoods of beats at other frames than those `track_beats` found, to be compared."""
    beat, between = _log_likelihoods(activation.astype(np.float64), rate)
    near = max(1, round(_NEAR * rate))
    found = []
    for frames in ways:
        begin, end = np.maximum(frames - near, 0), np.minimum(frames + near, len(beat))
        passed = between[-1] - (between[end] - between[begin]).sum()
        octave = np.log2(60.0 * rate / np.median(np.diff(frames)) / _LIKELY_TEMPO)
        prior = -_TEMPO_WEIGHT * octave**2 * len(frames)
        found.append(float(maximum_filter1d(beat, 5)[frames].sum() + passed + prior))
    return found


def _periods(rate: float) -> NDArray[np.float64]:
    """Candidate periods in frames, from the shortest to the longest."""
    count = int(np.ceil(np.log(FASTEST / SLOWEST) / np.log1p(_STEP))) + 1
    return 60.0 * rate / np.geomspace(FASTEST, SLOWEST, count)


def _log_likelihoods(
    activation: NDArray[np.float64], rate: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of a beat at each frame ``[L]``, and summed of no beat before each frame ``[L + 1]``."""
    reach = 2 * round(_REACH * rate) + 1
    wide = maximum_filter1d(activation, 3)
    beat = np.log((wide + _FLOOR) / (maximum_filter1d(activation, reach) + _FLOOR))
    peaks = np.where(activation >= maximum_filter1d(activation, 7), activation, 0.0)
    none = np.log1p(-np.minimum(peaks, 1 - _FLOOR))
    return beat, np.concatenate([[0.0], np.cumsum(none)])


@njit(cache=True, nogil=True)
def _forward(
    beat: NDArray[np.float64],
    between: NDArray[np.float64],
    prior: NDArray[np.float64],
    periods: NDArray[np.float64],
    spread: NDArray[np.float64],
    near: int,
) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Best log-likelihoods of a beat at each frame and tempo, and the steps that led there.

    The scores of the last period's frames are all that the way back needs: ``[L, tempi]`` would
    be too large, so they are kept in a ring. A step holds the interval's offset and the change of
    tempo; -128 marks a first beat.
    """
    frames, tempi = len(beat), len(periods)
    width = spread.shape[1]
    half = width // 2
    ring_size = int(periods[-1]) + half + 2
    ring = np.full((ring_size, tempi), -np.inf)
    steps = np.full((frames, tempi), -128, dtype=np.int8)
    arrived = np.empty(tempi)
    places = np.empty(tempi, dtype=np.int64)
    for t in range(frames):
        for i in range(tempi):
            best, place = -np.inf, -1
            for o in range(width):
                s = t - int(periods[i]) - o + half
                if s < 0:
                    continue
                score = ring[s % ring_size, i] + spread[i, o]
                score += between[max(t - near, s + near)] - between[s + near]
                if score > best:
                    best, place = score, o
            arrived[i] = best
            places[i] = place
        first = between[max(t - near, 0)] if t <= periods[-1] else -np.inf
        row = ring[t % ring_size]
        for i in range(tempi):
            best, change = -np.inf, 0
            for c in range(-_CHANGES, _CHANGES + 1):
                j = i + c
                if j < 0 or j >= tempi:
                    continue
                score = arrived[j] - _CHANGE * abs(c)
                if score > best:
                    best, change = score, c
            if first > best and t <= periods[i]:
                row[i] = first + beat[t] + prior[i]
                continue
            if best == -np.inf:
                row[i] = best
                continue
            row[i] = best + beat[t] + prior[i]
            steps[t, i] = (change + _CHANGES) * width + places[i + change]
    # The song goes on to its end without a beat after the last.
    last = np.full((ring_size, tempi), -np.inf)
    for t in range(max(frames - ring_size, 0), frames):
        rest = between[frames] - between[min(t + near, frames)]
        for i in range(tempi):
            if frames - t <= periods[i] + half:
                last[frames - 1 - t, i] = ring[t % ring_size, i] + rest
    return last, steps


def _backward(
    last: NDArray[np.float64], steps: NDArray[np.int8], periods: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The frames of the best way, from the scores of last beats by frames before the end."""
    if not np.isfinite(last).any():
        return np.zeros(0, dtype=np.int64)
    before, tempo = np.unravel_index(int(np.argmax(last)), last.shape)
    frame, index = len(steps) - 1 - int(before), int(tempo)
    width = 2 * _OFFSETS + 1
    found = [frame]
    while (step := int(steps[frame, index])) != -128:
        change, offset = divmod(step, width)
        index += change - _CHANGES
        frame -= int(periods[index]) + offset - _OFFSETS
        found.append(frame)
    return np.array(found[::-1], dtype=np.int64)
