"""Batches of groove windows, some of them put together from several drummers'."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from audiotransfer.errors import AudioTransferError
from audiotransfer.symbolic.drums.grooves import Windows
from audiotransfer.symbolic.drums.kit import DRUMS

_LIMBS = (("kick",), ("snare",), ("closed hat", "open hat", "ride"),
          ("low tom", "mid tom", "high tom", "crash"))  # fmt: skip
_GROUPS = tuple([DRUMS.index(drum) for drum in limb] for limb in _LIMBS)


class GrooveBatches:
    """Windows drawn at random; those of several lengths take turns.

    The share ``mixed`` of them takes the drums of one or two groups (kick; snare; hats and ride;
    toms and crash) from another window; their style is ``mixed_style``.
    """

    def __init__(
        self, windows: Sequence[Windows], *, batch_size: int = 128, mixed: float = 0.0,
        mixed_style: int = 0, seed: int = 0,
    ) -> None:  # fmt: skip
        if not windows:
            raise AudioTransferError("no batch of zero windows: name their bars")
        self.windows = tuple(windows)
        self.batch_size = batch_size
        self.mixed = mixed
        self.mixed_style = mixed_style
        self.seed = seed

    def batch(self, step: int) -> dict[str, Tensor]:
        """ "hits", "velocities", "offsets" [B, S, 9] and "styles" [B]."""
        random = np.random.default_rng((self.seed, step))
        windows = self.windows[step % len(self.windows)]
        drawn = random.integers(len(windows), size=self.batch_size)
        styles = windows.styles[drawn]
        sources = np.repeat(drawn[:, None], len(DRUMS), axis=1)
        for row in np.flatnonzero(random.random(self.batch_size) < self.mixed):
            for group in random.permutation(len(_GROUPS))[: random.integers(1, 3)]:
                sources[row, _GROUPS[group]] = random.integers(len(windows))
            styles[row] = self.mixed_style
        drums = np.arange(len(DRUMS))
        found = {
            name: torch.from_numpy(
                getattr(windows, name)[sources, :, drums].swapaxes(1, 2).astype(np.float32)
            )
            for name in ("hits", "velocities", "offsets")
        }
        return found | {"styles": torch.from_numpy(styles)}
