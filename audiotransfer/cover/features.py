"""What the small networks of the jazz band are given: the context of a chord, or of a bass note.

Both networks predict the next event of a part from the events before it and from the song: whether
a comping chord is struck in a half beat, and by which interval the bass moves into a beat. Training
and playing compute their inputs here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.cover.harmony import CHORD_TYPES

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

#: Half beats of a bar of four beats.
SLOTS = 8
#: Half beats before the present one, and half beats of the melody from the present one on.
HISTORY, AHEAD = 24, 8
#: Largest interval of the bass in semitones, and its classes from -WIDEST to WIDEST.
WIDEST = 12
INTERVAL_CLASSES = 2 * WIDEST + 1
#: Beats to the next change of the chord; later ones count as the last.
FURTHEST = 8
_PAST = 4  # bass notes before the present one
_MIDDLE, _SPAN = 42.0, 8.0  # pitch that counts as 0, and semitones that count as 1
_TEMPO = 200.0  # beats per minute that count as 1

#: Lengths of the two vectors of features.
COMPING_FEATURES = 2 * HISTORY + AHEAD + SLOTS + 2
BASS_FEATURES = 4 + 12 + len(CHORD_TYPES) + FURTHEST + 12 + 12 + 2 + (_PAST - 1)


def comping_features(
    comping: NDArray[np.int64],
    melody: NDArray[np.int64],
    tempo: float,
    density: float,
    slots: ArrayLike,
) -> NDArray[np.float32]:
    """The context ``[S, COMPING_FEATURES]`` of half beats ``slots`` ``[S]``.

    ``comping`` and ``melody`` ``[T]`` are 1 where a chord or a note begins in a half beat; of
    ``comping`` only what precedes each slot is read. ``tempo`` is in beats per minute, ``density``
    in chords a bar.
    """
    at = np.asarray(slots)
    before = np.concatenate([np.zeros(HISTORY), comping, np.zeros(SLOTS)])
    around = np.concatenate([np.zeros(HISTORY), melody, np.zeros(AHEAD)])
    places = at[:, None]
    song = np.tile([tempo / _TEMPO - 1, density / 2], (len(at), 1))
    parts = [
        before[places + np.arange(HISTORY)],
        around[places + np.arange(HISTORY + AHEAD)],
        np.eye(SLOTS)[at % SLOTS],
        song,
    ]
    return np.concatenate(parts, axis=1).astype(np.float32)


def bass_features(
    past: NDArray[np.int64],
    beat: int,
    kind: int,
    root: int,
    next_root: int,
    until_change: int,
    new_chord: bool,
) -> NDArray[np.float32]:
    """The context ``[BASS_FEATURES]`` of the bass note on a beat.

    ``past`` are the four pitches before it, the last one last, 0 where there is none; ``beat`` is
    its place in the bar of four; ``kind`` an index of `CHORD_TYPES`; ``root`` and ``next_root`` are
    pitch classes of the chord on the beat and of the one after it, which begins in
    ``until_change`` beats (at least 1).
    """
    last = int(past[-1])
    moves = np.where(past[:-1] > 0, (last - past[:-1]) / 7.0, 0.0)[::-1]
    parts = [
        np.eye(4)[beat % 4],
        np.eye(12)[(last - root) % 12],
        np.eye(len(CHORD_TYPES))[kind],
        np.eye(FURTHEST)[min(until_change, FURTHEST) - 1],
        np.eye(12)[(next_root - root) % 12],
        np.eye(12)[(last - next_root) % 12],
        [float(new_chord), (last - _MIDDLE) / _SPAN],
        moves,
    ]
    return np.concatenate(parts).astype(np.float32)
