"""Endings: the last chord of a song, and the last bar, in which the band holds it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.leadsheet import QUALITIES, Chord

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from audiotransfer.cover.plan import Plan
    from audiotransfer.leadsheet import Bar, Key

#: Last chords over the tonic and their shares: 6 .39, major 7 .17, dominant 7 .07 of 76 standards
#: (JazzSAMBA), minor .24 of them, which are here shared between m6 and m7.
MAJOR = (("6", 0.39), ("maj7", 0.17), ("7", 0.07))
MINOR = (("m6", 0.14), ("m7", 0.1))
_TRIADS = {"major": (("", 1.0),), "minor": (("m", 1.0),)}


def with_ending(
    chords: tuple[Chord, ...],
    last: Bar,
    key: Key | None,
    melody: NDArray[np.float64],
    random: Generator,
    sevenths: bool = True,
) -> tuple[Chord, ...]:
    """Chords with the tonic in the last bar, unless the melody's last note is foreign to it.

    ``melody`` ``[N, 4]`` are the lead's notes in beats. Qualities are drawn by their counts
    without those that hold a semitone, or a major seventh, against the last note. Without a key,
    or with a foreign last note, the song's own chord at the bar's start lasts to the end. Without
    ``sevenths`` the tonic is a triad.
    """
    before = [chord for chord in chords if chord.beat < last.beat]
    own = [chord for chord in chords if chord.beat + chord.beats > last.beat]
    if not own:
        return chords
    if before and before[-1].beat + before[-1].beats > last.beat:
        before[-1] = replace(before[-1], beats=last.beat - before[-1].beat)
    final = replace(own[0], beat=float(last.beat), beats=float(last.beats))
    sounding = melody[melody[:, 0] + melody[:, 1] > last.beat + 0.05]
    pitch = None if not len(sounding) else int(sounding[-1, 2]) % 12
    quality = _quality(key, pitch, random, sevenths) if key is not None else None
    if key is not None and quality is not None:
        final = Chord(float(last.beat), float(last.beats), key.tonic, quality)
    return (*before, final)


def _quality(key: Key, pitch: int | None, random: Generator, sevenths: bool) -> str | None:
    """The last chord's quality; ``None`` where the melody's last pitch class fits none."""
    fitting = []
    jazz = MAJOR if key.mode == "major" else MINOR
    for quality, share in jazz if sevenths else _TRIADS[key.mode]:
        tones = {(key.tonic + tone) % 12 for tone in QUALITIES[quality]}
        if pitch is None or not tones & {(pitch + 1) % 12, (pitch - 1) % 12}:
            fitting.append((quality, share))
    if not fitting or (pitch is not None and not _of_scale(key, pitch)):
        return None
    shares = np.array([share for _, share in fitting])
    return fitting[int(random.choice(len(fitting), p=shares / shares.sum()))][0]


def _of_scale(key: Key, pitch: int) -> bool:
    """Whether a pitch class can stand over the tonic chord: a tone of it, or its 2, 6 or 7."""
    steps = (0, 2, 4, 7, 9, 11) if key.mode == "major" else (0, 2, 3, 7, 9, 10)
    return (pitch - key.tonic) % 12 in steps


def held(notes: NDArray[np.float64], plan: Plan) -> NDArray[np.float64]:
    """Notes ``[N, 4]`` of an accompanying instrument with the last bar's first onset held.

    What begins within the first beat of the last bar sounds to its end; what comes later in the
    bar is left out. A last bar that begins with a rest stays as it is.
    """
    last = plan.sheet.bars[-1]
    inside = notes[:, 0] >= last.beat - 0.01
    first = notes[inside, 0].min() if inside.any() else np.inf
    if first > last.beat + 0.99:
        return notes
    notes = notes[~inside | (notes[:, 0] < first + 0.05)].copy()
    inside = notes[:, 0] >= last.beat - 0.01
    notes[inside, 1] = last.beat + last.beats - notes[inside, 0]
    return notes
