"""Drum notes of a score as beats and back: style transfer and humanising of drum tracks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Generator

from audiotransfer.errors import AudioTransferError
from audiotransfer.midi.percussion import DRUMS, KEYS, NONE
from audiotransfer.symbolic.drums.beats import BAR, Beat, Cells, beat_of, loudest
from audiotransfer.symbolic.drums.drummer import SHIPPED, WIDEST, Drummer, load_drums
from audiotransfer.symbolic.drums.network import DrumVae

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiotransfer.midi.grid import Grid
    from audiotransfer.symbolic.drums.beats import Beat

    Table = NDArray[np.int64]

_DRUMMER = "drummer"
_SHIPPED = "shipped"
_ON_GRID = 0.25  # of a sixteenth
TIME, LENGTH, KEY, VELOCITY, TRACK = range(5)
"""Columns of a table of notes (see `note_table`)."""


class DrumTransfer:
    """Transfers the drums of a score to a style by `Drummer.restyle`.

    Raises AudioTransferError for a style that the drummer does not know.
    """

    def __init__(self, drummer: Drummer, style: str) -> None:
        drummer.style(style)
        self.drummer, self.style = drummer, style

    def __call__(
        self,
        notes: Table,
        grid: Grid,
        strength: float = 1.0,
        generator: torch.Generator | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Table:
        """See `PartTransfer`. Remaining hits keep key, track, velocity and timing; the velocity and
        timing of new ones are sampled. Bars that are not 4/4, or silent, are not changed.
        """
        if strength == 0.0 or not len(notes):
            return notes
        placed = Placed.of(notes, grid)
        made = self.drummer.restyle(placed.beat, self.style, strength, generator)
        if progress is not None:
            progress(1.0)
        real = _steps_at(placed, grid)
        removed = placed.beat.hits & ~made.hits & (real >= 0)[:, None]
        cells = placed.cells
        known = placed.representatives >= 0
        kept = np.ones(len(notes), dtype=bool)
        kept[known] = ~removed[placed.places[cells.steps[known]], cells.drums[known]]
        added = made.hits & ~placed.beat.hits & (real >= 0)[:, None]
        fresh = _fresh(notes, placed, grid, made, added, real)
        table = np.concatenate([notes[kept], fresh])
        return table[np.lexsort((table[:, TRACK], table[:, KEY], table[:, 0]))]


def load_part(path: Path, options: Mapping[str, Any], device: str) -> DrumTransfer:
    """Loads the transfer of drums.

    Options: ``style``, one of the network's; ``drummer``: "shipped" for the network that ships
    instead of the weights in ``path``. Runs on the CPU, whatever the device: a song's drums take
    less than a second.
    """
    if options.get(_DRUMMER) == _SHIPPED:
        path = SHIPPED / "drums.safetensors"
    network = load_drums(path)
    if not isinstance(network, DrumVae):
        raise AudioTransferError(f"{path} knows no styles; take weights of `train drums`")
    return DrumTransfer(Drummer(network), str(options["style"]))


def _steps_at(placed: Placed, grid: Grid) -> Table:
    """The score's step at each sixteenth of the beat; -1 where it must not change."""
    real = np.full(len(placed.beat), -1)
    for first, end in zip(grid.bars[:-1], grid.bars[1:], strict=True):
        places = placed.places[first:end]
        if end - first == BAR and placed.beat.hits[places].any():
            real[places] = np.arange(first, end)
    return real


