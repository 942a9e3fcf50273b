"""The command line: a module for each verb, imported when the verb is run."""

import sys
from types import TracebackType


def _excepthook(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Prints one line for Ctrl-C while modules are being imported, in place of a traceback."""
    if issubclass(kind, KeyboardInterrupt):
        sys.stderr.write("audiotransfer: stopped\n")
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _excepthook

from audiotransfer.cli.main import main  # noqa: E402

__all__ = ["main"]
