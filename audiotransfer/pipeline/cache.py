"""Cache of what is the same for every style and seed of a song: its stems and its transcription.

Entries are files in the user's cache folder, named by a hash of the song's content and of what
made them. They are written to a temporary neighbour and renamed, and carry a checksum; a damaged
one counts as missing. Where the limit is passed, those that were not used for longest are removed.
No error of the cache ends a job.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from audiotransfer.atomic import clear_stale, temporary_path

if TYPE_CHECKING:
    from typing import BinaryIO

#: Names the cache folder.
VARIABLE = "AUDIOTRANSFER_CACHE"
#: Bytes that all entries may have together; one of more than half of it is not kept.
LIMIT = 2_000_000_000
_PIECE = 1 << 18  # samples read at a time
_CHECK = 4  # bytes of the checksum at the end of an entry
_SUFFIX = ".entry"


def cache_folder() -> Path:
    """The folder that ``AUDIOTRANSFER_CACHE`` names, or one in the user's cache folder."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_cache_dir("audiotransfer")) / "songs"


def key_of(*parts: object) -> str:
    """The name of an entry that is made from these."""
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()


@dataclass(frozen=True)
class Cache:
    """Entries in a folder, up to ``limit`` bytes in all."""

    folder: Path
    limit: int = LIMIT

    def read(self, key: str) -> bytes | None:
        """The content of an entry; ``None`` where it is missing or damaged."""
        try:
            data = self._path(key).read_bytes()
        except OSError:
            return None
        body, check = data[:-_CHECK], data[-_CHECK:]
        if len(data) < _CHECK or zlib.crc32(body).to_bytes(_CHECK, "little") != check:
            return None
        self._touch(key)
        return body

    def write(self, key: str, data: bytes) -> None:
        """Writes an entry."""
        with self.writer(key, len(data)) as writer:
            writer.write(data)
            writer.commit()

    def writer(self, key: str, size: int) -> EntryWriter:
        """A writer of an entry of about ``size`` bytes; one that is too large is not kept."""
        return EntryWriter(self, self._path(key), keep=self.keeps(size))

    def keeps(self, size: int) -> bool:
        """Whether an entry of so many bytes is kept."""
        return 2 * size <= self.limit

    def tracks(self, key: str, count: int, frames: int) -> Iterator[Tensor] | None:
        """Pieces ``[count, t]`` of an entry of samples; ``None`` where it is missing, damaged
        or of other sizes.
        """
        try:
            file = self._path(key).open("rb")
        except OSError:
            return None
        size = 4 * count * frames
        if os.fstat(file.fileno()).st_size != size + _CHECK or not _is_sound(file, size):
            file.close()
            return None
        self._touch(key)
        return _pieces(file, count, frames)

    @property
    def size(self) -> int:
        """Bytes of all entries."""
        return sum(size for _, size, _ in self._entries())

    def clear(self) -> int:
        """Removes all entries; returns their bytes."""
        removed = 0
        for path, size, _ in self._entries():
            with suppress(OSError):
                path.unlink()
                removed += size
        with suppress(OSError):
            clear_stale(self.folder)
        return removed

    def trim(self) -> None:
        """Removes the entries that were not used for longest until the rest is within the limit."""
        with suppress(OSError):
            clear_stale(self.folder)
        entries = sorted(self._entries(), key=lambda entry: entry[2])
        total = sum(size for _, size, _ in entries)
        for path, size, _ in entries:
            if total <= self.limit:
                return
            with suppress(OSError):
                path.unlink()
            total -= size

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{_SUFFIX}"

    def _touch(self, key: str) -> None:
        with suppress(OSError):
            os.utime(self._path(key))

    def _entries(self) -> list[tuple[Path, int, float]]:
        """Path, bytes and time of last use of each entry."""
        found = []
        with suppress(OSError):
            for path in self.folder.glob(f"*{_SUFFIX}"):
                with suppress(OSError):  # another process may remove it
                    state = path.stat()
                    found.append((path, state.st_size, state.st_mtime))
        return found


class EntryWriter:
    """Writes one entry, which appears with `commit`. A context manager; errors drop the entry."""

    def __init__(self, cache: Cache, path: Path, *, keep: bool) -> None:
        self._cache, self._path = cache, path
        self._file: BinaryIO | None = None
        self._check = 0
        if keep:
            with suppress(OSError):
                cache.folder.mkdir(parents=True, exist_ok=True)
                self._temporary = temporary_path(path)
                self._file = self._temporary.open("wb")

    def __enter__(self) -> EntryWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._drop()

    def write(self, data: bytes) -> None:
        """Appends bytes."""
        if self._file is None:
            return
        try:
            self._file.write(data)
            self._check = zlib.crc32(data, self._check)
        except OSError:  # such as a full disk
            self._drop()

    def add(self, tracks: Tensor) -> None:
        """Appends samples ``[count, t]``."""
        if self._file is not None:
            self.write(np.ascontiguousarray(tracks.T.numpy(), np.float32).tobytes())

    def commit(self) -> None:
        """Gives the entry its name, and removes others where there are too many."""
        self.write(self._check.to_bytes(_CHECK, "little"))
        if self._file is None:
            return
        try:
            self._file.close()
            self._file = None
            os.replace(self._temporary, self._path)
            self._cache.trim()
        except OSError:
            self._remove()

    def _drop(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None
            self._remove()

    def _remove(self) -> None:
        with suppress(OSError):
            self._temporary.unlink()


def _is_sound(file: BinaryIO, size: int) -> bool:
    """Whether the checksum of a file of ``size`` bytes is the one behind them."""
    check = 0
    try:
        while size:
            data = file.read(min(size, 1 << 22))
            if not data:
                return False
            check = zlib.crc32(data, check)
            size -= len(data)
        return file.read(_CHECK) == check.to_bytes(_CHECK, "little")
    except OSError:
        return False


def _pieces(file: BinaryIO, count: int, frames: int) -> Iterator[Tensor]:
    with file:
        file.seek(0)
        while frames:
            length = min(frames, _PIECE)
            samples = np.frombuffer(file.read(4 * count * length), np.float32)
            yield torch.from_numpy(samples.reshape(length, count).T.copy())
            frames -= length
