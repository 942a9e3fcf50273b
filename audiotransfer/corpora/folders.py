"""Windows of sound from two folders, for learning without pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from audiotransfer.corpora.stems import SAMPLE_RATE, Take

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

    def _window(self, takes: list[Take], random: np.random.Generator) -> np.ndarray:
        weights = np.array([min(take.frames, 60 * SAMPLE_RATE) for take in takes], dtype=float)
        for _ in range(_TRIES):
            take = takes[random.choice(len(takes), p=weights / weights.sum())]
            start = int(random.integers(max(1, take.frames - self.frames)))
            window = take.read(start, self.frames)
            level = float(np.sqrt((window**2).mean()))
            if level > _SILENT:
                break
        gain = _LEVEL / max(level, _SILENT) * 10 ** (random.uniform(-4, 4) / 20)
        return (window * gain).astype(np.float32)
