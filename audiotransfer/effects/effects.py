"""Effects on a stem ``[C, T]`` at 44.1 kHz: equaliser, saturation, amplifier, chorus, ducking.

Each keeps length and position. Levels are absolute, for a song at RMS 0.1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from separation import GRID

SAMPLE_RATE = 44100
TAPS = 2047
"""Length of the equaliser's filter in samples."""

USUAL = 0.06
"""RMS of a stem in a song at RMS 0.1, at which saturation keeps the level."""
_OVERSAMPLING, _ZEROS, _ROLLOFF = 4, 16, 0.99
_BIAS = 0.15
#: Equaliser points (Hz, dB) before the amplifier's saturation: less rumble, more upper mids.
_INPUT = ((60.0, -24.0), (120.0, 0.0), (900.0, 3.0), (3000.0, 3.0), (8000.0, 0.0))
#: Equaliser points (Hz, dB) of a closed guitar cabinet: band-pass with a presence peak.
_CABINET = (
    (70.0, -18.0), (110.0, 0.0), (400.0, -2.0), (2500.0, 4.0), (4500.0, 0.0), (6750.0, -20.0),
    (11250.0, -45.0),
)  # fmt: skip
#: Samples (93 ms) of the weighted mean that removes DC: -3 dB at 16 Hz, -0.3 at 25, 0.0 from 30 on.
_DC_TAPS = 4095

PERIOD = GRID
"""Samples of the chorus's delay modulation (0.67 Hz): blocks start on multiples of it."""
_DELAYS = (0.012, 0.017, 0.022)  # seconds

#: Equaliser points (Hz, dB) that pass the kick drum.
_LOW = ((90.0, 0.0), (180.0, -40.0))
_HOP = 64
_LOUD = 0.08  # a kick's peak in a song at RMS 0.1
_RELEASE = 0.125  # seconds to 1 / e
MEMORY = round(12 * _RELEASE * SAMPLE_RATE) + TAPS
"""Samples after which a kick has no effect on ducking: it has decayed by 100 dB."""


