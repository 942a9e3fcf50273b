"""Cover identification: whether a cover retrieves its source among other songs.

Beat-synchronous chroma, compared in all or the likeliest transpositions: by Qmax (Serra, Serra and
Andrzejak 2009), every sound on the beats that are tracked in it alone; and by cross-correlation
(Ellis and Poliner 2007), a cover on the beats of the song that it is compared with, which it keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.evaluation.metrics.beats import onsets_of
from audiotransfer.evaluation.metrics.cover import Spectrum, pitch_classes, span_means, spectrum

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

# Qmax as published: beats of an embedding, share of nearest neighbours, transpositions, penalty.
_EMBEDDED, _NEIGHBOURS, _TRANSPOSITIONS, _GAP = 9, 0.095, 2, 0.5
_TEMPI = (0.5, 1.0, 2.0)  # relative, since trackers disagree about the octave
_LEAST_OVERLAP = 0.5  # of the sounds
_GRID_SECONDS = 0.5  # where no beat is found


@dataclass(frozen=True)
class Fingerprint:
    """Pitch classes of a sound's frames ``[12, L]``, their times ``[L]`` and its beats (s)."""

    frames: NDArray[np.float32]
    times: NDArray[np.float64]
    beats: NDArray[np.float64]

    def chroma(self, beats: NDArray[np.float64]) -> NDArray[np.float64]:
        """Chroma ``[12, N]`` between the beats ``[N + 1]`` (s), centred and of norm 1."""
        spans = np.column_stack([beats[:-1], beats[1:]])
        means = span_means(self.frames.astype(np.float64), self.times, spans).T
        centred = means - means.mean(axis=0)
        norms = np.linalg.norm(centred, axis=0)
        unit: NDArray[np.float64] = centred / np.where(norms > 1e-9, norms, 1.0)
        return unit


def fingerprint(audio: Tensor, sample_rate: int) -> Fingerprint:
    """The fingerprint of a sound ``[C, T]``, at least a second long."""
    return fingerprint_of(spectrum(audio, sample_rate), onsets_of(audio, sample_rate).beats)


def fingerprint_of(sound: Spectrum, beats: NDArray[np.float64]) -> Fingerprint:
    """The fingerprint of a sound with its beats (s); of too few, a grid of half seconds."""
    if len(beats) <= _EMBEDDED:
        beats = np.arange(0.0, sound.times[-1] + _GRID_SECONDS, _GRID_SECONDS)
    return Fingerprint(pitch_classes(sound).astype(np.float32), sound.times, beats)


def qmax(output: Fingerprint, source: Fingerprint) -> float:
    """Length of the longest common passage by Qmax, relative to the root of the source's length.

    Beats of the output may be twice or half as fast. 0 for sounds of fewer than ten beats.
    """
    known = source.chroma(source.beats)
    return max(_qmax(output.chroma(_at_tempo(output.beats, tempo)), known) for tempo in _TEMPI)


def cross_correlation(output: Fingerprint, source: Fingerprint) -> float:
    """Largest mean cosine of the two chromas on the source's beats, over rotations and lags.

    Lags leave at least half of the sounds in common.
    """
    known = source.chroma(source.beats)
    found = output.chroma(source.beats)
    length = known.shape[1]
    lags = np.arange(1 - length, length)
    overlaps = length - np.abs(lags)
    one, other = np.fft.rfft(found, 2 * length), np.fft.rfft(known, 2 * length)
    wide = overlaps >= max(1, round(_LEAST_OVERLAP * length))
    best = -1.0
    for rotation in range(12):
        product = (np.roll(one, rotation, axis=0) * other.conj()).sum(axis=0)
        sums = np.fft.irfft(product, 2 * length)[lags]  # negative lags wrap around
        best = max(best, float((sums / overlaps)[wide].max()))
    return best


def reciprocal_ranks(similarities: NDArray[np.float64], sources: Sequence[int]) -> list[float]:
    """1 / rank of each output's own source, from similarities ``[outputs, songs]``.

    ``sources`` are the sources' columns. Songs that are as similar as the source stand before it.
    """
    return [
        1.0 / int(np.sum(row >= row[own])) if np.isfinite(row[own]) else 0.0
        for row, own in zip(similarities, sources, strict=True)
    ]


def similarities(
    outputs: Sequence[Fingerprint],
    songs: Sequence[Fingerprint],
    measure: Callable[[Fingerprint, Fingerprint], float] = qmax,
) -> NDArray[np.float64]:
    """The similarity of each output to each song ``[outputs, songs]``."""
    return np.array([[measure(output, song) for song in songs] for output in outputs])


def _at_tempo(beats: NDArray[np.float64], tempo: float) -> NDArray[np.float64]:
    """Beats ``tempo`` times as fast."""
    places = np.arange(0.0, len(beats) - 1 + 1e-6, 1.0 / tempo)
    times: NDArray[np.float64] = np.interp(places, np.arange(len(beats)), beats)
    return times


def _qmax(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    if min(one.shape[1], other.shape[1]) <= _EMBEDDED:
        return 0.0
    profiles = one.mean(axis=1), other.mean(axis=1)
    fits = np.array([profiles[0] @ np.roll(profiles[1], rotation) for rotation in range(12)])
    likeliest = np.argsort(-fits)[:_TRANSPOSITIONS]
    longest = max(
        _longest_passage(_recurrence(_embedded(one), _embedded(np.roll(other, rotation, axis=0))))
        for rotation in likeliest
    )
    return longest / float(np.sqrt(other.shape[1]))


def _embedded(chroma: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each beat together with those after it: ``[12 * _EMBEDDED, N]``."""
    count = chroma.shape[1] - _EMBEDDED + 1
    return np.concatenate([chroma[:, first : first + count] for first in range(_EMBEDDED)])


def _recurrence(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether beats ``[N, M]`` are among each other's nearest neighbours."""
    distances = (one**2).sum(axis=0)[:, None] + (other**2).sum(axis=0)[None] - 2.0 * one.T @ other
    near = np.ones(distances.shape, dtype=bool)
    for axis in (0, 1):
        nearest = max(int(_NEIGHBOURS * distances.shape[axis]) - 1, 0)
        limit = np.partition(distances, nearest, axis=axis).take([nearest], axis=axis)
        near &= distances <= limit
    return near


def _longest_passage(near: NDArray[np.bool_]) -> float:
    """Qmax of a cross recurrence plot ``[N, M]``; no cell depends on others of its row."""
    before, last = np.zeros(near.shape[1]), np.zeros(near.shape[1])
    longest = 0.0
    for row in near[2:]:
        steps = np.stack([last[1:-1], before[1:-1], last[:-2]])  # one on, one skipped in either
        found = np.zeros_like(last)
        found[2:] = np.where(row[2:], steps.max(0) + 1.0, np.maximum(steps.max(0) - _GAP, 0.0))
        before, last = last, found
        longest = max(longest, float(found.max()))
    return longest
