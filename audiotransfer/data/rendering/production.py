"""Treatment of stems and mixes: equaliser, soft clipping, a compressor, a diffuse room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage, signal

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Sound = NDArray[np.float32]


def tone(sound: Sound, sample_rate: int, random: Generator, depth_db: float = 6.0) -> Sound:
    """A random smooth equaliser: up to ``depth_db`` up or down at six frequencies.

    ``[C, T] -> [C, T]``, linear phase with its delay taken out.
    """
    points = np.array([0.0, 100.0, 400.0, 1600.0, 6400.0, sample_rate / 2])
    gains = 10 ** (random.uniform(-depth_db, depth_db, len(points)) / 20)
    taps = signal.firwin2(511, points, gains, fs=sample_rate)
    filtered: Sound = signal.fftconvolve(sound, taps[None], mode="same", axes=1).astype(np.float32)
    return filtered


def drive(sound: Sound, amount: float) -> Sound:
    """Soft clipping by tanh, with the RMS at ``amount``; the RMS is kept."""
    level = float(np.sqrt(np.mean(sound**2))) + 1e-9
    driven = np.tanh(sound / level * amount)
    driven_level = float(np.sqrt(np.mean(driven**2))) + 1e-9
    scaled: Sound = (driven * (level / driven_level)).astype(np.float32)
    return scaled


def stretched(envelopes: NDArray[np.floating], ratio: float) -> NDArray[np.float64]:
    """Spectral envelopes ``[bins, F]`` with all frequencies ``ratio`` times as high."""
    last = len(envelopes) - 1
    place = np.clip(np.arange(last + 1) / ratio, 0, last)
    lower = np.minimum(place.astype(int), last - 1)
    share = (place - lower)[:, None]
    moved: NDArray[np.float64] = envelopes[lower] * (1 - share) + envelopes[lower + 1] * share
    return moved


def compressor_gain(
    power: NDArray[np.floating], sample_rate: int, ratio: float, threshold_db: float
) -> NDArray[np.floating]:
    """Gain ``[T]`` of a compressor for a sound of the power ``[T]``.

    Levels over 30 ms above a threshold in dB, relative to the mean, are lowered by the ratio.
    """
    smooth = ndimage.uniform_filter1d(power, round(0.03 * sample_rate)) + 1e-9
    over = np.maximum(0.0, 10 * np.log10(smooth / smooth.mean()) - threshold_db)
    gain: NDArray[np.floating] = 10 ** (-over * (1 - 1 / ratio) / 20)
    return gain


def room(sound: Sound, sample_rate: int, random: Generator, decay: float, wet_db: float) -> Sound:
    """Convolution with a diffuse room: noise that decays to -60 dB in ``decay`` seconds.

    ``[2, T] -> [2, T]``; the tail is cut at ``T``. ``wet_db`` is the level of the room below
    the direct sound. The two channels get independent noise, as in a wide room.
    """
    count = int(decay * sample_rate)
    time = np.arange(count) / sample_rate
    noise = random.standard_normal((2, count)) * 10 ** (-3 * time / decay)
    # High frequencies decay first in every real room.
    noise = signal.lfilter([0.35], [1.0, -0.65], noise, axis=1)
    noise[:, : int(0.012 * sample_rate)] = 0.0
    noise /= np.sqrt((noise**2).sum(axis=1, keepdims=True)) + 1e-9
    wet = signal.fftconvolve(sound, noise, mode="full", axes=1)[:, : sound.shape[1]]
    mixed: Sound = (sound + 10 ** (wet_db / 20) * wet).astype(np.float32)
    return mixed
