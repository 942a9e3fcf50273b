"""Windows of sound from two folders, for learning without pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from audiotransfer.corpora.stems import SAMPLE_RATE, Take

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Sound = NDArray[np.float32]

_LEVEL = 0.06  # RMS of a window: about what a stem has in a song at RMS 0.1
_SILENT = 2e-3
_TRIES = 10


class UnpairedWindows:
    """Batches ``source`` and ``target`` ``[B, 2, T]``: windows that sound, each at one level.

    Longer songs are drawn more often, up to a minute's worth. A pure function of seed and step.
    """

    def __init__(
        self,
        sources: Sequence[Take],
        targets: Sequence[Take],
        *,
        frames: int,
        batch: int = 4,
        seed: int = 0,
    ) -> None:
        self.sets = {"source": list(sources), "target": list(targets)}
        self.frames, self.batch_size, self.seed = frames, batch, seed

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of a step."""
        random = np.random.default_rng((self.seed, step))
        return {
            name: torch.from_numpy(
                np.stack([self._window(takes, random) for _ in range(self.batch_size)])
            )
            for name, takes in self.sets.items()
        }

    def _window(self, takes: list[Take], random: np.random.Generator) -> Sound:
        weights = np.array([min(take.frames, 60 * SAMPLE_RATE) for take in takes], dtype=float)
        for _ in range(_TRIES):
            take = takes[random.choice(len(takes), p=weights / weights.sum())]
            start = int(random.integers(max(1, take.frames - self.frames)))
            window = take.read(start, self.frames)
            if _rms(window) > _SILENT:
                break
        gain = np.float32(10 ** (random.uniform(-4, 4) / 20))
        return levelled(window) * gain


def levelled(window: Sound) -> Sound:
    """A window ``[2, T]`` at the level that stems have in songs; silence is not raised to it."""
    return (window * (_LEVEL / max(_rms(window), _SILENT))).astype(np.float32)


def _rms(window: Sound) -> float:
    return float(np.sqrt((window**2).mean()))
