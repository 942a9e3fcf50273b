"""Means with their uncertainty, and the two rescalings that every score goes through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audiotransfer.errors import AudioTransferError


@dataclass(frozen=True)
class Interval:
    """Mean of ``count`` values with a bootstrap interval; prints as ``5.75 [5.60, 5.91]``."""

    mean: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]"


def bootstrap(
    values: Sequence[float], *, seed: int = 0, resamples: int = 5000, level: float = 0.95
) -> Interval:
    """Mean of one figure a song and its percentile bootstrap interval over songs.

    Songs whose figure is NaN (not defined there) are left out and not counted.
    Raises AudioTransferError when nothing is left.
    """
    kept = np.asarray([value for value in values if not np.isnan(value)], dtype=np.float64)
    if len(kept) == 0:
        raise AudioTransferError(f"no mean of {len(values)} values: none of them is a number")
    draws = np.random.default_rng(seed).integers(0, len(kept), size=(resamples, len(kept)))
    means = kept[draws].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(kept.mean()), float(low), float(high), len(kept))


def share(flags: Sequence[bool]) -> float:
    """Share of songs for which something holds, 0..1."""
    if not flags:
        raise AudioTransferError("no share of zero songs: measure at least one")
    return sum(map(bool, flags)) / len(flags)


def rescaled(value: float, *, zero: float, one: float) -> float:
    """``value`` on the line through ``zero`` -> 0 and ``one`` -> 1; NaN where the two coincide."""
    return (value - zero) / (one - zero) if one != zero else float("nan")


def harmonic(style: float, content: float) -> float:
    """H: harmonic mean of rescaled style and rescaled content, each clipped to 0..1."""
    style, content = (float(np.clip(value, 0.0, 1.0)) for value in (style, content))
    return 2 * style * content / (style + content) if style + content > 0 else 0.0
