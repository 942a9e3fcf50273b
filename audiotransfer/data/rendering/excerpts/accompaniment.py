"""Basses and chordal accompaniments in many patterns, made from the chords of a piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.data.rendering.excerpts.pieces import (
    BASS,
    HARMONY,
    Layer,
    Piece,
    monophonic,
    no_rows,
)

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]

#: Semitones over the root of ``transcription.activations.CHORD_QUALITIES``, in their order.
CHORD_TONES = ((0, 4, 7), (0, 3, 7), (0, 4, 7, 10), (0, 4, 7, 11), (0, 3, 7, 10), (0, 3, 6))
_PENTATONIC = {True: (0, 2, 4, 7, 9, 12), False: (0, 3, 5, 7, 10, 12)}

Chord = tuple[int, tuple[int, ...]]


def chord_at(piece: Piece, beat: float) -> Chord | None:
    """Root and semitones of the chord that sounds at a beat; None for none."""
    place = int(np.searchsorted(piece.chords[:, 0], beat + 1e-6, side="right")) - 1
    if place < 0 or piece.chords[place, 1] < 0:
        return None
    _, root, quality = piece.chords[place]
    return int(root), CHORD_TONES[int(quality)]


def _low(pitch: int, floor: int) -> int:
    return floor + (pitch - floor) % 12


# Bass patterns: notes of one bar, as (beat in the bar, length, pitch, accent).
Event = tuple[float, float, int, int]


def _held(length: float, low: list[int], fifth: list[int], random: Generator) -> Iterator[Event]:
    yield 0.0, length, low[0], 6
    for beat in range(1, len(low)):
        if low[beat] != low[beat - 1]:
            yield float(beat), length - beat, low[beat], 0


def _beats(length: float, low: list[int], fifth: list[int], random: Generator) -> Iterator[Event]:
    for beat, pitch in enumerate(low):
        yield float(beat), 0.9, pitch, 8 if beat == 0 else 0


def _eighths(length: float, low: list[int], fifth: list[int], random: Generator) -> Iterator[Event]:
    for half in range(int(length * 2)):
        yield half / 2, 0.45, low[half // 2], 0 if half % 2 else 8


def _octaves(length: float, low: list[int], fifth: list[int], random: Generator) -> Iterator[Event]:
    for half in range(int(length * 2)):
        yield half / 2, 0.4, low[half // 2] + 12 * (half % 2), 0


def _fifths(length: float, low: list[int], fifth: list[int], random: Generator) -> Iterator[Event]:
    middle = len(low) // 2 if len(low) > 3 else len(low) - 1
    yield 0.0, max(1.0, middle * 0.95), low[0], 6
    if middle:
        yield float(middle), length - middle, fifth[middle], 0


def _dotted(length: float, low: list[int], fifth: list[int], random: Generator) -> Iterator[Event]:
    yield 0.0, 1.4, low[0], 8
    if length >= 2:
        yield 1.5, 0.5, low[1], 0
    if length >= 4:
        yield 2.0, 1.4, low[2], 4
        yield 3.5, 0.5, fifth[3] if random.random() < 0.5 else low[3], 0


def _offbeat(length: float, low: list[int], fifth: list[int], random: Generator) -> Iterator[Event]:
    for beat, pitch in enumerate(low):
        yield beat + 0.5, 0.4, pitch, 4


def _walking(length: float, low: list[int], fifth: list[int], random: Generator) -> Iterator[Event]:
    pitch = low[0]
    for beat in range(len(low)):
        if beat == 0 or low[beat] != low[beat - 1]:
            pitch = low[beat]
        elif beat == len(low) - 1:
            pitch = low[beat] + int(random.choice([-2, -1, 1, 2, 7]))
        else:
            pitch = int(random.choice([low[beat] + 12, fifth[beat], low[beat] + 3, low[beat] + 4,
                                       low[beat] + 2, low[beat] + 5]))  # fmt: skip
        yield float(beat), 0.92, pitch, 0
        if random.random() < 0.1:
            yield beat + 0.5, 0.4, pitch, -20


_FIXED: dict[str, Callable[..., Iterator[Event]]] = {
    "held": _held,
    "beats": _beats,
    "eighths": _eighths,
    "octaves": _octaves,
    "fifths": _fifths,
    "dotted": _dotted,
    "offbeat": _offbeat,
    "walking": _walking,
}
#: Patterns that are drawn once for a piece: rhythm and degrees come back in every bar.
_DRAWN = ("syncopated", "riff", "acid")
BASS_PATTERNS = (*_FIXED, *_DRAWN)


def _drawn(pattern: str, random: Generator, division: int) -> list[tuple[float, float, int]]:
    """Beat, length and semitones over the root of a bar of four beats (``syncopated``...)."""
    steps = 12 if division == 3 else 16
    grid = 4.0 / steps
    if pattern == "acid":
        on = random.random(steps) < 0.72
        choice: tuple[int, ...] = (0, 0, 0, 12, 12, 3, 7, 10, -2)
        lengths = np.where(random.random(steps) < 0.3, 1.0, 0.5) * grid
    else:
        strong = np.arange(steps) % (steps // 4) == 0
        on = random.random(steps) < np.where(strong, 0.45, 0.28)
        choice = (0, 0, 0, 7, 12) if pattern == "syncopated" else (0, 0, 3, 5, 7, 10, 12, -2)
        lengths = np.full(steps, 0.9)
    on[0] = True
    places = np.flatnonzero(on)
    gaps = np.diff(np.append(places, steps)) * grid
    return [
        (place * grid, float(min(gap, lengths[place]) * 0.95), int(random.choice(choice)))
        for place, gap in zip(places, gaps, strict=True)
    ]


def bass_line(piece: Piece, pattern: str, random: Generator) -> Layer:
    """A bass of one of ``BASS_PATTERNS`` under the chords of a piece; silent where there is none.

    Two bars of a drawn pattern alternate.
    """
    floor = int(random.choice([28, 28, 30, 33, 35]))
    motif = [_drawn(pattern, random, piece.division) for _ in range(2)] if pattern in _DRAWN else []
    rows: list[tuple[float, float, float, float]] = []
    for number, (start, stop) in enumerate(piece.spans()):
        length = stop - start
        chords = [chord_at(piece, start + beat) for beat in range(max(1, round(length)))]
        if all(chord is None for chord in chords):
            continue
        known = next(chord for chord in chords if chord is not None)
        filled = [chord or known for chord in chords]
        low = [_low(root, floor) for root, _ in filled]
        fifth = [pitch + tones[2] - (12 if pitch > 36 else 0)
                 for pitch, (_, tones) in zip(low, filled, strict=True)]  # fmt: skip
        if motif:
            events = [
                (beat, held, low[min(int(beat), len(low) - 1)] + step, 0)
                for beat, held, step in motif[number % 2]
            ]
        else:
            events = list(_FIXED[pattern](length, low, fifth, random))
        for beat, held, pitch, accent in events:
            if beat < length - 0.05 and chords[min(int(beat), len(chords) - 1)] is not None:
                rows.append((start + beat, held, pitch, 92 + accent + random.normal(0, 4)))
    return Layer(BASS, monophonic(np.array(rows).reshape(-1, 4)))


def _voicing(chord: Chord, bottom: int) -> list[int]:
    root, tones = chord
    pitches = sorted(bottom + (root + tone - bottom) % 12 for tone in tones)
    return [int(pitch) for pitch in pitches]


HARMONY_PATTERNS = ("pad", "strum", "arpeggio", "alberti", "stabs", "beats", "power", "sustained")


def accompaniment(piece: Piece, pattern: str, random: Generator) -> Layer:
    """A chordal part of one of ``HARMONY_PATTERNS``; silent where there is no chord."""
    bottom = int(random.integers(46, 58)) if pattern != "power" else int(random.integers(38, 46))
    steps = 3 if piece.division == 3 else int(random.choice([2, 2, 4]))
    hits = random.random(16) < 0.5
    hits[0] = True
    # A chord played on each half of a beat where the bar's strumming pattern says so.
    extra = random.random() < 0.4
    rows: list[tuple[float, float, float, float]] = []

    def add(beat: float, length: float, pitches: list[int], velocity: float) -> None:
        for pitch in pitches:
            rows.append((beat, length, pitch, velocity + random.normal(0, 5)))

    for start, stop in piece.spans():
        count = max(1, round(stop - start))
        previous: Chord | None = None
        for beat in range(count):
            chord = chord_at(piece, start + beat)
            if chord is None:
                previous = None
                continue
            pitches = _voicing(chord, bottom)
            if extra and pattern in ("pad", "strum", "sustained"):
                pitches.append(pitches[0] + 12)
            here, changed = start + beat, chord != previous
            left = next((later - beat for later in range(beat + 1, count)
                         if chord_at(piece, start + later) != chord), count - beat)  # fmt: skip
            if pattern in ("pad", "sustained"):
                if changed:
                    add(here, left * 0.98, pitches, 78)
            elif pattern == "strum":
                for step in range(piece.division):
                    if hits[(beat * piece.division + step) % 16] or (changed and step == 0):
                        down = step == 0
                        spread = random.uniform(0.01, 0.04)
                        order = pitches if down else pitches[::-1]
                        for place, pitch in enumerate(order):
                            begin = here + step / piece.division + place * spread
                            rows.append((begin, 0.9 / piece.division, pitch, 84 if down else 70))
            elif pattern in ("arpeggio", "alberti"):
                ladder = [*pitches, pitches[0] + 12]
                order = [0, 2, 1, 2] if pattern == "alberti" else [0, 1, 2, 3, 2, 1]
                for step in range(steps):
                    pitch = ladder[order[(beat * steps + step) % len(order)] % len(ladder)]
                    add(here + step / steps, 1.2 / steps, [pitch], 76)
            elif pattern == "stabs":
                add(here + (0.5 if piece.division == 2 else 2 / 3), 0.3, pitches, 84)
            elif pattern == "beats":
                add(here, 0.85, pitches, 80 if beat else 90)
            else:
                root = bottom + (chord[0] - bottom) % 12
                power = [root, root + 7, root + 12]
                for step in range(piece.division):
                    add(here + step / piece.division, 0.9 / piece.division, power, 88)
            previous = chord
    return Layer(HARMONY, np.array(rows) if rows else no_rows(4))
