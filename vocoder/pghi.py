"""Phases of a magnitude spectrogram by phase gradient heap integration (PGHI).

Z. Průša, P. Balazs and P. L. Søndergaard, "A noniterative method for reconstruction of phase from
STFT magnitude", IEEE/ACM Trans. Audio, Speech, and Language Processing 25(5), 2017. With a Gaussian
window the partial derivatives of the phase are those of the logarithm of the magnitude; a Hann
window is treated as the Gaussian that is most like it. The derivatives are integrated from the
loudest bin on, each next bin being the loudest neighbour of those whose phase is known.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Generator, Tensor

from vocoder.base import VocoderError, require_frames, require_shape
from vocoder.griffinlim import admm, linear_magnitude
from vocoder.spectrogram import SpectrogramSettings

HANN_WIDTH = 0.25645
"""Time-frequency ratio of the Gaussian most like a Hann window, by its length squared."""
TOLERANCE = 1e-6
"""Magnitude relative to the greatest, below which phases are random: -120 dB."""
# Of ADMM and fast Griffin-Lim after it: 1 dB nearer after 32 iterations than ADMM alone with its
# usual relaxation, on eight songs that are not among those of the benchmark.
_RELAXATION, _MOMENTUM_SHARE = 0.2, 0.5
_STEPS = 2048  # levels of the queue between the tolerance and the greatest magnitude


def heap_integration(
    magnitude: Tensor,
    n_fft: int,
    hop_length: int,
    generator: Generator | None = None,
    tolerance: float = TOLERANCE,
) -> Tensor:
    """Phases in radians [.., F, L] for STFT magnitudes [.., F, L] of `vocoder.stft`.

    Bins with less than `tolerance` of an item's greatest magnitude get random phases, which are the
    same for every item. Computed on the CPU in single precision; carries no gradient.
    """
    bins, frames = magnitude.shape[-2:]
    device = magnitude.device if generator is None else generator.device
    noise = 2 * math.pi * torch.rand(frames, bins, generator=generator, device=device).cpu()
    items = magnitude.detach().reshape(-1, bins, frames).transpose(-1, -2).cpu().float().numpy()
    phases = np.tile(noise.numpy(), (len(items), 1, 1))
    for item, phase in zip(items, phases, strict=True):
        greatest = item.max(initial=0.0)
        if greatest > 0:
            _integrate(np.ascontiguousarray(item / greatest), phase, n_fft, hop_length, tolerance)
    done = torch.from_numpy(phases).transpose(-1, -2).to(magnitude.device)
    return done.reshape(magnitude.shape)


def _integrate(
    magnitude: NDArray[np.float32],
    phase: NDArray[np.float32],
    n_fft: int,
    hop_length: int,
    tolerance: float,
) -> None:
    """Writes the phases [L, F] of magnitudes [L, F] of at most 1, where these are not too small."""
    width = HANN_WIDTH * n_fft**2
    least = math.log(tolerance)
    level = np.log(np.maximum(magnitude, 0.1 * tolerance))
    # Radians from a frame to the next one, without the rotation of the bin's own frequency, and
    # from a bin to the next one: for a window that is centred on the sample of phase 0.
    over_time = hop_length * n_fft / (2 * width) * _difference(level, axis=1)
    over_bins = -width / (2 * hop_length * n_fft) * _difference(level, axis=0)
    steps = ((level - least) * (-(_STEPS - 1) / least)).astype(np.int16)
    steps[level < least] = -1
    rotation = 2 * math.pi * ((np.arange(level.shape[1]) * hop_length) % n_fft) / n_fft
    order = np.argsort(-steps, axis=None, kind="stable").astype(np.int64)
    _spread(phase, steps, over_time, over_bins, rotation.astype(np.float32), order)
    # Frames begin half a window before their centre.
    phase[:, 1::2] += math.pi


def _difference(level: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Central differences over two steps, at the edges twice the one-sided ones."""
    if level.shape[axis] < 2:
        return np.zeros_like(level)
    result: NDArray[np.float32] = 2 * np.gradient(level, axis=axis)
    return result


@njit(cache=True)
def _spread(phase, steps, over_time, over_bins, rotation, order) -> None:  # type: ignore[no-untyped-def]
    """Integrates from the loudest bins on; those of a step below 0 are left as they are.

    The queue holds bins by their step: a linked list for each, so that nothing is sorted.
    """
    frames, bins = phase.shape
    first = np.full(_STEPS, -1, np.int64)
    following = np.full(frames * bins, -1, np.int64)
    known = np.zeros((frames, bins), np.bool_)
    for start in order:
        frame, place = start // bins, start % bins
        if steps[frame, place] < 0:
            break
        if known[frame, place]:
            continue
        known[frame, place] = True
        phase[frame, place] = 0.0
        top = steps[frame, place]
        following[start], first[top] = first[top], start
        while True:
            while top >= 0 and first[top] < 0:
                top -= 1
            if top < 0:
                break
            here = first[top]
            first[top] = following[here]
            frame, place = here // bins, here % bins
            value = phase[frame, place]
            for direction in range(4):
                near, at = frame, place
                if direction == 0:
                    near += 1
                elif direction == 1:
                    near -= 1
                elif direction == 2:
                    at += 1
                else:
                    at -= 1
                if near < 0 or near >= frames or at < 0 or at >= bins:
                    continue
                step = steps[near, at]
                if step < 0 or known[near, at]:
                    continue
                if direction < 2:
                    change = 0.5 * (over_time[frame, place] + over_time[near, at]) + rotation[place]
                    moved = value + change if direction == 0 else value - change
                else:
                    change = 0.5 * (over_bins[frame, place] + over_bins[near, at])
                    moved = value + change if direction == 2 else value - change
                phase[near, at] = moved % (2 * np.pi)
                known[near, at] = True
                there = near * bins + at
                following[there], first[step] = first[step], there
                top = max(top, step)


class PghiInverter:
    """Sound from a "mel" or "stft" spectrogram alone, [.., F, L] to [.., length].

    Phases by heap integration, refined by `iterations`, half of ADMM and half of fast Griffin-Lim;
    0 takes them as they are. `source` is ignored. Raises VocoderError for a "cqt" spectrogram,
    whose phases this does not know.
    """

    def __init__(self, expects: SpectrogramSettings, iterations: int = 32) -> None:
        if iterations < 0:
            raise VocoderError(f"{iterations} iterations after PGHI: use 0 or more")
        require_frames(expects, "pghi")
        self.expects, self.iterations = expects, iterations
        # Phases depend on those of louder bins at any distance, yet only up to a constant.
        self.reach = (1 + iterations) * expects.n_fft

    @torch.no_grad()
    def __call__(
        self,
        spectrogram: Tensor,
        length: int,
        source: Tensor | None = None,
        generator: Generator | None = None,
    ) -> Tensor:
        require_shape(self.expects, spectrogram, length)
        values = linear_magnitude(self.expects, spectrogram)
        if not values.numel():
            return torch.zeros(*values.shape[:-2], length, device=values.device)
        return from_magnitude(values, length, self.expects, self.iterations, generator)


def from_magnitude(
    magnitude: Tensor,
    length: int,
    settings: SpectrogramSettings,
    iterations: int,
    generator: Generator | None = None,
) -> Tensor:
    """STFT magnitudes [.., F, L] to sound [.., length], by heap integration and iterations."""
    phases = heap_integration(magnitude, settings.n_fft, settings.hop_length, generator)
    return admm(
        magnitude,
        length,
        settings,
        iterations,
        _RELAXATION,
        phases=phases,
        momentum_share=_MOMENTUM_SHARE,
    )
