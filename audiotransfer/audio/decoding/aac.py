"""AAC of m4a (MP4) and aac (ADTS) files, decoded by sphn a stretch of frames at a time.

Every stretch is passed to sphn as a small ADTS stream that begins two frames early, since each
frame overlaps with the one before it.
"""

from __future__ import annotations

import mmap
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audiotransfer.audio.channels import Layout
from audiotransfer.audio.decoding import mp4
from audiotransfer.audio.decoding.source import Undecodable
from audiotransfer.audio.formats import mpeg
from audiotransfer.audio.tags import blocks

FRAME = 1024  # samples of an AAC-LC frame
_STRETCH = 512  # frames decoded at once: about 12 s
_LEAD = 2  # frames decoded ahead of a stretch and thrown away


@dataclass(frozen=True)
class AacTrack:
    """Positions of an AAC track's frames, and the range of decoded samples that is its sound."""

    sample_rate: int
    channels: int
    offsets: np.ndarray  # [N] bytes
    sizes: np.ndarray  # [N] bytes
    adts: bool  # the frames carry their ADTS headers
    start: int  # samples
    end: int  # samples


def find_track(path: Path, adts: bool) -> AacTrack:
    """List the AAC frames of a file. Raises Undecodable for what sphn cannot decode."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if not adts:
            track = mp4.parse(data)
            return AacTrack(
                track.sample_rate,
                track.channels,
                track.offsets,
                track.sizes,
                False,
                track.start,
                track.end,
            )
        listed = []
        runs = mpeg.scan(data, blocks.skip(data)).runs
        for begin, end in runs[0].ranges if len(runs) == 1 else ():
            while begin < end and (frame := mpeg.parse(data[begin : begin + 7])):
                listed.append((begin, frame.length))
                begin += frame.length
    first = runs[0].first
    if len(runs) > 1 or runs[0].mixed or first.channels not in (1, 2) or first.layer != 1:
        raise Undecodable("AAC-LC in mono or stereo can be decoded")
    table = np.array(listed, dtype=np.int64).reshape(-1, 2)
    count = FRAME * len(table)
    return AacTrack(first.sample_rate, first.channels, table[:, 0], table[:, 1], True, 0, count)


class AacSource:
    """Decodes a track from any sample on; the samples do not depend on where decoding starts."""

    subtype = "AAC"
    layout: Layout | None = None
    notices: tuple[str, ...] = ()
    faults = 0

    def __init__(self, path: Path, adts: bool) -> None:
        self._track = track = find_track(path, adts)
        self.sample_rate, self.channels = track.sample_rate, track.channels
        self.frames: int | None = track.end - track.start
        self._file = path.open("rb")
        self._next = 0  # frame
        self._buffer = np.zeros((0, track.channels), dtype=np.float32)
        self.seek(0)

    def seek(self, sample: int) -> None:
        """Seek to a sample of the track's sound."""
        target = min(self._track.start + sample, self._track.end)
        # noise substitution draws random numbers, so stretches always begin at the same frames
        stretch, skip = divmod(target, _STRETCH * FRAME)
        self._next = stretch * _STRETCH
        self._buffer = self._buffer[:0]
        if skip:
            self._buffer = self._stretch()[skip:]

    def read(self, count: int) -> np.ndarray:
        """The next samples [t, C]; fewer than `count` only at the end."""
        parts = [self._buffer]
        while sum(map(len, parts)) < count and (stretch := self._stretch()).size:
            parts.append(stretch)
        buffer = np.concatenate(parts)
        self._buffer = buffer[count:]
        return buffer[:count]

    def close(self) -> None:
        self._file.close()

    def _stretch(self) -> np.ndarray:
        """The next stretch of samples [t, C]; empty at the end."""
        track, first = self._track, self._next
        last = min(first + _STRETCH, len(track.offsets), -(-track.end // FRAME))
        if first >= last:
            return self._buffer[:0]
        lead = min(first, _LEAD)
        stream = b"".join(self._frame(n) for n in range(first - lead, last))
        self._next = last
        sound = _decode(stream)
        if sound.shape != ((last - first + lead) * FRAME, track.channels):
            raise Undecodable(f"damaged near {first * FRAME / track.sample_rate:.0f} s")
        return sound[lead * FRAME : (lead - first) * FRAME + track.end]

    def _frame(self, number: int) -> bytes:
        size = int(self._track.sizes[number])
        self._file.seek(int(self._track.offsets[number]))
        body = self._file.read(size)
        return body if self._track.adts else _adts_header(self._track, size) + body


def _adts_header(track: AacTrack, size: int) -> bytes:
    """ADTS header of a frame of `size` bytes."""
    rate, length = mpeg.ADTS_RATES.index(track.sample_rate), size + 7
    return bytes(
        (
            0xFF,
            0xF1,
            1 << 6 | rate << 2 | track.channels >> 2,
            (track.channels & 3) << 6 | length >> 11,
            length >> 3 & 0xFF,
            (length & 7) << 5 | 0x1F,
            0xFC,
        )
    )


def _decode(stream: bytes) -> np.ndarray:
    """An ADTS stream decoded to samples [t, C]."""
    import sphn

    with tempfile.TemporaryDirectory(prefix="audiotransfer-") as folder:
        piece = Path(folder) / "piece.aac"
        piece.write_bytes(stream)
        try:
            sound, _ = sphn.read(str(piece))
        except (ValueError, RuntimeError) as error:
            raise Undecodable(str(error).replace(f'"{piece}": ', "")) from None
    return np.ascontiguousarray(sound.T, dtype=np.float32)
