"""The interface of networks that map the sound of a stem to the sound of the transferred stem."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn


class WaveformGenerator(nn.Module):
    """A network from sound to sound of the same length, that depends on a bounded surrounding.

    ``kind`` names the class in weights files. ``sample_rate`` is in Hz; a part of a sound that
    starts on a multiple of ``grid`` samples, with ``reach`` more on each side, comes out as in the
    whole sound.
    """

    kind: ClassVar[str]
    sample_rate: int
    grid: int
    reach: int

    @abstractmethod
    def shape(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON takes them."""

    @abstractmethod
    def convert(self, sound: Tensor) -> Tensor:
        """Sound ``[B, T]`` to the transferred sound ``[B, T]``."""

    def at_strength(self, sound: Tensor, strength: float) -> Tensor:
        """The transfer at a strength 0..1: by default the sounds before and after, mixed."""
        return torch.lerp(sound, self.convert(sound), strength)
