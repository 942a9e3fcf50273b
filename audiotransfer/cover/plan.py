"""What is asked of an arrangement, and the plan that all its writers read: song, chords, form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from audiotransfer.cover.band import Band, Role
    from audiotransfer.leadsheet import Chord, LeadSheet

#: Strengths from which a step of the way to the style is taken; below the first the song's own
#: notes are played by the style's instruments.
SWUNG, ARRANGED, SEVENTHS, TWO_FIVES, SUBSTITUTES = 0.25, 0.45, 0.6, 0.75, 0.9
#: Notes in beats ``[N, 4]``: place and length in beats of the plan, MIDI pitch, velocity (1..127).
Notes = np.ndarray


@dataclass(frozen=True)
class ArrangeOptions:
    """Options of an arrangement.

    ``lead`` names the lead's instrument; ``transpose`` is in semitones; ``tempo`` in beats per
    minute replaces the song's mean tempo; ``intro`` and ``outro`` are numbers of added bars;
    ``swing`` scales how far eighths are swung, 0 is straight; ``None`` is as counted, with sung
    melodies straight. With ``singer`` the band accompanies somebody whose voice is kept: see
    `audiotransfer.cover.singer`.
    """

    lead: str | None = None
    transpose: int = 0
    tempo: float | None = None
    intro: int = 0
    outro: int = 0
    swing: float | None = None
    singer: bool = False


@dataclass(frozen=True)
class Plan:
    """A song as the band will play it.

    ``sheet`` is the lead sheet that is arranged: transposed, with its intro and outro, and, where
    the feel is doubled or halved, with beats of the felt tempo. ``chords`` are its chords as
    reharmonised, in ``sheet``'s beats, without gaps. ``melody`` ``[N, 4]`` are the lead's notes in
    beats, straight eighths where they will be swung. ``energy`` is 0..1 for each bar. ``fills``
    are the indices of bars that end a section. ``chorus`` is the number of the pass through the
    form, from 0, for each bar. ``swung`` says whether eighths are swung. ``feel`` are felt beats a
    beat of the song: 2 where the feel is doubled, .5 where it is halved. ``seed`` is for choices
    that several parts make together, such as a groove. ``riffs`` are the indices of the bars
    that no sure melody leads (see `audiotransfer.cover.figures`): there parts play the song's own
    figures. With a ``singer`` the band leaves room where ``sheet`` is sung.
    """

    sheet: LeadSheet
    band: Band
    chords: tuple[Chord, ...]
    melody: Notes
    energy: NDArray[np.float64]
    fills: frozenset[int]
    chorus: NDArray[np.int64]
    strength: float = 1.0
    swung: bool = True
    feel: float = 1.0
    seed: int = 0
    singer: bool = False
    riffs: frozenset[int] = frozenset()

    @cached_property
    def _chord_starts(self) -> NDArray[np.float64]:
        return np.array([chord.beat for chord in self.chords])

    def chord_at(self, beat: float) -> Chord:
        """The chord that sounds at a place in beats; the first before, the last after the song."""
        return self.chords[self.chord_index(beat)]

    def chord_index(self, beat: float) -> int:
        """Index in ``chords`` of the chord at a place in beats; see `chord_at`."""
        index = int(np.searchsorted(self._chord_starts, beat + 1e-6, side="right")) - 1
        return max(index, 0)

    def melody_at(self, beat: float, until: float) -> NDArray[np.float64]:
        """Melody notes ``[M, 4]`` that sound between two places in beats."""
        start, end = self.melody[:, 0], self.melody[:, 0] + self.melody[:, 1]
        notes: NDArray[np.float64] = self.melody[(start < until - 1e-6) & (end > beat + 1e-6)]
        return notes


#: Writes the notes of a role in beats of the plan, eighths straight: timing comes afterwards.
Writer = Callable[["Plan", "Role", "Generator"], Notes]
