"""Editing the notes and the tempo of a MIDI file with minimal changes to its messages."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.midi.notes import notes_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiotransfer.midi.file import Event, MidiFile

    Table = NDArray[np.int64]

START, LENGTH, PITCH, VELOCITY, GROUP = range(5)
_TEMPO = b"\xff\x51"
_RELEASE = 64  # default velocity of a note-off
#: Columns by which new notes are matched with old ones, in this order.
_MATCHES = ((START, LENGTH, PITCH, VELOCITY, GROUP), (START, PITCH, GROUP), (PITCH, GROUP))
#: Order of messages at one tick: new note-offs, the file's own messages, new note-ons.
_FIRST, _OWN, _LAST = range(3)


def with_notes(file: MidiFile, table: Table) -> MidiFile:
    """The file with the notes of a table ``[M, 5]``, in the form that `notes_of` returns.

    Other messages keep their tick and order, and so do unchanged notes. Of a note that is moved,
    louder or longer, only that is changed. New notes go to the track and channel of their group. At
    one tick new note-offs come first and new note-ons last, so that no new note sounds into a pedal
    or precedes its program change.
    """
    notes = notes_of(file)
    if np.array_equal(notes.table, table):
        return file
    sources = _sources(notes.table, table)
    tracks = [_Edits(track) for track in file.tracks]
    gone = np.setdiff1d(np.arange(len(notes.table)), sources)
    for row in gone.tolist():
        group = notes.groups[notes.table[row, GROUP]]
        tracks[group.track].drop(int(notes.ons[row]), int(notes.offs[row]))
    for after, source in zip(table.tolist(), sources.tolist(), strict=True):
        group = notes.groups[after[GROUP]]
        edits = tracks[group.track]
        if source < 0:
            edits.add(after, group.channel)
        else:
            before = notes.table[source].tolist()
            if before != after:
                edits.change(before, after, int(notes.ons[source]), int(notes.offs[source]))
    return replace(file, tracks=tuple(edits.edited_track() for edits in tracks))


def with_tempo(file: MidiFile, quarters: float) -> MidiFile:
    """The file with one constant tempo, in quarter notes per minute."""
    value = min(max(round(60_000_000 / quarters), 1), (1 << 24) - 1)
    tracks = [tuple(event for event in track if event[1][:2] != _TEMPO) for track in file.tracks]
    tracks[0] = ((0, _TEMPO + value.to_bytes(3, "big")), *tracks[0])
    return replace(file, tracks=tuple(tracks))


def _sources(before: Table, after: Table) -> Table:
    """Row of ``before`` from which each row of ``after`` comes, ``[M]``; -1 for a new note."""
    found = np.full(len(after), -1)
    left = np.arange(len(before))
    for columns in _MATCHES:
        queues: defaultdict[tuple[int, ...], deque[int]] = defaultdict(deque)
        for row, values in zip(left.tolist(), before[left][:, columns].tolist(), strict=True):
            queues[tuple(values)].append(row)
        new = np.flatnonzero(found < 0)
        for row, values in zip(new.tolist(), after[new][:, columns].tolist(), strict=True):
            if queue := queues.get(tuple(values)):
                found[row] = queue.popleft()
        left = np.setdiff1d(left, found)
    return found


@dataclass
class _Edits:
    """Edits of the messages of one track."""

    track: tuple[Event, ...]
    _removed: set[int] = field(default_factory=set)
    _changed: dict[int, bytes] = field(default_factory=dict)
    _new: list[tuple[int, int, bytes]] = field(default_factory=list)  # tick, order, message
    _spans: list[tuple[int, int, int, int]] = field(default_factory=list)
    """Channel, pitch, start and end tick of new sounding spans."""

    def drop(self, on: int, off: int) -> None:
        """Remove a note; ``off`` is -1 where no message ends it."""
        self._removed |= {on, off} - {-1}

    def add(self, note: list[int], channel: int) -> None:
        """Add a note: start, length, pitch, velocity."""
        start, length, pitch, velocity = note[:4]
        self._begin(start, bytes((0x90 | channel, pitch, velocity)))
        self._end(start, start + max(1, length), bytes((0x80 | channel, pitch, _RELEASE)))

    def change(self, before: list[int], after: list[int], on: int, off: int) -> None:
        """Change start, length or velocity of a note."""
        message = self.track[on][1]
        message = message[:2] + bytes((after[VELOCITY],))
        moved = before[START] != after[START]
        if moved:
            self._removed.add(on)
            self._begin(after[START], message)
        else:
            self._changed[on] = message
        if not moved and before[LENGTH] == after[LENGTH]:
            return
        end = after[START] + max(1, after[LENGTH])
        if end != before[START] + before[LENGTH]:
            release = bytes((0x80 | message[0] & 0x0F, message[1], _RELEASE))
            self._removed |= {off} - {-1}
            self._end(after[START], end, release if off < 0 else self.track[off][1])

    def edited_track(self) -> tuple[Event, ...]:
        """The edited track."""
        if not (self._removed or self._changed or self._new):
            return self.track
        gone = self._removed | self._unmatched_offs()
        *own, (end, last) = self.track
        messages = [
            (tick, _OWN, index, self._changed.get(index, message))
            for index, (tick, message) in enumerate(own)
            if index not in gone
        ]
        messages += [(tick, order, place, m) for place, (tick, order, m) in enumerate(self._new)]
        messages.sort(key=lambda entry: entry[:3])
        events = [(tick, message) for tick, _, _, message in messages]
        return (*events, (max(end, events[-1][0] if events else 0), last))

    def _begin(self, tick: int, message: bytes) -> None:
        self._new.append((tick, _LAST, message))

    def _end(self, start: int, tick: int, message: bytes) -> None:
        self._new.append((tick, _FIRST, message))
        self._spans.append((message[0] & 0x0F, message[1], start, tick))

    def _unmatched_offs(self) -> set[int]:
        """Note-offs that ended no note, and would now end one of the new notes too early."""
        sounding: defaultdict[tuple[int, int], int] = defaultdict(int)
        unmatched: defaultdict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
        for index, (tick, message) in enumerate(self.track):
            key = (message[0] & 0x0F, message[1]) if message[0] < 0xA0 else None
            if key is None:
                continue
            if message[0] >= 0x90 and message[2]:
                sounding[key] += 1
            elif sounding[key]:
                sounding[key] -= 1
            else:
                unmatched[key].append((tick, index))
        return {
            index
            for channel, pitch, start, end in self._spans
            for tick, index in unmatched.get((channel, pitch), ())
            if start < tick < end
        }
