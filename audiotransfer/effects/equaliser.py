"""A smooth equaliser without delay. Its libraries wait until a style wants one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

TAPS = 2047
SAMPLE_RATE = 44100


def equalise(sound: Tensor, points: Sequence[tuple[float, float]]) -> Tensor:
    """Makes each frequency (Hz) louder by its gain (dB); between points by straight lines.

    ``[C, T] -> [C, T]``, linear phase with its delay taken out. Below the first point and above the
    last one the gain is theirs.
    """
    import julius

    taps = _taps(tuple((float(hertz), float(db)) for hertz, db in points))
    # julius refuses a signal shorter than the filter: the zeros behind it are for those.
    padded = functional.pad(sound[:, None], (TAPS // 2, TAPS))
    # Symmetric taps: correlation is convolution.
    return julius.fft_conv1d(padded, taps.to(sound)[None, None])[:, 0, : sound.shape[-1]]


@lru_cache(maxsize=32)
def _taps(points: tuple[tuple[float, float], ...]) -> Tensor:
    from scipy import signal

    hertz = [0.0, *(hertz for hertz, _ in points), SAMPLE_RATE / 2]
    gains = [10 ** (db / 20) for _, db in (points[0], *points, points[-1])]
    return torch.from_numpy(signal.firwin2(TAPS, hertz, gains, fs=SAMPLE_RATE)).float()
