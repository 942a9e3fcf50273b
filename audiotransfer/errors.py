"""The one exception that audiotransfer raises for what a user can put right, and what to say of
others.
"""

from __future__ import annotations

import logging
import os

log = logging.getLogger(__name__)


class AudioTransferError(Exception):
    """A request that cannot be met. The message is one line: the thing, its value, the way out."""


def refusal(error: OSError) -> str:
    """The file that the system refused, and why."""
    reason = error.strerror or str(error)
    if isinstance(error.filename, str | bytes):
        return f"{os.fsdecode(error.filename)}: {reason}"
    return reason


def failure(song: str | os.PathLike[str], error: Exception) -> str:
    """One line about what ended the work on one song of several, though nobody foresaw it.

    Where it happened is logged at the level DEBUG.
    """
    if isinstance(error, OSError):
        return f"{os.fspath(song)} cannot be worked on ({refusal(error)})"
    log.debug("%s", song, exc_info=error)
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return (
        f"{os.fspath(song)} cannot be worked on ({what}); please report this"
        " (AUDIOTRANSFER_DEBUG=1 tells where it happened)"
    )
