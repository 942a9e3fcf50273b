"""Edits of notes: from a network's logits to notes that are removed, added or resized."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.midi.piano_rolls import (
    BAR,
    LOWEST,
    ONSET,
    PITCHES,
    cells_of,
    draw,
    in_range,
    notes_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiotransfer.midi.grid import Grid

    Table = NDArray[np.int64]

_BEAT = 4  # sixteenths
_NEAR = 8  # steps from sounding notes, beyond which no note is added
_STEPS_A_SEMITONE = 4  # of distance in time, as far as a semitone of pitch


def change_notes(
    notes: Table, grid: Grid, logits: NDArray[np.float32], strength: float = 1.0
) -> Table:
    """Applies a network's logits ``[C, S, 84]`` to notes ``[N, 5]`` (see `note_table`).

    The difference is a list of edits: notes to remove, to add, to resize. ``strength`` is the share
    of each kind that is applied, those with the largest logits first: 0 changes nothing, 1 applies
    all, and the edits at 0.3 are among those at 0.6.

    Other notes keep track, velocity, timing and length. A new note gets the track and velocity of
    the note nearest in pitch and time, and its timing; none is added where nothing sounds within
    two beats. Notes outside MIDI 24 to 107 and those that sound last are not changed, so that the
    number of bars stays.
    """
    inside = in_range(notes)
    own, outside = notes[inside], notes[~inside]
    cells = cells_of(own, grid)
    edits = _Edits.of(draw(cells, grid.steps), logits)
    if not len(own):
        return notes
    removed = _most_confident(edits.removed, edits.removed_confidence, strength)
    added = _most_confident(edits.added, edits.added_confidence, strength)
    resized = _most_confident(edits.resized, edits.resized_confidence, strength)
    if not len(removed) + len(added) + len(resized):
        return notes
    keys = _keys(cells)
    changed, fresh = _resize(own, keys, grid, resized)
    remaining = ~np.isin(keys, _keys(removed))
    added_rows = _add(own, cells, edits.before, grid, added)
    table = np.concatenate([changed[remaining], added_rows, outside])
    marks = np.concatenate(
        [fresh[remaining], np.ones(len(added_rows), bool), np.zeros(len(outside), bool)]
    )
    return without_overlaps(table, marks)


@dataclass(frozen=True)
class _Edits:
    """The original notes ``[N, 3]`` (step, length, pitch), and all edits with their logits."""

    before: Table
    removed: Table
    removed_confidence: NDArray[np.float64]
    added: Table
    added_confidence: NDArray[np.float64]
    resized: Table
    resized_confidence: NDArray[np.float64]

    @classmethod
    def of(cls, roll: NDArray[np.bool_], logits: NDArray[np.float32]) -> _Edits:
        before, after = notes_of(roll), notes_of(roll_of_logits(roll, logits))
        was, is_ = _keys(before), _keys(after)
        # With one channel its logits stand for onsets, too.
        begins = np.maximum(logits[ONSET], logits[-1])
        _, at_before, at_after = np.intersect1d(was, is_, return_indices=True)
        old, new = before[at_before, 1], after[at_after, 1]
        last = _last(before)
        differ = (old != new) & ~last[at_before]
        removed = before[~np.isin(was, is_) & ~last]
        added = after[~np.isin(is_, was) & ~_within(after, before[last])]
        resized = after[at_after][differ]
        # Mean logit of the added cells, or minus that of the removed ones.
        level = np.concatenate([np.zeros((1, PITCHES)), np.cumsum(logits[-1], axis=0)])
        ends = [resized[:, 0] + length[differ] for length in (old, new)]
        columns = resized[:, 2] - LOWEST
        swing = level[ends[1], columns] - level[ends[0], columns]
        return cls(
            before,
            removed,
            -begins[removed[:, 0], removed[:, 2] - LOWEST].astype(np.float64),
            added,
            begins[added[:, 0], added[:, 2] - LOWEST].astype(np.float64),
            resized,
            swing / (ends[1] - ends[0]) * np.sign(ends[1] - ends[0]),
        )


def roll_of_logits(roll: NDArray[np.bool_], logits: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The roll ``[2, S, 84]`` of logits ``[C, S, 84]``.

    Without a channel of onsets these are the original ones.
    """
    sound = logits[-1] > 0
    onset = logits[ONSET] > 0 if len(logits) == len(roll) else roll[ONSET] & sound
    return np.stack([onset, sound])


def _last(notes: Table) -> NDArray[np.bool_]:
    """Mask ``[N]`` of the notes that end last."""
    ends = notes[:, 0] + notes[:, 1]
    last: NDArray[np.bool_] = ends == ends.max(initial=0)
    return last


def _within(notes: Table, others: Table) -> NDArray[np.bool_]:
    """Mask of notes that begin during one of ``others`` of the same pitch, which all end last."""
    same = notes[:, None, 2] == others[:, 2]
    within: NDArray[np.bool_] = (same & (notes[:, None, 0] >= others[:, 0])).any(axis=1)
    return within


