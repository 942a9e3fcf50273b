"""Drum notes of a score played by hand: in any metre, each hit where it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch import Generator

from audiotransfer.symbolic.drums.drummer import WIDEST, Drummer
from audiotransfer.symbolic.drums.tables import KEY, LENGTH, TIME, TRACK, VELOCITY, Placed

if TYPE_CHECKING:
    from audiotransfer.symbolic.drums.tables import Table
    from audiotransfer.symbolic.grid import Grid

_ON_GRID = 0.25  # of a sixteenth


def humanised(
    notes: Table, grid: Grid, drummer: Drummer, temperature: float, generator: Generator
) -> Table:
    """Drum notes [N, 5] (see `note_table`) with the velocities and the timing of a drummer.

    The rows stay in order: the same keys, as many, each nearest to the sixteenth that it was
    nearest to. Notes that are written between the sixteenths (triplets, thirty-seconds) keep their
    time; several for one drum on one sixteenth move together and keep their balance. What is no
    percussion stays as it is.
    """
    placed = Placed.of(notes, grid)
    felt = drummer.humanise(placed.beat, temperature, generator)
    known = np.flatnonzero(placed.leaders >= 0)
    leads = placed.leaders[known]
    steps, offsets = placed.cells.steps[known], placed.cells.offsets
    where = (placed.places[steps], placed.cells.drums[known])
    made = notes.copy()

    louder = felt.velocities[where] * 127 / np.maximum(1, notes[leads, VELOCITY])
    made[known, VELOCITY] = np.clip(np.round(notes[known, VELOCITY] * louder), 1, 127)

    moved = np.clip(offsets[known] + felt.offsets[where] - offsets[leads], -WIDEST, WIDEST)
    late = np.where(np.abs(offsets[leads]) <= _ON_GRID, moved - offsets[known], 0.0)
    ticks = notes[known, TIME] + np.round(late * np.diff(grid.ticks)[steps]).astype(np.int64)
    made[known, TIME] = np.clip(ticks, 0, grid.ticks[-1] - 1)
    return _let_go(notes, made)


def _let_go(before: Table, made: Table) -> Table:
    """Shortens what would sound into the next note of its key and track, but did not before."""
    order = np.lexsort((before[:, TIME], before[:, KEY], before[:, TRACK]))
    this, after = order[:-1], order[1:]
    same = (before[this][:, [KEY, TRACK]] == before[after][:, [KEY, TRACK]]).all(1)
    apart = before[this, TIME] + before[this, LENGTH] <= before[after, TIME]
    this, after = this[same & apart], after[same & apart]
    room = made[after, TIME] - made[this, TIME]
    made[this, LENGTH] = np.clip(made[this, LENGTH], 1, np.maximum(1, room))
    return made
