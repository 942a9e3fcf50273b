"""Chord qualities: their tones, and how chord symbols are written and read."""

from __future__ import annotations

#: Quality -> tones in semitones above the root. The names are written after the root (``Dm7``).
QUALITIES: dict[str, tuple[int, ...]] = {
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "dim": (0, 3, 6),
    "aug": (0, 4, 8),
    "sus2": (0, 2, 7),
    "sus4": (0, 5, 7),
    "5": (0, 7),
    "6": (0, 4, 7, 9),
    "m6": (0, 3, 7, 9),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "m7": (0, 3, 7, 10),
    "mmaj7": (0, 3, 7, 11),
    "m7b5": (0, 3, 6, 10),
    "dim7": (0, 3, 6, 9),
    "aug7": (0, 4, 8, 10),
    "7sus4": (0, 5, 7, 10),
    "9": (0, 4, 7, 10, 2),
    "maj9": (0, 4, 7, 11, 2),
    "m9": (0, 3, 7, 10, 2),
    "7b9": (0, 4, 7, 10, 1),
}

#: Names of a chord's tones, by `tone_index`.
TONES = ("root", "3rd", "5th", "7th or 6th", "other")
_DEGREES = ((0,), (3, 4), (6, 7, 8), (9, 10, 11))


def tone_index(degree: int, quality: str) -> int:
    """Index in `TONES` of a degree in semitones above the root, under a chord of this quality.

    Only tones of the quality are named: the sixth above a triad is ``other``.
    """
    if degree % 12 in QUALITIES[quality]:
        for index, degrees in enumerate(_DEGREES):
            if degree % 12 in degrees:
                return index
    return len(TONES) - 1
