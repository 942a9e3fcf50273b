"""Parts of an ensemble that is rendered with sampled and synthesised instruments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class EnsemblePart:
    """The notes of one instrument of an ensemble.

    ``name`` is the part's role (``lead``, ``bass``), ``instrument`` the name of an instrument of
    the package (``sax_tenor``). ``notes`` ``[N, 4]`` are start (s), duration (s), MIDI pitch and
    velocity (1..127), sorted by start; of a kit the pitches are General MIDI keys. ``level_db`` is
    added to the instrument's own level; ``pan`` is -1 (left) to 1 (right).
    """

    name: str
    instrument: str
    notes: NDArray[np.float64]
    level_db: float = 0.0
    pan: float = 0.0
