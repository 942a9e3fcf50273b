"""Sources: songs from files, from memory, and parts of them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from audiotransfer.audio.reading import open_audio, probe_audio
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.cut import Cut

PIECE = 1 << 18
"""Samples read at a time."""
RATES = (8_000, 192_000)
"""Hz, as in files."""
_MOST_CHANNELS = 24  # of 22.2, the widest layout there is: more means [samples, channels]


class Source(Protocol):
    """A song that can be read from its beginning any number of times."""

    name: str
    """In messages: the path."""
    path: Path | None
    """``None`` for a song in memory."""
    title: str
    """In names of outputs: the file's name without its suffix, and which part of it."""
    sample_rate: int
    channels: int
    frames: int
    """As the file says; the measuring pass counts."""
    layout: Sequence[str] | None
    """The channels' loudspeakers by WAV's names, where they are known."""

    @property
    def notices(self) -> Sequence[str]:
        """Notices for the user about the song; complete after it was read to its end."""
        ...

    @property
    def place(self) -> tuple[float, float]:
        """Where it begins in the whole song, and how long that is, in seconds."""
        ...

    @property
    def digest(self) -> str:
        """A hash of its content, by which the cache knows it. Raises OSError."""
        ...

    def blocks(self, frames: int, start: int = 0) -> Iterator[Tensor]:
        """Yields ``[C, t]`` in order from sample `start`. Raises :class:`AudioTransferError` for
        what cannot be read.
        """
        ...


class FileSource:
    """A song in a file; messages and titles have ``name`` in the place of the file's."""

    def __init__(self, path: str | Path, name: str | None = None) -> None:
        self._file = Path(path)
        self.path: Path | None = self._file
        self.name = str(path) if name is None else name
        self.title = self._file.stem if name is None else Path(name).stem
        info = probe_audio(path)
        self.sample_rate, self.channels, self.frames = info.sample_rate, info.channels, info.frames
        self.layout: Sequence[str] | None = info.layout
        self.notices: Sequence[str] = self._with_name(info.notices)

    @property
    def place(self) -> tuple[float, float]:
        return 0.0, self.frames / self.sample_rate

    @cached_property
    def digest(self) -> str:
        with self._file.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def blocks(self, frames: int, start: int = 0) -> Iterator[Tensor]:
        with open_audio(self._file) as reader:
            if start:
                reader.skip(start)
            yield from reader.blocks(frames)
            self.notices = self._with_name(reader.notices)

    def _with_name(self, notices: Sequence[str]) -> Sequence[str]:
        return [f"{self.name}: {notice}" for notice in notices]


class MemorySource:
    """A song in memory, ``[C, T]`` (see :func:`check_samples`)."""

    def __init__(self, audio: Tensor, sample_rate: int, name: str) -> None:
        self.audio, self.name, self.title = check_samples(audio, name), name, Path(name).stem
        self.path: Path | None = None
        self.sample_rate = check_rate(sample_rate, name)
        self.channels, self.frames = self.audio.shape
        self.layout: Sequence[str] | None = None
        self.notices: Sequence[str] = ()

    @property
    def place(self) -> tuple[float, float]:
        return 0.0, self.frames / self.sample_rate

    @cached_property
    def digest(self) -> str:
        found = hashlib.sha256(f"{self.sample_rate} {self.channels}".encode())
        for piece in self.audio.split(PIECE, -1):
            found.update(piece.contiguous().numpy().tobytes())
        return found.hexdigest()

    def blocks(self, frames: int, start: int = 0) -> Iterator[Tensor]:
        yield from self.audio[:, start:].split(frames, -1)


