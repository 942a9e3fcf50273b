"""Blocks and stems side by side, one core each.

Our networks are small: two cores inside one convolution do little more than one, two convolutions
side by side do twice as much. And what one core works out does not depend on how many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import torch

from audiotransfer.pipeline.heap import return_memory

P = ParamSpec("P")
Result = TypeVar("Result")

_TICK = 0.1  # seconds between two looks at how far everything is


class Workers:
    """So many threads that each work on one core; one alone is the thread that asks.

    A context manager: while it is entered torch has one core for each operation, for the whole
    program. Leaving it waits for what has begun and forgets what has not.
    """

    def __init__(self, count: int = 1) -> None:
        self.count = count
        self._threads = torch.get_num_threads()
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Workers:
        return_memory()
        self._threads = torch.get_num_threads()
        torch.set_num_threads(1)
        if self.count > 1:
            self._pool = ThreadPoolExecutor(
                self.count, initializer=torch.set_num_threads, initargs=(1,)
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
        torch.set_num_threads(self._threads)

    def start(
        self, work: Callable[P, Result], /, *args: P.args, **options: P.kwargs
    ) -> Future[Result]:
        """Begins a piece of work, without gradients; alone it is done when this returns."""
        if self._pool is not None:
            return self._pool.submit(_plainly, work, *args, **options)
        done: Future[Result] = Future()
        done.set_result(_plainly(work, *args, **options))
        return done

    @contextmanager
    def every_core(self) -> Iterator[None]:
        """Gives torch all cores for one piece of work, for networks that are large enough."""
        present = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        try:
            yield
        finally:
            torch.set_num_threads(present)


def gather(pieces: Sequence[Future[Result]], tick: Callable[[], None]) -> list[Result]:
    """What pieces of work give, in their order; `tick` is called now and then until then.

    Raises what the first of them to fail raised.
    """
    while True:
        state = wait(pieces, _TICK, FIRST_EXCEPTION)
        tick()
        for piece in state.done:
            piece.result()
        if not state.not_done:
            return [piece.result() for piece in pieces]


def _plainly(work: Callable[P, Result], /, *args: P.args, **options: P.kwargs) -> Result:
    # Whether gradients are kept is a thread's own setting.
    with torch.no_grad():
        return work(*args, **options)
