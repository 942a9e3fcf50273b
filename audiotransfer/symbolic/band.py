"""A score as the parts of a band, and the same score for a jazz ensemble."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotransfer.errors import AudioTransferError

if TYPE_CHECKING:
    from numpy.typing import NDArray

JAZZ_BRUSHES = 40
UPRIGHT_BASS = 32
_JAZZ_GUITAR, _PIANO, _TENOR_SAX, _VIBRAPHONE = 26, 0, 66, 11

#: General MIDI family (program // 8) of what plays -> what plays it in the jazz ensemble.
#: Plucked stays plucked and blown stays blown, so that a listener can tell the parts apart.
_JAZZ_FAMILY = {
    0: _PIANO,
    1: _VIBRAPHONE,  # tuned percussion
    2: _PIANO,  # organs
    3: _JAZZ_GUITAR,
    4: UPRIGHT_BASS,
    5: _VIBRAPHONE,  # strings, choirs and pads: held chords become struck, ringing ones
    6: _VIBRAPHONE,
    7: _TENOR_SAX,  # brass, reeds, pipes and synth leads carry melodies
    8: _TENOR_SAX,
    9: _TENOR_SAX,
    10: _TENOR_SAX,
    11: _VIBRAPHONE,
    12: _VIBRAPHONE,
    13: _JAZZ_GUITAR,  # sitar, banjo, koto: plucked
    14: _VIBRAPHONE,
    15: _VIBRAPHONE,
}
_RIDE, _SECOND_RIDE = 51, 59
_JAZZ_DRUM = {42: _RIDE, 46: _SECOND_RIDE, 35: 36, 40: 38, 57: 49, 55: 49, 52: 49}
#: Roland notes of electronic kits that General MIDI has no sound for.
_ROLAND_DRUM = {22: 42, 26: 46, 58: 43}
_KICK_FEATHER = 0.75


@dataclass(frozen=True)
class Part:
    """What one player plays.

    ``notes`` is ``[N, 4]``: start (s), duration (s), MIDI pitch, velocity (1..127).
    ``program`` is the General MIDI program from 0, or the kit of a drummer.
    """

    stem: str
    program: int
    drums: bool
    notes: NDArray[np.float64]


@dataclass(frozen=True)
class Band:
    """The parts of one score, the length of its beat (s) and where its first bar starts (s)."""

    parts: tuple[Part, ...]
    beat: float = 0.5
    downbeat: float = 0.0

    @property
    def seconds(self) -> float:
        """When the last note ends."""
        ends = [float((p.notes[:, 0] + p.notes[:, 1]).max()) for p in self.parts if len(p.notes)]
        return max(ends, default=0.0)

    def section(self, start: float, seconds: float) -> Band:
        """The notes that begin between ``start`` and ``start + seconds``, from time 0 on."""
        parts = []
        for part in self.parts:
            inside = (part.notes[:, 0] >= start) & (part.notes[:, 0] < start + seconds)
            notes = part.notes[inside].copy()
            notes[:, 0] -= start
            notes[:, 1] = np.minimum(notes[:, 1], seconds - notes[:, 0])
            parts.append(replace(part, notes=notes))
        phase = (self.downbeat - start) % (4 * self.beat)
        return Band(tuple(p for p in parts if len(p.notes)), self.beat, phase)


def read_band(source: Path | bytes, name: str = "score") -> Band:
    """Reads a MIDI file as a band: drum tracks, basses (programs 32-39) and all the others.

    Raises AudioTransferError when the data is no MIDI or has no notes.
    """
    import symusic

    try:
        score: Any = (
            symusic.Score.from_midi(source)
            if isinstance(source, bytes)
            else symusic.Score(str(source))
        )
    except Exception as error:
        raise AudioTransferError(f"{name} is not a readable MIDI file: {error}") from error
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
            parts.append(Part("drums", 0, True, notes))
        else:
            stem = "bass" if track.program // 8 == 4 else "other"
            parts.append(Part(stem, track.program, False, notes))
    if not parts:
        raise AudioTransferError(f"{name} holds no notes")
    return Band(tuple(parts), beat=float(np.clip(beat, 0.2, 2.0)))


def jazz_part(part: Part) -> Part:
    """The same notes for a jazz player.

    Drummers take brushes: closed hi-hats become the ride, the kick is feathered. Basses become
    an upright bass; every other family moves as a listener would expect (see the table above).
    Onsets stay, so that the two renderings line up sample by sample.
    """
    if part.drums:
        notes = part.notes.copy()
        kick = np.isin(notes[:, 2], (35, 36))
        notes[:, 3] = np.where(kick, np.maximum(1, notes[:, 3] * _KICK_FEATHER), notes[:, 3])
        notes[:, 2] = [_JAZZ_DRUM.get(int(pitch), int(pitch)) for pitch in notes[:, 2]]
        return replace(part, program=JAZZ_BRUSHES, notes=notes)
    if part.stem == "bass":
        return replace(part, program=UPRIGHT_BASS)
    return replace(part, program=_JAZZ_FAMILY[part.program // 8])