class CutSource:
    """A part of a song, exact to the sample; the rest of the song has no influence."""

    def __init__(self, song: Source, cut: Cut) -> None:
        self._song = song
        self.name, self.sample_rate, self.channels = song.name, song.sample_rate, song.channels
        self.path, self.title = song.path, f"{song.title}{cut.label}"
        self.layout = song.layout
        # A few files do not say how long they are.
        total = song.frames or sum(piece.shape[-1] for piece in song.blocks(PIECE))
        try:
            self._start, end = cut.samples(total, self.sample_rate)
        except AudioTransferError as error:
            raise AudioTransferError(f"{self.name}: {error}") from None
        self.frames = end - self._start
        self._total = total

    @property
    def place(self) -> tuple[float, float]:
        return self._start / self.sample_rate, self._total / self.sample_rate

    @property
    def digest(self) -> str:
        return f"{self._song.digest} {self._start} {self.frames}"

    @property
    def notices(self) -> Sequence[str]:
        """The song's notices, as far as it was read."""
        return self._song.notices

    def blocks(self, frames: int, start: int = 0) -> Iterator[Tensor]:
        remaining = self.frames - start
        # Pieces of one length, so that hardly anything behind the end is read: it may be damaged.
        pieces = max(1, -(-remaining // frames))
        for piece in self._song.blocks(max(1, -(-remaining // pieces)), self._start + start):
            yield piece[:, :remaining]
            remaining -= piece.shape[-1]
            if remaining <= 0:
                return


def part_of(song: Source, cut: Cut) -> Source:
    """The song, or the part of it that the cut selects."""
    return CutSource(song, cut) if cut.label else song


def check_samples(audio: Any, name: str) -> Tensor:
    """Samples as float32 ``[C, T]`` on the CPU; one dimension is one channel.

    Raises :class:`AudioTransferError` for other shapes, no samples, more channels than there are
    loudspeakers, numbers that are not floating-point, and NaN or infinite ones.
    """
    found = _floating(audio, name)
    shape = list(found.shape)
    samples = found[None] if found.ndim == 1 else found
    if samples.ndim != 2:
        raise AudioTransferError(
            f"{name} has the shape {shape}: expected [channels, samples], one song at a time"
        )
    if not samples.numel():
        raise AudioTransferError(
            f"{name} has the shape {shape} and no samples: expected [channels, samples]"
        )
    channels, length = samples.shape
    if channels > _MOST_CHANNELS and length <= _MOST_CHANNELS:
        raise AudioTransferError(
            f"{name} has the shape {shape}, [samples, channels]: expected [channels, samples]"
            f" = [{length}, {channels}]; transpose it (audio.T)"
        )
    if channels > _MOST_CHANNELS:
        raise AudioTransferError(
            f"{name} has the shape {shape}: expected [channels, samples], {_MOST_CHANNELS} channels"
            " at most"
        )
    if not samples.isfinite().all():
        raise AudioTransferError(f"{name} contains NaN or infinite samples: repair it first")
    return samples


def check_rate(sample_rate: Any, name: str) -> int:
    """A sample rate in Hz as an int; ``44100.0`` is one.

    Raises :class:`AudioTransferError` for what is no whole number from 8000 to 192000.
    """
    try:
        plain = sample_rate.item() if hasattr(sample_rate, "item") else sample_rate
    except (RuntimeError, ValueError):  # an array
        plain = None
    if isinstance(plain, bool) or not isinstance(plain, int | float):
        raise AudioTransferError(
            f"{name}: sample rate {sample_rate!r} is no number: give Hz, as 44100"
        )
    if not math.isfinite(plain) or plain != int(plain) or not RATES[0] <= plain <= RATES[1]:
        raise AudioTransferError(
            f"{name}: a sample rate of {plain} Hz cannot be: give a whole number from"
            f" {RATES[0]} to {RATES[1]}"
        )
    return int(plain)


def _floating(audio: Any, name: str) -> Tensor:
    if isinstance(audio, Tensor):
        if audio.is_floating_point():
            return audio.detach().to("cpu", torch.float32)
        kind = str(audio.dtype).removeprefix("torch.")
        largest = 0 if audio.is_complex() or audio.dtype == torch.bool else _largest(kind)
    else:
        try:
            array = np.asarray(audio)
        except ValueError:  # lists of different lengths
            raise AudioTransferError(
                f"{name} is no array of samples: expected [channels, samples]"
            ) from None
        if array.dtype.kind == "f":
            with np.errstate(over="ignore"):  # what is too large is refused as infinite
                return torch.from_numpy(np.array(array, dtype=np.float32, order="C"))
        kind = str(array.dtype)
        largest = _largest(kind) if array.dtype.kind in "iu" else 0
    remedy = f"divide them by {largest}" if largest else "give floating-point numbers"
    if largest and kind.startswith("u"):  # silence is half of the range
        largest //= 2
        remedy = f"convert them to float, subtract {largest}, then divide by {largest}"
    raise AudioTransferError(
        f"{name} has samples of the type {kind}: expected floating-point numbers with full scale"
        f" at 1; {remedy}"
    )


def _largest(kind: str) -> int:
    return int(np.iinfo(kind).max) + 1
