"""Positions of the AAC frames in an MP4 file (ISO 14496-12, -14; plain and fragmented files)."""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from audiotransfer.audio.decoding.source import Undecodable
from audiotransfer.audio.formats import mpeg

# iTunes' tag with the numbers of samples of delay, padding and sound.
_ITUNES = re.compile(
    rb"iTunSMPB.{1,32}? 0{8} ([0-9A-F]{8}) [0-9A-F]{8} ([0-9A-F]{16})", re.DOTALL | re.IGNORECASE
)

Box = tuple[int, int]  # start and end of a box's body


@dataclass(frozen=True)
class Mp4Track:
    """The first AAC track: its frames, and the range of decoded samples that is its sound."""

    sample_rate: int
    channels: int
    offsets: np.ndarray
    sizes: np.ndarray
    start: int
    end: int


def parse(data: mmap.mmap) -> Mp4Track:
    """Find the AAC track. Raises Undecodable for truncated files and for other codecs."""
    try:
        return _parse(data)
    except (IndexError, KeyError, ValueError):
        raise Undecodable("its header is damaged") from None


def _parse(data: mmap.mmap) -> Mp4Track:
    top = list(_boxes(data, (0, len(data))))
    if top[-1][1][1] > len(data) or all(name != b"moov" for name, _ in top):
        raise Undecodable("part of it is missing")
    moov = next(box for name, box in top if name == b"moov")
    for name, trak in _boxes(data, moov):
        if name != b"trak":
            continue
        mdia = _inside(data, trak, b"mdia")
        handler = _inside(data, mdia, b"hdlr")
        if data[handler[0] + 8 : handler[0] + 12] == b"soun":
            break
    else:
        raise Undecodable("no sound in it")
    table = _inside(data, mdia, b"minf", b"stbl")
    sample_rate, channels = _config(data, _inside(data, table, b"stsd"))
    offsets, sizes = _frames(data, table)
    if not len(sizes):
        track_id = _number(
            data, _inside(data, trak, b"tkhd")[0] + _wide(data, trak, b"tkhd", 12, 20)
        )
        offsets, sizes = _fragments(data, top, moov, track_id)
    start, end = _edit(data, moov, trak, mdia, sample_rate, 1024 * len(sizes))
    if len(sizes) and int((offsets + sizes).max()) > len(data):
        raise Undecodable("it announces sound past its end")
    return Mp4Track(sample_rate, channels, offsets, sizes, start, end)


def _number(data: mmap.mmap, at: int, size: int = 4) -> int:
    if at + size > len(data):
        raise IndexError
    return int.from_bytes(data[at : at + size], "big")


def _boxes(data: mmap.mmap, box: Box) -> Iterator[tuple[bytes, Box]]:
    at, end = box
    while at + 8 <= end:
        size, body = _number(data, at), at + 8
        if size == 1:
            size, body = _number(data, at + 8, 8), at + 16
        elif size == 0:
            size = end - at
        if size < body - at:
            raise ValueError
        yield data[at + 4 : at + 8], (body, at + size)
        at += size


def _inside(data: mmap.mmap, box: Box, *names: bytes) -> Box:
    """The first box with these names, each inside the one before. Raises KeyError."""
    for name in names:
        box = dict(reversed(list(_boxes(data, box))))[name]
    return box


def _wide(data: mmap.mmap, box: Box, name: bytes, short: int, long: int) -> int:
    """The offset for a box of version 1 (`long`) or 0 (`short`)."""
    return long if data[_inside(data, box, name)[0]] == 1 else short


def _numbers(data: mmap.mmap, at: int, count: int, kind: str = ">u4") -> np.ndarray:
    return np.frombuffer(data[at : at + count * int(kind[-1])], dtype=kind, count=count).astype(
        np.int64
    )


def _config(data: mmap.mmap, stsd: Box) -> tuple[int, int]:
    """Sample rate and channels from the AudioSpecificConfig (ISO 14496-3 §1.6)."""
    codec = data[stsd[0] + 12 : stsd[0] + 16]
    entry = data[stsd[0] : stsd[1]]
    at = entry.find(b"esds")
    if codec != b"mp4a" or at < 0:
        raise Undecodable("AAC-LC in mono or stereo can be decoded")
    at, tag = at + 8, 0
    while tag != 5:  # the decoder-specific part lies two descriptors deep
        tag, at = entry[at], at + 1
        while entry[at] & 0x80:
            at += 1
        length, at = entry[at], at + 1
        if tag == 3:
            at += 3
        elif tag == 4:
            at += 13
    config = entry[at : at + length]
    bits = "".join(f"{byte:08b}" for byte in config)
    kind, rate = int(bits[:5], 2), int(bits[5:9], 2)
    place = 9 if rate != 15 else 33
    sample_rate = mpeg.ADTS_RATES[rate] if rate != 15 else int(bits[9:33], 2)
    channels = int(bits[place : place + 4], 2)
    extension = bits[place + 7 :]
    doubled = extension.startswith(f"{0x2B7:011b}") and extension[16:17] == "1"
    if kind != 2 or doubled or channels not in (1, 2) or sample_rate not in mpeg.ADTS_RATES:
        raise Undecodable("AAC-LC in mono or stereo can be decoded")
    return sample_rate, channels


