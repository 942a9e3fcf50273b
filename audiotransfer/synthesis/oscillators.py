"""Band-limited oscillators: single periods, computed by adding up the partials that fit."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Shape = Literal["sine", "triangle", "saw", "square", "pulse"]
_LENGTH = 8192  # samples of a period
_HIGHEST = 0.42  # of the sample rate: frequency of the highest partial
_PULSE_WIDTH = 0.25


@lru_cache(maxsize=256)
def period(shape: Shape, partials: int) -> NDArray[np.float32]:
    """One period ``[8193]`` of a waveform of RMS 1 with its first ``partials`` partials.

    The last sample repeats the first.
    """
    k = np.arange(1, max(1, partials) + 1)
    spectrum = np.zeros(_LENGTH // 2 + 1, dtype=np.complex128)
    if shape == "sine":
        spectrum[1] = 1.0
    elif shape == "saw":
        spectrum[k] = 1.0 / k
    elif shape == "square":
        spectrum[k] = (k % 2) / k
    elif shape == "triangle":
        spectrum[k] = (k % 2) * np.where(k % 4 == 1, 1.0, -1.0) / k**2
    else:
        spectrum[k] = np.sin(np.pi * k * _PULSE_WIDTH) / k * 1j
    wave = np.fft.irfft(-1j * spectrum, _LENGTH)
    wave /= np.sqrt(np.mean(wave**2))
    return np.append(wave, wave[0]).astype(np.float32)


def oscillate(
    shape: Shape, hertz: float | NDArray[np.float64], phase: float, length: int, sample_rate: int
) -> NDArray[np.float32]:
    """A waveform ``[length]`` of RMS 1 at a frequency (Hz, one or one a sample).

    ``phase`` is where it starts, 0..1. No partial is above 0.42 of the sample rate (Hz).
    """
    partials = int(_HIGHEST * sample_rate / float(np.max(hertz)))
    table = period(shape, min(max(partials, 1), _LENGTH // 8))
    turns = np.asarray(hertz) / sample_rate
    advanced = np.arange(length) * turns if turns.ndim == 0 else np.cumsum(turns) - turns[0]
    place = (phase + advanced) % 1.0 * _LENGTH
    whole = place.astype(np.int64)
    share = (place - whole).astype(np.float32)
    sound: NDArray[np.float32] = table[whole] + share * (table[whole + 1] - table[whole])
    return sound
