"""MPEG audio and ADTS frame headers: telling mp3 and aac from noise, and counting their frames."""

from __future__ import annotations

import mmap
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from audiotransfer.audio.formats.survey import Part, Piece, Survey
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
_CHAIN = 3  # this many frames in a row are no accident
_FREE_LONGEST = 8192  # bytes of a free-format frame


@dataclass(frozen=True)
class Frame:
    """One frame header: what follows it and how long it is in bytes."""

    kind: str  # "mp3" (all three layers) or "adts"
    length: int  # 0: free format, which the next header ends
    sample_rate: int
    channels: int
    layer: int  # of adts: the profile
    version: int
    padding: int = 0

    @property
    def samples(self) -> int:
        """Per channel."""
        if self.kind == "adts":
            return 1024
        if self.layer == 1:
            return 384
        return 1152 if self.layer == 2 or self.version == 3 else 576

    def continues(self, other: Frame) -> bool:
        """Both may belong to one stream."""
        return (self.kind, self.layer, self.version, self.sample_rate) == (
            other.kind,
            other.layer,
            other.version,
            other.sample_rate,
        )


def parse(header: bytes) -> Frame | None:
    """The frame that the bytes begin with; None when they begin none."""
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
    """Frames of one recording: mp3s that were joined make several."""

    first: Frame
    start: int
    index: Index | None = None
    """The first frame's, which holds no sound."""
    sound: int = 0
    """Where the first frame with sound begins."""
    ranges: list[tuple[int, int]] = field(default_factory=list)
    """Bytes of its frames without what lies between, index included."""
    frames: int = 0
    """With sound."""
    mixed: bool = False
    """The number of channels changes."""

    def add(self, at: int, end: int) -> None:
        """A frame more."""
        if self.ranges and self.ranges[-1][1] == at:
            self.ranges[-1] = self.ranges[-1][0], end
        else:
            self.ranges.append((at, end))


@dataclass(frozen=True)
class Index:
    """A Xing, Info or VBRI header: how many frames follow, and what the encoder put around them."""

    frames: int | None
    delay: int = 0  # samples, without the decoder's own 529
    padding: int = 0


@dataclass
class Scan:
    """Everything that lies in an MPEG audio or ADTS file."""

    runs: list[Run] = field(default_factory=list)
    damaged: int = 0
    """Bytes between frames that are neither sound nor tags."""


def scan(data: mmap.mmap | bytes, start: int = 0) -> Scan:
    """Walk over every frame, over tags and damaged stretches too."""
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
    """Where the next run of frames begins before the end of the sound."""
    at = data.find(b"\xff", start, size)
    while at >= 0:
        if parse(data[at : at + 7]) and _chained(data, at, -1, size):
            return at
        at = data.find(b"\xff", at + 1)
    return None


def _chained(data: mmap.mmap | bytes, at: int, start: int, size: int) -> bool:
    """Further frames follow; at the very start one that fills the file is enough."""
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
    """Bytes of a free-format frame without its padding, by the headers that follow; 0: none."""
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
    if not body[at : at + 4].isalnum():  # "LAME", "Lavf", "Lavc": who wrote it, or zeros
        return Index(frames)
    gap = int.from_bytes(body[at + 21 : at + 24], "big")
    return Index(frames, gap >> 12, gap & 0xFFF)


def _zeros(data: mmap.mmap | bytes, at: int, size: int) -> int:
    """Zeros to the end of the sound: some encoders fill the last block with them."""
    rest = data[at : min(at + 65536, size)]
    return len(rest) if at + len(rest) == size and not rest.strip(b"\0") else 0


def index_frame(run: Run) -> bytes:
    """A Xing frame and a silent one, which together announce a run's frames and add no sample.

    Without an index libsndfile guesses the length from the first bit rate, and stops there. With
    one libmpg123 takes 529 samples off, its decoder's delay; the silent frame gives them.
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
    """Count the frames of a file that is neither of a known container nor text.

    A survey without a name: no frames were found.
    """
    found = scan(data, start)
    runs = [run for run in found.runs if run.frames]
    if not runs:
        return Survey(path, "")
    first = runs[0]
    kinds = {(run.first.sample_rate, run.first.channels) for run in runs}
    damage, notices = "", []
    if found.damaged > max(4096, len(data) // 1000) or (found.damaged and _split(runs)):
        damage = f"{found.damaged} bytes of it are no sound"
    if first.first.kind == "adts":
        tagged = 3 * (blocks.end(data) < len(data))
        return Survey(path, "AAC (ADTS)", whole=False, damage=damage, demuxer="aac", spare=tagged)
    if len(runs) > 1:
        notices.append(
            f"{len(runs)} recordings are joined in it: one is played after the other"
            + (f", at {first.first.sample_rate} Hz" if len(kinds) > 1 else "")
        )
    announced = None
    if len(runs) == 1 and first.index and first.index.frames:
        announced = _sound(first, first.index.frames)
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
        # FFmpeg takes a rate from anywhere in the file
        parts_first=len(kinds) > 1,
        demuxer="mp3",
        spare=len(runs) - 1,
    )


def _split(runs: list[Run]) -> bool:
    return any(len(run.ranges) > 1 for run in runs)


def _sound(run: Run, frames: int) -> int:
    index = run.index
    return frames * run.first.samples - (index.delay + index.padding if index else 0)


def _part(run: Run) -> Part:
    pieces: list[Piece] = list(run.ranges)
    held = _sound(run, run.frames)
    index = run.index
    if run.first.layer == 3 and (index is None or not index.frames or index.frames < run.frames):
        # libsndfile would stop where the index, or a guess, says
        begin, end = run.ranges[0]
        pieces[0] = max(begin, run.sound), end
        pieces.insert(0, index_frame(run))
        held = run.frames * run.first.samples
    return Part(tuple(pieces), held=max(0, held), lossy=True)
