"""How far a transcription can be relied on, and why it should not be arranged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import find_peaks

from audiotransfer.transcription.dynamics import RATE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from audiotransfer.leadsheet import Chord, LeadSheet, Note
    from audiotransfer.transcription.activations import RhythmActivations

#: Shortest song in seconds that can be arranged.
SHORTEST = 6.0
_SILENT = -65.0  # dB: songs never louder than that are silent
# Of 44 recordings of music in six genres one has less (its beats). Noise, single voices, drum loops
# and those piano pieces in free rhythm whose beats were found wrong have less of one or both.
_LEAST_BEATS, _LEAST_CHORDS = 0.26, 0.3
# Peaks of the beats' activation within so many seconds of a beat are 3 to 11 ms off it on average
# where the beat is steady; where it is not, or is none, 14 to 29 ms.
_NEAR, _STEADY, _UNSTEADY = 0.06, 0.010, 0.020
_PEAK, _APART = 0.15, 0.09  # least activation of a peak, and seconds between two
_LED = 0.25  # share of a song with a lead from which its length costs no confidence


@dataclass(frozen=True)
class Confidence:
    """Confidences 0..1 of the beats, the chords and the lead."""

    beats: float
    chords: float
    lead: float

    def doubt(self) -> str | None:
        """Why the song should not be arranged, in words; ``None`` where it may be."""
        doubts = []
        if self.beats < _LEAST_BEATS:
            doubts.append("it has no steady beat")
        if self.chords < _LEAST_CHORDS:
            doubts.append("its chords are not clear")
        return ", and ".join(doubts) or None


def confidence_of(sheet: LeadSheet, rhythm: RhythmActivations, beats: float) -> Confidence:
    """The confidences of a lead sheet whose beats have the confidence ``beats``.

    That is lowered where the activation's peaks lie beside the beats: the tempo is not steady.
    """
    deviation = _deviation(rhythm, sheet.beat_times)
    steady = float(np.clip((_UNSTEADY - deviation) / (_UNSTEADY - _STEADY), 0.0, 1.0))
    return Confidence(
        round(beats * steady, 3),
        round(_chords(sheet.chords), 3),
        round(_lead(sheet.melody, sheet.seconds), 3),
    )


def is_silent(levels: NDArray[np.floating]) -> bool:
    """Whether a recording with this loudness curve in dB is silent all the time."""
    return bool(not len(levels) or levels.max() < _SILENT)


def doubt_of_sound(levels: NDArray[np.floating]) -> str | None:
    """Why a recording with this loudness curve in dB cannot be arranged: too short, or silent."""
    if is_silent(levels):
        return "it is silent"
    if len(levels) < SHORTEST * RATE:
        return f"it lasts only {len(levels) / RATE:.1f} s, and a cover needs {SHORTEST:g} s"
    return None


def _deviation(rhythm: RhythmActivations, beats: NDArray[np.float64]) -> float:
    """Mean distance in seconds of the activation's peaks near beats from these."""
    activation = rhythm.beats.astype(np.float64)
    peaks, _ = find_peaks(activation, height=_PEAK, distance=max(1, round(_APART * rhythm.rate)))
    times = peaks / rhythm.rate
    after = np.clip(np.searchsorted(beats, times), 1, len(beats) - 1)
    away = np.minimum(np.abs(times - beats[after - 1]), np.abs(times - beats[after]))
    near = away < _NEAR
    return float(np.average(away[near], weights=activation[peaks][near])) if near.any() else _NEAR


def _chords(chords: Sequence[Chord]) -> float:
    """Mean confidence of the beats; those without a chord have none."""
    lengths = np.array([chord.beats for chord in chords])
    sure = np.array([0.0 if chord.root is None else chord.confidence for chord in chords])
    return float((lengths * sure).sum() / lengths.sum()) if len(lengths) else 0.0


def _lead(melody: Sequence[Note], seconds: float) -> float:
    """Mean confidence of the melody by duration, lower where it is a small part of the song."""
    lengths = np.array([note.duration for note in melody])
    total = float(lengths.sum())
    if not total:
        return 0.0
    mean = float((lengths * [note.confidence for note in melody]).sum()) / total
    return mean * min(1.0, total / (_LED * seconds))
