"""Finds the verb, runs it, and turns what went wrong into one line and an exit code."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from audiotransfer import __version__
from audiotransfer.cli import verbs
from audiotransfer.cli.batch import expected_errors, one_line
from audiotransfer.cli.console import Console, LogLines, print_anything
from audiotransfer.cli.verbs import VERBS

__all__ = ["VERBS", "main"]

DEBUG = "AUDIOTRANSFER_DEBUG"
_PROGRAM = "audiotransfer"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. 0: all done. 1: part of a batch failed. 2: the request cannot be met."""
    words = list(sys.argv[1:] if argv is None else argv)
    program = _PROGRAM
    print_anything()
    # A damaged card is no business of somebody who asks for help.
    logging.getLogger(_PROGRAM).addHandler(logging.NullHandler())
    try:
        with _signals():
            if not words or words[0] in ("-h", "--help"):
                print(
                    verbs.overview(), end="", flush=True, file=sys.stdout if words else sys.stderr
                )
                return 0 if words else 2
            if words[0] == "--version":
                print(f"{_PROGRAM} {__version__}", flush=True)
                return 0
            name = words.pop(0) if words[0] in VERBS else verbs.DEFAULT
            verb, parser = verbs.load(name)
            program = parser.prog
            if name == verbs.DEFAULT:
                verbs.check_first(words[0])
            args = parser.read(words)
            console = Console(quiet=args.quiet, as_json=args.json)
            _set_up_logging(console)
            with console.waiting():
                return verb.run(args, console)
    except BrokenPipeError:
        # Whoever read our results has enough; the interpreter must not complain when it closes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except expected_errors() as error:
        if os.environ.get(DEBUG):
            raise
        sys.stderr.write(f"{program}: {one_line(error)}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(f"{program}: stopped; nothing unfinished was left behind\n")
        return 130


@contextmanager
def _signals() -> Iterator[None]:
    """Whatever ends the program is an exception meanwhile, so that every writer removes its
    unfinished file; a second Ctrl-C does not interrupt that.
    """

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    usual: dict[int, tuple[Any, Any]] = {
        signal.SIGTERM: (signal.SIG_DFL, leave),
        signal.SIGINT: (signal.default_int_handler, interrupt),
    }
    if hasattr(signal, "SIGHUP"):
        usual[signal.SIGHUP] = (signal.SIG_DFL, leave)
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number, (handler, ours) in usual.items():
            # Whoever started us with a signal ignored, as nohup does, means it.
            if signal.getsignal(number) == handler:
                before[number] = signal.signal(number, ours)
    try:
        yield
    finally:
        for number, old in before.items():
            # Once stopped, the program is left to end.
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, old)


def _set_up_logging(console: Console) -> None:
    handler = LogLines(console)
    level = logging.ERROR if console.quiet else logging.WARNING
    logging.basicConfig(format="%(message)s", level=level, handlers=[handler])
    if os.environ.get(DEBUG):
        logging.getLogger(_PROGRAM).setLevel(logging.DEBUG)
    else:
        # What libraries warn their programmers about says nothing to a musician.
        warnings.simplefilter("ignore")
