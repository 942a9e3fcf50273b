"""MIDI files as symusic scores in ticks, and edited scores back into their files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotransfer import midi
from audiotransfer.atomic import write_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Suffixes of MIDI files that are read, and of those that are written.
SUFFIXES = midi.SUFFIXES
WRITTEN = (".mid", ".midi", ".kar")
#: First General MIDI program of percussive instruments and sound effects: no pitches are meant.
UNPITCHED = 112
_FINEST = 32767  # largest number of ticks per quarter in a file's header
_COARSE = 24  # ticks per quarter: with fewer, rounding to a tick is audible
_SECOND = 1_000_000  # microseconds
_MODES = 2  # major and minor
_MOST_SHARPS = 7
_FINEST_BEAT = 6  # a beat of a 64th, as a power of two
_CONTROL, _BEND, _META = 0xB0, 0xE0, 0xFF
_NO_BEND = 1 << 13
_NAME, _LYRIC, _MARKER, _TEMPO, _METRE, _KEY = 0x03, 0x05, 0x06, 0x51, 0x58, 0x59


def read_score(path: str | Path) -> Any:
    """Read a MIDI file as a ``symusic.Score`` in ticks; its sixteenths are whole ticks.

    Raises AudioTransferError as `midi.read` does.
    """
    return score_of(midi.read(path))


def parse_score(data: bytes, name: str) -> Any:
    """Decode the bytes of a MIDI file as a score; ``name`` is its name in messages.

    Raises AudioTransferError as `midi.parse` does.
    """
    return score_of(midi.parse(data, name))


def write_score(score: Any, path: str | Path, overwrite: bool = False) -> None:
    """Write a new score as a MIDI file of type 1, atomically.

    Raises AudioTransferError where it cannot be written, or exists already.
    """
    write_bytes(path, score.dumps_midi(), overwrite=overwrite)


def write_midi(file: midi.MidiFile, path: str | Path, overwrite: bool = False) -> None:
    """Write a MIDI file, atomically.

    Raises AudioTransferError where it cannot be written, or exists already.
    """
    write_bytes(path, file.to_bytes(), overwrite=overwrite)


def score_of(file: midi.MidiFile) -> Any:
    """The notes of a MIDI file with tempos, metres, keys and controllers, as a ``symusic.Score``.

    Each of the file's groups of notes (`midi.Group`) is a track, with the controllers and bends of
    its channel, whichever track of the file they are in. A resolution without whole sixteenths is
    raised, which changes no time.
    """
    import symusic

    factor = 4 if file.quarter % 4 and 4 * file.quarter <= _FINEST else 1
    score: Any = symusic.Score(factor * file.quarter)
    notes = midi.notes_of(file)
    meta = _MetaEvents(file, factor)
    for index, group in enumerate(notes.groups):
        channel = (group.port, group.channel)
        track: Any = symusic.Track(meta.names.get(group.track, ""), group.program, group.drums)
        own = notes.table[notes.table[:, 4] == index]
        times, lengths = (factor * own[:, :2].T).astype(np.int32)
        pitches, velocities = own[:, 2:4].T.astype(np.int8)
        track.notes = symusic.Note.from_numpy(times, lengths, pitches, velocities, "tick")
        track.controls = [symusic.ControlChange(*event) for event in meta.controls[channel]]
        track.pitch_bends = [symusic.PitchBend(*event) for event in meta.bends[channel]]
        # Lyrics go to the first group of their track.
        track.lyrics = [symusic.TextMeta(*event) for event in meta.lyrics.pop(group.track, [])]
        score.tracks.append(track)
    score.tempos = [symusic.Tempo(at, mspq=value) for at, value in meta.tempos]
    score.time_signatures = [symusic.TimeSignature(*event) for event in meta.metres]
    score.key_signatures = [symusic.KeySignature(*event) for event in meta.keys]
    score.markers = [symusic.TextMeta(*event) for event in meta.markers]
    return score


def edited(file: midi.MidiFile, score: Any) -> midi.MidiFile:
    """The file with the notes of a score that was made from it (`score_of`).

    No other message changes, nor its tick; new notes are rounded to the file's ticks. Only where
    its resolution is so low that this is audible, the resolution is raised.
    """
    factor = score.tpq // file.quarter
    table = _table(score, range(len(score.tracks)))
    between = bool((table[:, :2] % factor).any())
    if between and file.ticks_a_second is None and file.division < _COARSE:
        file, factor = file.finer(factor), 1
    start, end = ((ticks + factor // 2) // factor for ticks in (table[:, 0], table[:, :2].sum(1)))
    table[:, 1] = np.maximum(end - start, np.minimum(table[:, 1], 1))
    table[:, 0] = start
    return midi.with_notes(file, table)


def note_table(score: Any, *, drums: bool = False) -> NDArray[np.int64]:
    """Pitched notes, or those of drums, as a table ``[N, 5]``, sorted by start, then pitch.

    Columns are start (ticks), length (ticks), MIDI pitch, velocity, track. Sound effects (programs
    from 112 on) are neither pitched nor drums.
    """
    playing = [i for i, track in enumerate(score.tracks) if _plays(track, drums)]
    return _table(score, playing)


def with_notes(score: Any, table: NDArray[np.int64], *, drums: bool = False) -> Any:
    """The score with its pitched notes, or its drums, replaced by a table as of `note_table`.

    Everything else, also tracks without notes, stays as it is.
    """
    import symusic

    changed = score.copy()
    for index, track in enumerate(changed.tracks):
        if _plays(track, drums):
            own = table[table[:, 4] == index]
            times, lengths = own[:, :2].T.astype(np.int32)
            pitches, velocities = own[:, 2:4].T.astype(np.int8)
            track.notes = symusic.Note.from_numpy(times, lengths, pitches, velocities, "tick")
    return changed


def _plays(track: Any, drums: bool) -> bool:
    """Whether a track has drums (or pitched notes)."""
    return bool(track.is_drum) if drums else not track.is_drum and track.program < UNPITCHED


def _table(score: Any, tracks: Iterable[int]) -> NDArray[np.int64]:
    """Notes of the given tracks ``[N, 5]``, as `note_table` returns them."""
    columns = []
    for index in tracks:
        notes = score.tracks[index].notes.numpy()
        values = [notes[name] for name in ("time", "duration", "pitch", "velocity")]
        columns.append(np.stack([*values, np.full(len(values[0]), index)], axis=1))
    table = np.concatenate([np.zeros((0, 5)), *columns]).astype(np.int64)
    return table[np.lexsort((table[:, 4], table[:, 2], table[:, 0]))]


class _MetaEvents:
    """All events of a file but notes, as ``(tick * factor, value...)``."""

    def __init__(self, file: midi.MidiFile, factor: int) -> None:
        self.tempos: list[tuple[int, int]] = []
        self.metres: list[tuple[int, int, int]] = []
        self.keys: list[tuple[int, int, int]] = []
        self.markers: list[tuple[int, str]] = []
        self.names: dict[int, str] = {}
        self.lyrics: defaultdict[int, list[tuple[int, str]]] = defaultdict(list)
        self.controls: defaultdict[tuple[int, int], list[tuple[int, int, int]]] = defaultdict(list)
        self.bends: defaultdict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
        for number, track in enumerate(file.tracks):
            for _, port, tick, message in midi.with_ports(track):
                if message[0] == _META:
                    self._meta(number, factor * tick, message[1], message[2:])
                elif message[0] & 0xF0 == _CONTROL:
                    event = (factor * tick, message[1], message[2])
                    self.controls[port, message[0] & 0x0F].append(event)
                elif message[0] & 0xF0 == _BEND:
                    value = (message[2] << 7 | message[1]) - _NO_BEND
                    self.bends[port, message[0] & 0x0F].append((factor * tick, value))
        if file.ticks_a_second is not None:
            self.tempos = [(0, round(_SECOND * file.quarter / file.ticks_a_second))]
        # Several tracks may hold events of one type, each sorted by itself.
        merged: list[list[Any]] = [self.tempos, self.metres, self.keys, self.markers]
        for events in (*merged, *self.controls.values(), *self.bends.values()):
            events.sort(key=lambda event: event[0])

    def _meta(self, track: int, tick: int, kind: int, data: bytes) -> None:
        if kind == _NAME:
            self.names.setdefault(track, _text(data))
        elif kind == _LYRIC:
            self.lyrics[track].append((tick, _text(data)))
        elif kind == _MARKER:
            self.markers.append((tick, _text(data)))
        elif kind == _TEMPO and (value := int.from_bytes(data[:3], "big")):
            self.tempos.append((tick, value))
        elif kind == _METRE and len(data) >= 2 and data[1] <= _FINEST_BEAT:
            self.metres.append((tick, data[0], 1 << data[1]))
        elif kind == _KEY and len(data) >= 2 and data[1] < _MODES:
            sharps = int.from_bytes(data[:1], "big", signed=True)
            if abs(sharps) <= _MOST_SHARPS:
                self.keys.append((tick, sharps, data[1]))


def _text(data: bytes) -> str:
    """Text of a meta message, whose encoding files do not state."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
