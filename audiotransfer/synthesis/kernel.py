"""The compiled inner loop of a voice: resampling, low-pass filter, envelope, panning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numba import njit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Samples between two values of modulated quantities, which are interpolated in between.
STEP = 64
#: Amplitude (-96 dB) below which a voice in its last segment ends.
_SILENCE = 1.6e-5


@njit(cache=True, nogil=True)
def add(
    into: NDArray[np.float32],
    source: NDArray[np.float32],
    speeds: NDArray[np.float64],
    levels: NDArray[np.float64],
    filters: NDArray[np.float64],
    envelope: NDArray[np.float64],
    left: float,
    right: float,
) -> None:
    """Add ``source`` to ``into`` ``[C, T]`` (1 or 2 channels), as long as it and the envelope last.

    ``envelope`` ``[S, 3]`` holds segments: a number of samples, and the factor and term that turn
    each amplitude into the next, from 0 on. ``speeds`` ``[L]`` (source samples per output sample),
    ``levels`` ``[L]`` (gains) and ``filters`` ``[L, 3]`` (gain and two feedback coefficients of a
    low-pass filter; none if the first gain is 0) are given every STEP samples. ``left`` and
    ``right`` are gains; of one channel ``left`` counts. The source begins with one sample of
    padding.
    """
    stereo = into.shape[0] > 1
    filtered = filters[0, 0] > 0.0
    before = before2 = made = made2 = amplitude = place = 0.0
    segment, left_over = 0, int(envelope[0, 0])
    last = len(envelope) - 1
    total = min(into.shape[1], (len(speeds) - 1) * STEP)
    end = len(source) - 3
    for block in range((total + STEP - 1) // STEP):
        speed, level = speeds[block], levels[block]
        faster = (speeds[block + 1] - speed) / STEP
        louder = (levels[block + 1] - level) / STEP
        gain, first, second = filters[block, 0], filters[block, 1], filters[block, 2]
        gains = (filters[block + 1, 0] - gain) / STEP
        firsts = (filters[block + 1, 1] - first) / STEP
        seconds = (filters[block + 1, 2] - second) / STEP
        for n in range(block * STEP, min(total, (block + 1) * STEP)):
            while left_over == 0:
                if segment == last:
                    return
                segment += 1
                left_over = int(envelope[segment, 0])
            left_over -= 1
            amplitude = amplitude * envelope[segment, 1] + envelope[segment, 2]
            whole = int(place)
            if whole >= end or (segment == last and amplitude < _SILENCE):
                return
            # Third-order interpolation of four points (Catmull and Rom).
            share = place - whole
            a, b, c, d = source[whole], source[whole + 1], source[whole + 2], source[whole + 3]
            curve = share * (3.0 * (b - c) + d - a) + (2.0 * a - 5.0 * b + 4.0 * c - d)
            value = b + 0.5 * share * (share * curve + (c - a))
            if filtered:
                out = gain * (value + 2.0 * before + before2) - first * made - second * made2
                before2, before = before, value
                made2, made = made, out
                value = out
                gain += gains
                first += firsts
                second += seconds
            value *= amplitude * level
            into[0, n] += left * value
            if stereo:
                into[1, n] += right * value
            place += speed
            speed += faster
            level += louder
