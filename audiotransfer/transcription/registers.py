"""Shares notes between melody and bass by register: low notes belong to one line.

Tables of notes ``[N, 5]`` are as in `audiotransfer.transcription.lines`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.transcription.lines import END, PITCH, START

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SAME = 0.5  # least share of a note that another detection of it covers
_LOW = 48  # pitch below which a note may be the bass's
_LOWEST = 36  # pitch below which nothing leads
_DOUBLES = 46  # pitch below which a note with the bass's pitch class is the bass
_OCTAVE = 12
_NEAR = 2.0  # seconds within which a line's notes say where it is
_BRIEF = 0.06  # seconds that a note keeps at least where another one begins
_LONG_BARS, _LONG_SECONDS = 2.0, 4.0  # from which a note is held, and leads nothing


def one_low_line(
    melody: NDArray[np.float64], bass: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The melody without its low notes that are the bass's, and the bass with them in its rests.

    Of one pitch class at the same time they are two detections of one note. Others below C3 belong
    to the line whose nearest note within two seconds is nearer in pitch; below C2 nothing leads.
    Neither line overlaps itself, before or after.
    """
    low = melody[:, PITCH] < _LOW
    high, notes = melody[~low], melody[low]
    doubles = (notes[:, PITCH] < _DOUBLES) & (_doubled(notes, bass) >= _SAME)
    nearer = _interval(notes, bass) < _interval(notes, high)
    moved = (notes[:, PITCH] < _LOWEST) | nearer | doubles
    filling = moved & (_covered(notes, bass) < _SAME)
    kept = ~low
    kept[low] = ~moved
    return melody[kept], _one_voice(np.concatenate([bass, notes[filling]]))


def without_held(melody: NDArray[np.float64], bar: float) -> NDArray[np.float64]:
    """The melody without notes that are held for more than two bars of ``bar`` seconds, and 4 s."""
    lengths = melody[:, END] - melody[:, START]
    moving: NDArray[np.float64] = melody[lengths <= max(_LONG_BARS * bar, _LONG_SECONDS)]
    return moving


def _covered(notes: NDArray[np.float64], line: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of each note in which a line of single notes sounds."""
    if not len(line):
        return np.zeros(len(notes))
    edges = line[:, [START, END]].ravel()
    sounded = np.cumsum(np.diff(edges, prepend=edges[0]) * (np.arange(len(edges)) % 2))
    until = np.interp(notes[:, END], edges, sounded) - np.interp(notes[:, START], edges, sounded)
    shares: NDArray[np.float64] = until / np.maximum(notes[:, END] - notes[:, START], 1e-6)
    return shares


def _doubled(notes: NDArray[np.float64], line: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of each note in which a line of single notes has its pitch class."""
    shares = np.zeros(len(notes))
    classes, line_classes = (np.rint(table[:, PITCH]) % _OCTAVE for table in (notes, line))
    for pitch_class in np.unique(classes):
        of = classes == pitch_class
        shares[of] = _covered(notes[of], line[line_classes == pitch_class])
    return shares


def _interval(notes: NDArray[np.float64], line: NDArray[np.float64]) -> NDArray[np.float64]:
    """Semitones from each note to the nearest one in time of a line of single notes.

    Of two that are as near in time, the nearer in pitch; infinite where none is within 2 s.
    """
    if not len(line):
        return np.full(len(notes), np.inf)
    before = np.searchsorted(line[:, START], notes[:, START], side="right") - 1
    near = line[np.stack([before, before + 1]).clip(0, len(line) - 1)]
    apart = np.maximum(notes[:, START] - near[..., END], near[..., START] - notes[:, END])
    apart = apart.clip(0.0)
    steps = np.abs(notes[:, PITCH] - near[..., PITCH])
    steps = np.where(apart <= apart.min(axis=0) + 1e-3, steps, np.inf).min(axis=0)
    return np.where(apart.min(axis=0) <= _NEAR, steps, np.inf)


def _one_voice(notes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Notes sorted by start, each ending where the next one begins."""
    notes = notes[np.argsort(notes[:, START], kind="stable")]
    notes[:-1, END] = np.minimum(notes[:-1, END], notes[1:, START])
    return notes[notes[:, END] - notes[:, START] >= _BRIEF]
