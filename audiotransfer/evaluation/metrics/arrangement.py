"""Compares the notes of an arrangement with counts of real bands: comping, bass, clashes.

Notes are ``[N, 4]``: place and length in beats, MIDI pitch, velocity. Chords are those of the
arrangement as `audiotransfer.leadsheet.Chord`. Places may be straight or swung: what starts
between a quarter and 0.85 of a beat is an off-beat.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.cover.walking import interval_index
from audiotransfer.leadsheet.chords import TONES, tone_index

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from audiotransfer.leadsheet import Bar, Chord

_TOGETHER = 0.12  # beats within which onsets belong to one chord
_OFF, _NEXT = 0.25, 0.85  # phases between which an onset is an off-beat


def total_variation(first: ArrayLike, second: ArrayLike) -> float:
    """Total variation distance of two histograms, 0 (equal) to 1; each is normalised first."""
    p, q = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if p.shape != q.shape or p.sum() <= 0 or q.sum() <= 0:
        raise ValueError(f"histograms of shapes {p.shape} and {q.shape} cannot be compared")
    return float(np.abs(p / p.sum() - q / q.sum()).sum() / 2)


def chord_onsets(notes: NDArray[np.float64], least: int = 2) -> list[NDArray[np.float64]]:
    """Groups notes that start together; groups of fewer than ``least`` notes are left out."""
    if not len(notes):
        return []
    ordered = notes[np.argsort(notes[:, 0], kind="stable")]
    groups, first = [], 0
    for index in range(1, len(ordered) + 1):
        if index == len(ordered) or ordered[index, 0] - ordered[first, 0] > _TOGETHER:
            groups.append(ordered[first:index])
            first = index
    return [group for group in groups if len(group) >= least]


def slot(place: float) -> int:
    """The swung eighth, counted from the first beat, in which a place in beats lies."""
    beat, phase = int(np.floor(place)), place % 1
    return 2 * beat if phase < _OFF else 2 * beat + 1 if phase < _NEXT else 2 * beat + 2


def comping_onsets(notes: NDArray[np.float64], bars: Sequence[Bar]) -> NDArray[np.float64]:
    """Chords in each swung eighth of two bars ``[2, 8]``; bars that aren't of four are left out."""
    counted = np.zeros((2, 8))
    firsts = {2 * bar.beat: index for index, bar in enumerate(bars) if bar.beats == 4}
    places = [slot(group[0, 0]) for group in chord_onsets(notes)]
    for place in places:
        for first in range(place, place - 8, -1):
            if first in firsts:
                counted[firsts[first] % 2, place - first] += 1
                break
    return counted


