"""How far a song is, and how long it will take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from audiotransfer.timing import TimeLeft


@dataclass(frozen=True)
class Progress:
    """How far one song is."""

    stage: str
    """``measure``, ``transfer`` or ``write``."""
    share: float
    """0..1 of the whole job; never falls."""
    seconds_left: float | None
    """``None`` while there is too little to guess from."""


ProgressCallback = Callable[[Progress], None]
"""Is called often; whatever it raises stops the job, which then leaves nothing behind."""

# What each stage takes of a job with a network in it.
_SHARES = {"measure": (0.0, 0.08), "transfer": (0.08, 0.95), "write": (0.95, 1.0)}


class Tracker:
    """Counts the samples of each stage and tells the callback."""

    def __init__(self, callback: ProgressCallback | None) -> None:
        self._callback = callback
        self._time_left = TimeLeft()
        self._share = 0.0
        self._stage = "measure"
        self._work = 0.0
        self._done = 0.0

    def begin(self, stage: str, work: float) -> None:
        """A stage begins that has so much to do, in any unit."""
        self._stage, self._work, self._done = stage, work, 0.0
        self.part(0.0)

    def advance(self, work: float) -> None:
        """So much of the stage is done now, for good."""
        self._done += work
        self.part(0.0)

    def part(self, work: float) -> None:
        """So much is done beyond what :meth:`advance` counted."""
        if self._callback is None:
            return
        low, high = _SHARES[self._stage]
        share = low + (high - low) * min(
            1.0, (self._done + work) / self._work if self._work else 1.0
        )
        self._share = max(self._share, share)
        left = self._time_left.update(self._stage, self._share)
        self._callback(Progress(self._stage, self._share, left))
