"""A MIDI file as the parts of an arrangement, with a bass line and drums where it has none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotransfer.errors import AudioTransferError
from audiotransfer.midi.score import parse_score, read_score
from audiotransfer.synthesis.synthesizer import Part

if TYPE_CHECKING:
    from numpy.typing import NDArray

_VOLUME, _PAN, _EXPRESSION, _PEDAL = 7, 10, 11, 64

#: The value of each controller where a file sets none (General MIDI).
_DEFAULTS = {_VOLUME: 100, _PAN: 64, _EXPRESSION: 127}
_PRESSED = 64  # the least value of a pedal that is down
#: Roland notes of electronic kits, without a sound in General MIDI -> the nearest that has one.
_ROLAND_DRUM = {22: 42, 26: 46, 58: 43}


@dataclass(frozen=True)
class Arrangement:
    """The parts of a MIDI file, the length of its beat (s) and the start of its first bar (s)."""

    parts: tuple[Part, ...]
    beat: float = 0.5
    downbeat: float = 0.0

    @property
    def seconds(self) -> float:
        """The end of the last note (s)."""
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
    """Reads the parts of a MIDI file: drum tracks, basses (programs 32-39) and all the others.

    Raises AudioTransferError for data that is no MIDI or has no notes.
    """
    score = parse_score(source, name) if isinstance(source, bytes) else read_score(source)
    return arrangement_of(score, name)


def arrangement_of(score: Any, name: str = "score", *, controllers: bool = False) -> Arrangement:
    """The parts of a ``symusic.Score`` in ticks.

    With ``controllers`` the pedal prolongs notes, and parts have the levels of volume, expression
    and pan. Raises AudioTransferError for a score without notes.
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
            controls = [(c.time, c.number, c.value) for c in track.controls]
            part = replace(part, notes=_held(notes, controls), levels=_levels(controls))
        parts.append(part)
    if not parts:
        raise AudioTransferError(f"{name} holds no notes")
    return Arrangement(tuple(parts), beat=float(np.clip(beat, 0.2, 2.0)))


def _held(notes: NDArray[np.float64], controls: Sequence[tuple[float, int, int]]) -> NDArray[Any]:
    """Prolongs notes until the pedal that is down at their end goes up, or the key is struck again.

    A pedal that goes down just as a note ends does not hold it.
    """
    pedal = [(time, value >= _PRESSED) for time, number, value in controls if number == _PEDAL]
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


def _levels(controls: Sequence[tuple[float, int, int]]) -> NDArray[np.float64]:
    """Gains [K, 3] (see `Part`), 1 at the values of a channel without controllers.

    Volume and expression count squared, pan keeps the power (General MIDI 2).
    """
    state = dict(_DEFAULTS)
    rows: dict[float, tuple[float, float]] = {}
    for time, number, value in controls:
        if number not in state:
            continue
        state[number] = value
        gain = (state[_VOLUME] * state[_EXPRESSION] / (_DEFAULTS[_VOLUME] * 127)) ** 2
        angle = max(state[_PAN] - 1, 0) / 126 * np.pi / 2
        loud = gain * np.sqrt(2.0)
        rows[time] = (loud * np.cos(angle), loud * np.sin(angle))
    return np.array([(time, *gains) for time, gains in rows.items()]).reshape(-1, 3)


def bass_line(arrangement: Arrangement) -> Part | None:
    """A bass part: the lowest note of each beat, one or two octaves down, held until the next.

    None where there are no pitched notes.
    """
    pitched = [part.notes for part in arrangement.parts if not part.drums]
    if not pitched:
        return None
    notes = np.concatenate(pitched)
    beats = np.round((notes[:, 0] - arrangement.downbeat) / arrangement.beat).astype(int)
    line: list[list[float]] = []
    for beat in np.unique(beats):
        here = notes[beats == beat]
        lowest = here[here[:, 2].argmin()]
        pitch = lowest[2]
        while pitch > 47:
            pitch -= 12
        while pitch < 28:
            pitch += 12
        line.append([lowest[0], arrangement.beat, pitch, min(127.0, lowest[3] + 8)])
    played = np.array(sorted(line))
    played[:-1, 1] = np.clip(np.diff(played[:, 0]) * 0.95, 0.05, 2 * arrangement.beat)
    return Part("bass", 33, False, played)


def drum_part(arrangement: Arrangement, groove: Arrangement, seconds: float) -> Part:
    """A groove looped at the beat and bars of an arrangement for ``seconds``.

    Raises AudioTransferError for a groove without drums.
    """
    hits = [part.notes for part in groove.parts if part.drums]
    if not hits:
        raise AudioTransferError("a groove without drums was named; name drum performances")
    notes = np.concatenate(hits)
    notes[:, :2] *= arrangement.beat / groove.beat
    bar = 4 * arrangement.beat
    length = max(1.0, np.floor(notes[:, 0].max() / bar + 0.5)) * bar
    notes = notes[notes[:, 0] < length - 0.02]
    start = arrangement.downbeat - bar
    loops = []
    while start < seconds:
        loop = notes.copy()
        loop[:, 0] += start
        loops.append(loop)
        start += length
    looped = np.concatenate(loops)
    looped = looped[(looped[:, 0] >= 0) & (looped[:, 0] < seconds)]
    return Part("drums", 0, True, looped)
