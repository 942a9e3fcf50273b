"""New tracks in a MIDI file instead of its notes, on channels that nothing else touches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.midi.file import END_OF_TRACK
from audiotransfer.midi.notes import DRUM_CHANNEL, notes_of
from audiotransfer.midi.retiming import with_event

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiotransfer.midi.file import Event, MidiFile
    from audiotransfer.midi.notes import Group

_NAME, _TEXT = b"\xff\x03", b"\xff\x01"
_KARAOKE = b"\xff\x01@K"  # the text with which Soft Karaoke files begin
_RELEASE = 64  # default velocity of a note-off
_PROGRAM, _BANK = 0xC0, (0, 32)
_SYSTEM = 0xF0
_CHANNELS = 16


@dataclass(frozen=True)
class NewTrack:
    """A track to add: its name, General MIDI program (of ``drums`` a kit's number), and notes.

    ``notes`` ``[N, 4]`` are start and length in ticks, MIDI pitch and velocity.
    """

    name: str
    program: int
    drums: bool
    notes: NDArray[np.int64]


def without_notes(file: MidiFile, removed: Callable[[Group], bool]) -> MidiFile:
    """The file without the notes of the groups for which ``removed`` is true.

    All other messages stay, also note-offs that end no note.
    """
    notes = notes_of(file)
    gone: list[set[int]] = [set() for _ in file.tracks]
    chosen = np.array([removed(group) for group in notes.groups], dtype=np.bool_)
    for row in np.flatnonzero(chosen[notes.table[:, 4]] if len(chosen) else []).tolist():
        track = notes.groups[notes.table[row, 4]].track
        gone[track] |= {int(notes.ons[row]), int(notes.offs[row])} - {-1}
    tracks = [
        tuple(event for index, event in enumerate(track) if index not in left_out)
        for track, left_out in zip(file.tracks, gone, strict=True)
    ]
    return replace(file, tracks=tuple(tracks))


def with_tracks(file: MidiFile, tracks: Sequence[NewTrack]) -> MidiFile:
    """The file with further tracks behind its own, each with a channel and a program.

    Drums get channel 10, the others channels that the file does not use, as long as there are any,
    else those with the fewest messages. Where the file changes the program of such a channel, the
    track's own program follows.
    """
    programs = _program_changes(file)
    free = iter(_channels(file))
    added = []
    for track in tracks:
        channel = DRUM_CHANNEL if track.drums else next(free)
        added.append(_events(track, channel, programs.get(channel, ())))
    kind = 1 if len(file.tracks) + len(added) > 1 else file.kind
    return replace(file, kind=kind, tracks=(*file.tracks, *added))


def with_text(file: MidiFile, text: str) -> MidiFile:
    """The file with a text message at its beginning.

    Karaoke files, whose texts are sung words, get it in their form of an information line.
    """
    karaoke = any(message[:4] == _KARAOKE for track in file.tracks for _, message in track)
    data = ("@I" if karaoke else "") + text
    return with_event(file, (0, _TEXT + data.encode("utf-8")))


def _channels(file: MidiFile) -> list[int]:
    """The channels but that of drums, those that the file uses least first."""
    used: Counter[int] = Counter()
    for track in file.tracks:
        for _, message in track:
            if message[0] < _SYSTEM:
                # A program change is answered by our own one, other messages are not.
                used[message[0] & 0x0F] += 1 if message[0] & 0xF0 == _PROGRAM else 1000
    channels = [channel for channel in range(_CHANNELS) if channel != DRUM_CHANNEL]
    order = sorted(channels, key=lambda channel: (used[channel], channel))
    return order * 4  # more parts than channels share them


def _program_changes(file: MidiFile) -> dict[int, list[int]]:
    """Ticks at which the file changes the program of each channel."""
    found: dict[int, list[int]] = {}
    for track in file.tracks:
        for tick, message in track:
            if message[0] & 0xF0 == _PROGRAM:
                found.setdefault(message[0] & 0x0F, []).append(tick)
    return found


def _events(track: NewTrack, channel: int, changes: Sequence[int]) -> tuple[Event, ...]:
    """The messages of a new track."""
    program = bytes((_PROGRAM | channel, track.program & 0x7F))
    events = [(tick, 1, program) for tick in sorted({0, *changes})]
    for start, length, pitch, velocity in _without_overlaps(track.notes).tolist():
        events.append((start, 2, bytes((0x90 | channel, pitch, velocity))))
        events.append((start + length, 0, bytes((0x80 | channel, pitch, _RELEASE))))
    events.sort(key=lambda event: event[:2])
    messages = [(tick, message) for tick, _, message in events]
    name = (0, _NAME + track.name.encode("utf-8"))
    return (name, *messages, (messages[-1][0], END_OF_TRACK))


def _without_overlaps(notes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Notes in MIDI's ranges; each ends where the next one of its pitch begins."""
    notes = notes[(notes[:, 2] >= 0) & (notes[:, 2] < 128)].copy()
    notes[:, 3] = np.clip(notes[:, 3], 1, 127)
    notes = notes[np.lexsort((-notes[:, 1], notes[:, 0], notes[:, 2]))]
    same = notes[1:, 2] == notes[:-1, 2]
    first = np.concatenate([[True], ~(same & (notes[1:, 0] == notes[:-1, 0]))])[: len(notes)]
    notes = notes[first]
    same = notes[1:, 2] == notes[:-1, 2]
    gap = np.where(same, notes[1:, 0] - notes[:-1, 0], np.iinfo(np.int64).max)
    notes[:-1, 1] = np.minimum(notes[:-1, 1], gap)
    notes[:, 1] = np.maximum(notes[:, 1], 1)
    return notes[np.lexsort((notes[:, 2], notes[:, 0]))]
