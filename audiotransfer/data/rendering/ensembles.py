"""Instrumentation of arrangements: at random, by a genre's ensembles, or by a style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotransfer.data.rendering.arrangement import Arrangement
from audiotransfer.errors import AudioTransferError
from audiotransfer.synthesis.synthesizer import Part, sustains

if TYPE_CHECKING:
    from numpy.random import Generator

#: Programs (General MIDI from 0) that only tests use: no model is trained on them.
UNSEEN_PROGRAMS = frozenset({6, 7, 20, 28, 31, 44, 52, 57, 61, 75, 83, 87, 91, 95, 35, 37, 39})
UNSEEN_KIT = 16
#: Families of programs with the shares of their parts.
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
class InstrumentPool:
    """The set of instruments to draw from: all but the held-out ones, or only those."""

    unseen: bool = False

    def _pool(self, programs: Sequence[int]) -> list[int]:
        return [p for p in programs if (p in UNSEEN_PROGRAMS) == self.unseen]

    def instrument(self, random: Generator) -> int:
        """Draws a program for a pitched part, its family first."""
        pools = [(share, pool) for share, f in _FAMILIES if (pool := self._pool(f))]
        shares = np.array([share for share, _ in pools])
        index = random.choice(len(pools), p=shares / shares.sum())
        return int(random.choice(pools[index][1]))

    def bass(self, random: Generator) -> int:
        """Draws a program for the bass."""
        return int(random.choice(self._pool(_BASSES)))

    def kit(self, random: Generator) -> int:
        """Draws a drum kit."""
        pool = [k for k in _KITS if (k == UNSEEN_KIT) == self.unseen]
        return int(random.choice(pool))


def humanise(part: Part, random: Generator) -> Part:
    """Adds random deviations of a few ms to onsets, and random deviations to velocities."""
    notes = part.notes.copy()
    notes[:, 0] = np.maximum(0.0, notes[:, 0] + random.normal(0, 0.004, len(notes)))
    loudness = random.uniform(0.75, 1.1)
    notes[:, 3] = np.clip(notes[:, 3] * loudness + random.normal(0, 6, len(notes)), 20, 127)
    return replace(part, notes=notes)


def random_instruments(
    arrangement: Arrangement, pool: InstrumentPool, random: Generator
) -> Arrangement:
    """The arrangement with an instrument drawn for each part."""
    parts = []
    for part in arrangement.parts:
        if part.drums:
            program = pool.kit(random)
        elif part.stem == "bass":
            program = pool.bass(random)
        else:
            program = pool.instrument(random)
        parts.append(humanise(replace(part, program=program), random))
    return replace(arrangement, parts=tuple(parts))


@dataclass(frozen=True)
class Ensemble:
    """Instruments of a genre: programs for chords, leads and basses, and drum kits.

    No programs: those of the MIDI file are kept. No kits: neither drums nor a bass are added.
    ``groove`` is a word in the names of the drum performances that suit it.
    """

    chords: tuple[int, ...] = ()
    leads: tuple[int, ...] = ()
    basses: tuple[int, ...] = ()
    kits: tuple[int, ...] = ()
    groove: str = ""


_STRINGS, _WOODWINDS = (44, 48, 49), (40, 41, 42, 60, 68, 70, 71, 73)
#: Genre -> its ensembles; one is drawn for each song.
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


def draw_ensemble(genre: str, random: Generator) -> Ensemble:
    """Draws an ensemble of a genre. Raises AudioTransferError for a genre that has none."""
    if genre not in ENSEMBLES:
        raise AudioTransferError(f"genre {genre!r} has no ensemble; there are {sorted(ENSEMBLES)}")
    choices = ENSEMBLES[genre]
    return choices[int(random.integers(len(choices)))]


def genre_instruments(
    arrangement: Arrangement, ensemble: Ensemble, random: Generator
) -> Arrangement:
    """The arrangement with an ensemble's instruments: those for chords where a part has chords."""
    parts = []
    for part in arrangement.parts:
        if part.drums:
            programs = ensemble.kits
        elif part.stem == "bass":
            programs = ensemble.basses
        else:
            programs = ensemble.chords if _has_chords(part) else ensemble.leads
        program = int(random.choice(programs)) if programs else part.program
        parts.append(humanise(replace(part, program=program), random))
    return replace(arrangement, parts=tuple(parts))


def _has_chords(part: Part) -> bool:
    """Whether three in ten of the notes, or more, start together with another one."""
    return len(np.unique(part.notes[:, 0].round(2))) < 0.7 * len(part.notes)


