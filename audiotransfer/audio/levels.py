"""Levels of sound over time: means of hops from a stream, and the level without pauses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PAUSE = 1e-3  # power relative to the mean, 30 dB below it


class HopMeans:
    """Means of the values of each hop, pushed in blocks of any length.

    ``rest`` ``[..., r]`` are the values of the hop that is not whole yet.
    """

    def __init__(self, hop: int, *shape: int) -> None:
        self._hop = hop
        self.rest: NDArray[np.float64] = np.zeros((*shape, 0))

    def push(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Takes the next values ``[..., t]``; returns the means ``[..., k]`` of finished hops."""
        pending = np.concatenate([self.rest, values], axis=-1)
        whole = pending.shape[-1] // self._hop * self._hop
        self.rest = pending[..., whole:].copy()
        hops = pending[..., :whole].reshape(*pending.shape[:-1], -1, self._hop)
        means: NDArray[np.float64] = hops.mean(axis=-1)
        return means


def active_power(levels: NDArray[np.float64]) -> float:
    """Mean of powers ``[L]`` without pauses (30 dB below their mean); 0 of silence."""
    loud = levels[levels > _PAUSE * levels.mean()] if len(levels) else levels
    return float(loud.mean()) if len(loud) else 0.0
