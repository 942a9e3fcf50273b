"""Inspection of MPEG audio and ADTS: frame headers, recordings, damage, sample counts."""

from __future__ import annotations

import mmap
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from audiotransfer.audio.formats.survey import Part, Piece, Survey, joined_notice
from audiotransfer.audio.tags import blocks

_KBPS = {  # ISO 11172-3 table and its 13818-3 extension, by (version 1?, layer)
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
ADTS_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)  # fmt: skip  # noqa: E501
_CHAIN = 3  # consecutive frames that prove a stream
_FREE_LONGEST = 8192  # bytes of a free-format frame


@dataclass(frozen=True)
class Frame:
    """One frame header."""

    kind: str  # "mp3" (all three layers) or "adts"
    length: int  # bytes; 0: free format, up to the next header
    sample_rate: int
    channels: int
    layer: int  # of adts: the profile
    version: int
    padding: int = 0

    @property
    def samples(self) -> int:
        """Samples per channel."""
        if self.kind == "adts":
            return 1024
        if self.layer == 1:
            return 384
        return 1152 if self.layer == 2 or self.version == 3 else 576

    def continues(self, other: Frame) -> bool:
        """Whether both frames may belong to one stream."""
        return (self.kind, self.layer, self.version, self.sample_rate) == (
            other.kind,
            other.layer,
            other.version,
            other.sample_rate,
        )


def parse(header: bytes) -> Frame | None:
    """The frame header at the beginning of the bytes; None where there is none."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    if header[1] & 6 == 0:
        return _parse_adts(header)
    return _parse_mpeg(header[1], header[2], header[3] >> 6)


@lru_cache(maxsize=4096)
def _parse_mpeg(first: int, second: int, mode: int) -> Frame | None:
    layer = 4 - (first >> 1 & 3)
    version, bits, rate = first >> 3 & 3, second >> 4, second >> 2 & 3
    if version == 1 or bits == 15 or rate == 3:
        return None
    sample_rate, padding = _RATES[version][rate], second >> 1 & 1
    length = 0
    if bits:
        kbps = _KBPS[version == 3, layer][bits - 1]
        if layer == 1:
            length = (12000 * kbps // sample_rate + padding) * 4
        else:
            slots = 72000 if layer == 3 and version != 3 else 144000
            length = slots * kbps // sample_rate + padding
    channels = 1 if mode == 3 else 2
    return Frame("mp3", length, sample_rate, channels, layer, version, padding)


def _parse_adts(header: bytes) -> Frame | None:
    if len(header) < 7 or header[1] & 0xF0 != 0xF0:
        return None
    rate = header[2] >> 2 & 15
    length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    if rate >= len(ADTS_RATES) or length < 7:
        return None
    channels = (header[2] & 1) << 2 | header[3] >> 6
    return Frame("adts", length, ADTS_RATES[rate], channels, header[2] >> 6, header[1] >> 3 & 1)


@dataclass
class Run:
    """Frames of one recording; joined mp3s make several runs."""

    first: Frame
    start: int
    index: Index | None = None
    """The index of the first frame, which holds no sound."""
    sound: int = 0
    """Offset of the first frame with sound."""
    ranges: list[tuple[int, int]] = field(default_factory=list)
    """Byte ranges of its frames, index included."""
    frames: int = 0
    """Number of frames with sound."""
    mixed: bool = False
    """Whether the number of channels changes."""

    def add(self, at: int, end: int) -> None:
        """Add a frame's byte range."""
        if self.ranges and self.ranges[-1][1] == at:
            self.ranges[-1] = self.ranges[-1][0], end
        else:
            self.ranges.append((at, end))


@dataclass(frozen=True)
class Index:
    """A Xing, Info or VBRI header: number of frames, encoder delay and padding."""

    frames: int | None
    delay: int = 0  # samples, without the decoder's own 529
    padding: int = 0


@dataclass
class Scan:
    """Result of scanning an MPEG audio or ADTS file."""

    runs: list[Run] = field(default_factory=list)
    damaged: int = 0
    """Bytes between frames that are neither sound nor tags."""


