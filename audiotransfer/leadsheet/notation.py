"""Voices of notation: notes and rests with written values, ties and tuplets, bar by bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.leadsheet.quantising import DIVISIONS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiotransfer.leadsheet.quantising import Unit

#: Divisions -> written value and dots.
VALUES = {
    3: ("64th", 0),
    6: ("32nd", 0),
    9: ("32nd", 1),
    12: ("16th", 0),
    18: ("16th", 1),
    24: ("eighth", 0),
    36: ("eighth", 1),
    48: ("quarter", 0),
    72: ("quarter", 1),
    96: ("half", 0),
    144: ("half", 1),
    192: ("whole", 0),
    288: ("whole", 1),
}
#: The same in triplets, three in the time of two.
TRIPLETS = {8: ("16th", 0), 16: ("eighth", 0), 32: ("quarter", 0)}
_EIGHTH = DIVISIONS // 2


@dataclass(frozen=True)
class Value:
    """A written note, chord or rest (no pitches) in divisions from its bar's start.

    ``tied`` says whether it goes on from the value before, and into the next one. ``tuplet`` is
    ``start``, ``stop``, ``inside`` or empty.
    """

    start: int
    length: int
    pitches: tuple[int, ...]
    tied: tuple[bool, bool] = (False, False)
    tuplet: str = ""

    @property
    def written(self) -> tuple[str, int]:
        """Name of the value and number of its dots."""
        return (TRIPLETS if self.tuplet else VALUES)[self.length]


def voice(
    table: NDArray[np.int64], units: Sequence[Unit], triplets: frozenset[int]
) -> list[list[Value]]:
    """The values of each bar of one voice; every bar is filled.

    ``table`` ``[N, 4]`` are notes as of `quantised`. Notes of one onset are a chord, which lasts as
    long as its longest note, at most up to the next onset.
    """
    events = _events(table)
    bars: list[list[Value]] = []
    index = 0
    while index < len(units):
        last = index
        while last + 1 < len(units) and units[last + 1].bar == units[index].bar:
            last += 1
        own = units[index : last + 1]
        inside = frozenset(i - index for i in triplets if index <= i <= last)
        bars.append(_bar(events, own, inside))
        index = last + 1
    return bars


def _events(table: NDArray[np.int64]) -> list[tuple[int, int, tuple[int, ...]]]:
    """Start, end and pitches of the chords of a voice, none overlapping the next."""
    onsets, first = np.unique(table[:, 0], return_index=True)
    bounds = [*first.tolist(), len(table)]
    events = []
    for number, start in enumerate(onsets.tolist()):
        own = table[bounds[number] : bounds[number + 1]]
        end = int(own[:, 1].max())
        if number + 1 < len(onsets):
            end = min(end, int(onsets[number + 1]))
        events.append((start, end, tuple(sorted(set(own[:, 2].tolist())))))
    return events


def _bar(
    events: Sequence[tuple[int, int, tuple[int, ...]]],
    units: Sequence[Unit],
    triplets: frozenset[int],
) -> list[Value]:
    """Values of one bar: notes, and rests between them."""
    begin, finish = units[0].start, units[-1].start + units[-1].length
    spans: list[tuple[int, int, tuple[int, ...], bool, bool]] = []
    at = begin
    for start, end, pitches in events:
        if end <= begin or start >= finish:
            continue
        low, high = max(start, begin), min(end, finish)
        if low > at:
            spans.append((at, low, (), False, False))
        spans.append((low, high, pitches, start < begin, end > finish))
        at = high
    if at < finish:
        spans.append((at, finish, (), False, False))
    values: list[Value] = []
    for low, high, pitches, before, after in spans:
        pieces = _pieces(low, high, units, triplets)
        for number, (start, length, tuplet) in enumerate(pieces):
            tied = bool(pitches) and (number > 0 or before)
            goes_on = bool(pitches) and (number < len(pieces) - 1 or after)
            mark = "inside" if tuplet else ""
            values.append(Value(start - begin, length, pitches, (tied, goes_on), mark))
    return _bracketed(values, units, triplets, begin)


def _pieces(
    start: int, end: int, units: Sequence[Unit], triplets: frozenset[int]
) -> list[tuple[int, int, bool]]:
    """A span cut into written values that show the beats: start, length, whether in a triplet."""
    pieces: list[tuple[int, int, bool]] = []
    at = start
    while at < end:
        index = max(i for i, unit in enumerate(units) if unit.start <= at)
        unit = units[index]
        whole = at == unit.start and end >= unit.start + unit.length
        if index in triplets and not whole:
            limit = min(end, unit.start + unit.length) - at
            length = max((value for value in TRIPLETS if value <= limit), default=limit)
            pieces.append((at, length, True))
        else:
            length = _length(at, end, index, units, triplets)
            pieces.append((at, length, False))
        at += length
    return pieces


def _length(at: int, end: int, index: int, units: Sequence[Unit], triplets: frozenset[int]) -> int:
    """The longest value from a place on that keeps the beats visible."""
    begin = units[0].start
    finish = units[-1].start + units[-1].length
    middle = begin + (finish - begin) // 2 if len(units) in (4, 8) else -1
    boundaries = {unit.start for unit in units} | {finish}
    broken = {
        place
        for i in triplets
        for place in range(units[i].start + 1, units[i].start + units[i].length)
    }
    unit = units[index]
    best = 0
    for value in VALUES:
        until = at + value
        if until > end or until in broken:
            continue
        inside = until <= unit.start + unit.length
        if inside:
            best = value
        elif at == unit.start:
            # Whole units; or one and a half, from a strong beat on.
            strong = middle < 0 or not at < middle < until
            half = unit.length == DIVISIONS and value == 3 * _EIGHTH and strong
            open_ = strong or at == begin or until == finish or value == 2 * DIVISIONS
            if half or (until in boundaries and open_):
                best = value
        # A syncopated quarter, not over the middle of the bar.
        elif (
            at == unit.start + _EIGHTH
            and unit.length == DIVISIONS
            and value == DIVISIONS
            and not at < middle < until
            and index not in triplets
        ):
            best = value
    return best or min(end - at, unit.start + unit.length - at)


def _bracketed(
    values: Sequence[Value], units: Sequence[Unit], triplets: frozenset[int], begin: int
) -> list[Value]:
    """Values whose first and last in each triplet unit begin and end its bracket."""
    marked = list(values)
    for index in triplets:
        unit = units[index]
        low, high = unit.start - begin, unit.start + unit.length - begin
        own = [i for i, v in enumerate(marked) if v.tuplet and low <= v.start < high]
        for place, name in ((own[:1], "start"), (own[-1:], "stop")):
            for i in place:
                v = marked[i]
                marked[i] = Value(v.start, v.length, v.pitches, v.tied, name)
    return marked
