"""What decodes a file, or a part of one."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Undecodable(Exception):
    """A decoder cannot go on, or not begin; says why, where it knows.

    ``samples`` [t, C] are what it decoded of the block that was asked for.
    """

    def __init__(self, reason: str, samples: np.ndarray | None = None) -> None:
        super().__init__(reason)
        self.samples = samples


class Source(Protocol):
    """Sound that is decoded front to back, [t, C] at a time."""

    sample_rate: int
    channels: int
    subtype: str
    layout: tuple[str, ...] | None
    """Loudspeakers by WAV's names; None: not said."""
    frames: int | None
    """Samples that will be read; None: not known without decoding."""

    @property
    def notices(self) -> tuple[str, ...]:
        """What a user should know, as far as it was read."""
        ...

    @property
    def faults(self) -> int:
        """Stretches that could not be decoded, as far as it was read."""
        ...

    def read(self, count: int) -> np.ndarray:
        """The next samples; fewer than asked only at the end. Raises Undecodable."""
        ...

    def seek(self, sample: int) -> None:
        """Go to a sample: the same ones follow as from the beginning."""
        ...

    def close(self) -> None: ...
