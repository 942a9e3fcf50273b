"""From what a network wants to hear back to the notes of a score, one change after the other."""

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
_NEAR = 8  # steps from what is played, beyond which nothing is added
_STEPS_A_SEMITONE = 4  # a beat away is as far as a semitone away


def change_notes(
    notes: Table, grid: Grid, logits: NDArray[np.float32], strength: float = 1.0
) -> Table:
    """Notes ``[N, 5]`` (see `note_table`) as logits ``[C, S, 84]`` want them, as far as asked.

    The change is a list of edits: notes that go, notes that come, lengths that differ.
    ``strength`` is the share of each kind that is made, the surest first: 0 gives the notes as
    they are, 1 all that was wanted, and what 0.3 changes 0.6 changes too.

    What stays keeps its track, velocity, timing and, unless that is the edit, length. A new note
    goes to the track whose notes are nearest in pitch, with their velocity and in their swing;
    where nothing sounds within two beats none comes. Notes outside of MIDI 24 to 107 stay, and so
    do those that sound last: there are as many bars as there were.
    """
    inside = in_range(notes)
    own, passed = notes[inside], notes[~inside]
    cells = cells_of(own, grid)
    wanted = _Wanted.of(draw(cells, grid.steps), logits)
    if not len(own):
        return notes
    gone = _surest(wanted.gone, wanted.surety_gone, strength)
    came = _surest(wanted.came, wanted.surety_came, strength)
    resized = _surest(wanted.resized, wanted.surety_resized, strength)
    if not len(gone) + len(came) + len(resized):
        return notes
    keys = _keys(cells)
    changed, fresh = _resize(own, keys, grid, resized)
    stays = ~np.isin(keys, _keys(gone))
    added = _add(own, cells, wanted.before, grid, came)
    table = np.concatenate([changed[stays], added, passed])
    marks = np.concatenate([fresh[stays], np.ones(len(added), bool), np.zeros(len(passed), bool)])
    return _untangled(table, marks)


@dataclass(frozen=True)
class _Wanted:
    """The notes before, ``[N, 3]`` step, length, pitch, and all edits with how sure each is."""

    before: Table
    gone: Table
    surety_gone: NDArray[np.float64]
    came: Table
    surety_came: NDArray[np.float64]
    resized: Table
    surety_resized: NDArray[np.float64]

    @classmethod
    def of(cls, roll: NDArray[np.bool_], logits: NDArray[np.float32]) -> _Wanted:
        before, after = notes_of(roll), notes_of(decided(roll, logits))
        was, is_ = _keys(before), _keys(after)
        # A channel that says what sounds says where notes begin, too, if there is no other.
        begins = np.maximum(logits[ONSET], logits[-1])
        _, at_before, at_after = np.intersect1d(was, is_, return_indices=True)
        old, new = before[at_before, 1], after[at_after, 1]
        last = _last(before)
        differ = (old != new) & ~last[at_before]
        gone = before[~np.isin(was, is_) & ~last]
        came = after[~np.isin(is_, was) & ~_within(after, before[last])]
        resized = after[at_after][differ]
        # Mean logit, as far as it speaks for the edit, of the cells that are won or lost.
        level = np.concatenate([np.zeros((1, PITCHES)), np.cumsum(logits[-1], axis=0)])
        ends = [resized[:, 0] + length[differ] for length in (old, new)]
        columns = resized[:, 2] - LOWEST
        swing = level[ends[1], columns] - level[ends[0], columns]
        return cls(
            before,
            gone,
            -begins[gone[:, 0], gone[:, 2] - LOWEST].astype(np.float64),
            came,
            begins[came[:, 0], came[:, 2] - LOWEST].astype(np.float64),
            resized,
            swing / (ends[1] - ends[0]) * np.sign(ends[1] - ends[0]),
        )


