"""Dresses a score for the studio: random instruments, a bass line and a drummer if it has none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.data.rendering.ensembles import Arrangement
from audiotransfer.errors import AudioTransferError
from audiotransfer.synthesis.synthesizer import Part

if TYPE_CHECKING:
    from numpy.random import Generator

#: Programs (General MIDI from 0) that models never hear in training: tests play them.
UNSEEN_PROGRAMS = frozenset({6, 7, 20, 28, 31, 44, 52, 57, 61, 75, 83, 87, 91, 95, 35, 37, 39})
UNSEEN_KIT = 16

_FAMILIES: tuple[tuple[float, tuple[int, ...]], ...] = (
    (0.32, (24, 25, 26, 27, 28, 29, 30, 31)),
    (0.18, (0, 1, 2, 3, 4, 5, 6, 7)),
    (0.06, (16, 17, 18, 19, 20, 21, 22)),
    (0.06, (9, 10, 11, 12, 13)),
    (0.12, (40, 41, 42, 44, 48, 49, 50, 51, 52, 53, 54)),
    (0.10, (56, 57, 59, 60, 61, 64, 65, 66, 67, 68, 71, 73, 75)),
    (0.10, (80, 81, 82, 83, 84, 87)),
    (0.06, (88, 89, 90, 91, 94, 95)),
)
_BASSES = (32, 33, 34, 35, 36, 37, 38, 39)
_KITS = (0, 8, 16, 24, 25)


@dataclass(frozen=True)
class Choice:
    """Which instruments may play: all but the unseen ones, or only those."""

    unseen: bool = False

    def _pool(self, programs: Sequence[int]) -> list[int]:
        return [p for p in programs if (p in UNSEEN_PROGRAMS) == self.unseen]

    def instrument(self, random: Generator) -> int:
        """A program for a pitched part, by family first."""
        pools = [(share, pool) for share, f in _FAMILIES if (pool := self._pool(f))]
        shares = np.array([share for share, _ in pools])
        index = random.choice(len(pools), p=shares / shares.sum())
        return int(random.choice(pools[index][1]))

    def bass(self, random: Generator) -> int:
        """A program for the bass."""
        return int(random.choice(self._pool(_BASSES)))

    def kit(self, random: Generator) -> int:
        """A drum kit."""
        pool = [k for k in _KITS if (k == UNSEEN_KIT) == self.unseen]
        return int(random.choice(pool))


def bass_line(band: Arrangement) -> Part | None:
    """A bass that plays the lowest note of each beat, one or two octaves down, held till the next.

    None where nothing pitched plays.
    """
    pitched = [part.notes for part in band.parts if not part.drums]
    if not pitched:
        return None
    notes = np.concatenate(pitched)
    beats = np.round((notes[:, 0] - band.downbeat) / band.beat).astype(int)
    line: list[list[float]] = []
    for beat in np.unique(beats):
        here = notes[beats == beat]
        lowest = here[here[:, 2].argmin()]
        pitch = lowest[2]
        while pitch > 47:
            pitch -= 12
        while pitch < 28:
            pitch += 12
        line.append([lowest[0], band.beat, pitch, min(127.0, lowest[3] + 8)])
    played = np.array(sorted(line))
    played[:-1, 1] = np.clip(np.diff(played[:, 0]) * 0.95, 0.05, 2 * band.beat)
    return Part("bass", 33, False, played)


def drummer(band: Arrangement, groove: Arrangement, seconds: float) -> Part:
    """A groove looped to the band's beat and bars for ``seconds``.

    Raises AudioTransferError when nobody drums in it.
    """
    played = [part.notes for part in groove.parts if part.drums]
    if not played:
        raise AudioTransferError("a groove without drums was named; name drum performances")
    notes = np.concatenate(played)
    notes[:, :2] *= band.beat / groove.beat
    bar = 4 * band.beat
    length = max(1.0, np.floor(notes[:, 0].max() / bar + 0.5)) * bar
    notes = notes[notes[:, 0] < length - 0.02]
    start = band.downbeat - bar
    loops = []
    while start < seconds:
        loop = notes.copy()
        loop[:, 0] += start
        loops.append(loop)
        start += length
    looped = np.concatenate(loops)
    looped = looped[(looped[:, 0] >= 0) & (looped[:, 0] < seconds)]
    return Part("drums", 0, True, looped)


def humanise(part: Part, random: Generator) -> Part:
    """Small deviations in time (a few ms) and in velocity, as hands make them."""
    notes = part.notes.copy()
    notes[:, 0] = np.maximum(0.0, notes[:, 0] + random.normal(0, 0.004, len(notes)))
    loudness = random.uniform(0.75, 1.1)
    notes[:, 3] = np.clip(notes[:, 3] * loudness + random.normal(0, 6, len(notes)), 20, 127)
    return replace(part, notes=notes)


def dress(band: Arrangement, choice: Choice, random: Generator) -> Arrangement:
    """The band with instruments drawn anew: each part its own."""
    parts = []
    for part in band.parts:
        if part.drums:
            program = choice.kit(random)
        elif part.stem == "bass":
            program = choice.bass(random)
        else:
            program = choice.instrument(random)
        parts.append(humanise(replace(part, program=program), random))
    return replace(band, parts=tuple(parts))


@dataclass(frozen=True)
class Ensemble:
    """Who plays a genre: programs of its chord players, leads and basses, kits of its drummers.

    No programs: the score's own stay. No kits: no drummer, and no bass is added. ``groove`` is
    a word in the names of the drum performances that suit it.
    """

    chords: tuple[int, ...] = ()
    leads: tuple[int, ...] = ()
    basses: tuple[int, ...] = ()
    kits: tuple[int, ...] = ()
    groove: str = ""


_STRINGS, _WOODWINDS = (44, 48, 49), (40, 41, 42, 60, 68, 70, 71, 73)
#: Genre -> the ensembles that play it; a song has one of them.
ENSEMBLES: dict[str, tuple[Ensemble, ...]] = {
    "classical": (Ensemble(chords=(0,), leads=(0,)), Ensemble(_STRINGS, _WOODWINDS, (43,))),
    "electronic": (
        Ensemble((81, 89, 90, 91, 95), (80, 81, 82, 84, 87), (38, 39, 87), (24, 25), "dance"),
        Ensemble((2, 4, 50, 62, 63), (80, 81, 83, 98), (38, 39), (25,), "dance"),
    ),
    "hiphop": (
        Ensemble((0, 4, 5, 49, 89), (4, 11, 25, 61, 73, 80), (33, 35, 38, 39), (8, 25), "hiphop"),
    ),
    "jazz": (
        Ensemble((0, 26), (11, 26, 56, 57, 59, 64, 65, 66, 71), (32,), (32, 40), "jazz"),
        Ensemble((0,), (0,), (32,), (32, 40), "jazz"),
    ),
    "pop_folk": (
        Ensemble((0, 4, 5, 24, 25, 27), (24, 25, 27, 40, 65, 73, 75, 80), (33, 34), (0, 8), "pop"),
        Ensemble((24, 25), (21, 22, 24, 25, 40, 73, 105), (32, 33), (0,), "pop"),
    ),
    "rock_metal": (Ensemble(basses=(33, 34), kits=(0, 16), groove="rock"),),
}


def ensemble(genre: str, random: Generator) -> Ensemble:
    """One of the ensembles of a genre. Raises AudioTransferError for one that has none."""
    if genre not in ENSEMBLES:
        raise AudioTransferError(f"genre {genre!r} has no ensemble; there are {sorted(ENSEMBLES)}")
    choices = ENSEMBLES[genre]
    return choices[int(random.integers(len(choices)))]


def genre_arrangement(band: Arrangement, players: Ensemble, random: Generator) -> Arrangement:
    """The band with the instruments of an ensemble: who strikes chords gets a chord player's."""
    parts = []
    for part in band.parts:
        if part.drums:
            pool = players.kits
        elif part.stem == "bass":
            pool = players.basses
        else:
            pool = players.chords if _strikes_chords(part) else players.leads
        program = int(random.choice(pool)) if pool else part.program
        parts.append(humanise(replace(part, program=program), random))
    return replace(band, parts=tuple(parts))


def _strikes_chords(part: Part) -> bool:
    """Whether three in ten of the notes, or more, begin together with another one."""
    return len(np.unique(part.notes[:, 0].round(2))) < 0.7 * len(part.notes)