@dataclass(frozen=True)
class TargetEnsemble:
    """The instruments of a style, as programs (General MIDI from 0), and its room and effects.

    ``struck`` replaces instruments whose notes decay by themselves (struck, plucked), ``held``
    those that sustain (blown, bowed, organs): a network can detect in the source which is which.
    ``drums`` maps drum notes; ``kick`` scales the velocity of the kick. ``room`` is the decay to
    -60 dB (s) and the level below the direct sound (dB). ``effects`` are chains by stem (see
    ``audiotransfer.effects``): networks are trained on the sound without them, and the same
    effects follow the networks. ``sampled`` names, by program, instruments of the package that can
    play in place of a soundfont's; a program without one stays with a soundfont.
    """

    struck: int
    held: int
    bass: int
    kit: int
    room: tuple[float, float]
    drums: Mapping[int, int] = field(default_factory=dict)
    kick: float = 1.0
    effects: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    sampled: Mapping[int, str] = field(default_factory=dict)

    def play(self, part: Part) -> Part:
        """A part's notes for this ensemble's instrument, with the same onsets."""
        if part.drums:
            notes = part.notes.copy()
            kick = np.isin(notes[:, 2], (35, 36))
            notes[:, 3] = np.where(kick, np.maximum(1, notes[:, 3] * self.kick), notes[:, 3])
            notes[:, 2] = [self.drums.get(int(pitch), int(pitch)) for pitch in notes[:, 2]]
            return replace(part, program=self.kit, notes=notes)
        if part.stem == "bass":
            return replace(part, program=self.bass)
        return replace(part, program=self.held if sustains(part.program) else self.struck)


_RIDE, _SECOND_RIDE = 51, 59
#: Closed hi-hats become the ride, and loud cymbals one crash.
_BRUSHES = {42: _RIDE, 46: _SECOND_RIDE, 35: 36, 40: 38, 57: 49, 55: 49, 52: 49}

_NO_RUMBLE = {
    "effect": "equaliser",
    "points": [[40, -18], [150, -8], [500, 0], [4000, 2], [10000, 0]],
}
_BUZZ = {"effect": "saturation", "drive": 4.0}
_PUMP = {"effect": "ducking", "depth": 0.4}


def _louder(db: float) -> dict[str, Any]:
    return {"effect": "gain", "db": db}


TARGETS: dict[str, TargetEnsemble] = {
    # A piano trio with brushes and a soft kick, in a club. The piano has the held notes, too: the
    # partials of low saxophone chords cannot be separated in a spectrogram.
    "jazz": TargetEnsemble(
        0, 0, 32, 40, (0.35, -18.0), _BRUSHES, 0.75,
        sampled={0: "piano_grand", 32: "bass_upright_pizz", 40: "kit_jazz_brushes"},
    ),
    # Piano, strings, contrabass and orchestra percussion in a hall. Percussion as loud as a drum
    # kit is not that of an orchestra, to musicians as to a classifier.
    "classical": TargetEnsemble(
        0, 48, 43, 48, (1.8, -12.0),
        effects={
            "drums": [_NO_RUMBLE, _louder(-19)],
            "bass": [_NO_RUMBLE, _louder(-3)],
            "other": [_NO_RUMBLE],
        },
        sampled={0: "piano_grand", 48: "viola_section"},
    ),
    # Overdriven guitar, rock organ, picked bass and a power kit in a small room, through amplifiers
    # at high gain.
    "rock": TargetEnsemble(
        29, 18, 34, 16, (0.4, -18.0),
        effects={
            "drums": [_louder(3)],
            "bass": [{"effect": "saturation", "drive": 2.0}],
            "other": [{"effect": "amplifier", "drive": 4.0}],
        },
        sampled={29: "guitar_electric_clean", 34: "bass_electric", 16: "kit_rock"},
    ),
    # Saw lead, polysynth, synth bass and a TR-808 that everything else is ducked by.
    "electronic": TargetEnsemble(
        81, 90, 38, 25, (0.8, -16.0),
        effects={
            "drums": [_louder(4)],
            "bass": [_BUZZ, _PUMP],
            "other": [_BUZZ, {"effect": "chorus", "depth": 0.7}, _PUMP],
        },
        sampled={81: "synth_lead", 90: "synth_pad", 38: "synth_bass", 25: "kit_electronic"},
    ),
}  # fmt: skip


def target_ensemble(style: str) -> TargetEnsemble:
    """The ensemble of a style. Raises AudioTransferError for a style that has none."""
    if style not in TARGETS:
        raise AudioTransferError(f"style {style!r} has no ensemble; there are {', '.join(TARGETS)}")
    return TARGETS[style]
