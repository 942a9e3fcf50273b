"""Inspection and repair of flac: announced and present samples by its frame headers (RFC 9639)."""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from audiotransfer.audio.channels import Layout, mask_layout
from audiotransfer.audio.formats.survey import Part, Piece, Survey, joined_notice
from audiotransfer.audio.tags import blocks

TAIL = 1 << 20  # bytes: frames of eight channels of 32 bit are no longer
_BLOCK_SIZES = {
    1: 192,
    **{n: 576 << n - 2 for n in range(2, 6)},
    **{n: 256 << n - 8 for n in range(8, 16)},
}
_BITS = (8, 16, 24)  # what libsndfile reads
_BEGIN = re.compile(rb"fLaC[\0\x80]\0\0\x22")
_MASK = re.compile(rb"WAVEFORMATEXTENSIBLE_CHANNEL_MASK=0x([0-9A-Fa-f]{1,8})", re.IGNORECASE)


@dataclass(frozen=True)
class Stream:
    """One flac stream of a file: its position, and what its header states."""

    begin: int
    end: int
    sound: int  # offset of the first frame
    bits: int
    announced: int
    samples: int
    layout: Layout | None

    def part(self, data: mmap.mmap) -> Part:
        """The part for libsndfile, with the header's length corrected where more is present."""
        pieces: tuple[Piece, ...] = ((self.begin, self.end),)
        if self.samples > self.announced:
            head = bytearray(data[self.begin : self.begin + 26])
            head[21] = head[21] & 0xF0 | self.samples >> 32
            head[22:26] = (self.samples & 0xFFFFFFFF).to_bytes(4, "big")
            pieces = (bytes(head), (self.begin + 26, self.end))
        elif not self.begin and self.end == len(data):
            pieces = ()
        return Part(pieces, samples=self.samples, layout=self.layout)


def survey(path: Path, data: mmap.mmap, start: int) -> Survey:
    """Compare the header's length with the last frame."""
    begins = [start, *(match.start() for match in _BEGIN.finditer(data, start + 8))]
    found = [parse_header(data, *ends) for ends in pairwise((*begins, blocks.end(data)))]
    streams = [stream for stream in found if stream is not None and stream.samples]
    if len(streams) < len(found):
        return Survey(path, "flac", demuxer="flac")
    first = streams[0]
    if any(stream.bits not in _BITS for stream in streams):
        return Survey(path, f"flac of {first.bits} bit", demuxer="flac")
    notices: tuple[str, ...] = ()
    if len(streams) > 1:
        notices = (joined_notice(len(streams)),)
    elif not first.announced:
        notices = (f"its header does not say how long it is; {first.samples} samples were found",)
    return Survey(
        path,
        "flac",
        tuple(stream.part(data) for stream in streams),
        announced=first.announced or None if len(streams) == 1 else None,
        notices=notices,
        parts_first=len(streams) > 1,
        demuxer="flac",
    )


def parse_header(data: mmap.mmap, begin: int, end: int) -> Stream | None:
    """Parse a stream's header; None where it is damaged."""
    info, at, comments = data[begin + 8 : begin + 42], begin + 4, b""
    if not _BEGIN.match(data, begin) or len(info) < 34:
        return None
    while at + 4 <= end:
        kind, length = data[at], int.from_bytes(data[at + 1 : at + 4], "big")
        if kind & 0x7F == 4:
            comments = data[at + 4 : at + 4 + length]
        at += 4 + length
        if kind & 0x80:
            break
    packed = int.from_bytes(info[10:18], "big")
    mask = _MASK.search(comments)
    return Stream(
        begin,
        end,
        at,
        bits=(packed >> 36 & 31) + 1,
        announced=packed & (1 << 36) - 1,
        samples=_count_samples(data, at, end, info),
        layout=mask_layout(int(mask[1], 16), (packed >> 41 & 7) + 1) if mask else None,
    )


def _count_samples(data: mmap.mmap, sound: int, end: int, info: bytes) -> int:
    """Number of samples up to the end of the last complete frame; 0 where there is none."""
    longest = int.from_bytes(info[2:4], "big")  # samples of a frame
    largest = (int.from_bytes(info[7:10], "big") or 1 << 17) + 16  # bytes
    at, lowest = end, max(sound, end - TAIL)
    while (at := data.rfind(b"\xff", lowest, at)) >= 0:
        found = frame_header(data[at : at + 17], longest)
        if found is not None and _complete(data[at : min(end, at + largest)], at + largest >= end):
            return sum(found)
    return 0


def _complete(body: bytes, last: bool) -> bool:
    """Whether the first frame's checksum is right, and another frame, or nothing, follows."""
    for size in checked_ends(body):
        rest = body[size : size + 4096]
        if size > 9 and (rest[:1] == b"\xff" or not rest.strip(b"\0")):
            return bool(rest) or last
    return False


def checked_ends(body: bytes) -> Iterator[int]:
    """Yield the sizes at which a frame may end: where the checksum over it and its own is 0."""
    register = 0
    for size, byte in enumerate(body, 1):
        register = (register << 8 & 0xFF00) ^ _CRC16[register >> 8 ^ byte]
        if not register:
            yield size


def crc16(data: bytes) -> int:
    """Checksum of a frame (polynomial 8005)."""
    register = 0
    for byte in data:
        register = (register << 8 & 0xFF00) ^ _CRC16[register >> 8 ^ byte]
    return register


