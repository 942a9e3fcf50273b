"""What a style does with the drums of a score: the beats that its drummers would rather play."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from audiotransfer.errors import AudioTransferError
from audiotransfer.symbolic.drums.beats import BAR
from audiotransfer.symbolic.drums.drummer import Drummer
from audiotransfer.symbolic.drums.kit import DRUMS, KEYS
from audiotransfer.symbolic.drums.network import DrumVae
from audiotransfer.symbolic.drums.tables import KEY, TRACK, Placed
from audiotransfer.symbolic.drums.weights import SHIPPED, load_drums

if TYPE_CHECKING:
    from audiotransfer.symbolic.drums.beats import Beat
    from audiotransfer.symbolic.drums.tables import Table
    from audiotransfer.symbolic.grid import Grid

_DRUMMER = "drummer"
_SHIPPED = "shipped"


class DrumTransfer:
    """Moves the points of beats toward a style, and makes the changes that this brings about.

    Raises AudioTransferError for a style that the drummer knows not.
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
        """See `PartTransfer`. Hits that stay keep their key, track, velocity and timing; new ones
        are played as the drummer feels them. Bars that are not 4/4, or silent, stay.
        """
        if strength == 0.0 or not len(notes):
            return notes
        placed = Placed.of(notes, grid)
        made = self.drummer.restyle(placed.beat, self.style, strength, generator)
        if progress is not None:
            progress(1.0)
        real = _steps_at(placed, grid)
        gone = placed.beat.hits & ~made.hits & (real >= 0)[:, None]
        cells = placed.cells
        known = placed.leaders >= 0
        stays = np.ones(len(notes), dtype=bool)
        stays[known] = ~gone[placed.places[cells.steps[known]], cells.drums[known]]
        came = made.hits & ~placed.beat.hits & (real >= 0)[:, None]
        fresh = _fresh(notes, placed, grid, made, came, real)
        table = np.concatenate([notes[stays], fresh])
        return table[np.lexsort((table[:, TRACK], table[:, KEY], table[:, 0]))]


def load_part(path: Path, options: Mapping[str, Any], device: str) -> DrumTransfer:
    """The transfer of drums. Options: ``style``, one of the drummer's; ``drummer``: "shipped"
    takes the one that comes with the package instead of the weights in ``path``.

    It works on the CPU, whatever the device: a song's drums take it less than a second.
    """
    if options.get(_DRUMMER) == _SHIPPED:
        path = SHIPPED / "drums.safetensors"
    network = load_drums(path)
    if not isinstance(network, DrumVae):
        raise AudioTransferError(f"{path} knows no styles; take weights of `train drums`")
    return DrumTransfer(Drummer(network), str(options["style"]))


def _steps_at(placed: Placed, grid: Grid) -> Table:
    """The score's step at each place of the beat; -1 at those that may not change."""
    real = np.full(len(placed.beat), -1)
    for first, end in zip(grid.bars[:-1], grid.bars[1:], strict=True):
        places = placed.places[first:end]
        if end - first == BAR and placed.beat.hits[places].any():
            real[places] = np.arange(first, end)
    return real


def _fresh(
    notes: Table, placed: Placed, grid: Grid, made: Beat, came: np.ndarray, real: Table
) -> Table:
    """New hits as rows, on the keys that the score uses, in the track that drums most."""
    place, drums = np.nonzero(came)
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
