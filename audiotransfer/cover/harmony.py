"""Chords as a jazz band reads them: kinds, sevenths by function, and clashes with the melody."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.leadsheet.chords import QUALITIES
from audiotransfer.leadsheet.leadsheet import Key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from audiotransfer.leadsheet import Chord, LeadSheet

#: Kinds of chords, by which the counts of voicings and walking bass are sorted.
CHORD_TYPES = ("dom", "min", "maj", "hdim", "dim", "sus")
_EXPOSED = 0.5  # beats: longer melody notes, and those on a beat, must not clash
_ON_BEAT = 0.2  # beats that a note on a beat must last
_TONES = (
    {  # scale degree of the root in a major key -> qualities for a major triad, best first
        0: ("maj7", "6"),
        5: ("maj7", "6"),
        1: ("maj7", "6"),
        3: ("maj7", "6"),
        8: ("maj7", "6"),
    },
    {  # the same in a minor key
        0: ("7",),
        3: ("maj7", "6"),
        8: ("maj7", "6"),
        1: ("maj7", "6"),
        5: ("7",),
        7: ("7b9", "7"),
    },
)
_MINOR_THIRDS = ({2, 4, 9, 11}, {0, 2, 5, 7})  # degrees whose diatonic third is minor


def chord_kind(quality: str) -> str:
    """The kind of a chord's quality, one of `CHORD_TYPES`."""
    tones = QUALITIES[quality]
    if 4 in tones:
        return "dom" if 10 in tones or quality == "aug" else "maj"
    if 3 in tones and 6 in tones:
        return "hdim" if 10 in tones else "dim"
    if 3 in tones:
        return "min"
    return "maj" if quality == "5" else "sus"


def chord_tones(chord: Chord) -> frozenset[int]:
    """Pitch classes of a chord; none of no chord."""
    if chord.root is None:
        return frozenset()
    return frozenset((chord.root + tone) % 12 for tone in QUALITIES[chord.quality])


def key_at(sheet: LeadSheet, beat: float) -> Key:
    """The key at a place in beats; without keys the last chord is the tonic."""
    key = sheet.key_at(beat)
    if key is not None:
        return key
    rooted = [chord for chord in sheet.chords if chord.root is not None]
    if not rooted:
        return Key(0, 0)
    mode = "minor" if chord_kind(rooted[-1].quality) == "min" else "major"
    return Key(0, rooted[-1].root or 0, mode)


def exposed(melody: NDArray[np.float64], start: float, end: float) -> frozenset[int]:
    """Pitch classes of melody notes on a beat, or longer than half a beat, between two places."""
    if not len(melody):
        return frozenset()
    first = np.maximum(melody[:, 0], start)
    overlap = np.minimum(melody[:, 0] + melody[:, 1], end) - first
    phase = np.abs(melody[:, 0] - np.round(melody[:, 0]))
    on_beat = (phase < 0.1) & (melody[:, 0] > start - 0.1) & (overlap > _ON_BEAT)
    chosen = melody[(overlap > _EXPOSED + 1e-6) | on_beat, 2]
    return frozenset(int(pitch) % 12 for pitch in chosen)


def clashes(
    chord: Chord, melody: NDArray[np.float64], besides: frozenset[int] = frozenset()
) -> bool:
    """Whether an exposed melody note is a minor ninth above one of the chord's tones.

    Tones in ``besides`` (pitch classes) are not looked at: those that the song's chord has too.
    """
    notes = exposed(melody, chord.beat, chord.beat + chord.beats)
    return any((tone + 1) % 12 in notes for tone in chord_tones(chord) - besides)


def add_sevenths(
    sheet: LeadSheet, chords: Sequence[Chord], melody: NDArray[np.float64]
) -> tuple[Chord, ...]:
    """Adds sixths and sevenths to triads by their function in the key, where the melody allows.

    Chords that have a seventh keep it: a tonic with a minor seventh is a blues.
    """
    extended = []
    for index, chord in enumerate(chords):
        if chord.root is None:
            extended.append(chord)
            continue
        following = chords[index + 1] if index + 1 < len(chords) else None
        for quality in _qualities(chord, following, key_at(sheet, chord.beat)):
            fuller = replace(chord, quality=quality)
            if not clashes(fuller, melody, chord_tones(chord)):
                chord = fuller
                break
        extended.append(chord)
    return tuple(extended)


def _qualities(chord: Chord, following: Chord | None, key: Key) -> tuple[str, ...]:
    """Fuller qualities for a chord, best first."""
    minor = key.mode == "minor"
    degree = ((chord.root or 0) - key.tonic) % 12
    quality = chord.quality
    if quality == "5":
        quality = "m" if degree in _MINOR_THIRDS[minor] else ""
    if quality == "":
        if following is None and degree == 0:
            return ("6", "maj7")  # counted on last chords: 6 .39, maj7 .17 (n 76)
        return _TONES[minor].get(degree, ("7",))
    if quality == "m":
        if following is None or (minor and degree == 0):
            return ("m6", "m7") if following is None else ("m7", "m6")
        return ("m6", "m7") if not minor and degree == 5 else ("m7",)
    if quality == "dim":
        seventh = not minor and degree == 11
        return ("m7b5", "dim7") if seventh or degree == 2 else ("dim7", "m7b5")
    if quality == "aug":
        return ("aug7",)
    if quality == "sus4":
        return ("7sus4",) if degree in (2, 4, 7, 9) else ()
    return ()
