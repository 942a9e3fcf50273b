"""Beats and bars of a MIDI score: metre, changes, pickups and the tempo map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet.downbeats import SHIFTED, bar_lengths, beat_phase
from audiotransfer.leadsheet.leadsheet import Bar, interpolated
from audiotransfer.midi.grid import grid_offset

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

#: Longest song in bars.
MOST_BARS = 20_000
_DEFAULT_TEMPO = 500_000  # microseconds a quarter where the file has no tempo
_FEWEST_BEATS = 2  # a bar with fewer is a pickup, or no metre at all
_LONGEST_PICKUP = 2  # bars of one beat that are believed


@dataclass(frozen=True)
class Timeline:
    """The beats of a score in ticks and seconds ``[N + 1]``, with the end, and its bars."""

    ticks: NDArray[np.float64]
    seconds: NDArray[np.float64]
    bars: tuple[Bar, ...]

    def beats_of(self, ticks: ArrayLike) -> NDArray[np.float64]:
        """Places in beats of places in ticks; the first and last beat's length goes on outside."""
        return interpolated(ticks, self.ticks, np.arange(len(self.ticks)))


def seconds_of(score: Any, ticks: ArrayLike) -> NDArray[np.float64]:
    """Times in seconds of places in ticks, by the score's tempo changes."""
    changes = {0: _DEFAULT_TEMPO} | {t.time: t.mspq for t in score.tempos}
    starts, tempos = np.array(sorted(changes.items()), dtype=np.float64).T
    rates = tempos / 1e6 / score.tpq
    at = np.concatenate([[0.0], np.cumsum(np.diff(starts) * rates[:-1])])
    places = np.asarray(ticks, dtype=np.float64)
    index = np.maximum(np.searchsorted(starts, places, side="right") - 1, 0)
    seconds: NDArray[np.float64] = at[index] + (places - starts[index]) * rates[index]
    return seconds


def timeline_of(score: Any) -> Timeline:
    """The beats and bars of a score up to the end of its last note.

    Time signatures are taken as they are, except where bars of fewer than two beats go on, or the
    song's beats are clearly shifted against the file's: there beats and bars are estimated from
    harmony, bass and long notes (`beat_phase`, `bar_lengths`). Where all notes are shifted against
    the file's sixteenths by one amount, so are the beats. Raises AudioTransferError for scores
    without notes, or of more than `MOST_BARS` bars.
    """
    ends = [int((n["time"] + n["duration"]).max()) for n in _note_arrays(score)]
    if not ends:
        raise AudioTransferError("there are no notes in it; give a file with notes")
    offset = grid_offset(score)
    end = max(ends) - score.tpq / 8
    lines: list[tuple[float, Bar]] = []
    phase, odds = beat_phase(score, offset)
    spans = _spans(score, max(end - offset, 1.0))
    if odds > SHIFTED:
        spans = [(0.0, max(end - offset, 1.0), None)]
    for start, stop, metre in spans:
        if metre is None:
            lines += _estimated(score, start + phase * score.tpq / 4, stop, offset)
        else:
            lines += _regular(start, stop, metre, score.tpq)
        if len(lines) > MOST_BARS:
            raise AudioTransferError(
                f"the score has more than {MOST_BARS} bars; cut it into pieces"
            )
    return _timeline(score, lines, offset)


def _note_arrays(score: Any) -> list[dict[str, NDArray[np.int32]]]:
    return [track.notes.numpy() for track in score.tracks if len(track.notes)]


def _spans(score: Any, end: float) -> list[tuple[float, float, tuple[int, int] | None]]:
    """Start and end tick of each metre, and its signature; ``None`` where it is not believed."""
    signs = {0: (4, 4)}
    for sign in sorted(score.time_signatures, key=lambda sign: sign.time):
        if sign.numerator > 0 and sign.denominator > 0 and sign.time < end:
            signs[sign.time] = (sign.numerator, sign.denominator)
    spans: list[tuple[float, float, tuple[int, int] | None]] = []
    starts = sorted(signs)
    for start, stop in zip(starts, [*starts[1:], end], strict=True):
        metre = signs[start]
        long = stop - start > _LONGEST_PICKUP * 4 * score.tpq * metre[0] / metre[1]
        believed = Bar(0, *metre).beats >= _FEWEST_BEATS or not long
        spans.append((start, stop, metre if believed else None))
    return spans


def _regular(
    start: float, stop: float, metre: tuple[int, int], quarter: int
) -> list[tuple[float, Bar]]:
    """Bars of one metre; the last reaches beyond ``stop`` where the metre's change cuts it."""
    bar = Bar(0, *metre)
    length = bar.quarters * quarter
    # Less than half a sixteenth before a change of metre is no bar.
    count = max(1, int(np.ceil((stop - start - quarter / 8) / length)))
    return [(start + length * i, bar) for i in range(min(count, MOST_BARS + 1))]


def _estimated(score: Any, start: float, stop: float, offset: float) -> list[tuple[float, Bar]]:
    """Bars of quarters whose lengths are estimated."""
    quarter = score.tpq
    beats = max(1, int(np.ceil((stop - start - quarter / 8) / quarter)))
    if beats < _FEWEST_BEATS or beats > 4 * MOST_BARS:
        return _regular(start, stop, (4, 4), quarter)
    edges = start + offset + quarter * np.arange(beats + 1)
    places = np.concatenate([[0], np.cumsum(bar_lengths(score, edges))])
    return [
        (start + quarter * at, Bar(0, int(length), 4))
        for at, length in zip(places[:-1], np.diff(places), strict=True)
    ]


def _timeline(score: Any, lines: Sequence[tuple[float, Bar]], offset: float) -> Timeline:
    """Beats of bars that begin at ticks; a bar that a change of metre cuts keeps whole beats."""
    quarter = score.tpq
    starts = [start for start, _ in lines]
    ends = [*starts[1:], starts[-1] + lines[-1][1].quarters * quarter]
    bars: list[Bar] = []
    ticks: list[NDArray[np.float64]] = []
    total = 0
    for (start, bar), end in zip(lines, ends, strict=True):
        cut = _shortened(bar, (end - start) / quarter)
        bars.append(Bar(total, cut.numerator, cut.denominator))
        ticks.append(start + (end - start) * np.arange(cut.beats) / cut.beats)
        total += cut.beats
    places = np.concatenate([*ticks, [ends[-1]]]) + offset
    return Timeline(places, seconds_of(score, places), tuple(bars))


def _shortened(bar: Bar, quarters: float) -> Bar:
    """The bar, or as many of its beats as a length in quarters holds (at least one)."""
    if quarters > bar.quarters - 1e-6:
        return bar
    for denominator in (bar.denominator, 2 * bar.denominator, 4 * bar.denominator):
        count = quarters * denominator / 4
        if abs(count - round(count)) < 0.1 and count >= 1:
            return Bar(bar.beat, round(count), denominator)
    return Bar(bar.beat, max(1, round(quarters * bar.denominator / 4)), bar.denominator)