def equalise(sound: Tensor, points: Sequence[tuple[float, float]]) -> Tensor:
    """Apply a gain in dB to each frequency in Hz, linearly interpolated between the given points.

    ``[C, T]`` to ``[C, T]``: a linear-phase filter with its delay removed. Below the first and
    above the last point the gain is constant.
    """
    from julius.fftconv import fft_conv1d

    taps = _taps(tuple((float(hertz), float(db)) for hertz, db in points))
    # The zeros at the end are for julius, which refuses a signal shorter than the filter.
    padded = functional.pad(sound[:, None], (TAPS // 2, TAPS))
    # The filter is symmetric, so that correlation equals convolution.
    filtered: Tensor = fft_conv1d(padded, taps.to(sound)[None, None])
    return filtered[:, 0, : sound.shape[-1]]


@lru_cache(maxsize=32)
def _taps(points: tuple[tuple[float, float], ...]) -> Tensor:
    """Impulse response ``[TAPS]`` of the equaliser."""
    from scipy import signal

    hertz = [0.0, *(hertz for hertz, _ in points), SAMPLE_RATE / 2]
    gains = [10 ** (db / 20) for _, db in (points[0], *points, points[-1])]
    return torch.from_numpy(signal.firwin2(TAPS, hertz, gains, fs=SAMPLE_RATE)).float()


def saturate(sound: Tensor, drive: float, bias: float = 0.0) -> Tensor:
    """Soft clipping of a stem ``[C, T]``: tanh at ``drive`` times its usual level.

    Four times oversampled against aliasing. ``bias`` makes the curve asymmetric, which adds even
    harmonics. Silence stays silence, and the DC that an asymmetric curve or sound produces is
    removed.
    """
    from julius.resample import resample_frac

    if sound.shape[-1] == 0:
        return sound
    high = resample_frac(sound, 1, _OVERSAMPLING, zeros=_ZEROS, rolloff=_ROLLOFF)
    high = torch.tanh(high * (drive / USUAL) + bias) - torch.tanh(high.new_tensor(bias))
    low = resample_frac(
        high, _OVERSAMPLING, 1, zeros=_ZEROS, rolloff=_ROLLOFF, output_length=sound.shape[-1]
    )
    return _without_dc(low) * (USUAL / _saturated_rms(drive))


def amplify(sound: Tensor, drive: float) -> Tensor:
    """Guitar amplifier and cabinet: equaliser, saturation, equaliser; ``[C, T]`` to ``[C, T]``."""
    return equalise(saturate(equalise(sound, _INPUT), drive, _BIAS), _CABINET)


def _without_dc(sound: Tensor) -> Tensor:
    """High-pass at 16 Hz of ``[C, T]``, linear phase, without delay."""
    from julius.fftconv import fft_conv1d

    reach = _DC_TAPS // 2
    padded = functional.pad(sound[:, None], (reach, reach + _DC_TAPS))
    slow: Tensor = fft_conv1d(padded, _dc_taps().to(sound)[None, None])
    return sound - slow[:, 0, : sound.shape[-1]]


@lru_cache(maxsize=1)
def _dc_taps() -> Tensor:
    """Blackman window of sum 1, whose side lobes are inaudible."""
    window = torch.blackman_window(_DC_TAPS, periodic=False, dtype=torch.float64)
    return (window / window.sum()).float()


def _saturated_rms(drive: float) -> float:
    """RMS of normally distributed samples after the saturation curve, for level compensation."""
    at = torch.linspace(-4, 4, 801, dtype=torch.float64)
    density = torch.exp(-at.square() / 2)
    return float((torch.tanh(drive * at).square() * density).sum().div(density.sum()).sqrt())


def chorus(sound: Tensor, depth: float = 0.7) -> Tensor:
    """Add three copies of ``[C, T]``, delayed by 8 to 26 ms that vary slowly; keeps the level.

    ``depth`` is the gain of the copies. Delays differ between channels, which widens the sound.
    """
    length = sound.shape[-1]
    time = torch.arange(length, device=sound.device)
    total = sound.clone()
    for voice, delay in enumerate(_DELAYS):
        turn = 2 * math.pi * (time % PERIOD) / PERIOD + 2.1 * voice
        for channel in range(len(sound)):
            late = (delay + 0.004 * torch.sin(turn)) * (1 + 0.07 * channel) * SAMPLE_RATE
            total[channel] += depth * _delayed(sound[channel], late)
    return total / math.sqrt(1 + len(_DELAYS) * depth**2)


def _delayed(sound: Tensor, samples: Tensor) -> Tensor:
    """Delay each sample of ``[T]`` by its own number of samples, with linear interpolation."""
    whole = samples.long()
    index = torch.arange(len(sound), device=sound.device) - whole
    found = torch.lerp(sound[index.clamp_min(0)], sound[(index - 1).clamp_min(0)], samples - whole)
    return torch.where(index > 0, found, 0.0)


def duck(sound: Tensor, drums: Tensor | None, depth: float) -> Tensor:
    """Attenuate a stem ``[C, T]`` by up to ``depth`` (0..1) while the kick of ``drums`` sounds.

    Side-chain compression by the kick drum. Without drums ``[C, T]`` the stem is returned
    unchanged.
    """
    length = sound.shape[-1]
    if drums is None or length == 0:
        return sound
    low = equalise(drums, _LOW).abs().amax(0)
    low = functional.pad(low, (0, -length % _HOP)).unflatten(-1, (-1, _HOP)).amax(-1)
    # The accumulated decay of a long song exceeds the precision of float32.
    fall = torch.arange(len(low), device=low.device).double() * (_HOP / SAMPLE_RATE / _RELEASE)
    # Running maximum of the level with exponential release.
    level = torch.exp(torch.cummax(torch.log(low + 1e-6) + fall, 0).values - fall).to(low)
    gain = 1 - depth * torch.tanh(level / _LOUD)
    smooth = functional.interpolate(gain[None, None], scale_factor=_HOP, mode="linear")[0, 0]
    return sound * smooth[:length]
