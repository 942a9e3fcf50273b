"""Reading MIDI files, also damaged or embedded ones, as far as they can be decoded."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from audiotransfer.errors import AudioTransferError
from audiotransfer.midi.file import END_OF_TRACK, LATEST, Event, MidiFile

#: Suffixes that are read: standard MIDI, karaoke (MIDI with lyrics), MIDI in a RIFF.
SUFFIXES = (".mid", ".midi", ".kar", ".rmi")
#: Files with more notes are refused; the longest orchestral works have a tenth of it.
MOST_NOTES = 1_000_000

_HEADER, _TRACK = b"MThd", b"MTrk"
_HEADER_BYTES = 14
_MAC_BINARY = 128  # bytes of a MacBinary header, which holds the file's length
_MAC_LENGTH = slice(83, 87)
_RIFF_BYTES = 20  # before the MIDI data, where a RIFF holds nothing else
_SEQUENCES = 2  # the type of MIDI files that hold independent songs
#: Files with more messages are refused.
MOST_MESSAGES = 4_000_000
_META, _SYSTEM, _EXCLUSIVE = 0xFF, 0xF0, (0xF0, 0xF7)
_SYSTEM_DATA = {0xF1: 1, 0xF2: 2, 0xF3: 1}  # data bytes of messages meant for live connections
_NUMBER_BYTES = 4
#: Faults of a track.
SHORT = "a message is cut off"
_NO_STATUS = "data without a status"
_NO_NUMBER = "a number of more than four bytes"
_TOO_LATE = "time runs beyond what MIDI can count"


def read(path: str | Path) -> MidiFile:
    """Read a MIDI file.

    Raises AudioTransferError for a file that does not exist, and as `parse` does.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise AudioTransferError(f"{path} does not exist; check the name and the folder") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AudioTransferError(f"{path} cannot be read ({reason}); check what it is") from None
    return parse(data, str(path))


def parse(data: bytes, name: str) -> MidiFile:
    """Decode the bytes of a MIDI file, which is called ``name`` in messages and notices.

    The file may be embedded in a RIFF, follow a MacBinary header or other bytes. Data bytes above
    127 are read as 127. A damaged or truncated track is read up to the damage. Notices say so.

    Raises AudioTransferError, in one line, for what is no MIDI, has no readable note or more than a
    million, holds several songs (type 2), or is of an unknown type.
    """
    if not data:
        raise AudioTransferError(f"{name} is empty (0 bytes); export it again")
    music, around = _unwrapped(data)
    if not music:
        raise AudioTransferError(f"{name} is no MIDI file; name a .mid that a music program wrote")
    if len(music) < _HEADER_BYTES:
        raise AudioTransferError(
            f"{name} is a damaged MIDI file (its header is cut off); export it again"
        )
    kind, count, division = (int.from_bytes(music[at : at + 2], "big") for at in (8, 10, 12))
    start = max(_HEADER_BYTES, 8 + int.from_bytes(music[4:8], "big"))
    if not _begins_chunk(music, start):
        start = _HEADER_BYTES
    found = _Chunks(music, name)
    if around:
        found.note(f"what stands beside the music in its {around} is left out")
    found.read(start)
    if kind == _SEQUENCES and max(count, len(found.tracks)) > 1:
        raise AudioTransferError(
            f"{name} is a MIDI file of type 2 (several songs in one); save each as type 0 or 1"
        )
    if kind > _SEQUENCES:
        raise AudioTransferError(
            f"{name} cannot be read: MIDI type {kind} is unknown; save it as type 0 or 1"
        )
    if len(found.tracks) > 1:
        kind = 1
    if count > len(found.tracks):
        found.notices.append(
            f"{name} announces {count} tracks and holds {len(found.tracks)}; the rest is missing"
        )
    file = MidiFile(
        kind,
        division,
        tuple(tuple(track) for track in found.tracks),
        music[_HEADER_BYTES:start],
        tuple(found.other_chunks),
        tuple(found.notices),
    )
    _check(file, name)
    return file


def _check(file: MidiFile, name: str) -> None:
    """Raise AudioTransferError for a file that cannot be played."""
    if not file.quarter or file.ticks_a_second == 0:
        raise AudioTransferError(
            f"{name} does not say how fast it is (division {file.division}); save it with ticks per"
            " quarter"
        )
    notes = sum(
        message[0] & 0xF0 == 0x90 and message[2] > 0
        for track in file.tracks
        for _, message in track
    )
    if notes > MOST_NOTES:
        raise AudioTransferError(
            f"{name} holds {notes} notes, more than {MOST_NOTES}; cut it into pieces"
        )
    if not notes and file.notices:
        raise AudioTransferError(
            f"{name} is a damaged MIDI file without one note that can be read; export it again"
        )
    if not notes:
        raise AudioTransferError(f"{name} holds no notes; there is nothing to play")


def _unwrapped(data: bytes) -> tuple[bytes, str]:
    """The standard MIDI file in some bytes, empty where there is none, and its container.

    The container is named only where it holds other data too.
    """
    start = data.find(_HEADER)
    if start < 0:
        return b"", ""
    end, around = len(data), ""
    if data[:4] == b"RIFF" and data[8:12] == b"RMID" and data[start - 8 : start - 4] == b"data":
        end = start + int.from_bytes(data[start - 4 : start], "little")
        around = "RIFF" if start > _RIFF_BYTES or len(data) > end + 1 else ""
    elif start == _MAC_BINARY and not data[0]:
        end = start + int.from_bytes(data[_MAC_LENGTH], "big")
    # A length that leaves no room for a track is ignored.
    return (data[start:end], around) if end - start > _HEADER_BYTES else (data[start:], "")


