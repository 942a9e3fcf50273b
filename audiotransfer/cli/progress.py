"""Progress on stderr: a line that is redrawn on a terminal, plain lines in a file."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from audiotransfer.timing import TimeLeft, clock

if TYPE_CHECKING:
    from audiotransfer.pipeline.reporting import Progress

_REDRAW_SECONDS = 0.2
#: Delay of the first plain line, and time between two of them.
_FIRST_SECONDS, _LINE_SECONDS = 0.7, 10.0
_BAR = 20
#: Stages of a job on a song, one after the other.
LOADING, LISTENING, PLAYING, WRITING = STAGES = ("loading", "listening", "playing", "writing")
#: Stage of the pipeline -> how it is shown.
_NAMES = {
    "measure": LISTENING,
    "transcribe": LISTENING,
    "transfer": PLAYING,
    "arrange": PLAYING,
    "write": WRITING,
}
_NARROW = 60  # columns, below which the bar is left out
_TICK_SECONDS = 0.1


class ProgressLine:
    """Shows stage, share and time left of one song after the other.

    A thread draws the line, so that it is alive during long stages too. ``titles`` are the songs
    in order; :meth:`next` goes to the next one. On a terminal the first line is drawn after
    ``delay`` seconds.
    """

    def __init__(self, titles: Sequence[str], quiet: bool = False, *, delay: float = 0.0) -> None:
        self._titles = [_printable(title) for title in titles] or [""]
        self._number = 0
        self._stage, self._share = LOADING, 0.0
        self._time_left = TimeLeft()
        self._lock = threading.RLock()
        self._drawn = 0  # columns of the line on the terminal
        self._redrawn = sys.stderr.isatty()
        self._stages_printed: set[str] = set()
        self._ended: tuple[int, str] | None = None  # title and stage of the last line at 100 %
        self._printed = time.monotonic() - _LINE_SECONDS + _FIRST_SECONDS
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._delay = delay
        if not quiet:
            self._thread = threading.Thread(target=self._draw_until_closed, daemon=True)
            if self._redrawn and not delay:
                self._draw()
            self._thread.start()

    def show(self, stage: str, share: float | None = None) -> None:
        """Sets the stage and the share (0..1) of the song that is done; ``None``: as before."""
        with self._lock:
            self._stage = stage
            if share is not None:
                self._share = min(max(share, 0.0), 1.0)
            self._time_left.update(_kind(stage), self._share)

    def next(self) -> None:
        """Goes to the next song."""
        with self._lock:
            self._number += 1
            self._share, self._time_left = 0.0, TimeLeft()
            self._wipe()

    @contextmanager
    def above(self) -> Iterator[None]:
        """Removes the line while something else is printed."""
        with self._lock:
            self._wipe()
            yield

    def close(self) -> None:
        """Removes the line and ends the thread."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()
        with suppress(OSError):
            self._wipe()

    def _wipe(self) -> None:
        if self._drawn:
            sys.stderr.write(f"\r{'':{self._drawn}}\r")
            sys.stderr.flush()
            self._drawn = 0

    def _draw_until_closed(self) -> None:
        # The work goes on if the terminal is closed.
        with suppress(OSError, ValueError):
            if self._closed.wait(self._delay):
                return
            while not self._closed.wait(_REDRAW_SECONDS if self._redrawn else _TICK_SECONDS):
                if self._redrawn:
                    self._draw()
                else:
                    self._print()

    def _draw(self) -> None:
        with self._lock:
            if self._number >= len(self._titles) or self._closed.is_set():
                return
            text = self._line(_columns() - 1)
            width = _width(text)
            sys.stderr.write(f"\r{text}{'':{max(0, self._drawn - width)}}")
            sys.stderr.flush()
            self._drawn = width

    def _print(self) -> None:
        """Prints a plain line if it is time for one, or if the stage is new."""
        with self._lock:
            if self._number >= len(self._titles):
                return
            waited = time.monotonic() - self._printed
            kind = _kind(self._stage)
            new = kind not in self._stages_printed and bool(self._stages_printed)
            if waited < (_FIRST_SECONDS if new else _LINE_SECONDS):
                return
            left = self._left()
            text = f"{self._title()}: {self._stage}, {self._share:.0%}{left and f', {left}'}"
            ended = (self._number, self._stage) if f"{self._share:.0%}" == "100%" else None
            if ended is not None and ended == self._ended:
                return
            self._printed = time.monotonic()
            self._stages_printed.add(kind)
            self._ended = ended
            sys.stderr.write(f"audiotransfer: {text}\n")
            sys.stderr.flush()

    def _line(self, columns: int) -> str:
        left = self._left()
        tail = f" {self._share:4.0%}{left and f', {left}'}"
        if columns >= _NARROW:
            done = round(_BAR * self._share)
            tail = f" {self._share:4.0%} |{'#' * done}{'-' * (_BAR - done)}|{left and f' {left}'}"
        room = columns - len(tail)
        stage = f": {self._stage}"
        title = _cut(self._title(), max(8, room - len(stage)))
        return _cut(_cut(title + stage, max(0, room)) + tail, columns)

    def _title(self) -> str:
        count = len(self._titles)
        title = self._titles[self._number]
        return f"{title} ({self._number + 1} of {count})" if count > 1 else title

    def _left(self) -> str:
        seconds = self._time_left.left()
        return "" if seconds is None else f"{clock(seconds)} left"


def stage(progress: Progress) -> str:
    """The name of a stage of the pipeline as it is shown."""
    return _NAMES.get(progress.stage, progress.stage)


def _columns() -> int:
    """Columns of the terminal on stderr."""
    with suppress(ValueError):
        if (wanted := int(os.environ.get("COLUMNS", ""))) > 0:
            return wanted
    with suppress(OSError, ValueError):
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    return 80


def _kind(stage: str) -> str:
    """The stage if it is one of ``STAGES``; other texts name songs or figures and count as one."""
    return stage if stage in STAGES else ""


def _printable(text: str) -> str:
    """A text with ? in place of control characters and of those that cannot be encoded."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in text)
    encoding = sys.stderr.encoding or "ascii"
    return plain.encode(encoding, "replace").decode(encoding)


def _width(text: str) -> int:
    """Columns that a text takes on a terminal."""
    from tqdm.utils import disp_len

    return int(disp_len(text))


def _cut(text: str, columns: int) -> str:
    """A text of at most so many columns; a longer one is cut and ends in three dots."""
    from tqdm.utils import disp_trim

    if _width(text) <= columns:
        return text
    return str(disp_trim(text, max(0, columns - 3))) + "..."[: max(0, columns)]
