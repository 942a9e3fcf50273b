"""The pitched notes of a score through a network that gives phrases a genre."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from audiotransfer.errors import AudioTransferError
from audiotransfer.symbolic.genre.edits import change_notes
from audiotransfer.symbolic.genre.windows import GenreGenerator, logits_over
from audiotransfer.symbolic.rolls import roll_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audiotransfer.symbolic.grid import Grid


class GenreTransfer:
    """All pitched tracks together, seen as one roll and given back to who played them.

    ``threshold`` is the logit from which a cell counts as sounding: higher gives fewer notes.
    Nothing is drawn at random. Raises AudioTransferError for a genre that the network cannot give.
    """

    def __init__(
        self, network: GenreGenerator, target: str, device: str, threshold: float = 0.0
    ) -> None:
        if target not in network.genres:
            raise AudioTransferError(
                f"the network cannot give the genre {target!r}: {', '.join(network.genres)}"
            )
        self.network, self.target = network, network.genres.index(target)
        self.device, self.threshold = torch.device(device), threshold

    def __call__(
        self,
        notes: NDArray[np.int64],
        grid: Grid,
        strength: float = 1.0,
        generator: torch.Generator | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> NDArray[np.int64]:
        """See `PartTransfer` and `change_notes`."""
        if strength == 0.0 or not len(notes):
            return notes
        roll = roll_of(notes, grid)
        logits = logits_over(self.network, roll, grid.bars, self.target, self.device, progress)
        return change_notes(notes, grid, logits - self.threshold, strength)


def load_part(path: Path, options: Mapping[str, Any], device: str) -> GenreTransfer:
    """The transfer of pitched notes. Options: ``target``, the genre; ``threshold``, a logit."""
    from audiotransfer.symbolic.genre.weights import load_generator

    network = load_generator(path).to(device).eval()
    threshold = float(options.get("threshold", 0.0))
    return GenreTransfer(network, str(options["target"]), device, threshold)
