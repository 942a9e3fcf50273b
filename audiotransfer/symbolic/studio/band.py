"""A score as the parts of a band."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotransfer.errors import AudioTransferError
from audiotransfer.symbolic.score import parse_score, read_score

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Roland notes of electronic kits that General MIDI has no sound for.
_ROLAND_DRUM = {22: 42, 26: 46, 58: 43}


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
    score = parse_score(source, name) if isinstance(source, bytes) else read_score(source)
    return band_of(score, name)


def band_of(score: Any, name: str = "score") -> Band:
    """The band of a score (``symusic.Score`` in ticks). Raises AudioTransferError without notes."""
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
