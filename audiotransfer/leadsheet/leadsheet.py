"""The lead sheet of a song: metre, beats, form, harmony, melody and bass, apart from its sound."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

_COMPOUND = 3  # parts of a beat in 6/8, 9/8, 12/8
_ROUNDING = 1e-6  # beats by which a place may lie before what begins at it
#: Scale degrees by mode, in semitones above the tonic; of minor the natural ones.
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}


@dataclass(frozen=True)
class Note:
    """A note: onset and duration in seconds, MIDI pitch (of drums a General MIDI key), velocity."""

    start: float
    duration: float
    pitch: int
    velocity: int = 80
    confidence: float = 1.0


@dataclass(frozen=True)
class Bar:
    """A bar: the index of its first beat, and its metre."""

    beat: int
    numerator: int = 4
    denominator: int = 4

    @property
    def division(self) -> int:
        """Equal parts of a beat: 3 in compound metres (6/8, 9/8, 12/8), else 2."""
        compound = self.denominator >= 8 and self.numerator > 3 and self.numerator % 3 == 0
        return _COMPOUND if compound else 2

    @property
    def beats(self) -> int:
        """Number of beats; a beat of 6/8 is a dotted quarter, of 3/4 a quarter."""
        return self.numerator // 3 if self.division == _COMPOUND else self.numerator

    @property
    def quarters(self) -> float:
        """Length in quarter notes."""
        return 4.0 * self.numerator / self.denominator


@dataclass(frozen=True)
class Chord:
    """A chord from ``beat`` on, for ``beats`` beats.

    ``root`` and ``bass`` are pitch classes, C = 0; a root of ``None`` is no chord. ``quality`` is
    one of `audiotransfer.leadsheet.chords.QUALITIES`, as ``m7``. ``bass`` is ``None`` in root
    position.
    """

    beat: float
    beats: float
    root: int | None
    quality: str = ""
    bass: int | None = None
    confidence: float = 1.0


@dataclass(frozen=True)
class Key:
    """A key from ``beat`` on: pitch class of the tonic, and mode (``major`` or ``minor``)."""

    beat: float
    tonic: int
    mode: str = "major"
    confidence: float = 1.0

    @property
    def scale(self) -> frozenset[int]:
        """Pitch classes of the key's scale (see `SCALES`)."""
        return frozenset((self.tonic + degree) % 12 for degree in SCALES[self.mode])


@dataclass(frozen=True)
class Section:
    """A section of the form: alike ones have the same name (A, B, ...)."""

    beat: int
    beats: int
    name: str


@dataclass(frozen=True)
class LeadSheet:
    """What a song is, apart from how it sounds.

    ``beats`` are the times in seconds of the N beats and of the end of the last bar ``[N + 1]``.
    Chords and sections follow each other without gaps. ``energy`` is one value 0..1 a bar.
    ``others`` are the notes that are neither melody nor bass. ``sung`` are the spans in seconds
    where somebody sings. ``tuning`` is the deviation from A = 440 Hz in cents.
    """

    beats: tuple[float, ...]
    bars: tuple[Bar, ...]
    keys: tuple[Key, ...] = ()
    sections: tuple[Section, ...] = ()
    chords: tuple[Chord, ...] = ()
    melody: tuple[Note, ...] = ()
    bass: tuple[Note, ...] = ()
    others: tuple[Note, ...] = ()
    drums: tuple[Note, ...] = ()
    energy: tuple[float, ...] = ()
    sung: tuple[tuple[float, float], ...] = ()
    tuning: float = 0.0
    title: str = ""

    @cached_property
    def beat_times(self) -> NDArray[np.float64]:
        """The times of the beats and of the end, in seconds ``[N + 1]``."""
        return np.asarray(self.beats, dtype=np.float64)

    @property
    def seconds(self) -> float:
        """End of the last bar."""
        return self.beats[-1]

    @cached_property
    def bar_lines(self) -> NDArray[np.float64]:
        """First beats of the bars, and the end of the last: ``[B + 1]``."""
        return bar_lines(self.bars)

    def bar_at(self, beats: ArrayLike) -> NDArray[np.int64]:
        """Indices of the bars at places in beats; the first before, the last after the song."""
        places = np.asarray(beats, dtype=np.float64) + _ROUNDING
        index = np.searchsorted(self.bar_lines, places, side="right") - 1
        return np.clip(index, 0, len(self.bars) - 1)

    def key_at(self, beat: float) -> Key | None:
        """The key at a place in beats; before the first it is the first, ``None`` without keys."""
        begun = [key for key in self.keys if key.beat <= beat + _ROUNDING]
        return begun[-1] if begun else next(iter(self.keys), None)

    def time_at(self, beats: ArrayLike) -> NDArray[np.float64]:
        """Times in seconds of places in beats; beyond the ends the nearest beat's tempo goes on."""
        return interpolated(beats, np.arange(len(self.beats)), self.beat_times)

    def beat_at(self, seconds: ArrayLike) -> NDArray[np.float64]:
        """Places in beats of times in seconds: the inverse of `time_at`."""
        return interpolated(seconds, self.beat_times, np.arange(len(self.beats)))

    def tempo_at(self, beats: ArrayLike) -> NDArray[np.float64]:
        """Tempo in beats per minute at places in beats, as the mean over two beats."""
        places = np.asarray(beats, dtype=np.float64)
        return 120.0 / (self.time_at(places + 1) - self.time_at(places - 1))


def bar_lines(bars: Sequence[Bar]) -> NDArray[np.float64]:
    """First beats of some bars, and the end of the last: ``[B + 1]``."""
    return np.array([*(bar.beat for bar in bars), bars[-1].beat + bars[-1].beats], dtype=float)


def interpolated(
    places: ArrayLike, of: NDArray[np.generic], to: NDArray[np.generic]
) -> NDArray[np.float64]:
    """Piecewise linear interpolation of the points ``of`` ``[K]`` (ascending) -> ``to`` ``[K]``.

    The first and last slope go on beyond the ends, where `numpy.interp` stays at the end's value.
    """
    x = np.asarray(places, dtype=np.float64)
    source, target = of.astype(np.float64), to.astype(np.float64)
    index = np.clip(np.searchsorted(source, x, side="right") - 1, 0, len(source) - 2)
    slope = np.diff(target) / np.diff(source)
    values: NDArray[np.float64] = target[index] + (x - source[index]) * slope[index]
    return values
