"""Conversion between notes and piano rolls with one cell per sixteenth and semitone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiotransfer.midi.grid import Grid

#: Usual range: 84 semitones from MIDI 24 to 107.
LOWEST, PITCHES = 24, 84
#: Steps of a bar in 4/4, and of a phrase, the networks' input.
BAR, PHRASE = 16, 64
#: Channels of a roll: a note begins in the cell; a note sounds in it.
ONSET, SOUND = 0, 1


def in_range(notes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mask ``[N]`` of notes ``[N, >= 3]`` (start, length, MIDI pitch, ..) in the pitch range."""
    return (notes[:, 2] >= LOWEST) & (notes[:, 2] < LOWEST + PITCHES)


def cells_of(notes: NDArray[np.int64], grid: Grid) -> NDArray[np.int64]:
    """Notes ``[N, >= 3]`` (start and length in ticks, MIDI pitch, ..) quantised to the grid.

    Returns ``[N, 3]``: step, length in steps (at least one), pitch.
    """
    begin = np.minimum(grid.nearest(notes[:, 0]), grid.steps - 1)
    end = np.maximum(grid.nearest(notes[:, 0] + notes[:, 1]), begin + 1)
    return np.stack([begin, end - begin, notes[:, 2]], axis=1)


def roll_of(notes: NDArray[np.int64], grid: Grid) -> NDArray[np.bool_]:
    """The roll ``[2, S, 84]`` of notes ``[N, >= 3]`` (start and length in ticks, MIDI pitch, ..).

    Channel 0 is set where a note begins, channel 1 where a note sounds. Notes outside of MIDI 24 to
    107, and those that begin outside the grid, are left out.
    """
    return draw(cells_of(notes[in_range(notes) & grid.holds(notes[:, 0])], grid), grid.steps)


def draw(cells: NDArray[np.int64], steps: int) -> NDArray[np.bool_]:
    """The roll ``[2, S, 84]`` of notes ``[N, 3]`` (step, length in steps, MIDI pitch) inside it."""
    begin, end, pitch = cells[:, 0], cells[:, 0] + cells[:, 1], cells[:, 2] - LOWEST
    changes = np.zeros((steps + 1, PITCHES), dtype=np.int32)
    np.add.at(changes, (begin, pitch), 1)
    np.add.at(changes, (end, pitch), -1)
    roll = np.zeros((2, steps, PITCHES), dtype=np.bool_)
    roll[ONSET, begin, pitch] = True
    roll[SOUND] = np.cumsum(changes[:-1], axis=0) > 0
    return roll


def beginnings(roll: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Cells ``[S, 84]`` where a note begins: marked as onsets, or sounding after silence."""
    before = np.zeros_like(roll[SOUND])
    before[1:] = roll[SOUND, :-1]
    onsets: NDArray[np.bool_] = roll[ONSET] | (roll[SOUND] & ~before)
    return onsets


def notes_of(roll: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Notes ``[N, 3]`` of a roll ``[2, S, 84]``: step, length in steps, MIDI pitch.

    They are sorted by step, then pitch.

    A note lasts until the next one of its pitch, or until its pitch is silent. Cells that sound
    after silence begin a note, marked as onset or not; onset cells always sound.
    """
    begin = beginnings(roll)
    sound = roll[SOUND] | roll[ONSET]
    steps = begin.shape[0]
    # A silent column between the pitches ends notes that sound to the last step.
    starts = np.zeros((PITCHES, steps + 1), dtype=np.bool_)
    breaks = np.ones((PITCHES, steps + 1), dtype=np.bool_)
    starts[:, :-1] = begin.T
    breaks[:, :-1] = (begin | ~sound).T
    first, stops = np.flatnonzero(starts), np.flatnonzero(breaks)
    length = stops[np.searchsorted(stops, first, side="right")] - first
    pitch, step = np.divmod(first, steps + 1)
    notes = np.stack([step, length, pitch + LOWEST], axis=1).astype(np.int64)
    return notes[np.lexsort((notes[:, 2], notes[:, 0]))]
