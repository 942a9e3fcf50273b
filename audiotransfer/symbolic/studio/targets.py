"""The bands that styles are: who plays what, with which kit, in which room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from audiotransfer.errors import AudioTransferError
from audiotransfer.symbolic.studio.band import Part


@dataclass(frozen=True)
class TargetBand:
    """Programs (General MIDI from 0) of a style's players, and the room that they play in.

    ``struck`` takes over what dies away by itself (struck, plucked), ``held`` what sounds as long
    as it is played (blown, bowed, held keys): a listener can hear in the source which is which,
    and so can a network. ``drums`` maps drum notes; ``kick`` scales the velocity of the kick.
    ``room`` is the decay to -60 dB (s) and the level below the direct sound (dB). ``effects`` are,
    by stem, what an engineer does to it (see ``audiotransfer.effects``): networks learn what is
    played, and the same effects stand behind them.
    """

    struck: int
    held: int
    bass: int
    kit: int
    room: tuple[float, float]
    drums: Mapping[int, int] = field(default_factory=dict)
    kick: float = 1.0
    effects: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)

    def play(self, part: Part) -> Part:
        """The same notes for this band's player: onsets stay, so that renderings line up."""
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


TARGETS: dict[str, TargetBand] = {
    # A piano trio with brushes and a feathered kick, in a club. The pianist takes held notes too:
    # a chord of low saxophones is mush in a room and in a picture.
    "jazz": TargetBand(0, 0, 32, 40, (0.35, -18.0), _BRUSHES, 0.75),
    # Piano, strings, contrabass and orchestra percussion in a hall. Percussion as loud as a drum
    # kit is no orchestra's, to players as to a judge.
    "classical": TargetBand(
        0, 48, 43, 48, (1.8, -12.0),
        effects={
            "drums": [_NO_RUMBLE, _louder(-19)],
            "bass": [_NO_RUMBLE, _louder(-3)],
            "other": [_NO_RUMBLE],
        },
    ),
    # Overdriven guitar, rock organ, picked bass and a power kit in a studio, all of it through
    # amplifiers that are turned up.
    "rock": TargetBand(
        29, 18, 34, 16, (0.4, -18.0),
        effects={
            "drums": [_louder(3)],
            "bass": [{"effect": "saturation", "drive": 2.0}],
            "other": [{"effect": "amplifier", "drive": 4.0}],
        },
    ),
    # Saw lead, polysynth, synth bass and a TR-808 that everything else makes room for.
    "electronic": TargetBand(
        81, 90, 38, 25, (0.8, -16.0),
        effects={
            "drums": [_louder(4)],
            "bass": [_BUZZ, _PUMP],
            "other": [_BUZZ, {"effect": "chorus", "depth": 0.7}, _PUMP],
        },
    ),
}  # fmt: skip


def target_band(style: str) -> TargetBand:
    """The band of a style. Raises AudioTransferError for one that has none."""
    if style not in TARGETS:
        raise AudioTransferError(f"style {style!r} has no band; there are {', '.join(TARGETS)}")
    return TARGETS[style]


def sustains(program: int) -> bool:
    """Whether a General MIDI program sounds as long as its key is held."""
    family = program // 8
    if family == 5:  # strings, but for pizzicato, harp and timpani
        return program < 45
    return family in (2, 6, 7, 8, 9, 10, 11) and program != 55
