"""What decodes a file, or a part of one."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Protocol

import numpy as np


class Undecodable(Exception):
    """A decoder cannot go on, or not begin; says why, where it knows.

    ``samples`` [t, C] are what it decoded of the block that was asked for.
    """

    def __init__(self, reason: str, samples: np.ndarray | None = None) -> None:
        super().__init__(reason)
        self.samples = samples


class Source(Protocol):
    """Sound that is decoded front to back, [t, C] at a time."""

    sample_rate: int
    channels: int
    subtype: str
    layout: tuple[str, ...] | None
    """Loudspeakers by WAV's names; None: not said."""
    frames: int | None
    """Samples that will be read; None: not known without decoding."""

    @property
    def notices(self) -> tuple[str, ...]:
        """What a user should know, as far as it was read."""
        ...

    @property
    def faults(self) -> int:
        """Stretches that could not be decoded, as far as it was read."""
        ...

    def read(self, count: int) -> np.ndarray:
        """The next samples; fewer than asked only at the end. Raises Undecodable."""
        ...

    def seek(self, sample: int) -> None:
        """Go to a sample: the same ones follow as from the beginning."""
        ...

    def close(self) -> None: ...


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
