"""Filters: coefficients of a voice's low-pass, and Butterworth filters of short sounds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def low_pass(
    hertz: NDArray[np.float64], resonance_db: float, sample_rate: int
) -> NDArray[np.float64]:
    """Coefficients ``[L, 3]`` (see `kernel.add`) of a second-order low-pass filter.

    ``hertz`` ``[L]`` are its cutoffs, held below 0.45 of the sample rate (Hz). ``resonance_db`` is
    the gain at the cutoff above that of a Butterworth filter, less 3 dB at 0; half of it is taken
    off the overall gain (SoundFont Technical Specification 2.04, 8.1.2, generator 9).
    """
    turn = 2.0 * math.pi * np.minimum(hertz, 0.45 * sample_rate) / sample_rate
    alpha = np.sin(turn) / (2.0 * 10.0 ** ((resonance_db - 3.01) / 20.0))
    gain = (1.0 - np.cos(turn)) / 2.0 * 10.0 ** (-resonance_db / 40.0)
    unscaled = np.stack([gain, -2.0 * np.cos(turn), 1.0 - alpha], axis=1)
    coefficients: NDArray[np.float64] = unscaled / (1.0 + alpha)[:, None]
    return coefficients


def butterworth(
    sound: NDArray[np.float64], kind: Literal["low", "high"], hertz: float, sample_rate: int
) -> NDArray[np.float64]:
    """Sound ``[..., T]`` through a second-order low-pass or high-pass at ``hertz``.

    Multiplied with the analogue filter's response, which SciPy's filters would do as well; those
    take a second to load.
    """
    length = sound.shape[-1]
    padded = 2 * length
    s = 1j * np.fft.rfftfreq(padded, 1.0 / sample_rate) / hertz
    response = (1.0 if kind == "low" else s**2) / (s**2 + math.sqrt(2.0) * s + 1.0)
    filtered: NDArray[np.float64] = np.fft.irfft(np.fft.rfft(sound, padded) * response, padded)
    return filtered[..., :length]
