"""How far a transcription can be relied on, and why it should not be arranged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.transcription.dynamics import RATE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from audiotransfer.leadsheet import Chord, LeadSheet, Note

#: Shortest song in seconds that can be arranged.
SHORTEST = 6.0
_SILENT = -65.0  # dB: songs never louder than that are silent
_LEAST_BEATS, _LEAST_CHORDS = 0.3, 0.3
_LED = 0.25  # share of a song with a lead from which its length costs no confidence


@dataclass(frozen=True)
class Confidence:
    """Confidences 0..1 of the beats, the chords and the lead."""

    beats: float
    chords: float
    lead: float

    def doubt(self) -> str | None:
        """Why the song should not be arranged, in words; ``None`` where it may be."""
        if self.beats < _LEAST_BEATS:
            return "it has no steady beat"
        if self.chords < _LEAST_CHORDS:
            return "its chords are not clear"
        return None


def confidence_of(sheet: LeadSheet, beats: float) -> Confidence:
    """The confidences of a lead sheet whose beats have the confidence ``beats``."""
    return Confidence(
        round(beats, 3),
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
