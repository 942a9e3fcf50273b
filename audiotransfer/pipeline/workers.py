"""A pool of threads with one core each, for blocks and stems that are processed in parallel.

The networks are small: two cores inside one convolution are hardly faster than one, two
convolutions on a core each take half the time. The result does not depend on the number of cores.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
Result = TypeVar("Result")

_POLL_SECONDS = 0.1
# Parameters of glibc's mallopt.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_LARGE = 8 << 20  # bytes


class Workers:
    """A pool of `count` threads with one core each; a pool of one runs in the calling thread.

    A context manager. While it is entered, torch uses one core per operation in the whole program.
    Leaving it waits for the tasks that run and cancels those that do not.
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
        self, task: Callable[P, Result], /, *args: P.args, **options: P.kwargs
    ) -> Future[Result]:
        """Starts a task, without gradients; a pool of one has finished it on return."""
        if self._pool is not None:
            return self._pool.submit(_without_gradients, task, *args, **options)
        done: Future[Result] = Future()
        done.set_result(_without_gradients(task, *args, **options))
        return done

    @contextmanager
    def every_core(self) -> Iterator[None]:
        """Gives torch all cores for one task, for networks that are large enough."""
        present = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        try:
            yield
        finally:
            torch.set_num_threads(present)


def gather(tasks: Sequence[Future[Result]], tick: Callable[[], None]) -> list[Result]:
    """The tasks' results in order; calls `tick` about ten times a second while it waits.

    Raises the exception of the first task that fails.
    """
    while True:
        state = wait(tasks, _POLL_SECONDS, FIRST_EXCEPTION)
        tick()
        for task in state.done:
            task.result()
        if not state.not_done:
            return [task.result() for task in tasks]


@cache
def return_memory() -> None:
    """Makes glibc return freed pieces of 8 MB and more to the system at once, for the whole
    program; smaller ones share one heap.

    By default glibc comes to keep freed pieces of up to 32 MB on one heap per thread, which was
    half of a job's memory. Other C libraries are left alone.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_MMAP_THRESHOLD, _LARGE)
    # Setting the first threshold stops glibc from adapting this one: left at its default, the end
    # of the heap would be returned and requested again all the time.
    mallopt(_TRIM_THRESHOLD, 8 * _LARGE)
    mallopt(_ARENA_MAX, 1)


def _without_gradients(task: Callable[P, Result], /, *args: P.args, **options: P.kwargs) -> Result:
    # torch keeps this setting per thread.
    with torch.no_grad():
        return task(*args, **options)
