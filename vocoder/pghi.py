"""Phases of a magnitude spectrogram by phase gradient heap integration (PGHI).

Z. Průša, P. Balazs and P. L. Søndergaard, "A noniterative method for reconstruction of phase from
STFT magnitude", IEEE/ACM Trans. Audio, Speech, and Language Processing 25(5), 2017. With a Gaussian
window the partial derivatives of the phase are those of the logarithm of the magnitude; a Hann
window is treated as the Gaussian that is most like it. The derivatives are integrated from the
loudest bin on, each next bin being the loudest neighbour of those whose phase is known.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

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
# Chosen on twelve songs that are not among those of the benchmark.
_MOMENTUM_SHARE = 0.5
"""Of the iterations, of fast Griffin-Lim after those of ADMM."""
_LOW = 8
"""The lowest bins, 1 in `_LOW`, are solved before the others."""
_LOW_ITERATIONS = (64, 4)
"""Iterations of the lowest bins: at least, and for each of all bins."""
_LOW_KEPT = 0.75
"""Share of the lowest bins whose phases are kept: the uppermost lack their neighbours."""
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

    def integrate(item: NDArray[np.float32], phase: NDArray[np.float32]) -> None:
        greatest = item.max(initial=0.0)
        if greatest > 0:
            _integrate(np.ascontiguousarray(item / greatest), phase, n_fft, hop_length, tolerance)

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        list(pool.map(integrate, items, phases))
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
    over_time += 2 * math.pi * ((np.arange(level.shape[1]) * hop_length) % n_fft) / n_fft
    steps = ((level - least) * (-(_STEPS - 1) / least)).astype(np.int16)
    steps[level < least] = -1
    # A border of bins that are not reached, so that every bin has four neighbours.
    found, *slopes = (np.pad(part, 1).ravel() for part in (phase, over_time, over_bins))
    bordered = np.pad(steps, 1, constant_values=-1).ravel()
    order = np.argsort(-bordered, kind="stable")[: np.count_nonzero(bordered >= 0)]
    _spread(found, slopes[0], slopes[1], bordered, order, level.shape[1] + 2)
    phase[:] = found.reshape(len(level) + 2, -1)[1:-1, 1:-1]
    # Frames begin half a window before their centre.
    phase[:, 1::2] += math.pi


def _difference(level: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Central differences over two steps, at the edges twice the one-sided ones."""
    if level.shape[axis] < 2:
        return np.zeros_like(level)
    result: NDArray[np.float32] = 2 * np.gradient(level, axis=axis)
    return result


@njit(cache=True, nogil=True)
def _spread(phase, over_time, over_bins, steps, order, stride) -> None:  # type: ignore[no-untyped-def]
    """Integrates from the loudest bins on; those of a step below 0 are left as they are.

    All arrays are flat; a bin's neighbours in time are `stride` away. The queue holds bins by their
    step: a linked list for each, so that nothing is sorted. Steps become -1 once a phase is known.
    """
    first = np.full(_STEPS, -1, np.int32)
    following = np.empty(len(phase), np.int32)
    for start in order:
        top = steps[start]
        if top < 0:
            continue
        phase[start] = 0.0
        steps[start] = -1
        following[start], first[top] = -1, start
        while top >= 0:
            here = first[top]
            if here < 0:
                top -= 1
                continue
            first[top] = following[here]
            for direction in (stride, -stride, 1, -1):
                near = here + direction
                step = steps[near]
                if step < 0:
                    continue
                slopes = over_bins if abs(direction) == 1 else over_time
                change = 0.5 * (slopes[here] + slopes[near])
                moved = phase[here] + (change if direction > 0 else -change)
                phase[near] = moved - 2 * np.pi * np.floor(moved / (2 * np.pi))
                steps[near] = -1
                following[near], first[step] = first[step], near
                top = max(top, step)


class PghiInverter:
    """Sound from a "mel" or "stft" spectrogram alone, [.., F, L] to [.., length].

    Phases by heap integration, refined by `iterations`, half of ADMM and half of fast Griffin-Lim,
    and more of them of the lowest bins before; 0 takes them as they are. `source` is ignored.
    Raises VocoderError for a "cqt" spectrogram, whose phases this does not know.
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
    if iterations:
        _improve_lowest(phases, magnitude, length, settings, iterations)
    share = _MOMENTUM_SHARE
    return admm(magnitude, length, settings, iterations, phases=phases, momentum_share=share)


def _improve_lowest(
    phases: Tensor, magnitude: Tensor, length: int, settings: SpectrogramSettings, iterations: int
) -> None:
    """Writes phases of the lowest bins that make a sound of these bins alone.

    Most of music's energy lies there, between partials nearer to each other than the window tells
    apart, where heap integration errs. At a fraction of the sample rate the bins are all there are:
    windows and hops are as much shorter, and so is the work.
    """
    n_fft, hop_length = settings.n_fft // _LOW, settings.hop_length // _LOW
    if settings.n_fft % (2 * _LOW) or settings.hop_length % _LOW or length < settings.n_fft:
        return
    low = SpectrogramSettings(
        "stft", settings.sample_rate, n_fft, hop_length, padding=settings.padding
    )
    bins, (least, each) = slice(0, low.bins), _LOW_ITERATIONS
    count = max(least, each * iterations)
    sound = admm(
        magnitude[..., bins, :],
        length // _LOW,
        low,
        count,
        phases=phases[..., bins, :],
        momentum_share=_MOMENTUM_SHARE,
    )
    kept = slice(0, round(_LOW_KEPT * low.bins))
    phases[..., kept, :] = low.spectrum(sound)[..., kept, :].angle()
