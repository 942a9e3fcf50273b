"""Agreement of beats, with errors of half a beat and of the tempo's octave told apart."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import librosa
import numpy as np

from audiotransfer.evaluation.metrics.signals import mono

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

SAME, HALF_BEAT, TWICE, HALF, OTHER = (
    "same", "half a beat off", "twice as fast", "half as fast", "other",
)  # fmt: skip
_SAMPLE_RATE, _HOP_LENGTH = 22050, 512
_TOLERANCE = 0.07  # s
_WEAKER = 0.8  # times the strength between beats
_RELIABLE = 0.6  # F-measure from which beats are called by a relation


@dataclass(frozen=True)
class BeatAgreement:
    """F-measure (70 ms) of beats with the known ones, and with those in their best relation.

    ``relation`` is `SAME`, `HALF_BEAT`, `TWICE`, `HALF`, or `OTHER` where none fits.
    """

    f_measure: float
    best: float
    relation: str


@dataclass(frozen=True)
class Onsets:
    """Onset strength of a sound, frame by frame ``[L]``, and the frames' times ``[L]`` (s)."""

    strength: NDArray[np.float64]
    times: NDArray[np.float64]

    @cached_property
    def beats(self) -> NDArray[np.float64]:
        """Times of the beats (s), by librosa's dynamic programming (Ellis 2007)."""
        if not np.any(self.strength > 0):
            return np.zeros(0)
        _, beats = librosa.beat.beat_track(
            onset_envelope=self.strength, sr=_SAMPLE_RATE, hop_length=_HOP_LENGTH
        )
        found: NDArray[np.float64] = self.times[np.asarray(beats, dtype=int)]
        return found

    def near(self, times: ArrayLike) -> float:
        """Mean over some times (s) of the greatest strength within 70 ms; 0 of none."""
        places = np.asarray(times, dtype=np.float64)
        edges = np.searchsorted(self.times, [places - _TOLERANCE, places + _TOLERANCE])
        found = [self.strength[a:b].max() for a, b in edges.T if a < b]
        return float(np.mean(found)) if found else 0.0


def onsets_of(audio: Tensor, sample_rate: int) -> Onsets:
    """Onset strength of a sound ``[C, T]``."""
    signal = librosa.resample(mono(audio, sample_rate), orig_sr=44100, target_sr=_SAMPLE_RATE)
    strength = librosa.onset.onset_strength(y=signal, sr=_SAMPLE_RATE, hop_length=_HOP_LENGTH)
    times = librosa.times_like(strength, sr=_SAMPLE_RATE, hop_length=_HOP_LENGTH)
    return Onsets(strength, times)


def is_half_a_beat_off(found: Onsets, known: ArrayLike) -> bool:
    """Whether a sound's beats lie between the known ones (s).

    The beats tracked in it must do, and its onsets must be weaker at the known beats than between
    them: in double time a tracker may take up every other beat from the wrong one.
    """
    beats = np.asarray(known, dtype=np.float64)
    if beat_agreement(found.beats, beats).relation != HALF_BEAT:
        return False
    return found.near(beats) < _WEAKER * found.near((beats[:-1] + beats[1:]) / 2.0)


def beat_agreement(found: ArrayLike, known: ArrayLike) -> BeatAgreement:
    """How well beats (s) agree with known ones, of which there are at least two."""
    from mir_eval.beat import f_measure

    beats, truth = (np.asarray(times, dtype=np.float64) for times in (found, known))
    middles = (truth[:-1] + truth[1:]) / 2.0
    relations = {
        SAME: [truth],
        HALF_BEAT: [middles],
        TWICE: [np.sort(np.concatenate([truth, middles]))],
        HALF: [truth[::2], truth[1::2]],
    }
    scores = {
        name: max(float(f_measure(one, beats)) if len(beats) and len(one) else 0.0 for one in each)
        for name, each in relations.items()
    }
    best = max(scores, key=lambda name: scores[name])
    relation = best if scores[best] >= _RELIABLE else OTHER
    return BeatAgreement(scores[SAME], scores[best], relation)