def decided(roll: NDArray[np.bool_], logits: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The roll ``[2, S, 84]`` that logits ``[C, S, 84]`` want.

    Where they do not say which notes begin anew, those do that did before.
    """
    sound = logits[-1] > 0
    onset = logits[ONSET] > 0 if len(logits) == len(roll) else roll[ONSET] & sound
    return np.stack([onset, sound])


def _last(notes: Table) -> NDArray[np.bool_]:
    """Which notes sound to the end."""
    ends = notes[:, 0] + notes[:, 1]
    return ends == ends.max(initial=0)


def _within(notes: Table, others: Table) -> NDArray[np.bool_]:
    """Which notes begin while one of the others, all of which end together, sounds on the pitch."""
    same = notes[:, None, 2] == others[:, 2]
    return (same & (notes[:, None, 0] >= others[:, 0])).any(axis=1)


def _keys(cells: Table) -> Table:
    return cells[:, 0] * PITCHES + cells[:, 2] - LOWEST


def _surest(edits: Table, surety: NDArray[np.float64], share: float) -> Table:
    return edits[np.argsort(-surety, kind="stable")[: round(share * len(edits))]]


def _resize(own: Table, keys: Table, grid: Grid, resized: Table) -> tuple[Table, NDArray[np.bool_]]:
    """The notes with new lengths, and which they are. Ends stay as early or late as they were."""
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


def _add(own: Table, cells: Table, before: Table, grid: Grid, came: Table) -> Table:
    """New notes as rows, each beside the note before (``before``) that it is nearest to."""
    times = _played_times(own[:, 0], cells[:, 0], grid)
    keys, first = np.unique(_keys(cells), return_index=True)
    rows = own[first[np.searchsorted(keys, _keys(before))]]
    at_bar: dict[int, list[int]] = defaultdict(list)
    for index, (step, length, _) in enumerate(before.tolist()):
        for bar in range((step - _NEAR) // BAR, (step + length - 1 + _NEAR) // BAR + 1):
            at_bar[bar].append(index)
    found = []
    for bar in np.unique(came[:, 0] // BAR).tolist():
        near = before[at_bar[bar]]
        here = came[came[:, 0] // BAR == bar]
        if not len(near):
            continue
        # Steps from the new note's beginning to where the other one sounds.
        apart = np.maximum(near[:, 0] - here[:, :1], here[:, :1] - (near[:, 0] + near[:, 1] - 1))
        heard = apart.min(axis=1) <= _NEAR
        here, apart = here[heard], np.maximum(apart[heard], 0)
        cost = np.abs(near[:, 2] - here[:, 2:]) + apart / _STEPS_A_SEMITONE
        beside = rows[at_bar[bar]][cost.argmin(axis=1)]
        start, end = times[here[:, 0]], times[here[:, 0] + here[:, 1]]
        length = np.maximum(1, end - start)
        found.append(np.column_stack([start, length, here[:, 2], beside[:, 3:]]))
    return np.concatenate(found) if found else np.zeros((0, 5), dtype=np.int64)


def _played_times(ticks: Table, steps: Table, grid: Grid) -> Table:
    """When each step, ``[S + 1]`` with the end, is played: in ticks, by the notes that begin there.

    A step without notes is as late as its like in other beats: what swings goes on swinging.
    """
    places = np.arange(grid.steps + 1)
    in_bar = places - grid.bars[np.searchsorted(grid.bars, places, side="right") - 1]
    late = ticks - grid.ticks[steps]

    def mean(groups: Table, count: int) -> NDArray[np.float64]:
        total = np.bincount(groups, late, count)
        return total / np.maximum(np.bincount(groups, minlength=count), 1)

    usual = mean(in_bar[steps] % _BEAT, _BEAT)[in_bar % _BEAT]
    own = mean(steps, len(places))
    played = np.isin(places, steps)
    times = grid.ticks + np.rint(np.where(played, own, usual)).astype(np.int64)
    return np.maximum(times, 0)


def _untangled(table: Table, fresh: NDArray[np.bool_]) -> Table:
    """By start, then pitch; a note ends where the next begins on its pitch and track.

    Notes that were never changed may go on overlapping one another.
    """
    order = np.lexsort((~fresh, table[:, 0], table[:, 2], table[:, 4]))
    table, fresh = table[order].copy(), fresh[order]
    same = (table[:-1, 2] == table[1:, 2]) & (table[:-1, 4] == table[1:, 4])
    gap = table[1:, 0] - table[:-1, 0]
    clash = same & (gap < table[:-1, 1]) & (fresh[:-1] | fresh[1:])
    table[:-1][clash, 1] = gap[clash]
    # Two that begin together: the new one gives way.
    kept = np.ones(len(table), dtype=np.bool_)
    kept[:-1] = ~(clash & (gap == 0) & fresh[:-1])
    table = table[kept]
    return table[np.lexsort((table[:, 4], table[:, 2], table[:, 0]))]
