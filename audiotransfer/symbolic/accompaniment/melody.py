"""The melody of a score: its track, its notes, and their pitches on the grid of sixteenths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiotransfer.errors import AudioTransferError
from audiotransfer.midi.grid import Grid
from audiotransfer.symbolic.accompaniment.chorales import BEAT, RANGES, REST, Voices

Notes = NDArray[np.int64]  # [N, 4]: start and length in ticks, MIDI pitch, velocity
_BRIDGED = 16  # steps: shorter rests are filled
_OVERLAP = 1 / 8  # of a quarter: notes that overlap by less are legato, not a chord
_OCTAVE = 12
_MIDDLE, _TOLERANCE = 70.0, 8.0  # mean pitch of the chorales' melodies, free deviation from it
#: Phases of a beat of three eighths, in terms of a beat of a quarter.
_COMPOUND = np.array([0, 1, 2, 3, 2, 3])


@dataclass(frozen=True)
class GridMelody:
    """A melody on the grid: its original pitches, and transposed to the range of a soprano.

    Attributes:
        first: the step of the grid at which it begins.
        original, transposed: MIDI pitch of each sixteenth from there on, -1 in long rests. The
            interval between them is constant, but for single notes that are octaves further.
        phases: position of each step in its beat, 0 to 3.
        onsets: steps at which its notes begin, from ``first`` on.
    """

    first: int
    original: Voices
    transposed: Voices
    phases: NDArray[np.int64]
    onsets: NDArray[np.int64]

    @property
    def shift(self) -> int:
        """Semitones from the original to the transposed melody."""
        return shift_of(self.original[self.original >= 0])


@dataclass(frozen=True)
class Tune:
    """The melody of a score.

    Attributes:
        score: a ``symusic.Score`` in ticks.
        track: index of the melody's track.
        notes: [N, 4]; see `Notes`.
        grid: the score's sixteenths.
        melody: the notes on the grid.
        notices: choices that the user may want to change.
    """

    score: Any
    track: int
    notes: Notes
    grid: Grid
    melody: GridMelody
    notices: tuple[str, ...]

    @classmethod
    def of(cls, score: Any, named: str | None = None) -> Tune:
        """Extracts the melody from a track of a ``symusic.Score`` in ticks (see `choose_track`).

        Of simultaneous notes the highest is the melody's. Raises AudioTransferError where there
        is no melody.
        """
        track = choose_track(score, named)
        notices = []
        others = [other for other in _pitched(score) if other != track]
        if others and named is None:
            names = ", ".join(_label(score, other) for other in others)
            notices.append(
                f"the melody is track {_label(score, track)}; --track takes another ({names})"
            )
        every = notes_in(score.tracks[track])
        notes = skyline(every, score.tpq)
        if len(notes) < len(every):
            notices.append(
                f"{len(every) - len(notes)} of {len(every)} notes lie below others; "
                "the melody is the highest notes"
            )
        grid = Grid.of(score)
        return cls(
            score, track, notes, grid, grid_melody(notes, grid, phases(grid, score)), tuple(notices)
        )


def _pitched(score: Any) -> list[int]:
    return [n for n, track in enumerate(score.tracks) if len(track.notes) and not track.is_drum]


def _label(score: Any, track: int) -> str:
    name = score.tracks[track].name.strip()
    return f"{track + 1} {name!r}" if name else str(track + 1)


def choose_track(score: Any, named: str | None = None) -> int:
    """Index of the melody's track: the named one, or the first pitched track with notes.

    ``named`` is a track's name in any case, or its number from 1. Raises AudioTransferError where
    there is no such track.
    """
    pitched = _pitched(score)
    if not pitched:
        raise AudioTransferError("the score has drums only; a melody needs a pitched track")
    if named is None:
        return pitched[0]
    for index in pitched:
        names = (score.tracks[index].name.strip().lower(), str(index + 1))
        if named.strip().lower() in names:
            return index
    known = ", ".join(_label(score, index) for index in pitched)
    raise AudioTransferError(f"no track {named!r} with a melody; there are {known}")


def notes_in(track: Any) -> Notes:
    """The notes of a track [N, 4], sorted by start, then from the highest down."""
    found = track.notes.numpy()
    notes = np.stack([found[k] for k in ("time", "duration", "pitch", "velocity")], 1)
    return notes[np.lexsort((-notes[:, 2], notes[:, 0]))].astype(np.int64)


def skyline(notes: Notes, quarter: int) -> Notes:
    """The highest of simultaneous notes; a monophonic melody is unchanged, legato included.

    A note that begins below a sounding one is left out; one that begins above it ends it.
    """
    slack = _OVERLAP * quarter
    kept: list[list[int]] = []
    for start, length, pitch, velocity in notes.tolist():
        if kept and kept[-1][0] + kept[-1][1] - start > min(slack, kept[-1][1] / 2):
            if pitch <= kept[-1][2]:
                continue
            kept[-1][1] = start - kept[-1][0]
            if kept[-1][1] == 0:
                kept.pop()
        kept.append([start, length, pitch, velocity])
    return np.array(kept, dtype=np.int64).reshape(-1, 4)


def grid_melody(notes: Notes, grid: Grid, beats: NDArray[np.int64]) -> GridMelody:
    """Quantises a monophonic melody's notes [N, 4] to the grid; ``beats`` are its `phases`.

    Each note lasts until the next one, but not through a rest of more than a bar.
    """
    begin = np.minimum(grid.nearest(notes[:, 0]), grid.steps - 1)
    ends = np.maximum(grid.nearest(notes[:, 0] + notes[:, 1]), begin + 1)
    following = np.append(begin[1:], ends[-1])
    lasts = np.where(following - ends <= _BRIDGED, following, ends)
    first, last = int(begin[0]), int(lasts.max())
    original = np.full(last - first, REST, dtype=np.int64)
    for start, end, pitch in zip(begin - first, lasts - first, notes[:, 2], strict=True):
        original[start : max(end, start + 1)] = pitch
    moved = _folded(original + shift_of(original[original >= 0]))
    transposed = np.where(original < 0, REST, moved)
    return GridMelody(first, original, transposed, beats[first:last], begin - first)


def shift_of(pitches: NDArray[np.int64]) -> int:
    """Semitones to transpose a melody to the range of a soprano; octaves where possible."""
    low, high = RANGES[0]
    costs = {}
    for shift in range(-84, 85):
        moved = pitches + shift
        outside = float(((moved < low) | (moved > high)).mean())
        away = max(0.0, abs(float(moved.mean()) - _MIDDLE) - _TOLERANCE) / _OCTAVE
        costs[shift] = 4 * outside + away + 0.3 * (shift % _OCTAVE != 0)
    return min(costs, key=lambda shift: (costs[shift], abs(shift)))


def phases(grid: Grid, score: Any) -> NDArray[np.int64]:
    """Position of each step in its beat, 0 to 3; a beat is a quarter, or three eighths."""
    found = np.zeros(grid.steps, dtype=np.int64)
    signs = sorted(score.time_signatures, key=lambda sign: sign.time)
    for first, after in zip(grid.bars[:-1], grid.bars[1:], strict=True):
        places = np.arange(after - first)
        here = [sign for sign in signs if sign.time <= grid.ticks[first]]
        compound = bool(here) and here[-1].denominator == 8 and here[-1].numerator % 3 == 0
        found[first:after] = _COMPOUND[places % len(_COMPOUND)] if compound else places % BEAT
    return found


def _folded(pitches: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pitches outside a soprano's range, moved into it by octaves."""
    low, high = RANGES[0]
    up: NDArray[np.int64] = -(-np.maximum(low - pitches, 0) // _OCTAVE)
    down: NDArray[np.int64] = -(-np.maximum(pitches - high, 0) // _OCTAVE)
    return pitches + _OCTAVE * (up - down)


NAME = "twinkle"
"""Name of the melody that comes with the package."""

_QPM = 100.0
_VELOCITY = 90
_CALL = [67, 67, 74, 74, 76, 76, 74, 72, 72, 71, 71, 69, 69, 67]
_ANSWER = [74, 74, 72, 72, 71, 71, 69] * 2
PITCHES = [*_CALL, *_ANSWER, *_CALL]
_QUARTERS = [1, 1, 1, 1, 1, 1, 2]  # of each phrase
LENGTHS = _QUARTERS * (len(PITCHES) // len(_QUARTERS))


def twinkle_steps() -> Voices:
    """The melody of "Twinkle, Twinkle, Little Star": a MIDI pitch for each sixteenth, [192]."""
    return np.repeat(np.array(PITCHES, dtype=np.int64), BEAT * np.array(LENGTHS))


def twinkle_score() -> Any:
    """The melody of `twinkle_steps` as a ``symusic.Score`` of one track in 4/4, at 100 BPM."""
    import symusic

    quarter = 480
    made: Any = symusic.Score(quarter)
    made.tempos.append(symusic.Tempo(0, qpm=_QPM))
    made.time_signatures.append(symusic.TimeSignature(0, 4, 4))
    track: Any = symusic.Track("Melody", 0, False)
    start = 0
    for pitch, length in zip(PITCHES, LENGTHS, strict=True):
        track.notes.append(symusic.Note(start, quarter * length, pitch, _VELOCITY))
        start += quarter * length
    made.tracks.append(track)
    return made
