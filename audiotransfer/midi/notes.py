"""The notes of a MIDI file: their messages, and their track, channel and program."""

from __future__ import annotations

from bisect import bisect
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiotransfer.midi.file import Event, MidiFile

DRUM_CHANNEL = 9
_PORT = b"\xff\x21"


@dataclass(frozen=True)
class Group:
    """Notes of one track on one channel of one port, all with one program (from 0).

    The program is the channel's at the time, whichever track its change is in.
    """

    track: int
    port: int
    channel: int
    program: int

    @property
    def drums(self) -> bool:
        """Whether they are percussion: General MIDI's channel 10."""
        return self.channel == DRUM_CHANNEL


@dataclass(frozen=True)
class Notes:
    """The notes of a file as a table ``[N, 5]``, sorted by start, then pitch.

    Columns are start (ticks), length (ticks), pitch, velocity, group. ``ons`` ``[N]`` and ``offs``
    ``[N]`` are the indices of their messages in the group's track. A note without a note-off lasts
    to the end of its track and has -1. ``groups`` are ordered by first note, track by track.
    """

    table: NDArray[np.int64]
    ons: NDArray[np.int64]
    offs: NDArray[np.int64]
    groups: tuple[Group, ...]


def notes_of(file: MidiFile) -> Notes:
    """The notes of a file.

    Of overlapping notes on one pitch, channel and track the first to begin is the first to end.
    """
    programs = _programs(file)
    groups: dict[Group, int] = {}
    rows: list[list[int]] = []
    for number, track in enumerate(file.tracks):
        sounding: defaultdict[int, deque[list[int]]] = defaultdict(deque)
        for index, port, tick, message in with_ports(track):
            status = message[0]
            if status >= 0xA0:
                continue
            key = (status & 0x0F) << 7 | message[1]
            if status >= 0x90 and message[2]:
                place = (port, status & 0x0F)
                changes = programs.get(place, [])
                before = bisect(changes, (tick, number, index))
                program = changes[before - 1][3] if before else 0
                group = groups.setdefault(Group(number, *place, program), len(groups))
                rows.append([tick, track[-1][0] - tick, message[1], message[2], group, index, -1])
                sounding[key].append(rows[-1])
            elif sounding[key]:
                row = sounding[key].popleft()
                row[1], row[6] = tick - row[0], index
    table = np.array(rows, dtype=np.int64).reshape(-1, 7)
    table = table[np.lexsort((table[:, 4], table[:, 2], table[:, 0]))]
    return Notes(table[:, :5], table[:, 5], table[:, 6], tuple(groups))


def _programs(file: MidiFile) -> dict[tuple[int, int], list[tuple[int, int, int, int]]]:
    """Program changes by port and channel, in playing order.

    Each is tick, track, index in the track, program.
    """
    found: defaultdict[tuple[int, int], list[tuple[int, int, int, int]]] = defaultdict(list)
    for number, track in enumerate(file.tracks):
        for index, port, tick, message in with_ports(track):
            if message[0] & 0xF0 == 0xC0:
                found[port, message[0] & 0x0F].append((tick, number, index, message[1]))
    return {place: sorted(changes) for place, changes in found.items()}


def with_ports(track: tuple[Event, ...]) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield the messages of a track: index, port, tick, message."""
    port = 0
    for index, (tick, message) in enumerate(track):
        if message[:2] == _PORT and len(message) > 2:
            port = message[2]
        yield index, port, tick, message
