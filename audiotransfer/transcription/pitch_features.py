"""Variable-Q transform in decibels: the input of the pitch network, computed from a stream."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: Sample rate in Hz, hop in samples, and frames a second.
SAMPLE_RATE, HOP = 22_050, 512
FRAME_RATE = SAMPLE_RATE / HOP
#: Bins a semitone; bins of the transform from C1, and of its finer low end from B0.
PER_SEMITONE = 3
BINS, LOWEST_BIN = 264, 24
FINE_BINS, LOWEST_FINE_BIN = 114, 23
ALL_BINS = BINS + FINE_BINS
#: Samples that a frame reaches to each side of its middle.
REACH = 4096
#: Level in dB of the lowest step, and steps a dB, of features kept in 8 bits.
FLOOR, STEPS = -96.0, 2.5

_WINDOW = 2 * REACH
_GAMMA = 4.0  # Hz added to the bandwidth of constant Q
_OCTAVE = 12 * PER_SEMITONE
_FRAMES = 256  # transformed together
_LOBE = 3  # bandwidths of a Hann window's main lobe and first side lobes, to each side


def frame_count(samples: int) -> int:
    """Number of frames of ``samples`` samples: one at each multiple of the hop, from 0."""
    return -(-samples // HOP)


class PitchFeatures:
    """Levels in dB of a variable-Q transform, of a recording pushed block by block.

    Frame ``l`` has its middle at sample ``l * HOP``. 264 bins of 36 an octave from C1 have a
    bandwidth of constant Q plus 4 Hz (Schörkhuber et al. 2014), as weighted sums of the bins of one
    Fourier transform (Brown and Puckette 1992); 114 more from B0 have the whole frame's
    resolution, which tells low semitones apart. A sine of full scale has 0 dB.

    Args:
        tuning: deviation from A = 440 Hz in cents; the bins follow it.
    """

    def __init__(self, tuning: float = 0.0) -> None:
        self._groups = _kernels(tuning)
        self._samples = np.zeros(REACH, dtype=np.float32)
        self._taken = self._given = 0

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Adds mono samples ``[t]`` at 22.05 kHz; returns the finished frames ``[l, 378]``."""
        self._taken += len(samples)
        self._samples = np.concatenate((self._samples, samples.astype(np.float32, copy=False)))
        return self._finished()

    def finish(self) -> NDArray[np.float32]:
        """Ends the recording; returns the last frames."""
        wanted = frame_count(self._taken) - self._given
        missing = (wanted - 1) * HOP + _WINDOW - len(self._samples)
        tail = np.zeros(max(0, missing), dtype=np.float32)
        self._samples = np.concatenate((self._samples, tail))
        return self._finished()[:wanted]

    def _finished(self) -> NDArray[np.float32]:
        """The frames whose samples are all there; drops the samples no later frame needs."""
        frames = max(0, (len(self._samples) - _WINDOW) // HOP + 1)
        found = np.empty((frames, ALL_BINS), dtype=np.float32)
        for first in range(0, frames, _FRAMES):
            last = min(frames, first + _FRAMES)
            part = self._samples[first * HOP : (last - 1) * HOP + _WINDOW]
            found[first:last] = self._transform(torch.from_numpy(part)).numpy()
        self._samples = self._samples[frames * HOP :]
        self._given += frames
        return found

    def _transform(self, samples: Tensor) -> Tensor:
        spectra = torch.fft.rfft(samples.unfold(0, _WINDOW, HOP))
        real, imaginary = spectra.real, spectra.imag
        levels = [
            torch.hypot(real[:, low:high] @ kernel, imaginary[:, low:high] @ kernel)
            for low, high, kernel in self._groups
        ]
        decibels: Tensor = 20.0 * torch.cat(levels, 1).clamp_min(1e-6).log10()
        return decibels


def pitch_features(samples: NDArray[np.float32], tuning: float = 0.0) -> NDArray[np.float32]:
    """The frames ``[L, 378]`` of a whole recording ``[T]``, in dB (see `PitchFeatures`)."""
    features = PitchFeatures(tuning)
    return np.concatenate((features.push(samples), features.finish()))


def to_bytes(features: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Levels in steps of 0.4 dB above -96 dB."""
    steps: NDArray[np.uint8] = np.clip(np.rint((features - FLOOR) * STEPS), 0, 255).astype(np.uint8)
    return steps


def estimate_tuning(features: NDArray[np.float32]) -> float:
    """Deviation from A = 440 Hz in cents, -50..50, of frames ``[L, 378]`` in dB.

    The spectral peaks between 130 and 2100 Hz are refined by a parabola; their deviations are
    averaged on the circle of a semitone, weighted by their power above the frame's median. 0 where
    the peaks agree on nothing.
    """
    low, high = 2 * _OCTAVE, 6 * _OCTAVE
    inner = features[:, low:high]
    before, after = features[:, low - 1 : high - 1], features[:, low + 1 : high + 1]
    floor = np.median(inner, axis=1, keepdims=True) + 12.0
    peak = (inner > before) & (inner >= after) & (inner > np.maximum(floor, FLOOR + 36.0))
    frames, bins = np.nonzero(peak)
    if len(bins) == 0:
        return 0.0
    a, b, c = before[frames, bins], inner[frames, bins], after[frames, bins]
    offset = 0.5 * (a - c) / np.minimum(a - 2 * b + c, -1e-3)
    turns = np.exp(2j * np.pi * (bins + offset) / PER_SEMITONE)
    weights = 10.0 ** (0.025 * (b - b.max()))
    mean = np.sum(weights * turns) / np.sum(weights)
    return float(np.angle(mean) / (2 * np.pi) * 100.0) if abs(mean) > 0.1 else 0.0


def _kernels(tuning: float) -> list[tuple[int, int, Tensor]]:
    """Groups of an octave of bins: the range of Fourier bins, and their weights ``[f, bins]``.

    Windows are Hann windows around the frame's middle, whose transforms are real but for the sign
    that moves the origin there.
    """
    concert = 440.0 * 2.0 ** (tuning / 1200.0)

    def frequencies(lowest: int, count: int) -> NDArray[np.float64]:
        midi = lowest + np.arange(count) / PER_SEMITONE
        found: NDArray[np.float64] = concert * 2.0 ** ((midi - 69.0) / 12.0)
        return found

    def group(centres: NDArray[np.float64], gamma: float) -> tuple[int, int, Tensor]:
        share = 2.0 ** (0.5 / _OCTAVE) - 2.0 ** (-0.5 / _OCTAVE)
        lengths = np.minimum(SAMPLE_RATE / (share * centres + gamma), float(_WINDOW))
        width = SAMPLE_RATE / _WINDOW  # Hz of a Fourier bin
        reach = _LOBE * SAMPLE_RATE / lengths
        low = max(0, int((centres - reach).min() / width))
        high = min(_WINDOW // 2 + 1, int((centres + reach).max() / width) + 2)
        bins = np.arange(low, high)
        cycles = (bins[:, None] * width - centres) / SAMPLE_RATE * lengths
        # Transform of a Hann window of unit sum; twice it, for half a sine's power is at -f.
        weights = np.sinc(cycles) + 0.5 * np.sinc(cycles - 1) + 0.5 * np.sinc(cycles + 1)
        weights *= np.where(np.abs(cycles) < _LOBE, 2.0 / _WINDOW, 0.0) * (-1.0) ** bins[:, None]
        return low, high, torch.from_numpy(weights.astype(np.float32))

    octaves = np.split(frequencies(LOWEST_BIN, BINS), range(_OCTAVE, BINS, _OCTAVE))
    groups = [group(octave, _GAMMA) for octave in octaves]
    return [*groups, group(frequencies(LOWEST_FINE_BIN, FINE_BINS), 0.0)]
