"""Agreement of beats, with errors of half a beat and of the tempo's octave told apart."""

from __future__ import annotations

from dataclasses import dataclass
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
_RELIABLE = 0.6  # F-measure from which beats are called by a relation


@dataclass(frozen=True)
class BeatAgreement:
    """F-measure (70 ms) of beats with the known ones, and with those in their best relation.

    ``relation`` is `SAME`, `HALF_BEAT`, `TWICE`, `HALF`, or `OTHER` where none fits.
    """

    f_measure: float
    best: float
    relation: str


def beat_times(audio: Tensor, sample_rate: int) -> NDArray[np.float64]:
    """Beats (s) of a sound ``[C, T]``, by librosa's dynamic programming (Ellis 2007)."""
    signal = librosa.resample(mono(audio, sample_rate), orig_sr=44100, target_sr=_SAMPLE_RATE)
    strength = librosa.onset.onset_strength(y=signal, sr=_SAMPLE_RATE, hop_length=_HOP_LENGTH)
    if not np.any(strength > 0):
        return np.zeros(0)
    _, beats = librosa.beat.beat_track(
        onset_envelope=strength, sr=_SAMPLE_RATE, hop_length=_HOP_LENGTH, units="time"
    )
    return np.asarray(beats, dtype=np.float64)


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
