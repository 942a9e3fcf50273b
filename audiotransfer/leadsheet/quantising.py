"""Notes in beats quantised to the note values of notation: binary or triplets, swing undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiotransfer.leadsheet.leadsheet import Bar

#: Divisions of a quarter note: sixty-fourths and sixteenth triplets are whole.
DIVISIONS = 48
# Steps that may divide a unit of a length, and what each costs: finer ones need clear evidence.
_QUARTER = ((24, 0.0), (12, 0.5), (16, 1.0), (6, 3.0), (8, 3.0))
_STEPS = {
    DIVISIONS: _QUARTER,
    72: ((24, 0.0), (12, 0.5), (6, 3.0)),
    36: ((12, 0.0), (6, 1.0)),
    24: ((24, 0.0), (12, 0.2), (8, 1.5), (6, 2.0)),
}
_TRIPLETS = (8, 16)
_EIGHTH_TRIPLET = 16
_RARE = 2.0  # what steps below an eighth triplet cost in fast music
_DEVIATION = 0.09  # of a quarter: the usual distance of a played note from its place
_SWUNG = (0.55, 0.78)  # phases of swung eighths in the beat
_THIRD = (0.25, 0.42)  # phases of the second of three triplets
_FEWEST = 8  # off-beat notes from which swing is recognised
_MOSTLY = 0.6
_LEGATO = 0.4  # of a quarter: shorter rests before the next note are not written
_HELD = 0.55  # share of the time to the next note from which a note lasts up to it


@dataclass(frozen=True)
class Unit:
    """What one divides: a quarter, of compound metres a dotted quarter, of others at most a beat.

    ``start`` is a place in divisions from the start of the song, ``bar`` the bar's index.
    """

    start: int
    length: int
    bar: int
    beat: float
    beats: float


def units_of(bars: Sequence[Bar]) -> list[Unit]:
    """The units of all bars, in order."""
    units: list[Unit] = []
    at = 0
    for index, bar in enumerate(bars):
        beat = round(bar.quarters * DIVISIONS / bar.beats)
        parts = max(1, beat // DIVISIONS) if bar.division == 2 else 1
        for number in range(bar.beats * parts):
            place = bar.beat + number / parts
            units.append(Unit(at, beat // parts, index, place, 1 / parts))
            at += beat // parts
    return units


def swing_phase(beats: NDArray[np.float64]) -> float | None:
    """The place of swung eighths in the beat (0.5 is straight), as the median of onsets ``[N]``.

    ``None`` where most off-beat notes are straight, or the beat is mostly divided in three.
    """
    phase = beats % 1
    off = phase[(phase > 0.42) & (phase < 0.85)]
    swung = off[(off > _SWUNG[0]) & (off < _SWUNG[1])]
    thirds = ((phase > _THIRD[0]) & (phase < _THIRD[1])).sum()
    if len(off) < _FEWEST or len(swung) < _MOSTLY * len(off) or thirds > 0.5 * len(swung):
        return None
    return float(np.median(swung))


def is_straight(beats: NDArray[np.float64]) -> bool:
    """Whether onsets ``[N]`` between the beats lie mostly in the middle."""
    phase = beats % 1
    off = phase[(phase > 0.42) & (phase < 0.85)]
    return len(off) > 0 and bool((np.abs(off - 0.5) < 0.03).mean() > 0.5)


def quantised(
    notes: NDArray[np.float64],
    units: Sequence[Unit],
    swing: float | None = None,
    fast: bool = False,
) -> tuple[NDArray[np.int64], frozenset[int]]:
    """Notes ``[M, 4]`` in divisions of the song (start, end, pitch, velocity), and the indices of
    units that are divided in triplets.

    ``notes`` ``[N, 4]`` are start and end in beats, pitch and velocity; those outside the song are
    left out. ``swing`` is the phase of swung eighths, which become plain ones. Of ``fast`` music
    sixteenths are written only where eighths and triplets clearly do not fit.
    """
    edges = np.array([unit.beat for unit in units])
    end = edges[-1] + units[-1].beats
    kept = notes[(notes[:, 0] < end - 0.1) & (notes[:, 0] > -0.5)]
    kept = kept[np.lexsort((kept[:, 2], kept[:, 0]))]
    places = np.stack([_places(kept[:, column], edges, units) for column in (0, 1)], axis=1)
    steps = np.array([_coarsest(unit) for unit in units])
    triplets: set[int] = set()
    own = np.floor(places[:, 0] + 0.04).astype(int)  # slightly early notes belong to the next unit
    for index in np.unique(np.clip(own, 0, len(units) - 1)).tolist():
        inside = own == index
        phases = places[inside, 0] - index
        unit = units[index]
        plain = swing is not None and unit.length == DIVISIONS and not _three(phases)
        if swing is not None and plain:
            places[inside, 0] = index + _straight(phases, swing)
            phases = places[inside, 0] - index
        steps[index] = _step(phases, unit, fast, triplets=not plain)
        if steps[index] in _TRIPLETS:
            triplets.add(index)
    if swing is not None:
        whole = np.floor(places[:, 1])
        places[:, 1] = whole + _straight(places[:, 1] - whole, swing)
    starts, ends = (_rounded(places[:, column], units, steps) for column in (0, 1))
    table = np.column_stack([starts, ends, kept[:, 2:]]).astype(np.int64)
    return _legato(table, units, steps), frozenset(triplets)


def _places(
    beats: NDArray[np.float64], edges: NDArray[np.float64], units: Sequence[Unit]
) -> NDArray[np.float64]:
    """Places in units of places in beats, inside the song."""
    index = np.clip(np.searchsorted(edges, beats, side="right") - 1, 0, len(units) - 1)
    length = np.array([unit.beats for unit in units])[index]
    places: NDArray[np.float64] = np.clip(index + (beats - edges[index]) / length, 0, len(units))
    return places


def _coarsest(unit: Unit) -> int:
    return _STEPS[unit.length][0][0] if unit.length in _STEPS else unit.length


def _three(phases: NDArray[np.float64]) -> bool:
    """Whether a beat holds both later notes of a triplet."""
    second = ((phases > _THIRD[0]) & (phases < _THIRD[1])).any()
    third = ((phases > _SWUNG[0]) & (phases < _SWUNG[1])).any()
    return bool(second and third)


def _straight(phases: NDArray[np.float64], swing: float) -> NDArray[np.float64]:
    """Phases where the swung eighth comes to 0.5, piecewise linear."""
    straight: NDArray[np.float64] = np.interp(phases, [-1, 0, swing, 1, 2], [-1, 0, 0.5, 1, 2])
    return straight


def _step(phases: NDArray[np.float64], unit: Unit, fast: bool, triplets: bool) -> int:
    """The division of a unit with the least sum of deviations and its own cost."""
    distinct = phases[np.concatenate([[True], np.diff(phases) > 0.06])] * unit.length
    costs = {}
    for step, cost in _STEPS.get(unit.length, ((unit.length, 0.0),)):
        if step in _TRIPLETS and not triplets:
            continue
        near = np.rint(distinct / step)
        away = np.abs(distinct - near * step) / (_DEVIATION * DIVISIONS)
        lost = len(near) - len(np.unique(near))
        rare = _RARE if fast and step < _EIGHTH_TRIPLET else 0.0
        costs[step] = cost + rare + float((np.minimum(away, 3) ** 2).sum()) + 4.0 * lost
    return min(costs, key=lambda step: costs[step])


def _rounded(
    places: NDArray[np.float64], units: Sequence[Unit], steps: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Places in units rounded to the steps of their unit, in divisions of the song."""
    index = np.clip(np.floor(places + 0.04).astype(int), 0, len(units) - 1)
    starts = np.array([unit.start for unit in units])[index]
    lengths = np.array([unit.length for unit in units])[index]
    inside = (places - index) * lengths
    near = np.clip(np.rint(inside / steps[index]) * steps[index], 0, lengths)
    rounded: NDArray[np.int64] = (starts + near).astype(np.int64)
    return rounded


def _legato(
    table: NDArray[np.int64], units: Sequence[Unit], steps: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Notes that last at least a step, and up to the next onset where little is missing."""
    if not len(table):
        return table
    edges = np.array([unit.start for unit in units])
    total = units[-1].start + units[-1].length
    table = table[table[:, 0] < total]
    onsets = np.unique(table[:, 0])
    following = np.append(onsets, total)[np.searchsorted(onsets, table[:, 0], side="right")]
    index = np.searchsorted(edges, table[:, 0], side="right") - 1
    end = np.maximum(table[:, 1], table[:, 0] + steps[index])
    gap, time = following - end, following - table[:, 0]
    near = (gap > 0) & (gap < _LEGATO * DIVISIONS)
    held = (gap > 0) & (end - table[:, 0] >= _HELD * time) & (time <= 2 * DIVISIONS)
    table = table.copy()
    table[:, 1] = np.minimum(np.where(near | held, following, end), total)
    order = np.lexsort((table[:, 2], table[:, 0]))
    return table[order]
