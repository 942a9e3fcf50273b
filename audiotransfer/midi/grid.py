"""The grid of sixteenths and bars of a score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotransfer.errors import AudioTransferError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

#: Longest score in sixteenths: nine hours at 120 beats per minute.
MOST_STEPS = 1 << 18
_BEAT = 4  # sixteenths
_DOWNBEAT = 2  # the bit of an annotated beat
_FEWEST = 16  # notes from which an offset is estimated
_OFFSETS = 20  # offsets within a sixteenth that are tried
_CLEARLY = 0.5  # largest ratio of the mean deviations with and without an offset


@dataclass(frozen=True)
class Grid:
    """Ticks at which the sixteenths begin, and steps at which the bars begin.

    ``ticks`` ``[S + 1]`` and ``bars`` ``[N + 1]``, both with the end. A bar has a whole number of
    steps and begins exactly at the score's bar line: where its metre holds no whole number of
    sixteenths, its steps are slightly shorter or longer.
    """

    ticks: NDArray[np.int64]
    bars: NDArray[np.int64]

    @classmethod
    def of(cls, score: Any, *, shifted: bool = True) -> Grid:
        """The grid of a score in any metre, also changing ones, up to its last note's end.

        Where all pitched notes are shifted against the file's sixteenths by one amount, the grid is
        shifted too (not without ``shifted``). Raises AudioTransferError for scores of more than
        `MOST_STEPS`.
        """
        sixteenth = score.tpq / 4
        everything = _spans(score.tracks)
        offset = grid_offset(score) if shifted else 0
        # A note that ends less than half a sixteenth after a bar line adds no bar.
        begun, over = everything.max(axis=0, initial=0)
        end = max(begun + 1, over - sixteenth / 2)
        lines, steps = _bar_lines(_metres(score, end), end - offset, sixteenth)
        return cls.of_bars(lines + offset, steps)

    @classmethod
    def of_bars(cls, lines: ArrayLike, steps: ArrayLike) -> Grid:
        """The grid of bars that begin at ticks ``lines`` ``[N + 1]`` and have ``steps`` ``[N]``."""
        bars = np.concatenate([[0], np.cumsum(np.asarray(steps, dtype=np.int64))])
        places = np.interp(np.arange(bars[-1] + 1), bars, np.asarray(lines, dtype=np.float64))
        return cls(np.rint(places).astype(np.int64), bars)

    @classmethod
    def of_beats(cls, score: Any, times: NDArray[np.float64], flags: NDArray[np.int64]) -> Grid:
        """The grid of annotated beats, four sixteenths each, whatever the score's metre.

        ``times`` (s) are the beats of a score; ``flags`` have bit 1 on downbeats. Beats before the
        first and after the last downbeat are left out. Raises AudioTransferError for fewer than two
        downbeats.
        """
        down = np.flatnonzero(np.asarray(flags) & _DOWNBEAT)
        if len(down) < 2:
            raise AudioTransferError("the beats of a score hold no bar; mark downbeats (bit 1)")
        first, last = down[0], down[-1]
        beats = _ticks_of(score, np.asarray(times)[first : last + 1])
        # Interpolated from beat to beat, since the beats of a performance are uneven.
        even = cls.of_bars(beats, np.full(last - first, _BEAT))
        return cls(even.ticks, (down - first) * _BEAT)

    @property
    def steps(self) -> int:
        """Number of sixteenths."""
        return len(self.ticks) - 1

    def holds(self, ticks: ArrayLike) -> NDArray[np.bool_]:
        """Mask of ticks inside the grid, which begins half a step before its first sixteenth."""
        places = np.asarray(ticks)
        first = 1.5 * self.ticks[0] - 0.5 * self.ticks[1]
        inside: NDArray[np.bool_] = (places >= first) & (places < self.ticks[-1])
        return inside

    def nearest(self, ticks: ArrayLike) -> NDArray[np.int64]:
        """Nearest step of each tick, 0 to ``steps`` (the end); the later one of two."""
        middles = (self.ticks[1:] + self.ticks[:-1]) / 2
        return np.searchsorted(middles, np.asarray(ticks), side="right")


def grid_offset(score: Any) -> int:
    """Ticks by which all pitched notes are shifted against the file's sixteenths, if clearly so.

    At most half a sixteenth, either way; 0 where there is no such shift.
    """
    sixteenth: float = score.tpq / 4
    pitched = _spans([track for track in score.tracks if not track.is_drum])
    return round(_offset(pitched[:, 0] / sixteenth) * sixteenth)


def _ticks_of(score: Any, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ticks of times (s), by the score's tempo changes."""
    changes = {0: 0.5 / score.tpq} | {t.time: t.mspq / 1e6 / score.tpq for t in score.tempos}
    ticks, rates = np.array(sorted(changes.items())).T
    at = np.concatenate([[0.0], np.cumsum(np.diff(ticks) * rates[:-1])])
    place = np.maximum(np.searchsorted(at, seconds, side="right") - 1, 0)
    found: NDArray[np.float64] = ticks[place] + (seconds - at[place]) / rates[place]
    return found


def _metres(score: Any, end: float) -> list[tuple[float, float]]:
    """Start tick of each metre and the length of its bars in ticks."""
    found = {0: 4.0 * score.tpq}
    for sign in score.time_signatures:
        if sign.numerator > 0 and sign.denominator > 0 and sign.time < end:
            found[sign.time] = 4.0 * score.tpq * sign.numerator / sign.denominator
    return sorted(found.items())


def _bar_lines(
    metres: Sequence[tuple[float, float]], end: float, sixteenth: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Bar lines ``[N + 1]`` in ticks, and the number of sixteenths of each bar ``[N]``."""
    lines: list[NDArray[Any]] = []
    for (start, length), after in zip(metres, [*metres[1:], None], strict=True):
        # A change of metre ends its bar; less than half a sixteenth before it is no bar.
        span = end - start if after is None else after[0] - start - sixteenth / 2
        count = max(1, int(np.ceil(span / length)))
        if (end - start) / sixteenth > MOST_STEPS or count > MOST_STEPS:
            raise AudioTransferError(
                f"the score is {end / sixteenth:.0f} sixteenths long, more than {MOST_STEPS}; "
                "cut it into pieces"
            )
        lines.append(start + length * np.arange(count))
    lines.append(lines[-1][-1:] + metres[-1][1])
    places = np.concatenate(lines)
    return places, np.maximum(1, np.rint(np.diff(places) / sixteenth)).astype(np.int64)


def _spans(tracks: Sequence[Any]) -> NDArray[np.float64]:
    """Start and end ticks of all notes: ``[N, 2]``."""
    notes = [track.notes.numpy() for track in tracks if len(track.notes)]
    spans = [np.stack([n["time"], n["time"] + n["duration"]], axis=1) for n in notes]
    return np.concatenate([np.zeros((0, 2)), *spans])


def _offset(onsets: NDArray[np.float64]) -> float:
    """Offset of the notes from the grid in sixteenths, -0.5 to 0.5; 0 unless it is clear.

    Swung notes lie on the grid in part, so they give no offset; nor do fewer than 16 notes.
    """
    if len(onsets) < _FEWEST:
        return 0.0
    offsets = np.arange(_OFFSETS) / _OFFSETS - 0.5
    away = [float(np.abs(part - np.rint(part)).mean()) for part in onsets - offsets[:, None]]
    best = int(np.argmin(away))
    return float(offsets[best]) if away[best] < _CLEARLY * away[_OFFSETS // 2] else 0.0