def scan(data: mmap.mmap | bytes, start: int = 0) -> Scan:
    """Walk over all frames, skipping tags and damaged stretches."""
    found = Scan()
    at, size = start, blocks.end(data)
    run: Run | None = None
    free = 0
    while at < size:
        frame = parse(data[at : at + 7])
        if frame is not None and not frame.length:
            free = free or _free_length(data, at, frame)
            frame = replace(frame, length=free + frame.padding) if free else None
        new = frame is not None and (run is None or not frame.continues(run.first))
        if frame is None or (new and not _chained(data, at, start, size)):
            skipped = blocks.length(data, at) or _zeros(data, at, size)
            if not skipped:
                following = find(data, at + 1, size)
                if following is None:
                    rest = size - at
                    found.damaged += rest if run is None or rest > run.first.length else 0
                    break
                found.damaged += following - at
                skipped = following - at
            at += skipped
            continue
        end = min(at + frame.length, size)
        index = _index(data[at:end], frame) if frame.kind == "mp3" else None
        if run is None or new or index:
            run = Run(frame, at, index, end if index else at)
            found.runs.append(run)
        run.mixed |= frame.channels != run.first.channels
        if at + frame.length <= size or not run.frames:
            run.frames += not index
            run.add(at, end)
        at = end
    return found


def find(data: mmap.mmap | bytes, start: int, size: int) -> int | None:
    """Offset of the next run of frames before ``size``; None where there is none."""
    at = data.find(b"\xff", start, size)
    while at >= 0:
        if parse(data[at : at + 7]) and _chained(data, at, -1, size):
            return at
        at = data.find(b"\xff", at + 1)
    return None


def _chained(data: mmap.mmap | bytes, at: int, start: int, size: int) -> bool:
    """Whether further frames follow; at the very start one frame that fills the file suffices."""
    first = frame = parse(data[at : at + 7])
    position, count, free = at, 0, 0
    while frame is not None and first is not None and frame.continues(first):
        count += 1
        if count >= _CHAIN:
            return True
        if not frame.length:
            free = free or _free_length(data, position, frame)
            if not free:
                return False
        position += frame.length or free + frame.padding
        if position >= size or blocks.length(data, position):
            return position <= size and count >= (1 if at == start else 2)
        frame = parse(data[position : position + 7])
    return False


def _free_length(data: mmap.mmap | bytes, at: int, frame: Frame) -> int:
    """Bytes of a free-format frame without padding, by the following headers; 0 if there
    are none.
    """
    head = data[at : at + 2]
    following = at
    for _ in range(16):
        following = data.find(head, following + 4, at + _FREE_LONGEST)
        if following < 0:
            return 0
        length = following - at - frame.padding
        place, follower = following, parse(data[following : following + 7])
        for _ in range(_CHAIN - 1):
            if follower is None or follower.length or not follower.continues(frame):
                break
            place += length + follower.padding
            if place + 7 > len(data):
                return length
            follower = parse(data[place : place + 7])
        else:
            if follower is not None and not follower.length:
                return length
    return 0


def _index(body: bytes, frame: Frame) -> Index | None:
    """The index in a frame, or None."""
    if body[36:40] == b"VBRI":
        return Index(int.from_bytes(body[50:54], "big"))
    side = (17 if frame.channels == 1 else 32) if frame.version == 3 else 9 * frame.channels
    side = 17 if frame.version != 3 and frame.channels == 2 else side
    for at in (4 + side, 6 + side):  # with a checksum
        if body[at : at + 4] in (b"Xing", b"Info"):
            break
    else:
        return None
    flags = int.from_bytes(body[at + 4 : at + 8], "big")
    frames = int.from_bytes(body[at + 8 : at + 12], "big") if flags & 1 else None
    at += 8 + 4 * bool(flags & 1) + 4 * bool(flags & 2) + 100 * bool(flags & 4)
    at += 4 * bool(flags & 8)
    if not body[at : at + 4].isalnum():  # name of the encoder ("LAME", "Lavf", "Lavc"), or zeros
        return Index(frames)
    gap = int.from_bytes(body[at + 21 : at + 24], "big")
    return Index(frames, gap >> 12, gap & 0xFFF)


