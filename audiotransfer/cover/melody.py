"""The lead's notes in beats: put on a grid, with eighths straight so that they can be swung."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from audiotransfer.leadsheet import LeadSheet, Note

#: Grids of a beat and what each costs, in squared beats a note: the coarser of two that fit wins.
_GRIDS = (((0.0, 0.5), 0.0), ((0.0, 1 / 3, 2 / 3), 0.004), ((0.0, 0.25, 0.5, 0.75), 0.005))
_COMPOUND = (((0.0, 1 / 3, 2 / 3), 0.0), (tuple(i / 6 for i in range(6)), 0.004))
_EARLY = 0.1  # an onset this far before a beat belongs to it
_FAR = 0.13  # beats: what is further from its grid than this stays where it is
_CHORD = 0.03  # beats: what starts nearer together is one chord
_QUICK = 0.1  # beats that a grace note stands before its note at most
_SWUNG_SHARE = 0.6  # of the off-beats that must lie in the swung place to call a melody swung
_SWUNG = (0.58, 0.72)  # the swung place in the beat
_ENOUGH = 100  # notes from which it is asked whether they follow the beats
_TOGETHER = 0.2  # length of the mean phase; of 100 random places it is .09 on average
_FEWEST = 8  # off-beats that are needed to say so


def notes_in_beats(sheet: LeadSheet, notes: Sequence[Note]) -> NDArray[np.float64]:
    """Notes ``[N, 4]``: place and length in beats, pitch, velocity; sorted by place, then pitch."""
    if not notes:
        return np.empty((0, 4))
    start = np.array([note.start for note in notes])
    end = start + [note.duration for note in notes]
    place = sheet.beat_at(start)
    pitch, velocity = np.array([(n.pitch, n.velocity) for n in notes], dtype=np.float64).T
    table = np.stack([place, sheet.beat_at(end) - place, pitch, velocity], axis=1)
    return table[np.lexsort((table[:, 2], table[:, 0]))]


def divisions(sheet: LeadSheet) -> NDArray[np.int64]:
    """The division (2 or 3) of the bar of each beat ``[N]``."""
    return np.repeat(
        [bar.division for bar in sheet.bars], [bar.beats for bar in sheet.bars]
    ).astype(np.int64)


def sung_notes(sheet: LeadSheet, places: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether somebody sings at places in beats ``[N]``."""
    seconds = sheet.time_at(places) + 1e-3
    spans = np.asarray(sheet.sung, dtype=np.float64).reshape(-1, 1, 2)
    inside: NDArray[np.bool_] = np.any((seconds >= spans[..., 0]) & (seconds < spans[..., 1]), 0)
    return inside


def is_swung(notes: NDArray[np.float64]) -> bool:
    """Whether the off-beats of notes ``[N, 4]`` in beats lie in the swung place already."""
    fraction = notes[:, 0] % 1.0
    swung = int(np.sum((fraction >= _SWUNG[0]) & (fraction <= _SWUNG[1])))
    triplets = int(np.sum(abs(fraction - 1 / 3) < 0.06))
    straight = int(np.sum(abs(fraction - 0.5) < 0.06))
    # A triplet has both its inner notes; only what is left over is a swung eighth.
    swung -= triplets
    return swung >= _FEWEST and swung >= _SWUNG_SHARE * (swung + straight)


def follows_beats(sheet: LeadSheet) -> bool:
    """Whether notes begin on parts of beats more often than by chance; true for few notes."""
    place = notes_in_beats(sheet, (*sheet.melody, *sheet.others, *sheet.bass))[:, 0]
    if len(place) < _ENOUGH:
        return True
    # How far the phases of sixteenths, or of triplets, point the same way.
    together = [abs(np.mean(np.exp(2j * np.pi * parts * place))) for parts in (2, 3, 4)]
    return bool(max(together) > _TOGETHER)


