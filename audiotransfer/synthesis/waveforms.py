"""Decoded sounds of samples: read when first played, loops unrolled as far as notes last."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

PADDING = 1  # zeros before the first sample, which interpolation looks at


class Waveform:
    """Sound ``[C, T]`` of a sample, by ``load`` on first use; ``loop`` is its start and end."""

    def __init__(
        self,
        load: Callable[[], NDArray[np.float32]],
        frames: int,
        loop: tuple[int, int] | None = None,
    ) -> None:
        self.frames, self.loop = frames, loop
        self._load = load
        self._sound: NDArray[np.float32] | None = None

    def sound(self, frames: int) -> NDArray[np.float32]:
        """Padding and at least ``frames`` samples ``[C, …]`` if it loops, else all there are."""
        if self._sound is None:
            self._sound = np.pad(self._load(), ((0, 0), (PADDING, 3)))
        short = frames + PADDING + 3 - self._sound.shape[1]
        if self.loop is not None and short > 0:
            start, end = (place + PADDING for place in self.loop)
            once = self._sound[:, start:end]
            # Twice as long at least: growing notes do not copy it each time.
            copies = 1 + max(short, self._sound.shape[1]) // (end - start)
            self._sound = np.concatenate([self._sound[:, :end], np.tile(once, copies + 1)], axis=1)
        return self._sound
