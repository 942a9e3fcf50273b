"""Counted tables that writers draw from: how real bands comp, walk and change chords."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotransfer.errors import AudioTransferError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.random import Generator
    from numpy.typing import NDArray

    from audiotransfer.cover.band import Band

SLOTS = 8  # swung eighths of a bar in four


@lru_cache(maxsize=8)
def read_counts(path: Path) -> dict[str, Any]:
    """Reads a file of counts; each table names its source, its n and its licence inside the file.

    The tables are shared: don't change them. Raises AudioTransferError: the file is missing or no
    JSON object.
    """
    try:
        counts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AudioTransferError(f"{path} cannot be read ({error})") from None
    if not isinstance(counts, dict):
        raise AudioTransferError(f"{path} must hold a JSON object of tables")
    return counts


def table(band: Band, name: str) -> dict[str, Any]:
    """A table of the band's counts. Raises AudioTransferError where the band has none."""
    if not band.counts:
        raise AudioTransferError(f"the band of {band.folder} names no file of counts for {name!r}")
    counts = read_counts(band.folder / band.counts)
    if name not in counts:
        raise AudioTransferError(f"{band.folder / band.counts} has no table {name!r}")
    named: dict[str, Any] = counts[name]
    return named


def slots(rhythm: str) -> NDArray[np.bool_]:
    """Onsets of a rhythm string like ``x..x...x``, one for each slot."""
    return np.array([mark == "x" for mark in rhythm])


def by_tempo(tempo: float, bpm: list[float], values: list[float]) -> float:
    """A counted value at a tempo, interpolated; beyond the ends the nearest value."""
    return float(np.interp(tempo, bpm, values))


def draw_index(weights: NDArray[np.float64], generator: Generator) -> int:
    """An index of weights ``[K]``, of which at least one is not 0, drawn in proportion to them."""
    total = np.cumsum(weights)
    return int(np.searchsorted(total, generator.random() * total[-1], side="right"))