def share_of_sixteenths(sheet: LeadSheet) -> float:
    """Share of the beats in which melody notes begin off the beat that have sixteenths."""
    place = notes_in_beats(sheet, sheet.melody)[:, 0]
    beat, fraction = np.floor(place), place % 1.0
    inner = (fraction > 0.15) & (fraction < 0.85)
    # Of dotted eighths and sixteenths the latter are swung eighths.
    sixteenth = (abs(fraction - 0.25) < 0.07) | (abs(fraction - 0.75) < 0.07)
    divided, with_sixteenths = np.unique(beat[inner]), np.unique(beat[sixteenth & inner])
    return len(with_sixteenths) / max(len(divided), 1)


def quantised(
    sheet: LeadSheet,
    notes: NDArray[np.float64],
    *,
    swung: bool,
    sung: bool = False,
    dotted: bool = True,
) -> NDArray[np.float64]:
    """Melody notes ``[N, 4]`` on the grid of their beats, whose eighths are straight.

    Each beat takes the grid of eighths, triplets or sixteenths that fits its onsets best. With
    ``swung``, off-beats of an already swung melody become straight eighths, and with ``dotted`` so
    do lone dotted ones (.75 of the beat without a sixteenth beside it), since `timing` swings
    eighths only. With ``sung``, notes in sung spans keep their own timing. Ends of notes stay.
    """
    if not len(notes):
        return notes
    notes = notes.copy()
    place, end = notes[:, 0].copy(), notes[:, 0] + notes[:, 1]
    free = sung_notes(sheet, place) if sung else np.zeros(len(notes), dtype=bool)
    already = swung and is_swung(notes[~free])
    division = divisions(sheet)
    beat = np.floor(place + _EARLY).astype(np.int64)
    for index in np.unique(beat[~free]):
        members = np.flatnonzero((beat == index) & ~free)
        compound = division[min(max(index, 0), len(division) - 1)] == 3
        fraction = place[members] - index
        grid = _on_grid(fraction, _COMPOUND if compound else _GRIDS)
        if swung and not compound:
            grid = _straight(grid, already, dotted)
        notes[members, 0] = index + grid
    notes[:, 0] = _apart(place, notes[:, 0])
    order = np.lexsort((notes[:, 2], notes[:, 0]))
    notes, end = notes[order], end[order]
    notes[:, 1] = np.maximum(end - notes[:, 0], 0.1)
    return notes


def _on_grid(
    fraction: NDArray[np.float64], grids: Sequence[tuple[tuple[float, ...], float]]
) -> NDArray[np.float64]:
    """Places within a beat ``[n]`` on the cheapest grid; unchanged where none fits."""
    onsets = np.unique(np.round(fraction, 3))
    best, lowest = fraction, np.inf
    for grid, cost in grids:
        points = np.array([*grid, 1.0])
        nearest = np.argmin(abs(onsets[:, None] - points), axis=1)
        far = abs(onsets - points[nearest])
        # Onsets 10 ms apart are one chord, others must not fall together.
        together = np.any((np.diff(nearest) == 0) & (np.diff(onsets) > 0.08))
        total = float(np.sum(far**2 + cost))
        if not together and total < lowest:
            lowest = total
            points_of = points[np.argmin(abs(fraction[:, None] - points), axis=1)]
            best = np.where(abs(fraction - points_of) < _FAR, points_of, fraction)
    return best


def _apart(place: NDArray[np.float64], grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places on the grid ``[N]``, with quick notes that fell onto the next one before it again.

    ``place`` are the notes' own places, sorted.
    """
    grid = grid.copy()
    for index in range(len(grid) - 2, -1, -1):
        before = place[index + 1] - place[index]
        if before > _CHORD and grid[index] > grid[index + 1] - 0.02:
            grid[index] = grid[index + 1] - min(before, _QUICK)
    return grid


def _straight(grid: NDArray[np.float64], already: bool, dotted: bool) -> NDArray[np.float64]:
    """Swung and dotted off-beats of one beat as straight eighths; all else unchanged."""
    inner = {round(float(value) * 12) for value in grid if 0.05 < value < 0.95}
    if dotted and inner == {9}:
        return np.where(abs(grid - 0.75) < 0.01, 0.5, grid)
    if already and inner == {8}:
        return np.where(abs(grid - 2 / 3) < 0.01, 0.5, grid)
    return grid
