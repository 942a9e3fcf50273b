"""Drum notes of a score of any metre as a beat of whole bars, and which note is which hit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.symbolic.drums.beats import BAR, Beat, Cells, beat_of, loudest
from audiotransfer.symbolic.drums.kit import DRUMS, NONE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiotransfer.symbolic.grid import Grid

    Table = NDArray[np.int64]

TIME, LENGTH, KEY, VELOCITY, TRACK = range(5)
"""Columns of a table of notes (see `note_table`)."""


@dataclass(frozen=True)
class Placed:
    """Notes [N] of a score as a beat in which every bar takes 16 sixteenths, or a multiple.

    ``cells`` are theirs in the score, ``leaders`` the note that stands for each one's cell in the
    beat, -1 where none does; ``places`` [S] tells where each sixteenth of the score lies.
    """

    cells: Cells
    beat: Beat
    leaders: Table
    places: Table

    @classmethod
    def of(cls, notes: Table, grid: Grid) -> Placed:
        """The notes [N, 5] of a table."""
        onsets = np.interp(notes[:, TIME], grid.ticks, np.arange(grid.steps + 1))
        cells = Cells.of(onsets, notes[:, KEY], grid.steps)
        places = bar_places(grid)
        placed = Cells(places[cells.steps], cells.drums, cells.offsets)
        steps = BAR * -(-(int(places[-1]) + 1) // BAR)
        stand_for = np.full((steps, len(DRUMS)), -1)
        chosen = loudest(placed, notes[:, VELOCITY])
        stand_for[placed.steps[chosen], placed.drums[chosen]] = chosen
        leaders = np.where(cells.drums == NONE, -1, stand_for[placed.steps, placed.drums])
        return cls(cells, beat_of(placed, notes[:, VELOCITY], steps), leaders, places)


def bar_places(grid: Grid) -> Table:
    """Where each step [S] lies when every bar begins a bar of 16 steps; longer ones take more."""
    places = np.empty(grid.steps, dtype=np.int64)
    begin = 0
    for first, end in zip(grid.bars[:-1], grid.bars[1:], strict=True):
        places[first:end] = begin + np.arange(end - first)
        begin += BAR * -(-int(end - first) // BAR)
    return places
