"""Where within the quarters of a MIDI file its beats lie."""

from __future__ import annotations

from typing import Any

import numpy as np

_PARTS = 4  # places within a quarter that are tried
_LONGEST = 4.0  # quarters: longer notes weigh no more
_LOW = 52  # MIDI pitch below which a note weighs twice: basses begin on beats
_NEAR = 0.3  # of a sixteenth within which an onset stands on a place
_FEWEST = 16  # onsets from which beats are moved
# Fitted on 258 files of four collections, in which 98 % of the beats of pop songs with arbitrary
# bar lines are right with it (with the file's own 25 %), and all but 2 of 141 files stay.
_CLEARLY = 1.5  # times as much weight as the file's own place must another have


def beat_phase(score: Any, offset: float = 0.0) -> int:
    """Ticks from the file's quarters to where its beats are: whole sixteenths, less than a quarter.

    Long and low notes begin on beats. Files whose notes are mostly elsewhere were not put to their
    bar lines; only where that is clear the beats are moved, else they stay (0). ``offset`` are the
    ticks by which all notes are shifted against the sixteenths. Compound metres stay.
    """
    if any(sign.denominator >= 8 for sign in score.time_signatures):
        return 0
    tracks = [t.notes.numpy() for t in score.tracks if len(t.notes) and not t.is_drum]
    if not tracks:
        return 0
    start, length, pitch = (
        np.concatenate([notes[name] for notes in tracks]).astype(np.float64)
        for name in ("time", "duration", "pitch")
    )
    place = (start - offset) / score.tpq * _PARTS
    on_place = abs(place - np.round(place)) < _NEAR
    if np.sum(on_place) < _FEWEST:
        return 0
    weights = np.minimum(length / score.tpq, _LONGEST) * np.where(pitch < _LOW, 2.0, 1.0)
    phase = np.round(place[on_place]).astype(np.int64) % _PARTS
    shares = np.bincount(phase, weights[on_place], minlength=_PARTS)
    best = int(np.argmax(shares))
    return round(best * score.tpq / _PARTS) if shares[best] > _CLEARLY * shares[0] else 0
