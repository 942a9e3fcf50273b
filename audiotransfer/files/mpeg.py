"""MPEG audio frame headers: telling mp3 and ADTS aac from noise, and mp3 files without a length."""

from __future__ import annotations

import io
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_KBPS = {  # ISO 11172-3 table and its 13818-3 extension, by (version 1?, layer)
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
ADTS_RATES = (
    96000,
    88200,
    64000,
    48000,
    44100,
    32000,
    24000,
    22050,
    16000,
    12000,
    11025,
    8000,
    7350,
)
_CHAIN = 3  # this many frames in a row are no accident


@dataclass(frozen=True)
class Frame:
    """One frame header: what follows it and how long it is in bytes."""

    kind: str  # "mp3" (all three layers) or "adts"
    length: int
    sample_rate: int
    channels: int
    layer: int
    version: int


def parse(header: bytes) -> Frame | None:
    """The frame that the bytes begin with; None when they begin none."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    layer = 4 - (header[1] >> 1 & 3)
    if layer == 4:
        return _parse_adts(header)
    version, bits, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or bits in (0, 15) or rate == 3:
        return None
    sample_rate = _RATES[version][rate]
    kbps = _KBPS[version == 3, layer][bits - 1]
    padding = header[2] >> 1 & 1
    if layer == 1:
        length = (12000 * kbps // sample_rate + padding) * 4
    else:
        slots = 72000 if layer == 3 and version != 3 else 144000
        length = slots * kbps // sample_rate + padding
    return Frame("mp3", length, sample_rate, 1 if header[3] >> 6 == 3 else 2, layer, version)


def _parse_adts(header: bytes) -> Frame | None:
    if len(header) < 7 or header[1] & 0xF0 != 0xF0:
        return None
    rate = header[2] >> 2 & 15
    length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    if rate >= len(ADTS_RATES) or length < 7:
        return None
    channels = (header[2] & 1) << 2 | header[3] >> 6
    return Frame("adts", length, ADTS_RATES[rate], channels, 0, header[2] >> 6)


def find(
    data: bytes | mmap.mmap, start: int = 0, *, whole: bool = True
) -> tuple[int, Frame] | None:
    """Where the first run of frames begins in data (whole: data ends where the file does)."""
    at = data.find(b"\xff", start)
    while at >= 0:
        frame = parse(data[at : at + 7])
        if frame and _chained(data, at, frame, whole):
            return at, frame
        at = data.find(b"\xff", at + 1)
    return None


def _chained(data: bytes | mmap.mmap, at: int, first: Frame, whole: bool) -> bool:
    position, size = at, len(data)
    frame: Frame | None = first
    for count in range(_CHAIN):
        if position == size:
            return count > 0
        if position > size - 7:
            return not whole and count > 0
        frame = parse(data[position : position + 7])
        if frame is None or (frame.kind, frame.layer, frame.sample_rate) != (
            first.kind,
            first.layer,
            first.sample_rate,
        ):
            return False
        position += frame.length
    return True


def id3_length(head: bytes) -> int:
    """Bytes that an ID3v2 tag takes at the beginning of a file (0 without one)."""
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte & 0x7F
    return size + 10 + (10 if head[5] & 0x10 else 0)


def frames(data: mmap.mmap, start: int) -> Iterator[tuple[int, Frame]]:
    """Every frame with its place, over damaged stretches too."""
    at = start
    while True:
        frame = parse(data[at : at + 7])
        if frame is None:
            found = find(data, at + 1)
            if found is None:
                return
            at, frame = found
        if at + frame.length > len(data):
            return
        yield at, frame
        at += frame.length


@dataclass(frozen=True)
class Mp3Layout:
    """Where an mp3's frames begin and what its own index says (None: no index)."""

    start: int
    first: Frame
    indexed: bool
    announced_bytes: int | None


def layout(path: Path, start: int) -> Mp3Layout | None:
    """Look at the first frame of an mp3, where encoders put the Xing, Info or VBRI index."""
    with path.open("rb") as file:
        file.seek(start)
        data = file.read(1 << 17)
    found = find(data, whole=False)
    if found is None:
        return None
    at, frame = found
    body = data[at : at + frame.length]
    for name in (b"Xing", b"Info"):
        index = body.find(name, 0, 64)
        if index >= 0:
            flags = int.from_bytes(body[index + 4 : index + 8], "big")
            field = index + 8 + (4 if flags & 1 else 0)
            size = int.from_bytes(body[field : field + 4], "big") if flags & 2 else None
            return Mp3Layout(start + at, frame, bool(flags & 1), size)
    return Mp3Layout(start + at, frame, b"VBRI" in body[:64], None)


class IndexedMp3(io.RawIOBase):
    """An mp3 without an index, seen through one with it.

    Decoders guess the length of such a file from its first bit rate and stop there: a song that
    begins loud would lose its end. Counting the frames and putting a Xing frame in front mends it.
    """

    def __init__(self, path: Path, found: Mp3Layout) -> None:
        super().__init__()
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            count = sum(1 for _ in frames(data, found.start))
            header = bytearray(data[found.start : found.start + 4])
        header[1] |= 1  # no checksum
        header[2] = 0x90 | header[2] & 0x0C  # a bit rate that has room for the index, no padding
        frame = parse(bytes(header) + bytes(3))
        assert frame is not None
        side = (17 if frame.channels == 1 else 32) if frame.version == 3 else 9 * frame.channels
        side = 17 if frame.version != 3 and frame.channels == 2 else side
        index = (
            bytes(header)
            + bytes(side)
            + b"Xing"
            + (1).to_bytes(4, "big")
            + count.to_bytes(4, "big")
        )
        self._prefix = index.ljust(frame.length, b"\0")
        self._file: BinaryIO = path.open("rb")
        self._start = found.start
        self._size = len(self._prefix) + path.stat().st_size - found.start
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        view = memoryview(buffer).cast("B")
        wanted = len(view)
        head = self._prefix[self._at : self._at + wanted]
        self._file.seek(max(0, self._at - len(self._prefix)) + self._start)
        data = head + self._file.read(wanted - len(head))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
