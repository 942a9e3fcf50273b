"""Memory that is free goes back to the system, where the C library is glibc."""

from __future__ import annotations

import ctypes
from functools import cache

# glibc's names for what can be set.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_LARGE = 8 << 20


@cache
def return_memory() -> None:
    """Takes pieces of 8 MB and more from the system and gives them back at once, for the whole
    program; all smaller ones share one heap.

    By itself glibc learns to keep pieces of up to 32 MB, on a heap for each thread: half of what a
    job took were gaps there. Other C libraries are left alone.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_MMAP_THRESHOLD, _LARGE)
    # Set by hand, the first turns this one's learning off: without it the heap's end goes back and
    # forth.
    mallopt(_TRIM_THRESHOLD, 8 * _LARGE)
    mallopt(_ARENA_MAX, 1)
