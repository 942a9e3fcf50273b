"""Keeping what C libraries print off the terminal."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Iterator

_lock = threading.Lock()


@contextlib.contextmanager
def quiet(*streams: int) -> Iterator[None]:
    """Standard error (2) of the whole process, or other streams, lead nowhere meanwhile.

    libmpg123 writes there directly, past every switch of libsndfile. One at a time: two that
    overlap could leave it shut.
    """
    with _lock, contextlib.ExitStack() as opened:
        for stream in streams or (2,):
            with contextlib.suppress(OSError):  # there is none
                kept = os.dup(stream)
                opened.callback(_restore, kept, stream)
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream)
                os.close(nowhere)
        yield


def _restore(kept: int, stream: int) -> None:
    if stream == 1 and os.name == "posix":
        ctypes.CDLL(None).fflush(None)  # C keeps what is printed until its buffer is full
    os.dup2(kept, stream)
    os.close(kept)
