"""Keeping what C libraries print off the terminal."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

_lock = threading.Lock()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Standard error of the whole process leads nowhere meanwhile.

    libmpg123 writes there directly, past every switch of libsndfile. One at a time: two that
    overlap could leave it shut.
    """
    with _lock:
        try:
            kept = os.dup(2)
        except OSError:  # there is none
            yield
            return
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
