"""Parts of a file, and bytes between them, as one seekable file."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

Piece = bytes | tuple[int, int]
"""Bytes as they are, or where a range of the file begins and ends."""


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
