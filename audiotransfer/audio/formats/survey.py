"""Results of inspecting a file before decoding: its format, its recordings, known damage."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

Piece = bytes | tuple[int, int]
"""Bytes, or a range of a file: where it begins and ends."""


@dataclass(frozen=True)
class Part:
    """One recording of a file: all of it, a link of an Ogg chain, one of several joined mp3s."""

    pieces: tuple[Piece, ...] = ()
    """Byte ranges that libsndfile gets to read; empty for the file itself."""
    samples: int | None = None
    """Number of samples present, where they can be counted without decoding."""
    lossy: bool = False
    """Whether sample counts may be a few codec frames off."""
    layout: tuple[str, ...] | None = None
    """The channels' loudspeakers, where the format names them and libsndfile does not."""
    unchecked: bool = False
    """Whether libsndfile reports no damage in this format; it may print on standard output
    instead.
    """


@dataclass(frozen=True)
class Survey:
    """A file's format, and the parts in which libsndfile reads it."""

    path: Path
    name: str
    """Name of the format for messages: "mp3", "MP4 with ALAC"."""
    parts: tuple[Part, ...] = ()
    """Empty where libsndfile does not read the format."""
    whole: bool = True
    """Whether libsndfile seems to read all of it; else FFmpeg is tried first."""
    announced: int | None = None
    """Number of samples that the header states, where it does."""
    notices: tuple[str, ...] = ()
    """Remarks for the user: that it is unfinished, that it holds several recordings."""
    damage: str = ""
    """Damage that is visible without decoding."""
    parts_first: bool = False
    """Whether it holds several recordings that FFmpeg would not play all, or not unchanged."""
    demuxer: str | None = None
    """FFmpeg's name of the format, where its own detection may fail."""
    locked: bool = False
    """Whether it is protected or encrypted: decoding would give noise."""
    spare: int = 0
    """Number of faults that FFmpeg finds in intact files: tags, indices."""
    odd_order: bool = False
    """Whether more than two channels have an unusual order, for which PyAV (18) frees
    memory twice.
    """


def joined_notice(count: int) -> str:
    """The notice of a file in which several recordings are joined."""
    return f"{count} recordings are joined in it: one is played after the other"


class View(io.RawIOBase):
    """Pieces of a file as one read-only stream, without what lies between them."""

    def __init__(self, path: Path, pieces: Sequence[Piece]) -> None:
        super().__init__()
        self._file = path.open("rb")
        self._pieces = [piece for piece in pieces if _length(piece)]
        self._starts = list(accumulate(map(_length, self._pieces), initial=0))
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._starts[-1]}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        view = memoryview(buffer).cast("B")
        done = 0
        while done < len(view) and self._at < self._starts[-1]:
            number = bisect_right(self._starts, self._at) - 1
            offset = self._at - self._starts[number]
            count = min(len(view) - done, self._starts[number + 1] - self._at)
            piece = self._pieces[number]
            if isinstance(piece, bytes):
                data = piece[offset : offset + count]
            else:
                self._file.seek(piece[0] + offset)
                data = self._file.read(count)
            if not data:  # the file was truncated meanwhile
                break
            view[done : done + len(data)] = data
            done += len(data)
            self._at += len(data)
        return done

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def _length(piece: Piece) -> int:
    return len(piece) if isinstance(piece, bytes) else piece[1] - piece[0]
