"""Output of the command line: results on stdout, notices and progress on stderr."""

from __future__ import annotations

import codecs
import hashlib
import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from audiotransfer.cli.progress import ProgressLine
from audiotransfer.errors import AudioTransferError

_LOADING_SECONDS = 0.5
_ESCAPE = "audiotransfer-escape"


def accept_any_name() -> None:
    """Makes stdout and stderr accept every file name.

    Bytes that are no text are written as they are, letters that the encoding lacks as ``\\u65e5``.
    """
    codecs.register_error(_ESCAPE, _escape)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_ESCAPE)


def _escape(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    try:
        return letters.encode("ascii", "surrogateescape"), error.end
    except UnicodeEncodeError:
        return codecs.lookup_error("backslashreplace")(error)


class Console:
    """Prints the results of a command as text or JSON, with notices, errors and progress."""

    def __init__(self, *, quiet: bool = False, as_json: bool = False) -> None:
        self.quiet = quiet
        self.as_json = as_json
        self._line: ProgressLine | None = None
        self._noticed: set[str] = set()

    def result(self, text: str, values: Any) -> None:
        """Prints the text; with ``--json``, the values instead."""
        if self.as_json:
            text = to_json(values, sys.stdout.encoding)
        if text:
            with self._above():
                try:
                    print(text, flush=True)
                except BrokenPipeError:
                    raise
                except OSError as error:
                    raise AudioTransferError(
                        f"the results cannot be written to standard output ({error.strerror})"
                    ) from None

    def notice(self, text: str) -> None:
        """Prints a line that is no result and no error; the same one once only."""
        if not self.quiet and text not in self._noticed:
            self._noticed.add(text)
            self.error(text)

    def error(self, text: str) -> None:
        """Prints one line about something that failed."""
        with self._above():
            sys.stderr.write(f"audiotransfer: {printable(text)}\n")
            sys.stderr.flush()

    @contextmanager
    def progress(self, *titles: str) -> Iterator[ProgressLine]:
        """Shows the progress of the work on songs of these titles while the context lasts."""
        with self._showing(ProgressLine(titles, self.quiet)) as line:
            yield line

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Shows on a terminal that a verb is being loaded while the context lasts."""
        quiet = self.quiet or not sys.stderr.isatty()
        with self._showing(ProgressLine(["audiotransfer"], quiet, delay=_LOADING_SECONDS)):
            yield

    def end_progress(self) -> None:
        """Ends the line of progress, for a command that goes on without one."""
        if self._line is not None:
            self._line.close()
            self._line = None

    @contextmanager
    def _showing(self, line: ProgressLine) -> Iterator[ProgressLine]:
        self.end_progress()
        self._line = line
        try:
            yield line
        finally:
            line.close()
            self._line = None

    def _above(self) -> AbstractContextManager[None]:
        return nullcontext() if self._line is None else self._line.above()


class LogLines(logging.Handler):
    """Prints what the packages log as lines of the console."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        for line in self.format(record).splitlines():  # a traceback has several
            self._console.error(line)


def to_json(values: Any, encoding: str | None = "utf-8") -> str:
    """Values as JSON; what an encoding cannot hold is escaped."""
    text = json.dumps(values, ensure_ascii=False, indent=1, default=str)
    try:
        text.encode(encoding or "ascii")
    except UnicodeEncodeError:
        return json.dumps(values, indent=1, default=str)
    return text


_NAME = 255  # letters of the longest name that file systems take
_BEGINNING, _END = 200, 20
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LONG = re.compile(rf"[^\s/]{{{_NAME + 1},}}")


def printable(text: str) -> str:
    """A message in one line that a terminal can show.

    Control characters are escaped, as ``\\n``, and names longer than a file system takes are cut.
    """
    text = _CONTROL.sub(lambda letter: repr(letter[0])[1:-1], text.strip())
    return _LONG.sub(lambda name: f"{name[0][:_BEGINNING]}...{name[0][-_END:]}", text)


def is_new(notice: str) -> bool:
    """Whether a notice was never printed before; marks it as printed.

    The marks are files in the user's folder for program state. If that cannot be written to, every
    notice is new.
    """
    import platformdirs

    name = hashlib.sha256(notice.encode(errors="replace")).hexdigest()[:16]
    path = Path(platformdirs.user_state_dir("audiotransfer")) / "told" / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    except OSError:
        return True
    return True
