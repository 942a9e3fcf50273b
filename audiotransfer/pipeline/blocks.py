"""Blocks that the pipeline's stages exchange, and block-wise processing with context.

Blocks, and the windows of a block and its context, start on the grid of whatever works on them. A
network that works in tiles therefore sees the same tiles in a block as in the whole song, and a
song processed in blocks equals the song in one piece, in bounded memory.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from audiotransfer.audio.channels import crossfade
from audiotransfer.audio.resampling import STEREO_RATE
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.workers import Workers
from separation import GRID

BLOCK = 12 * GRID
"""Default block length in samples (18 s); `block_for` rounds it to a separator's grid."""
LARGE_BLOCK = 20 * GRID
"""The same for networks whose memory hardly grows with the block."""
FADE = 2048
"""Samples over which neighbouring blocks are cross-faded."""
_PIECE = 2 * GRID


@dataclass(frozen=True)
class SongBlock:
    """A block of the song at its own rate, and the separator's input for it."""

    native: Tensor
    """``[C, n]`` at the song's rate and level, one or two channels."""
    mix: Tensor
    """``[2, t]`` at 44.1 kHz and the working level; lags behind by what the resampler holds."""


@dataclass(frozen=True)
class StemBlock:
    """A block of the song at its own rate, and its stems at 44.1 kHz."""

    native: Tensor
    """``[C, n]`` at the song's rate and level; as many seconds as the stems, to a sample."""
    dry: Tensor
    """``[S, 2, t]`` as separated, in the separator's order."""
    wet: Tensor
    """``[K, 2, t]`` after their transfers, those that have one."""


@dataclass(frozen=True)
class MixBlock:
    """A block of the mix at the song's rate."""

    mix: Tensor
    """``[C, n]``"""
    changed: bool
    """Whether the mix differs from the song, up to here, by more than rounding errors."""


class TimeQueue:
    """A first-in, first-out queue of samples along time.

    Shape: pieces ``[*, t]`` with equal leading axes, taken in other lengths than pushed.
    """

    def __init__(self) -> None:
        self._pieces: deque[Tensor] = deque()
        self._nothing: Tensor | None = None
        self.length = 0

    def push(self, piece: Tensor) -> None:
        if self._nothing is None:
            self._nothing = piece.new_zeros((*piece.shape[:-1], 0))
        if piece.shape[-1]:
            self._pieces.append(piece)
            self.length += piece.shape[-1]

    def peek(self, length: int) -> Tensor:
        """The next `length` samples, which stay in the queue."""
        if length > self.length:
            raise ValueError(f"{length} samples wanted, {self.length} there")
        if not length and self._nothing is not None:
            return self._nothing
        found: list[Tensor] = []
        missing = length
        for piece in self._pieces:
            found.append(piece[..., :missing])
            missing -= found[-1].shape[-1]
            if not missing:
                break
        return found[0] if len(found) == 1 else torch.cat(found, -1)

    def take(self, length: int) -> Tensor:
        """Removes and returns the next `length` samples."""
        taken = self.peek(length)
        self.drop(length)
        return taken

    def drop(self, length: int) -> None:
        """Removes the next `length` samples."""
        self.length -= length
        while length:
            piece = self._pieces.popleft()
            if piece.shape[-1] > length:
                self._pieces.appendleft(piece[..., length:])
            length -= min(length, piece.shape[-1])


