"""Where bars begin in a score whose time signature says nothing: harmony, bass and accents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EFFECTS = 112  # the first program without a pitch
_KICKS, _SNARES = (35, 36), (38, 40)
#: Bar lengths in beats that are tried; the first where there is no evidence.
LENGTHS = (4, 3)


def bar_lengths(score: Any, edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """Lengths of the bars in beats, the first and last perhaps shorter.

    ``edges`` ``[N + 1]`` are the ticks of N beats and of their end. The length (4 or 3 beats) and
    the place of the first downbeat with the largest mean accent are taken.
    """
    accent = beat_accents(score, edges)
    best = (-np.inf, LENGTHS[0], 0)
    for length in LENGTHS:
        for phase in range(length):
            inside = accent[phase::length]
            if len(inside) < 2:
                continue
            others = np.delete(accent, np.arange(phase, len(accent), length))
            score_of = float((inside.mean() - others.mean()) * np.sqrt(length - 1) / length)
            best = max(best, (score_of, length, phase), key=lambda one: one[0])
    _, length, phase = best
    starts = np.arange(phase, len(accent), length)
    places = np.unique(np.concatenate([[0], starts, [len(accent)]]))
    return np.diff(places)


def beat_accents(score: Any, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much each of N beats ``[N]`` is like the first of a bar: change of pitch classes, bass
    notes, long notes and kick drums, less snare drums.
    """
    beats = len(edges) - 1
    chroma, bass, long = np.zeros((beats, 12)), np.zeros(beats), np.zeros(beats)
    drums = np.zeros(beats)
    length = np.diff(edges)
    for track in score.tracks:
        if not len(track.notes):
            continue
        notes = track.notes.numpy()
        start, duration = notes["time"].astype(float), notes["duration"].astype(float)
        pitch = notes["pitch"].astype(int)
        at = np.clip(
            np.searchsorted(edges, start + 0.15 * length[0], side="right") - 1, 0, beats - 1
        )
        near = np.abs(start - edges[at]) < 0.15 * length[at]
        if track.is_drum:
            np.add.at(drums, at[near & np.isin(pitch, _KICKS)], 1.0)
            np.add.at(drums, at[near & np.isin(pitch, _SNARES)], -1.0)
        elif track.program < _EFFECTS:
            span = np.minimum(duration / length[at], 4.0)
            np.add.at(chroma, (at, pitch % 12), np.minimum(span, 1.0))
            np.add.at(bass, at[near & (pitch < 50)], span[near & (pitch < 50)])
            np.add.at(long, at[near], span[near])
    novelty = np.zeros(beats)
    if beats > 1:
        unit = chroma / np.maximum(np.linalg.norm(chroma, axis=1, keepdims=True), 1e-9)
        novelty[1:] = 1 - (unit[1:] * unit[:-1]).sum(axis=1)
    parts = [novelty, bass, long, drums]
    accent: NDArray[np.float64] = np.sum([p / max(float(p.std()), 1e-9) for p in parts], axis=0)
    return accent
