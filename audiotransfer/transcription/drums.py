"""Drum hits with their velocities from the drum activations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import maximum_filter1d

from audiotransfer.leadsheet.leadsheet import Note
from audiotransfer.transcription.activations import DRUM_CLASSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiotransfer.transcription.activations import RhythmActivations

#: General MIDI keys of the classes' hits, and the classes of keys.
DRUM_KEYS = dict(zip(DRUM_CLASSES, (36, 38, 42, 45, 51), strict=True))
CLASS_OF_KEY = {
    key: number
    for number, keys in enumerate(
        (
            (35, 36),
            (37, 38, 39, 40),
            (42, 44, 46),
            (41, 43, 45, 47, 48, 50),
            (49, 51, 52, 53, 55, 57, 59),
        )
    )
    for key in keys
}
#: Probability from which a peak is a hit, by class.
THRESHOLDS = (0.4, 0.3, 0.4, 0.35, 0.45)
_APART = 0.05  # s that two hits of one class are apart at least
_LENGTH = 0.1  # s
_SOFTEST, _LOUDEST = 40, 112  # velocities of the least and the most probable hits


def drum_hits(activations: RhythmActivations) -> tuple[Note, ...]:
    """The hits of all classes, in order of time, with the class's General MIDI key.

    A hit is a peak of its class's activation; it lies at the peak of the parabola through its
    neighbours. Its velocity grows with its activation: soft hits are the less probable ones.
    """
    found = [
        Note(float(time), _LENGTH, key, round(_SOFTEST + (_LOUDEST - _SOFTEST) * share), share)
        for number, key in enumerate(DRUM_KEYS.values())
        for time, share in _peaks(activations, number)
    ]
    return tuple(sorted(found, key=lambda note: (note.start, note.pitch)))


def _peaks(activations: RhythmActivations, number: int) -> list[tuple[float, float]]:
    """Times in seconds and probabilities of one class's hits."""
    values = activations.drums[:, number].astype(np.float64)
    times, strengths = peaks(values, activations.rate, THRESHOLDS[number], _APART)
    return list(zip(times.tolist(), strengths.tolist(), strict=True))


def peaks(
    values: NDArray[np.float64], rate: float, threshold: float, apart: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times in seconds and heights of the highest values within ``apart`` s of each other."""
    if not len(values):
        return np.zeros(0), np.zeros(0)
    highest = maximum_filter1d(values, 2 * max(1, round(apart * rate / 2)) + 1)
    at = np.flatnonzero((values >= threshold) & (values >= highest))
    at = at[np.diff(at, prepend=-2) > 1]  # of equal neighbours the first
    padded = np.pad(values, 1, mode="edge")
    before, height, after = padded[at], padded[at + 1], padded[at + 2]
    bend = before - 2 * height + after
    shift = np.divide(before - after, 2 * bend, out=np.zeros(len(at)), where=bend < -1e-9)
    return (at + np.clip(shift, -0.5, 0.5)) / rate, height
