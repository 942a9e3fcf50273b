"""Songs of any length in bounded memory: queues along time, and blocks that see their
neighbourhood.

Blocks, and the windows that hold them and their context, start on the grid of whatever works on
them. A network that works in tiles therefore sees the same tiles whether it is given a block or the
song, and a song worked on in blocks equals the song in one piece.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import NamedTuple

import torch
from torch import Tensor

from audiotransfer.audio.channels import crossfade
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.workers import Workers
from separation import GRID

BLOCK = 12 * GRID
"""Samples worked on at a time (18 s): the nearest whole number of grid steps."""
LARGE_BLOCK = 20 * GRID
"""The same for networks in whose memory a longer block does not count."""
FADE = 2048
"""Samples over which neighbouring blocks are cross-faded."""
_PIECE = 2 * GRID


class TimeQueue:
    """Samples on their way: pushed at one end in pieces of any length, looked at and taken at the
    other.

    Shape: pieces ``[*, t]`` with equal leading axes.
    """

    def __init__(self) -> None:
        self._pieces: deque[Tensor] = deque()
        self.length = 0

    def push(self, piece: Tensor) -> None:
        if piece.shape[-1]:
            self._pieces.append(piece)
            self.length += piece.shape[-1]

    def peek(self, length: int) -> Tensor:
        """The next `length` samples, which stay."""
        if length > self.length:
            raise ValueError(f"{length} samples wanted, {self.length} there")
        found: list[Tensor] = []
        missing = length
        for piece in self._pieces:
            found.append(piece[..., :missing])
            missing -= found[-1].shape[-1]
            if not missing:
                break
        return found[0] if len(found) == 1 else torch.cat(found, -1)

    def take(self, length: int) -> Tensor:
        """The next `length` samples, which are gone then."""
        taken = self.peek(length)
        self.drop(length)
        return taken

    def drop(self, length: int) -> None:
        """The next `length` samples are gone."""
        self.length -= length
        while length:
            piece = self._pieces.popleft()
            if piece.shape[-1] > length:
                self._pieces.appendleft(piece[..., length:])
            length -= min(length, piece.shape[-1])


def block_for(grid: int, wanted: int = BLOCK) -> int:
    """The whole number of grid steps that is nearest to `wanted` samples, and holds the fade."""
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

    Each call gets a block's number and the block with `context` samples on each side (less at the
    ends of the signal, more before it so that windows start on the grid). What it returns for the
    context is dropped but for :data:`FADE` samples before the block, over which it is cross-faded
    with the one before. A short rest at the end is worked on together with the block before it.

    Args:
        pieces: the signal ``[*, t]`` in pieces of any length.
        total: its length.
        process: ``(number, [*, t]) -> [*', t]``.
        context: samples on each side of a block that starts and ends on the grid.
        grid: samples between the places where `process` may be given a start.
        block: a multiple of the grid.
        ahead: several workers begin the next block before one is given.

    Yields:
        ``[*', t]``, in all `total` samples.

    Raises:
        AudioTransferError: the block is no multiple of the grid.
    """
    check_block(block, grid)
    workers = ahead or Workers()
    depth = 2 if workers.count > 1 else 1
    begun: deque[tuple[_Cut, Future[Tensor]]] = deque()
    cuts = _cut(pieces, total, context, grid, block)
    tail: Tensor | None = None
    while True:
        while len(begun) < depth and (found := next(cuts, None)) is not None:
            cut, window = found
            begun.append((cut, workers.start(_kept, process, cut, window)))
            del found, window
        if not begun:
            return
        cut, future = begun.popleft()
        done = future.result()
        del future
        if tail is not None:
            head = done[..., :FADE]
            done = done[..., FADE:]
            yield crossfade(tail.flatten(0, -2), head.flatten(0, -2)).unflatten(0, tail.shape[:-1])
        tail = None
        if not cut.last:
            tail = done[..., -FADE:].clone()
            done = done[..., :-FADE]
        # In small pieces, so that those who work on them need little memory.
        if done.shape[-1]:
            yield from done.split(_PIECE, -1)
        del done


class _Cut(NamedTuple):
    """Where a block lies in its window: behind `lead` samples of context, `length` long."""

    number: int
    lead: int
    length: int
    last: bool


def _kept(process: Callable[[int, Tensor], Tensor], cut: _Cut, window: Tensor) -> Tensor:
    """What is made of a block, with the samples before it that are cross-faded, and no more."""
    first = cut.lead - (FADE if cut.number else 0)
    return process(cut.number, window)[..., first : cut.lead + cut.length].clone()


def _cut(
    pieces: Iterable[Tensor], total: int, context: int, grid: int, block: int
) -> Iterator[tuple[_Cut, Tensor]]:
    """Every block's place in its window, and the window ``[*, t]``."""
    source = iter(pieces)
    queue = TimeQueue()
    origin = 0  # of the queue's first sample
    number = 0
    start = 0
    before = -(-(context + FADE) // grid) * grid
    while start < total:
        stop = start + block
        if total - stop <= context:
            stop = total
        low, high = max(0, start - before), min(total, stop + context)
        while queue.length < high - origin:
            queue.push(next(source))
        if low > origin:
            queue.drop(low - origin)
            origin = low
        yield _Cut(number, start - low, stop - start, stop == total), queue.peek(high - low)
        start = stop
        number += 1


def generator_for(seed: int, *names: int | str) -> torch.Generator:
    """Random numbers that depend on the seed and the names (of a block, a stem) only, not on what
    else is worked on.
    """
    digest = hashlib.sha256("/".join(map(str, (seed, *names))).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
