"""The command line: one file a verb. Nothing heavy is imported before a verb needs it."""

import sys
from types import TracebackType


def _stopped(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Ctrl-C while the program is being loaded is no fault to be shown."""
    if issubclass(kind, KeyboardInterrupt):
        sys.stderr.write("audiotransfer: stopped\n")
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _stopped

from audiotransfer.cli.main import main  # noqa: E402

__all__ = ["main"]
