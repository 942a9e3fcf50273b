"""Entry point of the command: runs a verb, and reports errors by one line and an exit code."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Sequence
from types import FrameType
from typing import Any

from audiotransfer import __version__
from audiotransfer.cli import verbs
from audiotransfer.cli.batch import expected_errors, one_line
from audiotransfer.cli.console import Console, LogLines, accept_any_name, printable
from audiotransfer.cli.verbs import VERBS

__all__ = ["VERBS", "main"]

DEBUG = "AUDIOTRANSFER_DEBUG"
_PROGRAM = "audiotransfer"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code.

    0: all done. 1: a part of a batch failed. 2: the request is wrong, or its only input unusable.
    130: stopped by Ctrl-C.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    accept_any_name()
    # Warnings that come before the console is set up, such as a damaged card, are not printed.
    logging.getLogger(_PROGRAM).addHandler(logging.NullHandler())
    named = words[:1] if words and words[0] in VERBS and words[0] != verbs.DEFAULT else []
    program = " ".join([_PROGRAM, *named])
    stopping = Stopping()
    try:
        with stopping:
            return _run(words)
    except BrokenPipeError:
        # The reader of our results has closed the pipe: no error at the interpreter's exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, KeyboardInterrupt) as error:
        if stopping.interrupted or isinstance(error, KeyboardInterrupt):
            sys.stderr.write(f"{program}: stopped; nothing unfinished was left behind\n")
            return 130
        if os.environ.get(DEBUG) or not isinstance(error, expected_errors()):
            raise
        sys.stderr.write(f"{program}: {printable(one_line(error))}\n")
        _discard_results()
        return 2


def _discard_results() -> None:
    """Discards results that stdout refused, which the interpreter would write again at its exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        page = sys.stdout if words else sys.stderr
        print(verbs.overview(), end="", flush=True, file=page)
        return 0 if words else 2
    if words[0] == "--version":
        print(f"{_PROGRAM} {__version__}", flush=True)
        return 0
    name = words.pop(0) if words[0] in VERBS else verbs.DEFAULT
    verb, parser = verbs.load(name)
    if name == verbs.DEFAULT and words:
        verbs.check_first(words[0])
    args = parser.read(words)
    console = Console(quiet=args.quiet, as_json=args.json)
    _set_up_logging(console)
    with console.loading():
        return verb.run(args, console)


def _set_up_logging(console: Console) -> None:
    """Prints what the packages log as lines of the console."""
    handler = LogLines(console)
    level = logging.ERROR if console.quiet else logging.WARNING
    logging.basicConfig(format="%(message)s", level=level, handlers=[handler])
    if os.environ.get(DEBUG):
        logging.getLogger(_PROGRAM).setLevel(logging.DEBUG)
    else:
        # Warnings of libraries are meant for programmers.
        warnings.simplefilter("ignore")


_DOUBLE_PRESS_SECONDS = 1.0


class Stopping:
    """Context in which Ctrl-C raises KeyboardInterrupt, and SIGTERM and SIGHUP SystemExit.

    A second Ctrl-C within a second is ignored, so that it does not interrupt the clean-up.
    """

    def __init__(self) -> None:
        self.interrupted = False
        """Whether Ctrl-C was pressed; libraries may replace or swallow the exception."""
        self._last = 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stopping:
        handlers: dict[int, tuple[Any, Any]] = {
            signal.SIGTERM: (signal.SIG_DFL, self._leave),
            signal.SIGINT: (signal.default_int_handler, self._interrupt),
        }
        if hasattr(signal, "SIGHUP"):
            handlers[signal.SIGHUP] = (signal.SIG_DFL, self._leave)
        if threading.current_thread() is threading.main_thread():
            for number, (default, handler) in handlers.items():
                # A signal that was ignored at the start, as by nohup, stays ignored.
                if signal.getsignal(number) == default:
                    self._before[number] = signal.signal(number, handler)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            # After Ctrl-C the program ends undisturbed.
            ended = self.interrupted and number == signal.SIGINT
            signal.signal(number, signal.SIG_IGN if ended else handler)

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.interrupted and now - self._last < _DOUBLE_PRESS_SECONDS:
            return
        self.interrupted, self._last = True, now
        raise KeyboardInterrupt

    @staticmethod
    def _leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)
