"""The root of user-facing errors, and one-line messages for other exceptions."""

from __future__ import annotations

import logging
import os

log = logging.getLogger(__name__)


class AudioTransferError(Exception):
    """Root of the errors that are raised on purpose.

    The message is one line: the thing, its value, the remedy.
    """


def refusal(error: OSError) -> str:
    """File and reason of an OSError."""
    reason = error.strerror or str(error)
    if isinstance(error.filename, str | bytes):
        return f"{os.fsdecode(error.filename)}: {reason}"
    return reason


def failure(song: str | os.PathLike[str], error: Exception) -> str:
    """One-line message for an unexpected error that ended the work on one song of several.

    The traceback is logged at level DEBUG.
    """
    if isinstance(error, OSError):
        return f"{os.fspath(song)} cannot be worked on ({refusal(error)})"
    log.debug("%s", song, exc_info=error)
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return (
        f"{os.fspath(song)} cannot be worked on ({what}); please report this"
        " (AUDIOTRANSFER_DEBUG=1 shows where it happened)"
    )
