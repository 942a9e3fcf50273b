"""Where a stem sounds and where it is silent."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: RMS below which a stem of a song at RMS 0.1 is silent: 40 dB under the song.
SILENT = 1e-3
_WINDOW_SECONDS = 0.25
_PAUSE_SECONDS = 1.0  # a shorter one belongs to the music
_SHORTEST_SECONDS = 0.5


def sounding(sound: Tensor, sample_rate: int) -> list[tuple[float, float]]:
    """The stretches of a stem ``[C, T]`` that sound, as seconds (start, stop).

    Pauses of less than a second are kept, sounds of less than half a second are not.
    """
    window = max(1, round(_WINDOW_SECONDS * sample_rate))
    power = sound.square().mean(0)
    count = -(-len(power) // window)
    power = torch.nn.functional.pad(power, (0, count * window - len(power)))
    heard = power.reshape(count, window).mean(1).sqrt().numpy() > SILENT
    length = sound.shape[-1] / sample_rate
    least = min(_SHORTEST_SECONDS, length)
    unit = window / sample_rate
    found = [(start * unit, min(stop * unit, length)) for start, stop in stretches(heard)]
    joined: list[tuple[float, float]] = []
    for start, stop in found:
        if joined and start - joined[-1][1] < _PAUSE_SECONDS:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return [(start, stop) for start, stop in joined if stop - start >= least - 1e-9]


def stretches(heard: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Runs of true values as (start, stop)."""
    edges = np.diff(np.concatenate(([0], heard.astype(np.int8), [0])))
    starts, stops = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return [(int(start), int(stop)) for start, stop in zip(starts, stops, strict=True)]
