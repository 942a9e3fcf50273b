"""Chords per beat from the pitch network's probabilities."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.leadsheet.harmony import ChordModel, chord_model, chord_sequence
from audiotransfer.leadsheet.slots import Slots
from audiotransfer.transcription.activations import CHORD_QUALITIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from audiotransfer.leadsheet import Bar, Chord

_FLOOR = 1e-4  # probability below which classes are equally unlikely
_TEMPER = 1.0  # of a beat's log-probabilities beside those of changes
_NONE = 0.5  # probability of no chord from which a beat has none


@cache
def network_chords() -> ChordModel:
    """The fitted probabilities of chord changes, of the network's qualities."""
    model = chord_model()
    own = [model.qualities.index(name) for name in CHORD_QUALITIES]
    return replace(
        model,
        qualities=CHORD_QUALITIES,
        weights=model.weights[own],
        bias=model.bias[own],
        motion=model.motion[own][:, :, own],
        temper=_TEMPER,
    )


def beat_chords(
    probabilities: NDArray[np.floating],
    chroma: NDArray[np.floating],
    bass: NDArray[np.floating],
    rate: float,
    beats: NDArray[np.float64],
    bars: Sequence[Bar],
) -> tuple[Chord, ...]:
    """Chords without gaps over the beats of a song: the likeliest sequence.

    Args:
        probabilities: of chords ``[L, 73]`` at ``rate`` frames a second (see `CHORD_QUALITIES`).
        chroma: weights of the pitch classes that sound ``[L, 12]``.
        bass: those of the bass ``[L, 12]``.
        rate: frames a second.
        beats: times of the beats and of the end in seconds ``[N + 1]``.
        bars: of these beats.

    The probability of a change is that of `audiotransfer.leadsheet.harmony` for bar lines, middles
    of bars and other beats. A chord's confidence is the mean probability of its root.
    """
    slots = Slots.of(bars)
    seconds = np.interp(slots.edges, np.arange(len(beats)), beats)
    mean = frame_means(probabilities, rate, seconds)
    count = len(CHORD_QUALITIES)
    states = mean[:, : 12 * count].reshape(-1, count, 12).transpose(0, 2, 1)
    logs = np.log(states.reshape(len(mean), -1) + _FLOOR)
    logs -= np.log(np.exp(logs).sum(axis=1, keepdims=True))
    silent = mean[:, -1] > _NONE
    under = (frame_means(chroma, rate, seconds), frame_means(bass, rate, seconds))
    chords = chord_sequence(logs, silent, under, slots, network_chords())
    # The posteriors of a whole sequence are too sure of themselves: beats are not independent.
    roots = states.sum(axis=2)
    return tuple(_with_confidence(chord, roots, slots.edges) for chord in chords)


def _with_confidence(chord: Chord, roots: NDArray[np.float64], edges: NDArray[np.float64]) -> Chord:
    """The chord with the mean probability of its root, from those of the slots ``[S, 12]``."""
    if chord.root is None:
        return chord
    first, end = np.searchsorted(edges, [chord.beat + 1e-6, chord.beat + chord.beats - 1e-6])
    return replace(chord, confidence=round(float(roots[first - 1 : end, chord.root].mean()), 3))


def frame_means(
    frames: NDArray[np.floating], rate: float, edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Means ``[S, K]`` of frames ``[L, K]`` between S + 1 edges in seconds; 0 beyond the frames.

    A span shorter than a frame has the nearest one's values.
    """
    if not len(frames):
        return np.zeros((len(edges) - 1, frames.shape[1]))
    at = np.clip(np.rint(edges * rate).astype(np.int64), 0, len(frames))
    means = np.zeros((len(at) - 1, frames.shape[1]))
    for index, (start, end) in enumerate(zip(at[:-1].tolist(), at[1:].tolist(), strict=True)):
        if start < len(frames) and edges[index + 1] > 0:
            means[index] = frames[start : max(end, start + 1)].mean(axis=0, dtype=np.float64)
    return means
