"""Songs of any length in bounded memory: queues along time, and blocks that see their
neighbourhood.

Blocks start on a grid and their context is a whole number of grid steps. A network that works in
tiles therefore sees the same tiles whether it is given a block or the song, and a song worked on in
blocks equals the song in one piece.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import NamedTuple

import torch
from torch import Tensor

from audiotransfer.pipeline.workers import Workers
from audiotransfer.sound import crossfade

GRID = 65536
"""Samples at 44.1 kHz (1.5 s); the hops and tiles of our networks divide it."""
BLOCK = 12 * GRID
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


def context_of(wanted: int, grid: int = GRID) -> int:
    """Samples of context in whole grid steps: what is wanted, and the cross-fade."""
    return -(-(wanted + FADE) // grid) * grid


def in_blocks(
    pieces: Iterable[Tensor],
    total: int,
    process: Callable[[int, Tensor], Tensor],
    *,
    context: int,
    block: int = BLOCK,
    ahead: Workers | None = None,
) -> Iterator[Tensor]:
    """Runs `process` over a signal block by block.

    Each call gets a block's number and the block with up to `context` samples on each side (less at
    the ends of the signal); what it returns for the context is dropped but for :data:`FADE`
    samples, over which the blocks are cross-faded. A short rest at the end is worked on together
    with the block before it.

    Args:
        pieces: the signal ``[*, t]`` in pieces of any length.
        total: its length.
        process: ``(number, [*, t]) -> [*', t]``.
        context: from :func:`context_of`.
        block: a multiple of the grid.
        ahead: several workers begin the next block before one is given.

    Yields:
        ``[*', t]``, in all `total` samples.
    """
    workers = ahead or Workers()
    depth = 2 if workers.count > 1 else 1
    begun: deque[tuple[_Cut, Future[Tensor]]] = deque()
    cuts = _cut(pieces, total, context, block)
    tail: Tensor | None = None
    while True:
        while len(begun) < depth and (found := next(cuts, None)) is not None:
            cut, window = found
            begun.append((cut, workers.start(process, cut.number, window)))
            del found, window
        if not begun:
            return
        cut, future = begun.popleft()
        done = future.result()[..., cut.lead :]
        del future
        head = done[..., : cut.length]
        if tail is not None:
            faded = crossfade(tail.flatten(0, -2), head[..., :FADE].flatten(0, -2)).unflatten(
                0, tail.shape[:-1]
            )
            yield faded
            head = head[..., FADE:]
        tail = None if cut.last else done[..., cut.length : cut.length + FADE].clone()
        # In small pieces, so that those who work on them need little memory.
        yield from head.split(_PIECE, -1)
        del done, head


class _Cut(NamedTuple):
    """Where a block lies in its window: behind `lead` samples of context, `length` long."""

    number: int
    lead: int
    length: int
    last: bool


def _cut(
    pieces: Iterable[Tensor], total: int, context: int, block: int
) -> Iterator[tuple[_Cut, Tensor]]:
    """Every block's place in its window, and the window ``[*, t]``."""
    source = iter(pieces)
    queue = TimeQueue()
    origin = 0  # of the queue's first sample
    number = 0
    start = 0
    while start < total:
        stop = start + block
        if total - stop <= context:
            stop = total
        low, high = max(0, start - context), min(total, stop + context)
        while queue.length < high - origin:
            queue.push(next(source))
        if low > origin:
            queue.drop(low - origin)
            origin = low
        yield _Cut(number, start - low, stop - start, stop == total), queue.peek(high - low)
        start = stop
        number += 1


def generator_for(seed: int, number: int, name: str) -> torch.Generator:
    """Random numbers that depend on the seed, the block and the stem only, not on what else is
    worked on.
    """
    digest = hashlib.sha256(f"{seed}/{number}/{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
