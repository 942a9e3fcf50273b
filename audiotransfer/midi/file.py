"""A standard MIDI file as the messages of its tracks, and its serialisation to bytes."""

from __future__ import annotations

from dataclasses import dataclass, replace

#: A tick and a message. Channel messages are their bytes with the status; meta messages are
#: ``FF type data``, system exclusive ones ``F0 data`` or ``F7 data``, without a length.
Event = tuple[int, bytes]

END_OF_TRACK = b"\xff\x2f"
#: The last tick that can be written: the longest delta time.
LATEST = (1 << 28) - 1
_SMPTE = 0x8000
_DROP_FRAME = {29: 30_000 / 1001}  # frames per second that the header calls 29
_WITH_LENGTH = (0xF0, 0xF7)
_META = 0xFF
_SYSTEM = 0xF0


@dataclass(frozen=True)
class MidiFile:
    """The content of a standard MIDI file.

    ``kind`` is 0 (one track), 1 (simultaneous tracks) or 2 (independent sequences). ``division`` is
    the header's: ticks per quarter note, or above 0x8000 SMPTE frames and ticks per frame.
    ``tracks`` each end with an end-of-track message. ``extra`` are further header bytes,
    ``other_chunks`` all chunks that are no tracks, whole, each with the number of tracks before it.
    ``notices`` name what was left out or corrected on reading.
    """

    kind: int
    division: int
    tracks: tuple[tuple[Event, ...], ...]
    extra: bytes = b""
    other_chunks: tuple[tuple[int, bytes], ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def ticks_a_second(self) -> float | None:
        """Ticks per second where time is counted in SMPTE frames, whatever the tempo; else None."""
        if self.division < _SMPTE:
            return None
        frames = 0x100 - (self.division >> 8)
        return _DROP_FRAME.get(frames, float(frames)) * (self.division & 0xFF)

    @property
    def quarter(self) -> int:
        """Ticks per quarter note; per half second where time is counted in frames."""
        rate = self.ticks_a_second
        return self.division if rate is None else max(1, round(rate / 2))

    @property
    def end(self) -> int:
        """Last tick of the longest track."""
        return max((track[-1][0] for track in self.tracks), default=0)

    def finer(self, factor: int) -> MidiFile:
        """The file at ``factor`` times the resolution, with the same times in seconds."""
        tracks = tuple(
            tuple((tick * factor, message) for tick, message in track) for track in self.tracks
        )
        return replace(self, division=self.division * factor, tracks=tracks)

    def to_bytes(self) -> bytes:
        """The file's bytes, with running status."""
        head = self.kind.to_bytes(2, "big") + len(self.tracks).to_bytes(2, "big")
        head += self.division.to_bytes(2, "big") + self.extra
        chunks = [_chunk(b"MThd", head)]
        for number, track in enumerate(self.tracks):
            chunks += [whole for before, whole in self.other_chunks if before == number]
            chunks.append(_chunk(b"MTrk", _track_bytes(track)))
        chunks += [whole for before, whole in self.other_chunks if before >= len(self.tracks)]
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
    """A variable-length quantity: seven bits per byte, most significant first."""
    if value < 0x80:
        return bytes((value,))
    found = [value & 0x7F]
    while value := value >> 7:
        found.append(value & 0x7F | 0x80)
    return bytes(reversed(found))