def _fresh(
    notes: Table, placed: Placed, grid: Grid, made: Beat, added: np.ndarray, real: Table
) -> Table:
    """New hits as rows of notes, on the score's own keys, in the track with most drum notes."""
    place, drums = np.nonzero(added)
    steps = real[place]
    sixteenth = np.diff(grid.ticks)[steps]
    times = grid.ticks[steps] + np.round(made.offsets[place, drums] * sixteenth)
    keys = np.array([_key(notes, placed, drum) for drum in range(len(DRUMS))])
    columns = (
        np.maximum(0, times),
        np.maximum(1, sixteenth // 4),
        keys[drums],
        np.clip(np.round(127 * made.velocities[place, drums]), 1, 127),
        np.full(len(place), np.bincount(notes[:, TRACK]).argmax()),
    )
    return np.stack(columns, axis=1).astype(np.int64)


def _key(notes: Table, placed: Placed, drum: int) -> int:
    used = notes[placed.cells.drums == drum, KEY]
    return int(np.bincount(used).argmax()) if len(used) else KEYS[drum]


@dataclass(frozen=True)
class Placed:
    """Notes [N] of a score placed in a beat whose bars have a multiple of 16 sixteenths.

    Attributes:
        cells: of the notes, in the score's sixteenths.
        representatives: index of the note that represents each note's cell in the beat, -1 where
            none does.
        places: sixteenth of the beat for each sixteenth [S] of the score.
    """

    cells: Cells
    beat: Beat
    representatives: Table
    places: Table

    @classmethod
    def of(cls, notes: Table, grid: Grid) -> Placed:
        """Places the notes [N, 5] of a table."""
        onsets = np.interp(notes[:, TIME], grid.ticks, np.arange(grid.steps + 1))
        cells = Cells.of(onsets, notes[:, KEY], grid.steps)
        places = bar_places(grid)
        placed = Cells(places[cells.steps], cells.drums, cells.offsets)
        steps = BAR * -(-(int(places[-1]) + 1) // BAR)
        representative_at = np.full((steps, len(DRUMS)), -1)
        chosen = loudest(placed, notes[:, VELOCITY])
        representative_at[placed.steps[chosen], placed.drums[chosen]] = chosen
        representatives = np.where(
            cells.drums == NONE, -1, representative_at[placed.steps, placed.drums]
        )
        return cls(cells, beat_of(placed, notes[:, VELOCITY], steps), representatives, places)


def bar_places(grid: Grid) -> Table:
    """Position of each step [S] when every bar is padded to a multiple of 16 steps."""
    places = np.empty(grid.steps, dtype=np.int64)
    begin = 0
    for first, end in zip(grid.bars[:-1], grid.bars[1:], strict=True):
        places[first:end] = begin + np.arange(end - first)
        begin += BAR * -(-int(end - first) // BAR)
    return places


def humanised(
    notes: Table, grid: Grid, drummer: Drummer, temperature: float, generator: Generator
) -> Table:
    """Humanises drum notes [N, 5] (see `note_table`): sampled velocities and timing.

    Rows stay in order, with the same keys and nearest sixteenths. Notes between sixteenths
    (triplets, thirty-seconds) keep their time; several of one drum on one sixteenth move together
    and keep the ratio of their velocities. Other notes are not changed.
    """
    placed = Placed.of(notes, grid)
    made_beat = drummer.humanise(placed.beat, temperature, generator)
    known = np.flatnonzero(placed.representatives >= 0)
    chosen = placed.representatives[known]
    steps, offsets = placed.cells.steps[known], placed.cells.offsets
    where = (placed.places[steps], placed.cells.drums[known])
    made = notes.copy()

    louder = made_beat.velocities[where] * 127 / np.maximum(1, notes[chosen, VELOCITY])
    made[known, VELOCITY] = np.clip(np.round(notes[known, VELOCITY] * louder), 1, 127)

    moved = np.clip(offsets[known] + made_beat.offsets[where] - offsets[chosen], -WIDEST, WIDEST)
    late = np.where(np.abs(offsets[chosen]) <= _ON_GRID, moved - offsets[known], 0.0)
    ticks = notes[known, TIME] + np.round(late * np.diff(grid.ticks)[steps]).astype(np.int64)
    made[known, TIME] = np.clip(ticks, 0, grid.ticks[-1] - 1)
    return _without_overlaps(notes, made)


def _without_overlaps(before: Table, made: Table) -> Table:
    """Shortens notes that now overlap the next one of their key and track, and did not before."""
    order = np.lexsort((before[:, TIME], before[:, KEY], before[:, TRACK]))
    this, after = order[:-1], order[1:]
    same = (before[this][:, [KEY, TRACK]] == before[after][:, [KEY, TRACK]]).all(1)
    apart = before[this, TIME] + before[this, LENGTH] <= before[after, TIME]
    this, after = this[same & apart], after[same & apart]
    room = made[after, TIME] - made[this, TIME]
    made[this, LENGTH] = np.clip(made[this, LENGTH], 1, np.maximum(1, room))
    return made
