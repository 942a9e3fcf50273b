"""Ctrl-C and other signals that end the program: an exception each, so that every writer removes
its unfinished file.
"""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType
from typing import Any

_PATIENCE_SECONDS = 1.0


class Stopping:
    """While it is entered Ctrl-C raises KeyboardInterrupt, and what else ends the program
    SystemExit. Who presses twice within a second means once: what is cleared away is not
    interrupted.
    """

    def __init__(self) -> None:
        self.asked = False
        """Whether Ctrl-C was pressed; libraries may make another exception of it, or none."""
        self._last = 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stopping:
        ours: dict[int, tuple[Any, Any]] = {
            signal.SIGTERM: (signal.SIG_DFL, self._leave),
            signal.SIGINT: (signal.default_int_handler, self._interrupt),
        }
        if hasattr(signal, "SIGHUP"):
            ours[signal.SIGHUP] = (signal.SIG_DFL, self._leave)
        if threading.current_thread() is threading.main_thread():
            for number, (usual, handler) in ours.items():
                # Whoever started us with a signal ignored, as nohup does, means it.
                if signal.getsignal(number) == usual:
                    self._before[number] = signal.signal(number, handler)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            # Once stopped, the program is left to end.
            ended = self.asked and number == signal.SIGINT
            signal.signal(number, signal.SIG_IGN if ended else handler)

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.asked and now - self._last < _PATIENCE_SECONDS:
            return
        self.asked, self._last = True, now
        raise KeyboardInterrupt

    @staticmethod
    def _leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)
