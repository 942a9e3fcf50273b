"""Integrated loudness in LUFS of a stream (ITU-R BS.1770-5, Annex 1)."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

_HOP = 10  # per second: gating blocks are four hops long and overlap by three
_HOPS = 4
_ABSOLUTE_GATE = -70.0  # LUFS
_RELATIVE_GATE = -10.0  # LU
_OFFSET = -0.691  # LU
#: The standard's two filters, a shelf and a high-pass, as b0 b1 b2 a0 a1 a2 at this rate.
_TABLE_RATE = 48000
_TABLE = (
    (1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241,
     0.73248077421585),
    (1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621),
)  # fmt: skip
_SURROUND = 1.41  # 60 to 120 degrees to the side; low frequencies do not count
#: Weights of the channels, in the order of wav and flac files: L R C LFE, then surround channels.
_WEIGHTS = {
    1: (1.0,),
    2: (1.0, 1.0),
    3: (1.0, 1.0, 1.0),
    4: (1.0, 1.0, _SURROUND, _SURROUND),
    5: (1.0, 1.0, 1.0, _SURROUND, _SURROUND),
    6: (1.0, 1.0, 1.0, 0.0, _SURROUND, _SURROUND),
    7: (1.0, 1.0, 1.0, 0.0, 1.0, _SURROUND, _SURROUND),
    8: (1.0, 1.0, 1.0, 0.0, 1.0, 1.0, _SURROUND, _SURROUND),
}


class LoudnessMeter:
    """Integrated loudness: K-weighted power of blocks of 400 ms, gated absolutely and relatively.

    Blocks overlap by three quarters; an incomplete last block does not count. Channels are mono,
    stereo, 3.0, quad, 5.0, 5.1, 6.1 or 7.1 by their number; more have the weight 1 each.
    """

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._rate = sample_rate
        self._sos = k_weighting(sample_rate)
        self._state = np.zeros((len(self._sos), channels, 2))
        self._weights = np.array(_WEIGHTS.get(channels, (1.0,) * channels))
        self._hops: list[float] = []  # weighted energy of complete hops
        self._open = 0.0  # and of the incomplete one
        self._count = 0

    def push(self, block: Tensor) -> None:
        """Take the next samples [C, t]."""
        count = block.shape[1]
        if count == 0:
            return
        from scipy.signal import sosfilt  # slow to import, and not needed for MIDI

        weighted, self._state = sosfilt(
            self._sos, block.detach().cpu().double().numpy(), zi=self._state
        )
        energy = self._weights @ np.square(weighted, out=weighted)
        begin, first = self._count, len(self._hops)
        self._count += count
        bounds: list[int] = []
        while (bound := self._bound(first + len(bounds) + 1)) <= self._count:
            bounds.append(bound - begin)
        sums = [float(part.sum()) for part in np.split(energy, bounds)]
        sums[0] += self._open
        *done, self._open = sums
        self._hops += done

    def integrated(self) -> float:
        """Loudness of all samples so far in LUFS; -inf for silence.

        Under 0.4 s, where there is no block, ungated loudness.
        """
        if len(self._hops) < _HOPS:
            return _lufs((sum(self._hops) + self._open) / max(1, self._count))
        bounds = np.array([self._bound(hop) for hop in range(len(self._hops) + 1)])
        lengths = bounds[_HOPS:] - bounds[:-_HOPS]
        blocks = np.convolve(self._hops, np.ones(_HOPS), "valid") / lengths
        blocks = blocks[blocks > _power(_ABSOLUTE_GATE)]
        if len(blocks):
            blocks = blocks[blocks > blocks.mean() * 10 ** (_RELATIVE_GATE / 10)]
        return _lufs(float(blocks.mean()) if len(blocks) else 0.0)

    def _bound(self, hop: int) -> int:
        """First sample of a hop."""
        return hop * self._rate // _HOP


def k_weighting(rate: int) -> np.ndarray:
    """The standard's two filters at any rate, as second-order sections [2, 6].

    The table's filters are bilinear transforms of analogue ones with pre-warped pole frequencies;
    they are transformed back to the s plane and then to the other rate.
    """
    sections = []
    for section in _TABLE:
        above, below = _analogue(section[:3]), _analogue(section[3:])
        width = math.sqrt(below[0] / below[2])  # tan(pi f / rate) of the poles' frequency f
        if rate != _TABLE_RATE:
            turn = math.atan(width) * _TABLE_RATE / rate
            stretched = (width / math.tan(turn)) ** np.arange(3)
            above, below = above * stretched, below * stretched
        sections.append(np.concatenate((_analogue(above), _analogue(below))))
        sections[-1] /= sections[-1][3]
    return np.array(sections)


def _analogue(polynomial: np.ndarray | tuple[float, ...]) -> np.ndarray:
    """Bilinear transform of a second-order polynomial in 1/z to one in s.

    Up to a factor it is its own inverse.
    """
    first, second, third = polynomial
    return np.array([first + second + third, 2 * (first - third), first - second + third])


def _lufs(power: float) -> float:
    """Loudness in LUFS of a weighted power."""
    return _OFFSET + 10 * math.log10(power) if power > 0 else -math.inf


def _power(lufs: float) -> float:
    """Weighted power of a loudness in LUFS."""
    return float(10 ** ((lufs - _OFFSET) / 10))
