"""A piece of music in beats, and the tempo curve that puts it into seconds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]

LEAD, COUNTER, HARMONY, BASS = "lead", "counter", "harmony", "bass"


def no_rows(columns: int) -> Rows:
    """An empty table ``[0, columns]``."""
    return np.zeros((0, columns))


@dataclass(frozen=True)
class Recording:
    """The sound ``[T]`` of a part at 22 050 Hz, and its tuning, which is that of all parts."""

    sound: NDArray[np.float32]
    tuning_cents: float


@dataclass(frozen=True)
class Layer:
    """Notes ``[N, 4]`` of one part: start and duration (beats), MIDI pitch, velocity.

    ``role`` is lead, counter, harmony or bass. ``programs`` are General MIDI programs to draw
    from; where there are none they follow from the role. Notes of a ``recording`` are in seconds.
    """

    role: str
    notes: Rows
    programs: tuple[int, ...] = ()
    recording: Recording | None = None


@dataclass(frozen=True)
class Piece:
    """Parts, drums, chords and bars of a piece, all in beats.

    ``bars`` are the beats on which bars begin, of which the last is the end; ``division`` is the
    number of equal parts of a beat (3 in compound metres), ``tempo`` in beats a minute. ``drums``
    ``[N, 3]`` are start, General MIDI key, velocity. ``chords`` ``[K, 3]`` are start, root (0..11,
    or -1 for none) and an index into ``CHORD_QUALITIES``. ``known`` names what of lead, notes,
    bass, chords, drums and beats is true of the sound. ``lengths`` are seconds of each beat where
    the piece has a tempo curve of its own. With ``bass_leads`` the lead is the bass, too.
    """

    collection: str
    name: str
    layers: tuple[Layer, ...]
    bars: Rows
    tempo: float
    division: int = 2
    drums: Rows = field(default_factory=lambda: no_rows(3))
    chords: Rows = field(default_factory=lambda: no_rows(3))
    known: frozenset[str] = frozenset({"lead", "notes", "chords", "drums", "beats"})
    style: str = ""
    lengths: Rows | None = None
    bass_leads: bool = False

    @property
    def end(self) -> float:
        """The beat at which the last bar ends."""
        return float(self.bars[-1])

    def layer(self, role: str) -> Layer | None:
        """The first layer of a role, if there is one."""
        return next((layer for layer in self.layers if layer.role == role), None)

    def section(self, first: float, last: float) -> Piece:
        """What begins from beat ``first`` up to ``last``, counted from ``first`` on.

        Chords that began before start at 0; bars are those that begin inside.
        """

        def cut(rows: Rows) -> Rows:
            inside = rows[(rows[:, 0] >= first - 1e-6) & (rows[:, 0] < last - 1e-6)].copy()
            inside[:, 0] = np.maximum(0.0, inside[:, 0] - first)
            return inside

        layers = tuple(replace(layer, notes=cut(layer.notes)) for layer in self.layers)
        chords = self.chords.copy()
        if len(chords):
            ends = np.append(chords[1:, 0], np.inf)
            chords = chords[(ends > first + 1e-6) & (chords[:, 0] < last - 1e-6)]
            chords[:, 0] = np.maximum(0.0, chords[:, 0] - first)
        bars = self.bars[(self.bars >= first - 1e-6) & (self.bars <= last + 1e-6)] - first
        if not len(bars) or bars[-1] < last - first - 1e-6:
            bars = np.append(bars, last - first)
        lengths = None if self.lengths is None else self.lengths[int(first) : int(np.ceil(last))]
        return replace(
            self, layers=layers, drums=cut(self.drums), chords=chords, bars=bars, lengths=lengths
        )

    def transposed(self, semitones: int) -> Piece:
        """The piece with pitches and chords moved; drums stay."""
        layers = []
        for layer in self.layers:
            notes = layer.notes.copy()
            notes[:, 2] += semitones
            layers.append(replace(layer, notes=notes))
        chords = self.chords.copy()
        rooted = chords[:, 1] >= 0
        chords[rooted, 1] = (chords[rooted, 1] + semitones) % 12
        return replace(self, layers=tuple(layers), chords=chords)

    def spans(self) -> list[tuple[float, float]]:
        """Start and end of every bar, also of an incomplete one before the first."""
        edges = self.bars if self.bars[0] < 1e-6 else np.concatenate([[0.0], self.bars])
        return [(float(a), float(b)) for a, b in pairwise(edges)]


def monophonic(notes: Rows) -> Rows:
    """Notes by start, each cut where the next one begins; of notes together the highest."""
    if not len(notes):
        return notes
    notes = notes[np.lexsort((-notes[:, 2], notes[:, 0]))]
    notes = notes[np.concatenate([[True], np.diff(notes[:, 0]) > 1e-3])].copy()
    notes[:-1, 1] = np.minimum(notes[:-1, 1], np.diff(notes[:, 0]))
    return notes


@dataclass(frozen=True)
class Timeline:
    """Seconds of beats 0, 1, 2 ...; within a beat time runs evenly, or swings.

    ``times`` are counted from beat 0, which is at ``start``. ``swing`` is where the middle of a
    beat falls, .5 where it does not swing.
    """

    times: Rows
    swing: float = 0.5
    start: float = 0.0

    def at(self, beats: Rows) -> Rows:
        """Seconds of beats; outside the tempo goes on as at the ends."""
        whole = np.floor(beats)
        part = beats - whole
        swung = np.where(
            part < 0.5,
            part * 2 * self.swing,
            self.swing + (part - 0.5) * 2 * (1 - self.swing),
        )
        place = np.clip(whole, 0, len(self.times) - 2).astype(int)
        slope = self.times[place + 1] - self.times[place]
        seconds: Rows = self.times[place] + (whole + swung - place) * slope
        return seconds + self.start

    @property
    def beats(self) -> Rows:
        """Seconds of all its beats."""
        return self.at(np.arange(len(self.times), dtype=np.float64))


def draw_timeline(tempo: float, beats: int, random: Generator, drift: float = 0.0) -> Timeline:
    """A tempo curve of so many beats.

    ``drift`` is the standard deviation of the slow random walk of the tempo, as a share of it, with
    a fifth of it from beat to beat.
    """
    walk = np.zeros(beats)
    if drift > 0:
        steps = random.standard_normal(beats) * drift * 0.35
        value = random.standard_normal() * drift
        for index in range(beats):
            value = 0.94 * value + steps[index]
            walk[index] = value
        walk += random.standard_normal(beats) * drift * 0.2
    return Timeline(np.concatenate([[0.0], np.cumsum(60.0 / tempo * np.exp(walk))]))


def slowed(timeline: Timeline, end: float, random: Generator) -> Timeline:
    """A ritardando over the three to seven beats before a time (s), to at most 1.7 of a beat."""
    lengths = np.diff(timeline.times)
    last = min(int(np.searchsorted(timeline.times, end)), len(lengths))
    count = int(random.integers(3, 8))
    first = max(1, last - count)
    slowing = np.linspace(1, random.uniform(1.2, 1.7), count)
    lengths[first : first + count] *= slowing[: len(lengths[first : first + count])]
    return Timeline(np.concatenate([[0.0], np.cumsum(lengths)]), timeline.swing, timeline.start)
