"""A MIDI file as the messages of its tracks, and as bytes again."""

from __future__ import annotations

from dataclasses import dataclass, replace

#: A tick and a message. Messages of channels are their bytes with the status; those of metas are
#: ``FF kind data``, of system exclusive ``F0 data`` or ``F7 data``, without a length.
Event = tuple[int, bytes]

END_OF_TRACK = b"\xff\x2f"
#: The last tick: a step between two messages can be no longer.
LATEST = (1 << 28) - 1
_SMPTE = 0x8000
_DROP_FRAME = {29: 30_000 / 1001}  # frames a second that the header calls 29
_WITH_LENGTH = (0xF0, 0xF7)
_META = 0xFF
_SYSTEM = 0xF0


@dataclass(frozen=True)
class MidiFile:
    """All that a standard MIDI file says.

    ``kind`` is 0 (one track), 1 (tracks that play together) or 2 (tracks one after the other).
    ``division`` is the header's: ticks per quarter note, or above 0x8000 frames and ticks a frame.
    ``tracks`` each end with an end-of-track message. ``extra`` are bytes that a longer header has,
    ``foreign`` chunks that are no tracks, whole, each with the number of tracks before it.
    ``notices`` say what had to be left out or put right to read it.
    """

    kind: int
    division: int
    tracks: tuple[tuple[Event, ...], ...]
    extra: bytes = b""
    foreign: tuple[tuple[int, bytes], ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def ticks_a_second(self) -> float | None:
        """How fast time runs where it is counted in SMPTE frames, whatever the tempo; else None."""
        if self.division < _SMPTE:
            return None
        frames = 0x100 - (self.division >> 8)
        return _DROP_FRAME.get(frames, float(frames)) * (self.division & 0xFF)

    @property
    def quarter(self) -> int:
        """Ticks of a quarter note; of half a second where time is counted in frames."""
        rate = self.ticks_a_second
        return self.division if rate is None else max(1, round(rate / 2))

    @property
    def end(self) -> int:
        """The tick at which the last track ends, silence included."""
        return max((track[-1][0] for track in self.tracks), default=0)

    def finer(self, factor: int) -> MidiFile:
        """The same with ``factor`` times as many ticks to a quarter: every message sounds when it
        did.
        """
        tracks = tuple(
            tuple((tick * factor, message) for tick, message in track) for track in self.tracks
        )
        return replace(self, division=self.division * factor, tracks=tracks)

    def to_bytes(self) -> bytes:
        """The file as it is written, with running status."""
        head = self.kind.to_bytes(2, "big") + len(self.tracks).to_bytes(2, "big")
        head += self.division.to_bytes(2, "big") + self.extra
        chunks = [_chunk(b"MThd", head)]
        for number, track in enumerate(self.tracks):
            chunks += [whole for before, whole in self.foreign if before == number]
            chunks.append(_chunk(b"MTrk", _track_bytes(track)))
        chunks += [whole for before, whole in self.foreign if before >= len(self.tracks)]
        return b"".join(chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + len(data).to_bytes(4, "big") + data


def _track_bytes(track: tuple[Event, ...]) -> bytes:
    found = bytearray()
    now, running = 0, -1
    for tick, message in track:
        found += _number(tick - now)
        now = tick
        status = message[0]
        if status == running:
            found += message[1:]
        elif status < _SYSTEM:
            running = status
            found += message
        else:
            running = -1  # system messages and metas end it
            split = 2 if status == _META else 1
            found += message[:split]
            if status == _META or status in _WITH_LENGTH:
                found += _number(len(message) - split)
            found += message[split:]
    return bytes(found)


def _number(value: int) -> bytes:
    """A number of variable length: seven bits a byte, the highest first."""
    if value < 0x80:
        return bytes((value,))
    found = [value & 0x7F]
    while value := value >> 7:
        found.append(value & 0x7F | 0x80)
    return bytes(reversed(found))
