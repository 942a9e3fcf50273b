"""Cadences for the ends of a melody's phrases: their chords, and which of them a melody allows.

The shares of cadences and the distributions of degrees are counted on the 229 chorales of the JSB
chorales' training split, with phrases by `phrase_ends` (1 223 ends within pieces, 229 last ones)
and the key of each piece by its last bass note.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator

from audiotransfer.symbolic.accompaniment.chorales import BEAT, Voices
from audiotransfer.symbolic.accompaniment.phrases import (
    PhraseEnd,
    Steps,
    onsets_of,
    phrase_ends,
)

TRIADS = {"M": (0, 4, 7), "m": (0, 3, 7), "d": (0, 3, 6)}
"""Major, minor and diminished triads, semitones above the root."""
AUTHENTIC, HALF, PLAGAL, DECEPTIVE = "authentic", "half", "plagal", "deceptive"

# Shares of the twelve degrees among the notes of chorale melodies in major and in minor.
_DEGREES = {
    False: (0.168, 0.001, 0.175, 0.001, 0.195, 0.130, 0.010, 0.145, 0.004, 0.088, 0.010, 0.072),
    True: (0.167, 0.012, 0.151, 0.172, 0.003, 0.142, 0.004, 0.160, 0.051, 0.032, 0.082, 0.021),
}
# Last notes: 219 of 229 are the tonic, 5 the third (all in major), 2 the fifth.
_LAST_DEGREES = {
    False: (113, 0.2, 0.5, 0.2, 5, 0.5, 0.2, 2, 0.2, 0.5, 0.2, 0.5),
    True: (106, 0.2, 0.5, 1, 0.5, 0.5, 0.2, 1, 0.5, 0.2, 0.5, 0.2),
}
_REPEATED = 0.5  # weight of each note's evidence: notes of a melody are not independent

# Number of cadences within pieces by mode (True: minor) and degree of the melody's last note:
# kind, degree of the last chord's root, its triad, number. Less than three are left out.
_WITHIN: dict[bool, dict[int, tuple[tuple[str, int, str, int], ...]]] = {
    False: {
        0: ((AUTHENTIC, 0, "M", 64), (AUTHENTIC, 5, "M", 24), (AUTHENTIC, 9, "m", 16),
            (PLAGAL, 0, "M", 11), (DECEPTIVE, 9, "m", 8)),
        2: ((HALF, 7, "M", 89), (AUTHENTIC, 7, "M", 8), (AUTHENTIC, 2, "m", 5)),
        4: ((AUTHENTIC, 0, "M", 50), (AUTHENTIC, 9, "m", 7)),
        5: ((AUTHENTIC, 2, "m", 19), (AUTHENTIC, 5, "M", 8)),
        7: ((AUTHENTIC, 0, "M", 57), (HALF, 7, "M", 43), (PLAGAL, 0, "M", 9),
            (AUTHENTIC, 4, "m", 3), (AUTHENTIC, 7, "M", 3)),
        9: ((AUTHENTIC, 5, "M", 17), (AUTHENTIC, 9, "m", 9), (AUTHENTIC, 2, "M", 3)),
        11: ((HALF, 7, "M", 13), (AUTHENTIC, 4, "M", 4)),
    },
    True: {
        0: ((AUTHENTIC, 0, "m", 40), (PLAGAL, 5, "M", 16), (DECEPTIVE, 8, "M", 7),
            (AUTHENTIC, 5, "m", 7), (AUTHENTIC, 8, "M", 7), (AUTHENTIC, 0, "M", 6)),
        2: ((HALF, 7, "M", 59), (AUTHENTIC, 10, "M", 6)),
        3: ((AUTHENTIC, 0, "m", 21), (AUTHENTIC, 3, "M", 20), (PLAGAL, 3, "M", 7),
            (AUTHENTIC, 8, "M", 4), (PLAGAL, 0, "m", 3)),
        5: ((AUTHENTIC, 10, "M", 17), (AUTHENTIC, 5, "m", 12), (PLAGAL, 10, "M", 8),
            (AUTHENTIC, 8, "M", 7), (PLAGAL, 5, "m", 3)),
        7: ((AUTHENTIC, 3, "M", 33), (HALF, 7, "M", 28), (AUTHENTIC, 0, "m", 22),
            (AUTHENTIC, 7, "m", 7), (PLAGAL, 0, "M", 7), (AUTHENTIC, 8, "M", 4)),
        8: ((PLAGAL, 8, "M", 4), (AUTHENTIC, 1, "M", 4), (AUTHENTIC, 8, "M", 3)),
        10: ((AUTHENTIC, 3, "M", 10), (AUTHENTIC, 10, "M", 7), (PLAGAL, 10, "M", 4)),
        11: ((HALF, 7, "M", 11),),
    },
}  # fmt: skip
# Last cadences on the tonic, 120 in major and 109 in minor.
_LAST: dict[bool, tuple[tuple[str, int, str, int], ...]] = {
    False: ((AUTHENTIC, 0, "M", 111), (PLAGAL, 0, "M", 6)),
    True: ((AUTHENTIC, 0, "M", 78), (PLAGAL, 0, "M", 10), (AUTHENTIC, 0, "m", 10)),
}
_EARLIER = 0.3  # weight of a cadence for each beat by which its last chord begins before the note
_MOST_EARLIER = 4  # beats


@dataclass(frozen=True)
class Chord:
    """Pitch classes of a chord: the bass's, and those of all tones; the ``needed`` ones sound in
    some voice, ``single`` ones in no two, and ``resolve`` maps a tone to where it must move.
    """

    bass: int
    tones: tuple[int, ...]
    needed: tuple[int, ...]
    single: tuple[int, ...] = ()
    resolve: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Cadence:
    """A cadence: its kind, its chords, and where they stand in steps.

    ``approach`` is None where the first chord is free, as before a half cadence. The first chord
    lasts from ``begin`` to ``change``, the last one from there to ``end`` (exclusive).
    """

    kind: str
    approach: Chord | None
    goal: Chord
    begin: int
    change: int
    end: int


@dataclass(frozen=True)
class Phrasing:
    """A melody's ends of phrases and its key: the tonic's pitch class, and whether it is minor."""

    ends: tuple[PhraseEnd, ...]
    tonic: int
    minor: bool

    @classmethod
    def of(cls, melody: Voices, onsets: Steps | None = None, bars: Steps | None = None) -> Phrasing:
        """The phrasing of a melody [T]; see `phrase_ends`. Onsets are those of `onsets_of` where
        none are given.
        """
        onsets = onsets_of(melody) if onsets is None else onsets
        ends = tuple(phrase_ends(melody, onsets, bars))
        return cls(ends, *(key_of(melody, onsets) if ends else (0, False)))

    def cadences(self, melody: Voices, generator: Generator) -> list[Cadence]:
        """Samples the cadences of a melody [T] in the key of this phrasing, the last one first."""
        chosen = [
            choose_cadence(melody, end, self.tonic, self.minor, generator)
            for end in reversed(self.ends)
        ]
        return [cadence for cadence in chosen if cadence is not None]


def key_of(melody: Voices, onsets: Steps) -> tuple[int, bool]:
    """Tonic (pitch class) and mode (True: minor) of a melody by its notes and its last one.

    The maximum of a naive Bayes classifier over the 24 keys. Arguments as of `phrase_ends`.
    """
    pitches = melody[onsets]
    classes = np.bincount(pitches[pitches >= 0] % 12, minlength=12)
    last = int(pitches[-1]) % 12
    scores = {}
    for minor in (False, True):
        degrees = np.log(np.maximum(_DEGREES[minor], 0.003))
        ends = np.log(np.array(_LAST_DEGREES[minor]) / sum(_LAST_DEGREES[minor]))
        for tonic in range(12):
            notes = float((np.roll(classes, -tonic) * degrees).sum())
            scores[tonic, minor] = _REPEATED * notes + float(ends[(last - tonic) % 12])
    return max(scores, key=lambda key: scores[key])


def choose_cadence(
    melody: Voices, end: PhraseEnd, tonic: int, minor: bool, generator: Generator
) -> Cadence | None:
    """Samples a cadence for the end of a phrase by its counted share, among those that the melody
    allows; None where it allows none.

    The last chord holds the melody's last note. The one before holds the melody's note at its
    beginning; its other notes are chord tones too, or lead by step. Where a melody arrives early,
    the last chord begins up to four beats before its last note. The last end of all is on the
    tonic, if the melody's last note is a tone of it.
    """
    degree = int(melody[end.start] - tonic) % 12
    counted = _WITHIN[minor].get(degree, ())
    if end.last:
        on_tonic = tuple(c for c in _LAST[minor] if degree in TRIADS[c[2]])
        counted = on_tonic or (((AUTHENTIC, 0, "m", 1),) if minor and degree == 3 else counted)
    weighted = []
    for kind, root, triad, number in counted:
        goal = _triad((tonic + root) % 12, triad)
        for earlier in range(_MOST_EARLIER + 1):
            change = end.start - earlier * BEAT
            begin = change - BEAT
            if begin < 0 or not _inside(melody[change : end.end], goal.tones):
                break
            for approach in _approaches(kind, goal, triad, minor):
                if approach is None or _fits(melody, begin, change, approach.tones):
                    cadence = Cadence(kind, approach, goal, begin, change, end.end)
                    weighted.append((number * _EARLIER**earlier, cadence))
            if kind == HALF:
                break
    if not weighted and end.last and counted:
        goal = _triad((tonic + counted[0][1]) % 12, counted[0][2])
        return Cadence(counted[0][0], None, goal, max(0, end.start - BEAT), end.start, end.end)
    if not weighted:
        return None
    shares = torch.tensor([weight for weight, _ in weighted], dtype=torch.float64)
    return weighted[int(shares.multinomial(1, generator=generator))][1]


def _triad(root: int, kind: str) -> Chord:
    tones = tuple((root + tone) % 12 for tone in TRIADS[kind])
    return Chord(root, tones, tones[:2])


def _approaches(kind: str, goal: Chord, triad: str, minor: bool) -> list[Chord | None]:
    """The chords that may stand before the last one."""
    if kind == HALF:
        return [None]
    if kind == PLAGAL:
        fourth = (goal.bass + 5) % 12
        # In minor the fourth degree's chord stays minor before a major tonic.
        return [_triad(fourth, "m" if minor else triad)]
    # The dominant of the last chord, or of the tonic a third below it in a deceptive cadence.
    tonic = goal.bass
    if kind == DECEPTIVE:
        tonic = (goal.bass - (9 if triad == "m" else 8)) % 12
    root, seventh = (tonic + 7) % 12, (tonic + 11) % 12
    second, fourth = (tonic + 2) % 12, (tonic + 5) % 12
    third = goal.tones[1] if kind == AUTHENTIC else (tonic + (4 if triad == "m" else 3)) % 12
    return [
        Chord(root, (root, seventh, second), (root, seventh), (seventh,), ((seventh, tonic),)),
        Chord(root, (root, seventh, second, fourth), (root, seventh, fourth), (seventh, fourth),
              ((seventh, tonic), (fourth, third))),
    ]  # fmt: skip


def _inside(pitches: Voices, tones: tuple[int, ...]) -> bool:
    """Whether all pitches are tones of a chord; rests are."""
    return bool(np.isin(pitches[pitches >= 0] % 12, tones).all())


def _fits(melody: Voices, begin: int, change: int, tones: tuple[int, ...]) -> bool:
    """Whether a melody from ``begin`` to ``change`` goes with a chord: at least half of it are
    tones, its first note is one, and others lead by step or repeat the next note.
    """
    part: NDArray[np.int64] = melody[begin : change + 1]
    if (part < 0).any():
        return False
    member = np.isin(part[:-1] % 12, tones)
    ends = np.flatnonzero(np.diff(part)) + 1
    steps = np.abs(np.diff(part))
    leads = all(member[n - 1] or steps[n - 1] <= 2 for n in ends.tolist())
    return bool(member[0] and member.mean() >= 0.5 and leads)
