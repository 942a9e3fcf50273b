"""A gain that changes over a song: points in time, linear in dB between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SILENT_DB = -100.0
"""Gains of this and less are 0."""


@dataclass(frozen=True)
class GainCurve:
    """Gains ``db`` ``[K]`` at ``seconds`` ``[K]`` (ascending); constant before and after them."""

    seconds: NDArray[np.float64]
    db: NDArray[np.float64]

    def at(self, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Linear gains at times in seconds."""
        db = np.interp(seconds, self.seconds, self.db) if len(self.db) else np.zeros(len(seconds))
        gains: NDArray[np.float64] = np.where(db <= SILENT_DB, 0.0, 10.0 ** (db / 20.0))
        return gains

    def __call__(self, sound: Tensor, start: int, sample_rate: int = 44100) -> Tensor:
        """Sound ``[C, t]``, whose first sample is the ``start``-th of the song, with its gain."""
        times = (start + np.arange(sound.shape[-1])) / sample_rate
        return sound * torch.from_numpy(self.at(times)).to(sound)