def _begins_chunk(data: bytes, at: int) -> bool:
    """Whether the file ends at ``at``, or a chunk begins there that fits into it."""
    if at == len(data) or data.startswith(_TRACK, at):
        return True
    size = int.from_bytes(data[at + 4 : at + 8], "big")
    return data[at : at + 4].isalnum() and at + 8 + size <= len(data)


@dataclass
class _Chunks:
    """Reads the chunks of a file in order, tracks and others."""

    data: bytes
    name: str
    tracks: list[list[Event]] = field(default_factory=list)
    other_chunks: list[tuple[int, bytes]] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    _clipped: int = 0
    _messages: int = 0

    def read(self, at: int) -> None:
        """Read all chunks from ``at`` on. Raises AudioTransferError for too many messages."""
        while at < len(self.data):
            if self.data.startswith(_TRACK, at):
                at = self._track(at + 8)
            elif _begins_chunk(self.data, at):
                end = at + 8 + int.from_bytes(self.data[at + 4 : at + 8], "big")
                self.other_chunks.append((len(self.tracks), self.data[at:end]))
                at = end
            else:
                after = self.data.find(_TRACK, at)
                if after < 0:
                    break  # bytes after the last track are ignored
                self.note(f"{after - at} bytes between its tracks are no MIDI and are left out")
                at = after
        if self._clipped:
            self.note(f"data bytes above 127 are read as 127 ({self._clipped})")

    def _track(self, start: int) -> int:
        """Read the track whose messages begin at ``start``; returns where the next chunk begins."""
        end = start + int.from_bytes(self.data[start - 4 : start], "big")
        track = TrackMessages.read(self.data[start:end])
        if not track.ended and not _begins_chunk(self.data, end):
            # The length may be wrong: then the track ends with its end-of-track.
            after = self.data.find(_TRACK, start)
            longer = TrackMessages.read(self.data[start : after if after >= 0 else None])
            track = longer if longer.ended else track
        self._messages += len(track.events)
        if self._messages > MOST_MESSAGES:
            raise AudioTransferError(
                f"{self.name} holds more than {MOST_MESSAGES} messages; cut it into pieces"
            )
        self._clipped += track.clipped
        number, last = len(self.tracks) + 1, track.events[-1][0] if track.events else 0
        stop = start + track.taken
        beyond = end > len(self.data)
        if track.fault and not (beyond and track.fault == SHORT):
            self.note(
                f"track {number} is damaged after tick {last} ({track.fault}); "
                "what follows in it is left out"
            )
        elif not track.ended and beyond:
            self.note(f"it is cut off in track {number}, after tick {last}; what there is plays")
        if not track.ended:
            track.events.append((last, END_OF_TRACK))
        self.tracks.append(track.events)
        if (
            track.ended
            and stop != end
            and (beyond or end < stop or self.data.startswith(_TRACK, stop))
        ):
            self.note(f"the length of track {number} is wrong; it is read to its end-of-track")
            return stop
        if track.ended and any(self.data[stop:end]):
            self.note(f"{end - stop} bytes after the end of track {number} are left out")
        after = self.data.find(_TRACK, start) if beyond else -1
        return after if after >= 0 else min(end, len(self.data))

    def note(self, what: str) -> None:
        """Add a notice."""
        self.notices.append(f"{self.name}: {what}")


@dataclass
class TrackMessages:
    """The messages of one track that could be read, bytes used, and the fault that ended it."""

    events: list[Event]
    ended: bool = False
    taken: int = 0
    fault: str = ""
    clipped: int = 0

    @classmethod
    def read(cls, data: bytes) -> TrackMessages:
        """Read messages up to the end-of-track, the end of the data, or the first damage."""
        track = cls([])
        try:
            track._read(data)
        except IndexError:
            track.fault = SHORT
        except _Damaged as error:
            track.fault = str(error)
        return track

    def _read(self, data: bytes) -> None:
        append = self.events.append
        at = tick = status = 0
        size = len(data)
        while at < size and len(self.events) <= MOST_MESSAGES:
            step = data[at]
            at += 1
            if step > 0x7F:
                step, at = _number(data, at - 1)
            tick += step
            if tick > LATEST:
                raise _Damaged(_TOO_LATE)
            first = data[at]
            if first > 0x7F:
                at += 1
                if first < _SYSTEM:
                    status = first
            elif status:
                first = status
            else:
                raise _Damaged(_NO_STATUS)
            if first < _SYSTEM:
                after = at + (1 if 0xC0 <= first < 0xE0 else 2)
                message = bytes((first,)) + data[at:after]
            elif first == _META or first in _EXCLUSIVE:
                head = bytes((first, data[at])) if first == _META else bytes((first,))
                length, begin = _number(data, at + len(head) - 1)
                after = begin + length
                message = head + data[begin:after]
            else:
                after = at + _SYSTEM_DATA.get(first, 0)
                message = self._clip(bytes((first,)) + data[at:after])
            if after > size:
                raise _Damaged(SHORT)
            if first < _SYSTEM and (message[1] > 0x7F or message[-1] > 0x7F):
                message = self._clip(message)
            append((tick, message))
            at = self.taken = after
            if first == _META and message[1] == END_OF_TRACK[1]:
                self.ended = True
                return

    def _clip(self, message: bytes) -> bytes:
        self.clipped += sum(byte > 0x7F for byte in message[1:])
        return message[:1] + bytes(min(byte, 0x7F) for byte in message[1:])


class _Damaged(Exception):
    """The fault of a track, in a few words."""


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A variable-length quantity, and the index after it."""
    value = 0
    for place in range(at, at + _NUMBER_BYTES):
        byte = data[place]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + 1
    raise _Damaged(_NO_NUMBER)