def frame_header(head: bytes, longest: int = 0) -> tuple[int, int] | None:
    """A frame's first sample and length; None where no frame begins."""
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xFE != 0xF8:
        return None
    size, rate = head[2] >> 4, head[2] & 15
    if not size or rate == 15 or head[3] & 1 or head[3] >> 4 > 10 or head[3] >> 1 & 7 == 3:
        return None
    extra = 0
    while head[4] << extra & 0x80:
        extra += 1
    if extra == 1 or extra > 7:
        return None
    number = head[4] & (0x7F >> extra)
    at = 5
    for byte in head[5 : 5 + max(0, extra - 1)]:
        if byte & 0xC0 != 0x80:
            return None
        number, at = number << 6 | byte & 0x3F, at + 1
    if size in (6, 7):
        length = int.from_bytes(head[at : at + size - 5], "big") + 1
        at += size - 5
    else:
        length = _BLOCK_SIZES[size]
    at += {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if at >= len(head) or crc8(head[:at]) != head[at]:
        return None
    return (number if head[1] & 1 else number * (longest or length)), length


def crc8(data: bytes) -> int:
    """Checksum of a frame's header (polynomial 07)."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (7 if crc & 0x80 else 0)) & 0xFF
    return crc


def _table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x8005 if crc & 0x8000 else 0)) & 0xFFFF
        table.append(crc)
    return table


_CRC16 = _table()


_SYNC = re.compile(rb"\xff[\xf8\xf9]")
_SHORTEST = 9  # bytes of a frame
_SILENT = 4096  # samples of a silent frame where frames may have any length

Gap = tuple[int, int]
"""First sample of a lost range, and the one after it."""


def repair(path: Path, layout: tuple[str, ...] | None) -> tuple[Part, list[Gap]] | None:
    """A repaired part for libsndfile, and its silent gaps; None where nothing can be kept."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        begin, end = blocks.skip(data), blocks.end(data)
        stream = parse_header(data, begin, end)
        if stream is None:
            return None
        info = data[begin + 8 : begin + 42]
        longest = int.from_bytes(info[2:4], "big")
        channels = (info[12] >> 1 & 7) + 1
        pieces: list[Piece] = []
        gaps: list[Gap] = []
        at = 0
        for start, stop, first, length in _frames(data, stream.sound, end, longest):
            if first < at:
                continue
            if first > at:
                second = data[start + 1]
                pieces += silence(at, first, second, 0 if second & 1 else longest, channels, stream)
                gaps.append((at, first))
            last = pieces[-1] if pieces else b""
            if isinstance(last, tuple) and last[1] == start:
                pieces[-1] = last[0], stop
            else:
                pieces.append((start, stop))
            at = first + length
        if not at:
            return None
        head = bytearray(data[begin : stream.sound])
        head[21] = head[21] & 0xF0 | at >> 32
        head[22:26] = (at & 0xFFFFFFFF).to_bytes(4, "big")
        return Part((bytes(head), *pieces), samples=at, layout=layout), gaps


def _frames(
    data: mmap.mmap, sound: int, end: int, longest: int
) -> Iterator[tuple[int, int, int, int]]:
    """Yield start, end, first sample and length of the frames whose checksum is right."""
    found = []
    for match in _SYNC.finditer(data, sound, end):
        header = frame_header(data[match.start() : match.start() + 17], longest)
        if header is not None:
            found.append((match.start(), *header))
    passed = 0
    for number, (start, first, length) in enumerate(found):
        if start < passed:
            continue
        near = found[number + 1 : number + 9]
        following = {place for place, begins, _ in near if begins == first + length}
        limit = max(following, default=min(end, start + TAIL))
        # checksums can match by chance: the next frame, or only zeros, must follow
        fits = [start + size for size in checked_ends(data[start:limit]) if size >= _SHORTEST]
        stop = next((place for place in fits if place in following), 0)
        if not following and limit == end:
            stop = next((place for place in fits if not data[place:end].strip(b"\0")), 0)
        if stop:
            passed = stop
            yield start, stop, first, length


def silence(
    at: int, end: int, second: int, fixed: int, channels: int, stream: Stream
) -> Iterator[bytes]:
    """Silent frames from sample ``at`` to ``end``.

    ``fixed`` is the frames' size where the file numbers frames, 0 where it numbers samples.
    """
    edges = [*range(at, end, fixed or _SILENT), end]
    for begin, stop in pairwise(edges):
        head = bytes((0xFF, second, 0x70, channels - 1 << 4))
        head += _coded(begin // fixed if fixed else begin) + (stop - begin - 1).to_bytes(2, "big")
        head += bytes((crc8(head),))
        frame = head + bytes(-(-channels * (8 + stream.bits) // 8))
        yield frame + crc16(frame).to_bytes(2, "big")


def _coded(number: int) -> bytes:
    """A frame or sample number coded like UTF-8, up to 36 bits."""
    if number < 0x80:
        return bytes((number,))
    more = next(count for count in range(1, 7) if number < 1 << (5 * count + 6 - (count == 6)))
    first = (0xFF00 >> more + 1) & 0xFF | number >> 6 * more
    return bytes((first, *(0x80 | number >> 6 * n & 0x3F for n in reversed(range(more)))))