def _frames(data: mmap.mmap, table: Box) -> tuple[np.ndarray, np.ndarray]:
    """Offsets and sizes of the frames from the sample table."""
    parts = dict(_boxes(data, table))
    at = parts[b"stsz"][0]
    same, count = _number(data, at + 4), _number(data, at + 8)
    sizes = np.full(count, same, dtype=np.int64) if same else _numbers(data, at + 12, count)
    wide = b"co64" in parts
    at = parts[b"co64" if wide else b"stco"][0]
    chunks = _numbers(data, at + 8, _number(data, at + 4), ">u8" if wide else ">u4")
    at = parts[b"stsc"][0]
    runs = _numbers(data, at + 8, 3 * _number(data, at + 4)).reshape(-1, 3)
    if not count or not len(runs):
        return sizes[:0], sizes[:0]
    lengths = np.diff(np.append(runs[:, 0] - 1, len(chunks)))
    per_chunk = np.repeat(runs[:, 1], lengths)
    offsets = np.repeat(chunks, per_chunk)[:count]
    ends = np.cumsum(sizes)
    first = np.cumsum(per_chunk) - per_chunk
    before = np.append(0, ends)[np.minimum(first, count)]
    return offsets + ends - sizes - np.repeat(before, per_chunk)[:count], sizes


def _fragments(
    data: mmap.mmap, top: list[tuple[bytes, Box]], moov: Box, track_id: int
) -> tuple[np.ndarray, np.ndarray]:
    """Offsets and sizes of the frames of a fragmented file."""
    default = 0
    for name, mvex in _boxes(data, moov):
        for inner, trex in _boxes(data, mvex) if name == b"mvex" else ():
            if inner == b"trex" and _number(data, trex[0] + 4) == track_id:
                default = _number(data, trex[0] + 16)
    offsets: list[int] = []
    sizes: list[int] = []
    for name, moof in top:
        if name != b"moof":
            continue
        for inner, traf in _boxes(data, moof):
            if inner == b"traf":
                _run(data, moof, traf, track_id, default, offsets, sizes)
    return np.array(offsets, dtype=np.int64), np.array(sizes, dtype=np.int64)


def _run(
    data: mmap.mmap,
    moof: Box,
    traf: Box,
    track_id: int,
    default: int,
    offsets: list[int],
    sizes: list[int],
) -> None:
    """Append the frames of one track fragment."""
    at = _inside(data, traf, b"tfhd")[0]
    flags = _number(data, at) & 0xFFFFFF
    if _number(data, at + 4) != track_id:
        return
    base, at = moof[0] - 8, at + 8
    if flags & 1:
        base, at = _number(data, at, 8), at + 8
    at += 4 * bool(flags & 2) + 4 * bool(flags & 8)
    if flags & 0x10:
        default = _number(data, at)
    position = base
    for name, trun in _boxes(data, traf):
        if name != b"trun":
            continue
        flags, count, at = (
            _number(data, trun[0]) & 0xFFFFFF,
            _number(data, trun[0] + 4),
            trun[0] + 8,
        )
        if flags & 1:
            position, at = base + _number(data, at), at + 4
        at += 4 * bool(flags & 4)
        width = 4 * sum(bool(flags & bit) for bit in (0x100, 0x200, 0x400, 0x800))
        for n in range(count):
            skip = n * width + 4 * bool(flags & 0x100)
            size = _number(data, at + skip) if flags & 0x200 else default
            offsets.append(position)
            sizes.append(size)
            position += size


def _edit(
    data: mmap.mmap, moov: Box, trak: Box, mdia: Box, rate: int, decoded: int
) -> tuple[int, int]:
    """Range of samples without encoder delay and padding, by the edit list or iTunes' tag."""
    at, wide = _inside(data, mdia, b"mdhd")[0], _wide(data, mdia, b"mdhd", 4, 8)
    scale = _number(data, at + 4 + 2 * wide)
    media = _number(data, at + 8 + 2 * wide, wide) * rate // max(1, scale)
    parts = dict(_boxes(data, trak))
    if b"edts" not in parts or b"elst" not in dict(_boxes(data, parts[b"edts"])):
        if noted := _ITUNES.search(data[moov[0] : moov[1]]):
            delay, length = int(noted[1], 16), int(noted[2], 16)
            return min(delay, decoded), min(delay + length, decoded)
        return 0, decoded
    at, wide = _inside(data, parts[b"edts"], b"elst")[0], _wide(data, parts[b"edts"], b"elst", 4, 8)
    lasting, begin = _number(data, at + 8, wide), _number(data, at + 8 + wide, wide)
    if _number(data, at + 4) != 1 or begin >> (8 * wide - 1) or not scale:
        return 0, decoded
    start = min(begin * rate // scale, decoded)
    at = _inside(data, moov, b"mvhd")[0]
    movie = _number(data, at + 4 + 2 * _wide(data, moov, b"mvhd", 4, 8))
    end = start + round(lasting * rate / max(1, movie)) if lasting else decoded
    if abs(end - media) <= rate / max(1, movie):
        end = media  # the same time in finer units
    return start, max(start, min(end, decoded))
