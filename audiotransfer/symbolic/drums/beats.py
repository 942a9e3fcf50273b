"""Drum patterns on sixteenths: hits, velocities and timing offsets of nine drums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotransfer.midi.percussion import DRUMS, KEYS, NONE, drums_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

BAR = 16
_TICKS = 480  # a quarter
_STEP = _TICKS // 4
_LENGTH = _STEP // 2


@dataclass(frozen=True)
class Beat:
    """S sixteenths of nine drums, each [S, 9]: ``hits``, ``velocities`` (0..1), ``offsets``.

    An offset is (onset - sixteenth) / sixteenth, from -1/2 to 1/2: **positive is late** (GrooVAE
    has the opposite sign). Where nothing is hit, velocity and offset are 0.
    """

    hits: NDArray[np.bool_]
    velocities: NDArray[np.float32]
    offsets: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.hits)

    @classmethod
    def silent(cls, steps: int) -> Beat:
        """A beat of that many sixteenths without hits."""
        shape = (steps, len(DRUMS))
        return cls(
            np.zeros(shape, dtype=bool),
            np.zeros(shape, dtype=np.float32),
            np.zeros(shape, dtype=np.float32),
        )

    def section(self, start: int, stop: int) -> Beat:
        """Sixteenths ``start`` to ``stop`` - 1."""
        where = slice(start, stop)
        return Beat(self.hits[where], self.velocities[where], self.offsets[where])


@dataclass(frozen=True)
class Cells:
    """Cells of N notes, each [N]: nearest sixteenth, drum (`NONE`: no percussion), and offset.

    Offsets are as in `Beat`.
    """

    steps: NDArray[np.int64]
    drums: NDArray[np.int64]
    offsets: NDArray[np.float64]

    @classmethod
    def of(cls, onsets: NDArray[np.float64], keys: NDArray[np.int64], steps: int) -> Cells:
        """Cells of notes at ``onsets``, in sixteenths from the beginning.

        Notes after the last of the ``steps`` belong to it, with an offset beyond 1/2.
        """
        nearest = np.clip(np.round(onsets).astype(np.int64), 0, max(0, steps - 1))
        return cls(nearest, drums_of(keys), onsets - nearest)


def loudest(cells: Cells, velocities: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices of the notes that make up a beat: the loudest of each drum and sixteenth.

    Notes that are no percussion, or have an offset beyond 1/2, are left out.
    """
    kept = np.flatnonzero((cells.drums != NONE) & (np.abs(cells.offsets) <= 0.5))
    quietest_first = kept[np.argsort(velocities[kept], kind="stable")]
    place = cells.steps[quietest_first] * len(DRUMS) + cells.drums[quietest_first]
    _, from_behind = np.unique(place[::-1], return_index=True)
    return quietest_first[::-1][from_behind]


def beat_of(cells: Cells, velocities: NDArray[np.int64], steps: int) -> Beat:
    """A beat of ``steps`` sixteenths from notes with velocities 1..127 [N]; see `loudest`."""
    beat = Beat.silent(steps)
    chosen = loudest(cells, velocities)
    chosen = chosen[cells.steps[chosen] < steps]
    where = (cells.steps[chosen], cells.drums[chosen])
    beat.hits[where] = True
    beat.velocities[where] = velocities[chosen] / 127.0
    beat.offsets[where] = cells.offsets[chosen]
    return beat


def joined(beats: Sequence[Beat]) -> Beat:
    """Concatenates beats."""
    parts = [(beat.hits, beat.velocities, beat.offsets) for beat in beats]
    hits, velocities, offsets = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Beat(hits, velocities, offsets)


def score_of(beats: Sequence[Beat], tempi: Sequence[float]) -> Any:
    """Concatenated beats as a `symusic.Score` of one drum track in 4/4.

    ``tempi`` are those of the beats, in quarters a minute. No hit is earlier than tick 0.
    """
    import symusic

    score: Any = symusic.Score(_TICKS)
    score.time_signatures.append(symusic.TimeSignature(0, 4, 4))
    begin = 0
    for beat, tempo in zip(beats, tempi, strict=True):
        score.tempos.append(symusic.Tempo(begin * _STEP, tempo))
        begin += len(beat)
    whole = joined(beats)
    track: Any = symusic.Track("drums", 0, True)
    for step, drum in np.argwhere(whole.hits):
        onset = max(0, round((step + float(whole.offsets[step, drum])) * _STEP))
        velocity = min(127, max(1, round(float(whole.velocities[step, drum]) * 127)))
        track.notes.append(symusic.Note(onset, _LENGTH, KEYS[drum], velocity))
    score.tracks.append(track)
    return score.sort()