def _keys(cells: Table) -> Table:
    return cells[:, 0] * PITCHES + cells[:, 2] - LOWEST


def _most_confident(edits: Table, confidence: NDArray[np.float64], share: float) -> Table:
    return edits[np.argsort(-confidence, kind="stable")[: round(share * len(edits))]]


def _resize(own: Table, keys: Table, grid: Grid, resized: Table) -> tuple[Table, NDArray[np.bool_]]:
    """The notes with new lengths, and which they are; ends keep their offset from the grid."""
    changed = own.copy()
    order = np.argsort(_keys(resized))
    sought = _keys(resized)[order]
    place = np.minimum(np.searchsorted(sought, keys), max(0, len(sought) - 1))
    fresh = sought[place] == keys if len(sought) else np.zeros(len(own), dtype=np.bool_)
    cells = resized[order][place[fresh]]
    ends = own[fresh, 0] + own[fresh, 1]
    late = ends - grid.ticks[grid.nearest(ends)]
    moved = grid.ticks[cells[:, 0] + cells[:, 1]] + late
    changed[fresh, 1] = np.maximum(1, moved - own[fresh, 0])
    return changed, fresh


def _add(own: Table, cells: Table, before: Table, grid: Grid, added: Table) -> Table:
    """New notes as rows, each with track and velocity of the nearest of the notes ``before``."""
    times = _played_times(own[:, 0], cells[:, 0], grid)
    keys, first = np.unique(_keys(cells), return_index=True)
    rows = own[first[np.searchsorted(keys, _keys(before))]]
    at_bar: dict[int, list[int]] = defaultdict(list)
    for index, (step, length, _) in enumerate(before.tolist()):
        for bar in range((step - _NEAR) // BAR, (step + length - 1 + _NEAR) // BAR + 1):
            at_bar[bar].append(index)
    found = []
    for bar in np.unique(added[:, 0] // BAR).tolist():
        near = before[at_bar[bar]]
        here = added[added[:, 0] // BAR == bar]
        if not len(near):
            continue
        # Steps between the new note's onset and the other note.
        apart = np.maximum(near[:, 0] - here[:, :1], here[:, :1] - (near[:, 0] + near[:, 1] - 1))
        close = apart.min(axis=1) <= _NEAR
        here, apart = here[close], np.maximum(apart[close], 0)
        cost = np.abs(near[:, 2] - here[:, 2:]) + apart / _STEPS_A_SEMITONE
        beside = rows[at_bar[bar]][cost.argmin(axis=1)]
        start, end = times[here[:, 0]], times[here[:, 0] + here[:, 1]]
        length = np.maximum(1, end - start)
        found.append(np.column_stack([start, length, here[:, 2], beside[:, 3:]]))
    return np.concatenate(found) if found else np.zeros((0, 5), dtype=np.int64)


def _played_times(ticks: Table, steps: Table, grid: Grid) -> Table:
    """Time of each step in ticks, ``[S + 1]`` with the end: the mean onset of its notes.

    A step without notes has the mean offset of the same sixteenth in other beats: swing is kept.
    """
    places = np.arange(grid.steps + 1)
    in_bar = places - grid.bars[np.searchsorted(grid.bars, places, side="right") - 1]
    late = ticks - grid.ticks[steps]

    def mean(groups: Table, count: int) -> NDArray[np.float64]:
        total = np.bincount(groups, late, count)
        return total / np.maximum(np.bincount(groups, minlength=count), 1)

    usual = mean(in_bar[steps] % _BEAT, _BEAT)[in_bar % _BEAT]
    own = mean(steps, len(places))
    has_notes = np.isin(places, steps)
    times = grid.ticks + np.rint(np.where(has_notes, own, usual)).astype(np.int64)
    return np.maximum(times, 0)


def without_overlaps(table: Table, fresh: NDArray[np.bool_]) -> Table:
    """Sorts by start, then pitch; ends a note where the next of its pitch and track begins.

    Overlaps of two unchanged notes stay.
    """
    order = np.lexsort((~fresh, table[:, 0], table[:, 2], table[:, 4]))
    table, fresh = table[order].copy(), fresh[order]
    same = (table[:-1, 2] == table[1:, 2]) & (table[:-1, 4] == table[1:, 4])
    gap = table[1:, 0] - table[:-1, 0]
    clash = same & (gap < table[:-1, 1]) & (fresh[:-1] | fresh[1:])
    table[:-1][clash, 1] = gap[clash]
    # Of two with the same onset the new one is dropped.
    kept = np.ones(len(table), dtype=np.bool_)
    kept[:-1] = ~(clash & (gap == 0) & fresh[:-1])
    table = table[kept]
    return table[np.lexsort((table[:, 4], table[:, 2], table[:, 0]))]
