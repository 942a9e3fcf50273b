"""Estimated time left from progress, and times as text."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

#: Seconds and share of the whole after which a stage's rate is used; one pair suffices.
_ENOUGH = ((3.0, 0.1), (60.0, 0.01))
_SMOOTHING_SECONDS = 5.0


def clock(seconds: float) -> str:
    """Minutes and seconds, and hours where there are any, such as ``3:07`` and ``1:02:00``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class TimeLeft:
    """Estimates when work ends from the rate of its present stage, smoothed over some seconds.

    Stages differ in rate, and the start of one says little: a stage is used after a tenth of the
    whole; until then the estimate of earlier stages is kept.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stage: str | None = None
        self._began = (0.0, 0.0)  # time and share at the beginning of the stage
        self._updated = 0.0  # time of the last estimate
        self._end: float | None = None

    def update(self, stage: str, share: float) -> float | None:
        """Seconds left when ``share`` (0..1) of the whole is done; ``None`` while unknown."""
        now = self._clock()
        if stage != self._stage:
            self._stage, self._began = stage, (now, share)
        elapsed, gained = now - self._began[0], share - self._began[1]
        if any(elapsed >= seconds and gained >= part for seconds, part in _ENOUGH):
            end = now + elapsed * (1.0 - share) / gained
            if self._end is None:
                self._end = end
            else:
                weight = 1.0 - math.exp(-(now - self._updated) / _SMOOTHING_SECONDS)
                self._end += weight * (end - self._end)
            self._updated = now
        return self.left()

    def left(self) -> float | None:
        """Seconds from now to the estimated end; ``None`` while unknown, and when it has passed."""
        left = 0.0 if self._end is None else self._end - self._clock()
        return left if left > 0.0 else None


class Steps:
    """The share of work that is done, in steps of several sorts that take different times.

    Args:
        work: kind of a step -> its seconds as guessed; once a step of the kind is done, the mean
            of those that were measured counts.
        rounds: how often a step of every kind is done.
    """

    def __init__(
        self,
        work: Mapping[str, float],
        rounds: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._guesses = dict(work)
        self._seconds: dict[str, list[float]] = {kind: [] for kind in work}
        self._rounds = rounds
        self._clock = clock
        self._last = clock()
        self._share = 0.0

    def start(self) -> None:
        """Time until now belongs to no step."""
        self._last = self._clock()

    def done(self, kind: str) -> float:
        """Counts a step that has just ended; returns the share of all work, which never falls."""
        now = self._clock()
        self._seconds[kind].append(now - self._last)
        self._last = now
        measured = [times for times in self._seconds.values() if times]
        guessed = sum(self._guesses[kind] for kind, times in self._seconds.items() if times)
        # Guesses of steps that were not measured yet are scaled as the others turned out.
        scale = sum(sum(times) / len(times) for times in measured) / max(guessed, 1e-9)
        total = spent = 0.0
        for name, times in self._seconds.items():
            mean = sum(times) / len(times) if times else self._guesses[name] * scale
            total += mean * self._rounds
            spent += mean * len(times)
        self._share = max(self._share, spent / max(total, 1e-9))
        return min(self._share, 1.0)
