"""Nine drum classes: the class of every percussion key, and the key written for each class.

The classes and their Roland keys are those of the Groove MIDI dataset (Gillick et al. 2019,
"Learning to groove with inverse sequence transformations"); General MIDI's other percussion is
assigned to the drum with its role in a kit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

DRUMS = (
    "kick", "snare", "closed hat", "open hat", "low tom", "mid tom", "high tom", "crash", "ride",
)  # fmt: skip
KEYS = (36, 38, 42, 46, 43, 47, 50, 49, 51)
"""General MIDI key of each drum class."""

NONE = -1
"""Class of keys that are no percussion."""

_KEYS_OF: dict[str, tuple[int, ...]] = {
    "kick": (35, 36, 86, 87),  # and surdos
    # Also stick, clap, slap, sticks, claves, wood blocks, castanets.
    "snare": (37, 38, 39, 40, 28, 31, 75, 76, 77, 85),
    # Also the hat's edge (Roland 22) and pedal, and other short timekeepers: scratches, clicks,
    # tambourine, cabasa, maracas, short whistle and guiro, shaker, jingle bell.
    "closed hat": (22, 42, 44, 29, 30, 32, 33, 54, 69, 70, 71, 73, 82, 83),
    "open hat": (26, 46, 72, 74),  # also the edge (Roland 26), long whistle and guiro
    # 58 is the rim of Roland's floor tom; General MIDI has a vibraslap there.
    "low tom": (41, 43, 58, 64, 66, 79),  # also low conga and timbale, open cuica
    "mid tom": (45, 47, 61, 62, 63, 78),  # also low bongo, high congas, muted cuica
    "high tom": (48, 50, 27, 60, 65),  # also high Q, high bongo and timbale
    "crash": (49, 52, 55, 57, 84),  # also bell tree
    "ride": (51, 53, 59, 34, 56, 67, 68, 80, 81),  # also bells: cowbell, agogos, triangles
}


def _table() -> NDArray[np.int64]:
    table = np.full(128, NONE, dtype=np.int64)
    for drum, keys in _KEYS_OF.items():
        table[list(keys)] = DRUMS.index(drum)
    return table


_DRUM_OF = _table()


def drums_of(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Index in `DRUMS` of each MIDI key 0..127; `NONE` outside the percussion keys 22, 26–87."""
    return _DRUM_OF[keys]
