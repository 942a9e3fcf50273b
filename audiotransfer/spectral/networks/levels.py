"""The unit of networks that end in tanh: 100 dB of level as -1 to 1, with a fixed floor.

Source: MelGAN-VC's scaling (Pasini 2019), which holds for CQT pictures just as well.
"""

from __future__ import annotations

import math

from torch import Tensor

_NATS_PER_DB = math.log(10) / 20
#: Natural logs of magnitude (full-scale sound, unnormalised pictures): -80 dB and +20 dB.
BOTTOM, TOP = -80 * _NATS_PER_DB, 20 * _NATS_PER_DB
_MIDDLE, _HALF = (TOP + BOTTOM) / 2, (TOP - BOTTOM) / 2


def to_unit(picture: Tensor) -> Tensor:
    """Log levels to -1..1, clipped at both ends."""
    return ((picture - _MIDDLE) / _HALF).clamp(-1, 1)


def from_unit(unit: Tensor) -> Tensor:
    """The inverse of `to_unit`: -1..1 to log levels."""
    return _MIDDLE + _HALF * unit
