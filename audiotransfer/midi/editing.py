"""Other notes for a MIDI file, with no more of its messages touched than that takes."""

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
_RELEASE = 64  # the velocity of a note-off that nobody chose
#: How a note after is known to be one from before: all of it, where it begins, its pitch.
_SAME = ((START, LENGTH, PITCH, VELOCITY, GROUP), (START, PITCH, GROUP), (PITCH, GROUP))
#: Where a message comes among those of its tick: ends, what the file has, beginnings.
_FIRST, _OWN, _LAST = range(3)


def with_notes(file: MidiFile, table: Table) -> MidiFile:
    """The file with the notes of a table ``[M, 5]`` such as `notes_of` gives of it.

    Every message that is no note stays at its tick, in the order that the file has. So do those of
    notes that stay. Of a note that is moved, louder or longer, just that changes. New notes go to
    the track and channel of their group. At one tick ends of notes come before all that the file
    has there, beginnings after it: nothing new rings into a pedal or is ahead of its program.
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
    return replace(file, tracks=tuple(edits.made() for edits in tracks))


def with_tempo(file: MidiFile, quarters: float) -> MidiFile:
    """The file at one tempo, in quarter notes a minute, from beginning to end."""
    value = min(max(round(60_000_000 / quarters), 1), (1 << 24) - 1)
    tracks = [tuple(event for event in track if event[1][:2] != _TEMPO) for track in file.tracks]
    tracks[0] = ((0, _TEMPO + value.to_bytes(3, "big")), *tracks[0])
    return replace(file, tracks=tuple(tracks))


def _sources(before: Table, after: Table) -> Table:
    """Which row before each row after comes from, ``[M]``; -1 for a new note."""
    found = np.full(len(after), -1)
    left = np.arange(len(before))
    for columns in _SAME:
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
    """What is to become of the messages of one track."""

    track: tuple[Event, ...]
    _gone: set[int] = field(default_factory=set)
    _changed: dict[int, bytes] = field(default_factory=dict)
    _new: list[tuple[int, int, bytes]] = field(default_factory=list)  # tick, order, message
    _spans: list[tuple[int, int, int, int]] = field(default_factory=list)
    """Channel, pitch, beginning and end of what sounds where it did not."""

    def drop(self, on: int, off: int) -> None:
        """Takes a note away; ``off`` is -1 where nothing ended it."""
        self._gone |= {on, off} - {-1}

    def add(self, note: list[int], channel: int) -> None:
        """Puts a note in: start, length, pitch, velocity."""
        start, length, pitch, velocity = note[:4]
        self._begin(start, bytes((0x90 | channel, pitch, velocity)))
        self._end(start, start + max(1, length), bytes((0x80 | channel, pitch, _RELEASE)))

    def change(self, before: list[int], after: list[int], on: int, off: int) -> None:
        """Moves a note, or makes it longer, shorter, louder or softer."""
        message = self.track[on][1]
        message = message[:2] + bytes((after[VELOCITY],))
        moved = before[START] != after[START]
        if moved:
            self._gone.add(on)
            self._begin(after[START], message)
        else:
            self._changed[on] = message
        if not moved and before[LENGTH] == after[LENGTH]:
            return
        end = after[START] + max(1, after[LENGTH])
        if end != before[START] + before[LENGTH]:
            release = bytes((0x80 | message[0] & 0x0F, message[1], _RELEASE))
            self._gone |= {off} - {-1}
            self._end(after[START], end, release if off < 0 else self.track[off][1])

    def made(self) -> tuple[Event, ...]:
        """The track with all that was asked for."""
        if not (self._gone or self._changed or self._new):
            return self.track
        gone = self._gone | self._strays()
        *own, (end, last) = self.track
        messages = [
            (tick, _OWN, index, self._changed.get(index, message))
            for index, (tick, message) in enumerate(own)
            if index not in gone
        ]
        messages += [(tick, order, place, m) for place, (tick, order, m) in enumerate(self._new)]
        messages.sort(key=lambda entry: entry[:3])
        made = [(tick, message) for tick, _, _, message in messages]
        return (*made, (max(end, made[-1][0] if made else 0), last))

    def _begin(self, tick: int, message: bytes) -> None:
        self._new.append((tick, _LAST, message))

    def _end(self, start: int, tick: int, message: bytes) -> None:
        self._new.append((tick, _FIRST, message))
        self._spans.append((message[0] & 0x0F, message[1], start, tick))

    def _strays(self) -> set[int]:
        """Note-offs that ended nothing, and would now end one of the new notes too early."""
        sounding: defaultdict[tuple[int, int], int] = defaultdict(int)
        strays: defaultdict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
        for index, (tick, message) in enumerate(self.track):
            key = (message[0] & 0x0F, message[1]) if message[0] < 0xA0 else None
            if key is None:
                continue
            if message[0] >= 0x90 and message[2]:
                sounding[key] += 1
            elif sounding[key]:
                sounding[key] -= 1
            else:
                strays[key].append((tick, index))
        return {
            index
            for channel, pitch, start, end in self._spans
            for tick, index in strays.get((channel, pitch), ())
            if start < tick < end
        }
