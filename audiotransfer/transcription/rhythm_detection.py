"""Beat, downbeat and drum activations of a recording that is pushed block by block."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from audiotransfer.transcription.activations import RhythmActivations
from audiotransfer.transcription.rhythm_features import BANDS, FRAME_RATE, RhythmFeatures
from audiotransfer.transcription.rhythm_network import OUTPUTS, RhythmNetwork, load_rhythm

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

SHIPPED = Path(__file__).parent / "shipped" / "rhythm.safetensors"
_FRAMES = 4096  # frames whose activations are computed at once; even, as the network halves them


class RhythmDetector:
    """Computes a recording's `RhythmActivations` in one pass over its samples.

    Only the frames that the network still needs are held; the activations themselves take 28 bytes
    a frame, 9 MB an hour. ``network``: the shipped one without it.
    """

    def __init__(self, network: RhythmNetwork | None = None) -> None:
        self._network = shipped_network() if network is None else network.eval()
        self._features = RhythmFeatures()
        self._context = self._network.context + self._network.context % 2
        self._levels = torch.zeros(BANDS, 0)
        self._before = 0  # frames of context held in front of the next frame
        self._done: list[NDArray[np.float32]] = []

    def push(self, samples: Tensor) -> None:
        """Takes the next mono samples ``[t]`` at 22.05 kHz."""
        self._take(self._features.push(samples))
        while self._levels.shape[1] >= self._before + _FRAMES + self._context:
            self._advance(_FRAMES)

    def finish(self) -> RhythmActivations:
        """The activations of everything that was pushed, one frame each 11.6 ms."""
        self._take(self._features.finish())
        while (rest := self._levels.shape[1] - self._before) > 0:
            self._advance(min(rest, _FRAMES))
        found = np.concatenate([np.zeros((OUTPUTS, 0), np.float32), *self._done], axis=1)
        return RhythmActivations(FRAME_RATE, found[0], found[1], np.ascontiguousarray(found[2:].T))

    def _take(self, levels: Tensor) -> None:
        self._levels = torch.cat([self._levels, levels], 1)

    @torch.no_grad()
    def _advance(self, count: int) -> None:
        """Computes the next ``count`` frames' activations, and drops what is needed no more."""
        first, end = self._before, self._before + count
        span = self._levels[None, :, : end + self._context]
        activations = self._network(span)[0, :, first:end].sigmoid()
        self._done.append(activations.numpy())
        self._before = min(end, self._context)
        self._levels = self._levels[:, end - self._before :]


def detect_rhythm(samples: Tensor, network: RhythmNetwork | None = None) -> RhythmActivations:
    """The rhythm activations of a whole recording, mono ``[T]`` at 22.05 kHz."""
    detector = RhythmDetector(network)
    detector.push(samples)
    return detector.finish()


@lru_cache(maxsize=1)
def shipped_network() -> RhythmNetwork:
    """The network that ships with the package."""
    return load_rhythm(SHIPPED)
