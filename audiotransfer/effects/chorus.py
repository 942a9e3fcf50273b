"""Several players of one part, never quite together."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from separation import GRID

#: 0.67 Hz: blocks of a song hold whole turns, so that it does not matter where one begins.
PERIOD = GRID
_DELAYS = (0.012, 0.017, 0.022)
_SAMPLE_RATE = 44100


def chorus(sound: Tensor, depth: float = 0.7) -> Tensor:
    """Adds three copies ``[C, T]``, each late by 8 to 26 ms that slowly change; keeps the level.

    ``depth`` is how loud the copies are. Channels hear other delays, which widens the sound.
    """
    length = sound.shape[-1]
    time = torch.arange(length, device=sound.device)
    total = sound.clone()
    for voice, delay in enumerate(_DELAYS):
        turn = 2 * math.pi * (time % PERIOD) / PERIOD + 2.1 * voice
        for channel in range(len(sound)):
            late = (delay + 0.004 * torch.sin(turn)) * (1 + 0.07 * channel) * _SAMPLE_RATE
            total[channel] += depth * _late(sound[channel], late)
    return total / math.sqrt(1 + len(_DELAYS) * depth**2)


def _late(sound: Tensor, samples: Tensor) -> Tensor:
    """Each moment of ``[T]`` by so many samples late; between samples by straight lines."""
    whole = samples.long()
    index = torch.arange(len(sound), device=sound.device) - whole
    found = torch.lerp(sound[index.clamp_min(0)], sound[(index - 1).clamp_min(0)], samples - whole)
    return torch.where(index > 0, found, 0.0)
