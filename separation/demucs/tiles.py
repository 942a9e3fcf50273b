"""How a block is cut into the overlapping segments that Demucs hears."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from separation.base import GRID
from separation.errors import SeparationError

STEPS = (20, 10, 5, 4, 2, 1)
"""Strides that are taken unasked, in steps of the grid: half a minute holds a whole number."""
SHORTEST = 0.25
"""Seconds below which a segment is no longer worth separating."""


@dataclass(frozen=True)
class Tiles:
    """Segments of `length` samples, one every `stride` samples."""

    length: int
    stride: int
    sample_rate: int

    @property
    def segment(self) -> float:
        """The seconds that the library turns into this very length when it rounds down."""
        return (self.length + 0.5) / self.sample_rate

    @property
    def overlap(self) -> float:
        """The share that the library turns into this very stride when it rounds down."""
        return 1 - (self.stride + 0.5) / self.length


def tiles(seconds: float | Fraction, sample_rate: int, overlap: float | None = None) -> Tiles:
    """Segments of `seconds`, overlapping by the share `overlap`.

    Without `overlap` it is at least a fifth, and the stride is one that divides 20 steps of the
    grid.

    Raises SeparationError for a segment under a quarter of a second or an overlap outside 0 to
    0.95.
    """
    if not seconds >= SHORTEST:
        raise SeparationError(f"a segment of {float(seconds):g} s is too short: from {SHORTEST} s")
    length = int(seconds * sample_rate)
    if overlap is None:
        return Tiles(length, _aligned_stride(length), sample_rate)
    if not 0 <= overlap <= 0.95:
        raise SeparationError(f"overlap {overlap:g} is out of range: from 0 to 0.95")
    return Tiles(length, int((1 - overlap) * length), sample_rate)


def _aligned_stride(length: int) -> int:
    for stride in (steps * GRID for steps in STEPS):
        if 5 * stride <= 4 * length:
            return stride
    stride = GRID
    while 5 * stride > 4 * length:
        stride //= 2
    return stride
