"""A damaged flac with silent frames in the place of those whose checksum is wrong, or that are lost
(RFC 9639): every frame says where it belongs.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from audiotransfer.files import flac, tag_blocks
from audiotransfer.files.survey import Part
from audiotransfer.files.view import Piece

_SYNC = re.compile(rb"\xff[\xf8\xf9]")
_SHORTEST = 9  # bytes of a frame
_SILENT = 4096  # samples of a silent frame where frames may have any length

Gap = tuple[int, int]
"""The first sample of what is lost, and the one behind it."""


def repair(path: Path, layout: tuple[str, ...] | None) -> tuple[Part, list[Gap]] | None:
    """The file as libsndfile is to see it, and what of it is silence; None: nothing can be kept."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        begin, end = tag_blocks.skip(data), tag_blocks.end(data)
        stream = flac.look(data, begin, end)
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
            kept = pieces[-1] if pieces else b""
            if isinstance(kept, tuple) and kept[1] == start:
                pieces[-1] = kept[0], stop
            else:
                pieces.append((start, stop))
            at = first + length
        if not at:
            return None
        head = bytearray(data[begin : stream.sound])
        head[21] = head[21] & 0xF0 | at >> 32
        head[22:26] = (at & 0xFFFFFFFF).to_bytes(4, "big")
        return Part((bytes(head), *pieces), held=at, layout=layout), gaps


def _frames(
    data: mmap.mmap, sound: int, end: int, longest: int
) -> Iterator[tuple[int, int, int, int]]:
    """Where frames begin and end whose checksum is right; their first sample and their length."""
    found = []
    for match in _SYNC.finditer(data, sound, end):
        header = flac.frame_header(data[match.start() : match.start() + 17], longest)
        if header is not None:
            found.append((match.start(), *header))
    passed = 0
    for number, (start, first, length) in enumerate(found):
        if start < passed:
            continue
        near = found[number + 1 : number + 9]
        following = {place for place, begins, _ in near if begins == first + length}
        limit = max(following, default=min(end, start + flac.TAIL))
        # by chance a checksum is right elsewhere: the next frame, or nothing but zeros, must follow
        fits = [start + size for size in flac.checked_ends(data[start:limit]) if size >= _SHORTEST]
        stop = next((place for place in fits if place in following), 0)
        if not following and limit == end:
            stop = next((place for place in fits if not data[place:end].strip(b"\0")), 0)
        if stop:
            passed = stop
            yield start, stop, first, length


def silence(
    at: int, end: int, second: int, fixed: int, channels: int, stream: flac.Stream
) -> Iterator[bytes]:
    """Frames of zeros from a sample to another; ``fixed``: samples of each, by which they count."""
    edges = [*range(at, end, fixed or _SILENT), end]
    for begin, stop in pairwise(edges):
        head = bytes((0xFF, second, 0x70, channels - 1 << 4))
        head += _coded(begin // fixed if fixed else begin) + (stop - begin - 1).to_bytes(2, "big")
        head += bytes((flac.crc8(head),))
        frame = head + bytes(-(-channels * (8 + stream.bits) // 8))
        yield frame + flac.crc16(frame).to_bytes(2, "big")


def _coded(number: int) -> bytes:
    """As UTF-8 has it, up to 36 bits."""
    if number < 0x80:
        return bytes((number,))
    more = next(count for count in range(1, 7) if number < 1 << (5 * count + 6 - (count == 6)))
    first = (0xFF00 >> more + 1) & 0xFF | number >> 6 * more
    return bytes((first, *(0x80 | number >> 6 * n & 0x3F for n in reversed(range(more)))))
