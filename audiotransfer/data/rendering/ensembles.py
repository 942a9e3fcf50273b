"""A score as the parts of a band."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotransfer.errors import AudioTransferError
from audiotransfer.midi.score import parse_score, read_score
from audiotransfer.synthesis.synthesizer import Part, sustains

if TYPE_CHECKING:
    from numpy.typing import NDArray

_VOLUME, _PAN, _EXPRESSION, _PEDAL = 7, 10, 11, 64
#: What a channel has of each where a file says nothing (General MIDI).
_UNSAID = {_VOLUME: 100, _PAN: 64, _EXPRESSION: 127}
_PRESSED = 64  # the least value of a pedal that is down
#: Roland notes of electronic kits that General MIDI has no sound for.
_ROLAND_DRUM = {22: 42, 26: 46, 58: 43}


@dataclass(frozen=True)
class Arrangement:
    """The parts of one score, the length of its beat (s) and where its first bar starts (s)."""

    parts: tuple[Part, ...]
    beat: float = 0.5
    downbeat: float = 0.0

    @property
    def seconds(self) -> float:
        """When the last note ends."""
        ends = [float((p.notes[:, 0] + p.notes[:, 1]).max()) for p in self.parts if len(p.notes)]
        return max(ends, default=0.0)

    def section(self, start: float, seconds: float) -> Arrangement:
        """The notes that begin between ``start`` and ``start + seconds``, from time 0 on."""
        parts = []
        for part in self.parts:
            inside = (part.notes[:, 0] >= start) & (part.notes[:, 0] < start + seconds)
            notes = part.notes[inside].copy()
            notes[:, 0] -= start
            notes[:, 1] = np.minimum(notes[:, 1], seconds - notes[:, 0])
            parts.append(replace(part, notes=notes))
        phase = (self.downbeat - start) % (4 * self.beat)
        return Arrangement(tuple(p for p in parts if len(p.notes)), self.beat, phase)


def read_arrangement(source: Path | bytes, name: str = "score") -> Arrangement:
    """Reads a MIDI file as a band: drum tracks, basses (programs 32-39) and all the others.

    Raises AudioTransferError when the data is no MIDI or has no notes.
    """
    score = parse_score(source, name) if isinstance(source, bytes) else read_score(source)
    return arrangement_of(score, name)


def arrangement_of(score: Any, name: str = "score", *, controllers: bool = False) -> Arrangement:
    """The band of a score (``symusic.Score`` in ticks).

    With ``controllers`` notes last as long as their channel's pedal holds them, and parts have the
    levels of its volume, expression and pan. Raises AudioTransferError without notes.
    """
    tempi = score.tempos
    beat = 60.0 / float(tempi[0].qpm) if len(tempi) else 0.5
    timed = score.to("second")
    parts = []
    for track in timed.tracks:
        notes = np.array(
            [(n.time, n.duration, n.pitch, n.velocity) for n in track.notes if n.velocity > 0],
            dtype=np.float64,
        ).reshape(-1, 4)
        if not len(notes):
            continue
        if track.is_drum:
            notes[:, 2] = [_ROLAND_DRUM.get(int(pitch), int(pitch)) for pitch in notes[:, 2]]
            part = Part("drums", track.program, True, notes)
        else:
            stem = "bass" if track.program // 8 == 4 else "other"
            part = Part(stem, track.program, False, notes)
        if controllers:
            said = [(c.time, c.number, c.value) for c in track.controls]
            part = replace(part, notes=_held(notes, said), levels=_levels(said))
        parts.append(part)
    if not parts:
        raise AudioTransferError(f"{name} holds no notes")
    return Arrangement(tuple(parts), beat=float(np.clip(beat, 0.2, 2.0)))


def _held(notes: NDArray[np.float64], said: Sequence[tuple[float, int, int]]) -> NDArray[Any]:
    """The notes, each until the pedal that is down at its end goes up, or its key is struck again.

    A pedal that goes down just as a note ends does not hold it.
    """
    pedal = [(time, value >= _PRESSED) for time, number, value in said if number == _PEDAL]
    if not pedal:
        return notes
    times = np.array([time for time, _ in pedal])
    down = np.array([pressed for _, pressed in pedal])
    ends = notes[:, :2].sum(axis=1)
    last = max(float(ends.max()), float(times[-1]))
    # When it goes up next, at or behind each of its movements.
    ups = np.minimum.accumulate(np.where(down, last, times)[::-1])[::-1]
    place = np.searchsorted(times, ends, side="left") - 1
    holds = (place >= 0) & down[place]
    following = np.append(ups, last)[np.maximum(place, 0) + 1]
    held = np.where(holds, np.maximum(ends, following), ends)
    order = np.lexsort((notes[:, 0], notes[:, 2]))
    again = np.full(len(notes), np.inf)
    same = notes[order[:-1], 2] == notes[order[1:], 2]
    again[order[:-1][same]] = notes[order[1:][same], 0]
    made = notes.copy()
    made[:, 1] = np.maximum(ends, np.minimum(held, again)) - notes[:, 0]
    return made


def _levels(said: Sequence[tuple[float, int, int]]) -> NDArray[np.float64]:
    """Gains [K, 3] (see `Part`): 1 at what a channel has when nothing is said.

    Volume and expression go with their square, pan keeps the power (General MIDI 2).
    """
    state = dict(_UNSAID)
    rows: dict[float, tuple[float, float]] = {}
    for time, number, value in said:
        if number not in state:
            continue
        state[number] = value
        gain = (state[_VOLUME] * state[_EXPRESSION] / (_UNSAID[_VOLUME] * 127)) ** 2
        angle = max(state[_PAN] - 1, 0) / 126 * np.pi / 2
        loud = gain * np.sqrt(2.0)
        rows[time] = (loud * np.cos(angle), loud * np.sin(angle))
    return np.array([(time, *gains) for time, gains in rows.items()]).reshape(-1, 3)


@dataclass(frozen=True)
class TargetEnsemble:
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


TARGETS: dict[str, TargetEnsemble] = {
    # A piano trio with brushes and a feathered kick, in a club. The pianist takes held notes too:
    # a chord of low saxophones is mush in a room and in a spectrogram.
    "jazz": TargetEnsemble(0, 0, 32, 40, (0.35, -18.0), _BRUSHES, 0.75),
    # Piano, strings, contrabass and orchestra percussion in a hall. Percussion as loud as a drum
    # kit is no orchestra's, to players as to a judge.
    "classical": TargetEnsemble(
        0, 48, 43, 48, (1.8, -12.0),
        effects={
            "drums": [_NO_RUMBLE, _louder(-19)],
            "bass": [_NO_RUMBLE, _louder(-3)],
            "other": [_NO_RUMBLE],
        },
    ),
    # Overdriven guitar, rock organ, picked bass and a power kit in a studio, all of it through
    # amplifiers that are turned up.
    "rock": TargetEnsemble(
        29, 18, 34, 16, (0.4, -18.0),
        effects={
            "drums": [_louder(3)],
            "bass": [{"effect": "saturation", "drive": 2.0}],
            "other": [{"effect": "amplifier", "drive": 4.0}],
        },
    ),
    # Saw lead, polysynth, synth bass and a TR-808 that everything else makes room for.
    "electronic": TargetEnsemble(
        81, 90, 38, 25, (0.8, -16.0),
        effects={
            "drums": [_louder(4)],
            "bass": [_BUZZ, _PUMP],
            "other": [_BUZZ, {"effect": "chorus", "depth": 0.7}, _PUMP],
        },
    ),
}  # fmt: skip


def target_ensemble(style: str) -> TargetEnsemble:
    """The band of a style. Raises AudioTransferError for one that has none."""
    if style not in TARGETS:
        raise AudioTransferError(f"style {style!r} has no band; there are {', '.join(TARGETS)}")
    return TARGETS[style]
