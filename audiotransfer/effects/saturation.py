"""Overdriven electronics: loud parts are squeezed, and overtones come of it."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from audiotransfer.effects.equaliser import equalise

#: RMS of a stem in a song at RMS 0.1, for which an effect leaves the level as it was.
USUAL = 0.06
_OVERSAMPLING, _ZEROS, _ROLLOFF = 4, 16, 0.99
#: Into the valves: what rumbles stays out, what bites goes further in.
_INPUT = ((60.0, -24.0), (120.0, 0.0), (900.0, 3.0), (3000.0, 3.0), (8000.0, 0.0))
#: A closed cabinet of guitar speakers: nothing below, a presence, and a wall above.
_CABINET = (
    (70.0, -18.0), (110.0, 0.0), (400.0, -2.0), (2500.0, 4.0), (4500.0, 0.0), (6750.0, -20.0),
    (11250.0, -45.0),
)  # fmt: skip
_BIAS = 0.15
#: Samples (93 ms) whose weighted mean is taken off: -3 dB at 16 Hz, -0.3 at 25, 0.0 from 30 on.
_DC_TAPS = 4095


def saturate(sound: Tensor, drive: float, bias: float = 0.0) -> Tensor:
    """Soft clipping of a stem ``[C, T]``: tanh at ``drive`` times its usual level.

    Four times oversampled, so that overtones beyond hearing do not come back as others. ``bias``
    moves the curve off its middle, which adds even overtones. Silence stays silence, and of what
    comes of a curve or a sound that is not symmetric there is no constant part (DC) in the outcome.
    """
    import julius

    if sound.shape[-1] == 0:
        return sound
    high = julius.resample_frac(sound, 1, _OVERSAMPLING, zeros=_ZEROS, rolloff=_ROLLOFF)
    high = torch.tanh(high * (drive / USUAL) + bias) - torch.tanh(high.new_tensor(bias))
    low = julius.resample_frac(
        high, _OVERSAMPLING, 1, zeros=_ZEROS, rolloff=_ROLLOFF, output_length=sound.shape[-1]
    )
    return _without_dc(low) * (USUAL / _loudness(drive))


def amplify(sound: Tensor, drive: float) -> Tensor:
    """A guitar amplifier and its cabinet for a stem ``[C, T]``."""
    return equalise(saturate(equalise(sound, _INPUT), drive, _BIAS), _CABINET)


def _without_dc(sound: Tensor) -> Tensor:
    """The sound ``[C, T]`` less what is slower than 16 Hz: linear phase, without delay."""
    import julius

    reach = _DC_TAPS // 2
    padded = functional.pad(sound[:, None], (reach, reach + _DC_TAPS))
    slow = julius.fft_conv1d(padded, _dc_taps().to(sound)[None, None])
    return sound - slow[:, 0, : sound.shape[-1]]


@lru_cache(maxsize=1)
def _dc_taps() -> Tensor:
    """A window of sum 1: a mean whose side lobes nobody hears."""
    window = torch.blackman_window(_DC_TAPS, periodic=False, dtype=torch.float64)
    return (window / window.sum()).float()


def _loudness(drive: float) -> float:
    """RMS of normally distributed samples behind the curve: what keeps the usual level."""
    at = torch.linspace(-4, 4, 801, dtype=torch.float64)
    density = torch.exp(-at.square() / 2)
    return float((torch.tanh(drive * at).square() * density).sum().div(density.sum()).sqrt())
