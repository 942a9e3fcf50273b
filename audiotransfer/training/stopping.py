"""Ctrl-C and SIGTERM as a request that the trainer meets after the present step."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Holds the first stop signal back inside its `with` block; a second one acts at once.

    Outside the main thread, where Python takes no signals, it never sees one.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._give_back()

    def act(self) -> None:
        """Let the held-back signal do what it would have done."""
        self._give_back()
        if self.signal is not None:
            signal.raise_signal(self.signal)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.signal = number
        self._give_back()

    def _give_back(self) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before = {}
