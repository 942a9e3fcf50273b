"""The messages of one track, read from its bytes to its end or to the first damage."""

from __future__ import annotations

from dataclasses import dataclass

from audiotransfer.midi.file import END_OF_TRACK, LATEST, Event

#: More messages than a file may hold are not read.
MOST_MESSAGES = 4_000_000
_META, _SYSTEM, _EXCLUSIVE = 0xFF, 0xF0, (0xF0, 0xF7)
_SYSTEM_DATA = {0xF1: 1, 0xF2: 2, 0xF3: 1}  # data bytes; what belongs on wires only has no length
_NUMBER_BYTES = 4
#: What may be wrong with a track.
SHORT = "a message is cut off"
_NO_STATUS = "data without a status"
_NO_NUMBER = "a number of more than four bytes"
_TOO_LATE = "time runs beyond what MIDI can count"


@dataclass
class TrackMessages:
    """The messages of one track: what could be read, how many bytes it took, what was wrong."""

    events: list[Event]
    ended: bool = False
    taken: int = 0
    fault: str = ""
    clipped: int = 0

    @classmethod
    def read(cls, data: bytes) -> TrackMessages:
        """Reads messages to the end-of-track, the end of the data, or the first damage."""
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
    """What is wrong with a track, in a few words."""


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number of variable length, and the place behind it."""
    value = 0
    for place in range(at, at + _NUMBER_BYTES):
        byte = data[place]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + 1
    raise _Damaged(_NO_NUMBER)
