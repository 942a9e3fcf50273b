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
    """A recording within a file: all of it, a link of an Ogg chain, one of several joined mp3s."""

    pieces: tuple[Piece, ...] = ()
    """What of the file libsndfile is to see; nothing: the file itself."""
    held: int | None = None
    """Samples that are there, where counting them takes no decoding."""
    lossy: bool = False
    """A sample count may be a few codec frames off."""
    layout: tuple[str, ...] | None = None
    """The channels' loudspeakers, where the format says it and libsndfile does not."""
    unchecked: bool = False
    """libsndfile does not say where it is damaged, but may print on standard output."""


@dataclass(frozen=True)
class Survey:
    """What a file is, and in which parts libsndfile reads it."""

    path: Path
    name: str
    """Of the format, for messages: "mp3", "MP4 with ALAC"."""
    parts: tuple[Part, ...] = ()
    """None: libsndfile does not read the format."""
    whole: bool = True
    """libsndfile reads all of it as far as one sees; else FFmpeg is asked first."""
    announced: int | None = None
    """Samples that the header promises, where it does."""
    notices: tuple[str, ...] = ()
    """What a user should know of it: that it is unfinished, that it holds several recordings."""
    damage: str = ""
    """What is broken, where that is seen without decoding."""
    parts_first: bool = False
    """Several recordings, of which FFmpeg would not play all, or not as they are."""
    demuxer: str | None = None
    """FFmpeg's name of the format, where its own guess may fail."""
    locked: bool = False
    """Protected or encrypted: a decoder would make noise of it."""
    spare: int = 0
    """Faults that FFmpeg finds where nothing is wrong: tags, indices."""
    odd_order: bool = False
    """More than two channels in an order of their own: PyAV (18) frees memory twice over it."""


class View(io.RawIOBase):
    """The pieces one behind the other, read-only, whatever lies between them left out."""

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
            if not data:  # the file has become shorter meanwhile
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