class NativeQueue(TimeQueue):
    """The song at its own rate, taken by the length of the same stretch at 44.1 kHz."""

    def __init__(self, sample_rate: int, frames: int) -> None:
        super().__init__()
        self._rate, self._frames = sample_rate, frames
        self._working = self._taken = 0

    def take_for(self, working: int) -> Tensor:
        """The song's samples ``[C, n]`` in the time of the next `working` samples at 44.1 kHz."""
        self._working += working
        end = min(self._frames, self._working * self._rate // STEREO_RATE)
        taken = self.take(min(self.length, end - self._taken))
        self._taken += taken.shape[-1]
        return taken


def block_for(grid: int, wanted: int = BLOCK) -> int:
    """Block length: the multiple of `grid` nearest to `wanted` samples, at least :data:`FADE`."""
    return max(round(wanted / grid), -(-FADE // grid)) * grid


def check_block(block: int, grid: int) -> None:
    """Raises :class:`AudioTransferError` for a block that ends off the grid, or within the fade."""
    if block < FADE:
        raise AudioTransferError(
            f"block {block} is too small: give at least {block_for(grid, FADE)} samples"
        )
    if block % grid:
        raise AudioTransferError(
            f"block {block} is off the grid of {grid} samples: give {block_for(grid, block)}"
        )


def in_blocks(
    pieces: Iterable[Tensor],
    total: int,
    process: Callable[[int, Tensor], Tensor],
    *,
    context: int,
    grid: int = 1,
    block: int = BLOCK,
    ahead: Workers | None = None,
) -> Iterator[Tensor]:
    """Runs `process` over a signal block by block.

    Each call gets a block's number and its window: the block with `context` samples on each side
    (less at the ends of the signal, more before it so that windows start on the grid). What it
    returns for the context is dropped, except :data:`FADE` samples before the block, over which it
    is cross-faded with the block before. A short rest at the end is joined to the last block.

    Args:
        pieces: the signal ``[*, t]`` in pieces of any length.
        total: its length.
        process: ``(number, [*, t]) -> [*', t]``.
        context: samples on each side of a block that starts and ends on the grid.
        grid: samples between the places where `process` may be given a start.
        block: a multiple of the grid.
        ahead: workers; several of them start the next block before this one is yielded.

    Yields:
        ``[*', t]``, in all `total` samples.

    Raises:
        AudioTransferError: the block is no multiple of the grid.
    """
    check_block(block, grid)
    workers = ahead or Workers()
    depth = 2 if workers.count > 1 else 1
    started: deque[tuple[_Place, Future[Tensor]]] = deque()
    windows = _windows(pieces, total, context, grid, block)
    tail: Tensor | None = None
    while True:
        while len(started) < depth and (found := next(windows, None)) is not None:
            place, window = found
            started.append((place, workers.start(_kept, process, place, window)))
            del found, window
        if not started:
            return
        place, future = started.popleft()
        done = future.result()
        del future
        if tail is not None:
            head = done[..., :FADE]
            done = done[..., FADE:]
            yield crossfade(tail.flatten(0, -2), head.flatten(0, -2)).unflatten(0, tail.shape[:-1])
        tail = None
        if not place.last:
            tail = done[..., -FADE:].clone()
            done = done[..., :-FADE]
        # In small pieces, so that those who work on them need little memory.
        if done.shape[-1]:
            yield from done.split(_PIECE, -1)
        del done


class _Place(NamedTuple):
    """A block of `length` samples in its window, behind `lead` samples of context."""

    number: int
    lead: int
    length: int
    last: bool


def _kept(process: Callable[[int, Tensor], Tensor], place: _Place, window: Tensor) -> Tensor:
    """The processed block and the samples before it that are cross-faded, without the context."""
    first = place.lead - (FADE if place.number else 0)
    return process(place.number, window)[..., first : place.lead + place.length].clone()


def _windows(
    pieces: Iterable[Tensor], total: int, context: int, grid: int, block: int
) -> Iterator[tuple[_Place, Tensor]]:
    """Yields each block's place in its window, and the window ``[*, t]``."""
    source = iter(pieces)
    queue = TimeQueue()
    origin = 0  # of the queue's first sample
    number = 0
    start = 0
    while start < total:
        stop = start + block
        if total - stop <= context:
            stop = total
        low, high = window_start(number, block, context, grid), min(total, stop + context)
        while queue.length < high - origin:
            queue.push(next(source))
        if low > origin:
            queue.drop(low - origin)
            origin = low
        yield _Place(number, start - low, stop - start, stop == total), queue.peek(high - low)
        start = stop
        number += 1


def window_start(number: int, block: int, context: int, grid: int) -> int:
    """First sample of the window of a block of `in_blocks`, on the grid."""
    return max(0, number * block - -(-(context + FADE) // grid) * grid)


def generator_for(seed: int, *names: int | str) -> torch.Generator:
    """A generator seeded from `seed` and the names (of a block, a stem) alone, so that results do
    not depend on the order of the work.
    """
    digest = hashlib.sha256("/".join(map(str, (seed, *names))).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
