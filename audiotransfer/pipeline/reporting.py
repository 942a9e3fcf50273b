"""Progress of a running job, and its final report."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from audiotransfer.timing import TimeLeft


@dataclass(frozen=True)
class Progress:
    """The progress of one song."""

    stage: str
    """``measure``, ``transfer`` or ``write``; of a cover ``transcribe``, ``arrange``, ``write``."""
    share: float
    """0..1 of the whole job; never falls."""
    seconds_left: float | None
    """``None`` while there is too little to estimate it from."""


ProgressCallback = Callable[[Progress], None]
"""Is called often; whatever it raises stops the job, which then leaves nothing behind."""

# Where each stage begins and ends in a job that runs a network.
_SHARES = {
    "measure": (0.0, 0.08),
    "transfer": (0.08, 0.95),
    "transcribe": (0.0, 0.4),
    "arrange": (0.4, 0.95),
    "write": (0.95, 1.0),
}


class Tracker:
    """Counts the work done in each stage and calls the callback with the progress.

    ``shares`` are where each stage begins and ends in the job, 0..1.
    """

    def __init__(
        self,
        callback: ProgressCallback | None,
        shares: Mapping[str, tuple[float, float]] = _SHARES,
    ) -> None:
        self._callback = callback
        self._shares = shares
        self._time_left = TimeLeft()
        self._share = 0.0
        self._stage = "measure"
        self._work = 0.0
        self._done = 0.0

    def begin(self, stage: str, work: float) -> None:
        """Starts a stage with this amount of work, in any unit."""
        self._stage, self._work, self._done = stage, work, 0.0
        self.part(0.0)

    def advance(self, work: float) -> None:
        """Counts work that is finished."""
        self._done += work
        self.part(0.0)

    def part(self, work: float) -> None:
        """Reports unfinished work beyond what :meth:`advance` counted, without counting it."""
        if self._callback is None:
            return
        low, high = self._shares[self._stage]
        share = low + (high - low) * min(
            1.0, (self._done + work) / self._work if self._work else 1.0
        )
        self._share = max(self._share, share)
        left = self._time_left.update(self._stage, self._share)
        self._callback(Progress(self._stage, self._share, left))


@dataclass(frozen=True)
class StemReport:
    """Report of one stem; ``match`` is how it was moved to that of a reference song."""

    action: Literal["keep", "mute", "style", "cover"]
    style: str | None = None
    strength: float | None = None
    gain_db: float = 0.0
    files: tuple[str, ...] = ()
    match: str = ""


@dataclass(frozen=True)
class PartReport:
    """Report of one part of a cover's band."""

    instrument: str
    notes: int
    gain_db: float = 0.0
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class CoverReport:
    """Report of a recording's transcription and of its arrangement.

    ``confidence`` holds values 0..1 of the transcription's ``beats``, ``chords`` and ``lead``,
    ``doubt`` why it should not be arranged. ``tempo`` is the mean of the song in beats per minute,
    ``key`` and ``metre`` are those of its first bar and of most bars. ``chords`` are those that the
    band plays, one text a bar, ``reharmonised`` the share of bars with another root than the
    song's. ``sung`` are the seconds in which somebody sings.
    """

    confidence: dict[str, float]
    doubt: str | None
    tempo: float
    metre: str
    key: str
    sections: str
    chords: list[str]
    lead: str | None
    parts: dict[str, PartReport]
    reharmonised: float
    sung: float


@dataclass(frozen=True)
class Report:
    """Report of one song. Levels in LUFS and dB true peak; ``None`` for silence."""

    input: str
    output: str | None
    seconds: float
    sample_rate: int
    channels: int
    frames: int
    loudness_in: float | None
    loudness_out: float | None
    true_peak_in: float | None
    true_peak_out: float | None
    separator: str
    stems: dict[str, StemReport]
    notices: list[str]
    wall_seconds: float
    mode: Literal["cover", "timbre"] = "timbre"
    cover: CoverReport | None = None
    """Of a cover."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dataclasses.asdict(self)


def decibels(linear: float) -> float | None:
    """20 log10; ``None`` for silence."""
    return 20.0 * math.log10(linear) if linear > 0.0 else None


def finite(value: float) -> float | None:
    """``None`` for infinite values such as the loudness of silence: JSON has no infinities."""
    return value if math.isfinite(value) else None
