"""Lead sheets as MIDI files in time with their recording, with bars where they belong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.atomic import write_bytes
from audiotransfer.leadsheet.chords import QUALITIES, symbol
from audiotransfer.leadsheet.leadsheet import interpolated
from audiotransfer.leadsheet.spelling import signature
from audiotransfer.midi.file import END_OF_TRACK, MidiFile
from audiotransfer.midi.new_tracks import NewTrack, with_tracks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiotransfer.leadsheet.leadsheet import Bar, LeadSheet, Note
    from audiotransfer.midi.file import Event

DIVISION = 960  # ticks a quarter note: half a millisecond at 120 quarters a minute
_NAME, _MARKER = b"\xff\x03", b"\xff\x06"
_TEMPO, _METRE, _KEY = b"\xff\x51", b"\xff\x58", b"\xff\x59"
_SLOWEST = (1 << 24) - 1  # microseconds a quarter note
_STEADY = 5e-4  # seconds by which a beat may be off before its tempo is written
_SOON = 4e-3  # seconds before the first beat that are left out
_ROUGHLY = 0.35  # relative change of tempo before the first beat
_SHORTEST = 1e-3  # seconds of a beat
_MELODY, _PIANO, _BASS, _FURTHER = 73, 0, 33, 4  # General MIDI programs
_LOWEST_TONE = 55  # of the chords' track
_CHORD_VELOCITY = 64


@dataclass(frozen=True)
class TimedTrack:
    """A track in seconds: its name, General MIDI program (of ``drums`` a kit's number), and notes.

    ``notes`` ``[N, 4]`` are start and duration in seconds, MIDI pitch and velocity.
    """

    name: str
    program: int
    drums: bool
    notes: NDArray[np.float64]


def write_midi(
    path: str | Path,
    sheet: LeadSheet,
    tracks: Sequence[TimedTrack] | None = None,
    overwrite: bool = False,
) -> None:
    """Writes a lead sheet, or tracks over its beats, as a MIDI file (see `midi_file`), atomically.

    Raises AudioTransferError where it cannot be written, or exists already.
    """
    write_bytes(path, midi_file(sheet, tracks).to_bytes(), overwrite=overwrite)


def midi_file(sheet: LeadSheet, tracks: Sequence[TimedTrack] | None = None) -> MidiFile:
    """A MIDI file with the lead sheet's beats as its tempo map, whose second 0 is the song's.

    Bars begin at the sheet's bars; what is before the first one is a bar or several that end there.
    Beats are within half a millisecond of the sheet's. Sections (``[A]``) and chords are markers.
    Without ``tracks`` these are the sheet's melody, chords, bass, further notes and drums.
    """
    grid = _Grid.of(sheet)
    events = [
        *grid.events(),
        *_keys(sheet, grid),
        *((grid.tick(s.beat), _MARKER + f"[{s.name}]".encode()) for s in sheet.sections),
        *(
            (grid.tick(c.beat), _MARKER + symbol(c, sheet.key_at(c.beat)).encode())
            for c in sheet.chords
        ),
    ]
    events.sort(key=lambda event: event[0])
    name = (0, _NAME + sheet.title.encode())
    conductor = (name, *events, (round(grid.ticks[-1]), END_OF_TRACK))
    chosen = sheet_tracks(sheet) if tracks is None else tracks
    made = [NewTrack(t.name, t.program, t.drums, grid.notes(t.notes)) for t in chosen]
    return with_tracks(MidiFile(1, DIVISION, (conductor,)), made)


def sheet_tracks(sheet: LeadSheet) -> list[TimedTrack]:
    """The tracks of a lead sheet: melody, chords, bass, further notes and drums, if there are."""
    tracks = [
        TimedTrack("melody", _MELODY, False, table_of(sheet.melody)),
        TimedTrack("chords", _PIANO, False, _chord_notes(sheet)),
        TimedTrack("bass", _BASS, False, table_of(sheet.bass)),
        TimedTrack("further notes", _FURTHER, False, table_of(sheet.others)),
        TimedTrack("drums", 0, True, table_of(sheet.drums)),
    ]
    return [track for track in tracks if len(track.notes)]


def table_of(notes: Iterable[Note]) -> NDArray[np.float64]:
    """Notes as a table ``[N, 4]``: start and duration in seconds, MIDI pitch, velocity."""
    rows = [(note.start, note.duration, note.pitch, note.velocity) for note in notes]
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


@dataclass(frozen=True)
class _Grid:
    """Ticks of the beats with the end ``[N + 1]``, and the tempo map and metres that place them.

    ``first`` are the ticks before the first beat. ``seconds`` and ``places`` are the tempo map's
    points, ``tempos`` in microseconds a quarter note from each of them on.
    """

    ticks: NDArray[np.float64]
    seconds: NDArray[np.float64]
    places: NDArray[np.float64]
    tempos: tuple[tuple[int, int], ...]
    metres: tuple[tuple[int, int, int], ...]

    @classmethod
    def of(cls, sheet: LeadSheet) -> _Grid:
        quarters = np.repeat(
            [bar.quarters / bar.beats for bar in sheet.bars], [bar.beats for bar in sheet.bars]
        )
        lengths = np.rint(quarters * DIVISION)
        times = _from_zero(sheet.beat_times)
        lead_in = _sixteenths(float(times[0]), float(times[1] - times[0]), float(quarters[0]))
        first = lead_in * DIVISION // 4
        ticks = first + np.concatenate([[0.0], np.cumsum(lengths)])
        metres = list(_metres_before(lead_in, sheet.bars))
        metre = (0, 0)
        for bar in sheet.bars:
            if metre != (bar.numerator, bar.denominator):
                metre = (bar.numerator, bar.denominator)
                metres.append((round(ticks[bar.beat]), *metre))
        # Without ticks before the first beat it is at 0, which it misses by next to nothing.
        front = [0.0] if first else []
        times = np.concatenate([front, times[:1] if first else [0.0], times[1:]])
        places = np.concatenate([front, ticks])
        return cls(ticks, times, places, tuple(_tempo_map(times, places)), tuple(metres))

    def tick(self, beat: float) -> int:
        """The tick of a place in beats."""
        return round(float(interpolated(beat, np.arange(len(self.ticks)), self.ticks)))

    def ticks_at(self, seconds: NDArray[np.float64]) -> NDArray[np.int64]:
        """Ticks of times in seconds, from 0."""
        ticks = interpolated(seconds, self.seconds, self.places)
        return np.maximum(np.rint(ticks), 0).astype(np.int64)

    def notes(self, table: NDArray[np.float64]) -> NDArray[np.int64]:
        """Notes in ticks ``[N, 4]`` of notes in seconds."""
        start = self.ticks_at(table[:, 0])
        end = self.ticks_at(table[:, 0] + table[:, 1])
        values = np.rint(table[:, 2:4]).astype(np.int64)
        return np.column_stack([start, np.maximum(end - start, 1), values])

    def events(self) -> list[Event]:
        """The messages of tempo and metre."""
        found: list[Event] = []
        for tick, numerator, denominator in self.metres:
            data = bytes((min(numerator, 255), denominator.bit_length() - 1, 24, 8))
            found.append((tick, _METRE + data))
        found += [(tick, _TEMPO + tempo.to_bytes(3, "big")) for tick, tempo in self.tempos]
        return found


def _from_zero(beats: NDArray[np.float64]) -> NDArray[np.float64]:
    """Times of beats ``[N + 1]``, none before 0 and each a little later than the one before."""
    least = _SHORTEST * np.arange(len(beats))
    return np.maximum(beats, least) if beats[0] < 0 else beats.copy()


def _sixteenths(seconds: float, beat: float, quarters: float) -> int:
    """Sixteenths before the first beat: whole quarters where these fit its tempo roughly."""
    if seconds < _SOON:
        return 0
    exact = quarters * seconds / beat
    whole = round(exact)
    return 4 * whole if abs(whole - exact) <= _ROUGHLY * whole else max(1, round(4 * exact))


def _metres_before(sixteenths: int, bars: Sequence[Bar]) -> Iterable[tuple[int, int, int]]:
    """Ticks and metres of the bars before the first one: whole ones, and first what is left."""
    if not sixteenths:
        return
    usual = bars[min(1, len(bars) - 1)]
    bar = max(1, round(4 * usual.quarters))
    whole, rest = divmod(sixteenths, bar)
    if rest:
        denominator = 16
        while rest % 2 == 0 and denominator > 4:
            rest, denominator = rest // 2, denominator // 2
        yield 0, rest, denominator
    if whole:
        yield (sixteenths - whole * bar) * DIVISION // 4, usual.numerator, usual.denominator


def _tempo_map(times: NDArray[np.float64], ticks: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Ticks and tempos (microseconds a quarter note) at which K points have these times.

    A tempo holds as long as it places the next point within `_STEADY`; rounding does not add up.
    """
    quarters = np.diff(ticks) / DIVISION
    now, tempo = float(times[0]), 0
    found: list[tuple[int, int]] = []
    for index, length in enumerate(quarters.tolist()):
        goal = float(times[index + 1])
        if not tempo or abs(now + tempo * 1e-6 * length - goal) > _STEADY:
            tempo = min(max(round(1e6 * (goal - now) / length), 1), _SLOWEST)
            found.append((round(ticks[index]), tempo))
        now += tempo * 1e-6 * length
    return found


def _keys(sheet: LeadSheet, grid: _Grid) -> list[Event]:
    """The messages of key signatures."""
    found = []
    for index, key in enumerate(sheet.keys):
        data = signature(key).to_bytes(1, "big", signed=True) + bytes((key.mode == "minor",))
        found.append((grid.tick(key.beat) if index else 0, _KEY + data))
    return found


def _chord_notes(sheet: LeadSheet) -> NDArray[np.float64]:
    """The chords in close position ``[N, 4]``, each struck where it begins."""
    rows = []
    for chord in sheet.chords:
        if chord.root is None:
            continue
        start, end = sheet.time_at([chord.beat, chord.beat + chord.beats]).tolist()
        for tone in QUALITIES[chord.quality]:
            pitch = _LOWEST_TONE + (chord.root + tone - _LOWEST_TONE) % 12
            rows.append((start, end - start, pitch, _CHORD_VELOCITY))
    return np.array(rows, dtype=np.float64).reshape(-1, 4)