def _zeros(data: mmap.mmap | bytes, at: int, size: int) -> int:
    """Number of zeros up to the end of the sound: some encoders pad the last block with them."""
    rest = data[at : min(at + 65536, size)]
    return len(rest) if at + len(rest) == size and not rest.strip(b"\0") else 0


def index_frame(run: Run) -> bytes:
    """A Xing frame and a silent one, which together state a run's frames and add no sample.

    Without an index libsndfile guesses the length from the first bit rate, and stops there. With
    one libmpg123 removes 529 samples, its decoder's delay; the silent frame provides them.
    """
    first = run.first
    header = bytes((0xFF, 0xE0 | first.version << 3 | 3, 0x90 | _RATES[first.version].index(first.sample_rate) << 2))  # fmt: skip  # noqa: E501
    header += bytes((0xC0 if first.channels == 1 else 0x00,))
    frame = parse(header + bytes(3))
    assert frame is not None
    side = (17 if first.channels == 1 else 32) if first.version == 3 else 9 * first.channels
    side = 17 if first.version != 3 and first.channels == 2 else side
    delay = first.samples - 529
    index = header + bytes(side) + b"Xing" + (1).to_bytes(4, "big")
    index += (run.frames + 1).to_bytes(4, "big") + b"LAME".ljust(21, b"\0")
    index += (delay << 12).to_bytes(3, "big")
    return index.ljust(frame.length, b"\0") + header.ljust(frame.length, b"\0")


def survey(path: Path, data: mmap.mmap, start: int) -> Survey:
    """Count the frames of a file that is in no known container.

    A survey without a name means that no frames were found.
    """
    found = scan(data, start)
    runs = [run for run in found.runs if run.frames]
    if not runs:
        return Survey(path, "")
    first = runs[0]
    forms = {(run.first.sample_rate, run.first.channels) for run in runs}
    damage, notices = "", []
    if found.damaged > max(4096, len(data) // 1000) or (found.damaged and _split(runs)):
        damage = f"{found.damaged} bytes of it are no sound"
    if first.first.kind == "adts":
        tagged = 3 * (blocks.end(data) < len(data))
        return Survey(path, "AAC (ADTS)", whole=False, damage=damage, demuxer="aac", spare=tagged)
    if len(runs) > 1:
        notices.append(
            joined_notice(len(runs))
            + (f", at {first.first.sample_rate} Hz" if len(forms) > 1 else "")
        )
    announced = None
    if len(runs) == 1 and first.index and first.index.frames:
        announced = _sample_count(first, first.index.frames)
        if not damage and first.index.frames - first.frames <= 1:
            announced = None  # all is there
    layer = first.first.layer
    return Survey(
        path,
        "mp3" if layer == 3 else f"MPEG layer {layer}",
        tuple(_part(run) for run in runs),
        whole=not damage and len(runs) == 1 and not first.mixed,
        announced=announced,
        notices=tuple(notices),
        damage=damage,
        # FFmpeg may take the rate from any part of the file
        parts_first=len(forms) > 1,
        demuxer="mp3",
        spare=len(runs) - 1,
    )


def _split(runs: list[Run]) -> bool:
    """Whether a run's frames are interrupted."""
    return any(len(run.ranges) > 1 for run in runs)


def _sample_count(run: Run, frames: int) -> int:
    """Number of samples of so many frames, without delay and padding."""
    index = run.index
    return frames * run.first.samples - (index.delay + index.padding if index else 0)


def _part(run: Run) -> Part:
    """The part for libsndfile, with a new index where the file's is missing or too short."""
    pieces: list[Piece] = list(run.ranges)
    samples = _sample_count(run, run.frames)
    index = run.index
    if run.first.layer == 3 and (index is None or not index.frames or index.frames < run.frames):
        # libsndfile would stop where the index, or a guess, says
        begin, end = run.ranges[0]
        pieces[0] = max(begin, run.sound), end
        pieces.insert(0, index_frame(run))
        samples = run.frames * run.first.samples
    return Part(tuple(pieces), samples=max(0, samples), lossy=True)