def voicing_sizes(notes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Number of chords of two, three, four, and five or more notes ``[4]``."""
    counted = np.zeros(4)
    for group in chord_onsets(notes):
        counted[min(len(set(group[:, 2])), 5) - 2] += len(set(group[:, 2])) > 1
    return counted


def anticipation(notes: NDArray[np.float64], chords: Sequence[Chord]) -> tuple[int, int]:
    """Off-beat chords right before a change that fit the new and the old chord.

    A chord fits the one of which it has more tones; where that is undecided it does not count.
    """
    new, old = 0, 0
    changes = {2 * round(b.beat): (a, b) for a, b in pairwise(chords) if _differ(a, b)}
    for group in chord_onsets(notes):
        place = slot(group[0, 0])
        if place % 2 and place + 1 in changes:
            before, after = (
                sum(_tone(pitch, chord) < 4 for pitch in group[:, 2])
                for chord in changes[place + 1]
            )
            new, old = new + (after > before), old + (after < before)
    return new, old


def bass_tones(
    notes: NDArray[np.float64], chords: Sequence[Chord], bars: Sequence[Bar]
) -> NDArray[np.float64]:
    """Chord tones of the bass on the beats of bars of four ``[4 beats, 5]``, see `TONES`."""
    counted = np.zeros((4, 5))
    for place, pitch in _on_beats(notes).items():
        beat, chord = _beat_of(place, bars), _chord_at(place, chords)
        if beat is not None and chord is not None and chord.root is not None:
            counted[beat, _tone(pitch, chord)] += 1
    return counted


def bass_intervals(notes: NDArray[np.float64], bars: Sequence[Bar]) -> NDArray[np.float64]:
    """Intervals of the bass from beat to beat, by the beat that is reached ``[4, 9]``.

    Columns are `INTERVALS`; leaps beyond an octave are left out.
    """
    counted = np.zeros((4, 9))
    pitches = _on_beats(notes)
    for place, pitch in pitches.items():
        beat = _beat_of(place, bars)
        if beat is not None and place - 1 in pitches:
            step = pitch - pitches[place - 1]
            if abs(step) <= 12:
                counted[beat, interval_index(step)] += 1
    return counted


def new_chord_tones(notes: NDArray[np.float64], chords: Sequence[Chord]) -> NDArray[np.float64]:
    """Chord tones of the bass where a chord changes ``[5]``, see `TONES`."""
    counted = np.zeros(5)
    pitches = _on_beats(notes)
    for before, chord in pairwise(chords):
        if chord.root is not None and _differ(before, chord) and round(chord.beat) in pitches:
            counted[_tone(pitches[round(chord.beat)], chord)] += 1
    return counted


def approaches(notes: NDArray[np.float64], chords: Sequence[Chord]) -> NDArray[np.float64]:
    """Intervals from the bass note before a change to the note on it ``[9]``, see `INTERVALS`."""
    counted = np.zeros(9)
    pitches = _on_beats(notes)
    for before, chord in pairwise(chords):
        place = round(chord.beat)
        if _differ(before, chord) and place in pitches and place - 1 in pitches:
            step = pitches[place] - pitches[place - 1]
            if abs(step) <= 12:
                counted[interval_index(step)] += 1
    return counted


def semitone_clusters(notes: NDArray[np.float64], least: int = 3) -> tuple[int, int]:
    """Chords that hold two notes a semitone apart, and all chords.

    A chord is what sounds where a note starts: the notes that start there and those that go on for
    more than 0.12 beat, of at least ``least`` different pitches. Leave drums out.
    """
    clusters, chords = 0, 0
    if not len(notes):
        return clusters, chords
    ordered = notes[np.argsort(notes[:, 0], kind="stable")]
    ends = ordered[:, 0] + ordered[:, 1]
    for group in chord_onsets(ordered, least=1):
        start = group[-1, 0]
        sounding = (ordered[:, 0] <= start + 1e-9) & (ends > start + _TOGETHER)
        pitches = np.unique(np.concatenate([ordered[sounding, 2], group[:, 2]]))
        if len(pitches) >= least:
            chords += 1
            clusters += bool(np.any(np.diff(pitches) == 1))
    return clusters, chords


def struck_clusters(notes: NDArray[np.float64], least: int = 3) -> tuple[int, int]:
    """Chords struck together that hold two notes a semitone apart, and all such chords.

    As `semitone_clusters`, without notes that go on; the published figures count like this.
    """
    chords = [np.unique(group[:, 2]) for group in chord_onsets(notes, least)]
    chords = [pitches for pitches in chords if len(pitches) >= least]
    return sum(bool(np.any(np.diff(pitches) == 1)) for pitches in chords), len(chords)


def _differ(first: Chord, second: Chord) -> bool:
    return (first.root, first.quality) != (second.root, second.quality)


def _on_beats(notes: NDArray[np.float64]) -> dict[int, int]:
    """Pitches by beat: the first note that starts on each beat."""
    pitches: dict[int, int] = {}
    for start, _, pitch, _ in notes[np.argsort(notes[:, 0], kind="stable")]:
        place = slot(start)
        if place % 2 == 0:
            pitches.setdefault(place // 2, int(pitch))
    return pitches


def _beat_of(place: int, bars: Sequence[Bar]) -> int | None:
    """The beat of its bar (0..3) of a place in beats; ``None`` where the bar isn't of four."""
    index = int(np.searchsorted([bar.beat for bar in bars], place, side="right")) - 1
    if index < 0 or bars[index].beats != 4 or place - bars[index].beat > 3:
        return None
    return place - bars[index].beat


def _chord_at(place: float, chords: Sequence[Chord]) -> Chord | None:
    index = int(np.searchsorted([chord.beat for chord in chords], place + 0.1, side="right")) - 1
    return chords[index] if index >= 0 else None


def _tone(pitch: float, chord: Chord) -> int:
    """Index in `TONES` of a pitch under a chord."""
    if chord.root is None:
        return len(TONES) - 1
    return tone_index(int(pitch) - chord.root, chord.quality)
