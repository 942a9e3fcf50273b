"""Artefacts of processing: inconsistent spectra and seams between tiles."""

from __future__ import annotations

import librosa
import numpy as np
import torch
from scipy.ndimage import median_filter
from torch import Tensor

from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.metrics.signals import (
    HOP_LENGTH,
    N_FFT,
    SAMPLE_RATE,
    Signal,
    mono,
    stft_magnitude,
)

GRIFFIN_LIM_ITERATIONS = 32
GRIFFIN_LIM_MOMENTUM = 0.99
_BLOCK_SECONDS = 20
_SHORTEST = 4096

_SEAM_N_FFT = 512
_SEAM_HOP = 128
_SEAM_RANGE_DB = 60.0
_SEAM_BACKGROUND = 33
_SEAM_LOUDEST = 12.0


def griffin_lim_copy(
    magnitude: Signal,
    length: int,
    *,
    n_fft: int = N_FFT,
    hop_length: int = HOP_LENGTH,
    iterations: int = GRIFFIN_LIM_ITERATIONS,
    seed: int = 0,
) -> Signal:
    """Fast Griffin-Lim phase retrieval (Perraudin et al. 2013): magnitudes [F, L] -> [length].

    Momentum 0.99, from a random phase drawn by ``seed``.
    """
    copy = librosa.griffinlim(
        magnitude, n_iter=iterations, hop_length=hop_length, n_fft=n_fft,
        momentum=GRIFFIN_LIM_MOMENTUM, random_state=seed, pad_mode="constant",
    )  # fmt: skip
    return librosa.util.fix_length(copy, size=length).astype(np.float32)


def multi_resolution_distance(output: Signal, reference: Signal) -> float:
    """Multi-resolution STFT distance of two mono signals [T] (auraloss defaults); 0 for equal ones.

    Measured in blocks of 20 s, whose mean is weighted by length: bounded memory.
    """
    from auraloss.freq import MultiResolutionSTFTLoss

    measure = MultiResolutionSTFTLoss()
    total, samples = 0.0, 0
    for start, stop in _blocks(min(len(output), len(reference))):
        one, other = (
            torch.from_numpy(np.pad(part, (0, max(0, _SHORTEST - len(part)))))[None, None]
            for part in (output[start:stop], reference[start:stop])
        )
        if float(other.abs().max()) == 0.0:
            # Spectral convergence divides by the reference's energy.
            continue
        with torch.no_grad():
            total += float(measure(one, other)) * (stop - start)
        samples += stop - start
    return total / samples if samples else 0.0


def artefact_check(audio: Tensor, sample_rate: int, *, seed: int = 0) -> float:
    """Distance of a sound [C, T] to its own Griffin-Lim copy; higher: a less consistent spectrum.

    The copy is made from magnitudes by 32 iterations from a random phase; the distance is
    `multi_resolution_distance`. Comparable only as a ratio to the source's (`artefact_ratio`).
    0 for silence.
    """
    signal = mono(audio, sample_rate)
    total = 0.0
    for start, stop in _blocks(len(signal)):
        part = signal[start:stop]
        copy = griffin_lim_copy(stft_magnitude(part), len(part), seed=seed)
        total += multi_resolution_distance(copy, part) * len(part)
    return total / len(signal)


def artefact_ratio(output: Tensor, source: Tensor, sample_rate: int, *, seed: int = 0) -> float:
    """`artefact_check` of the output divided by the source's: 1 is as consistent as the source."""
    before = artefact_check(source, sample_rate, seed=seed)
    return artefact_check(output, sample_rate, seed=seed) / before if before > 0 else float("nan")


def seam_energy(audio: Tensor, sample_rate: int, period: int) -> float:
    """Autocorrelation of spectral flux at the tile period, relative to nearby lags: 1 is no seam.

    The flux (mean absolute change of the log spectrum between frames, 512/128 at 44.1 kHz) is
    expressed as its excess over the running median, relative to it and clipped, so that level and
    single hits have little weight. Its autocorrelation at the period is divided by the mean over
    lags 3–16 % away on both sides. Music without seams gives about 0.8–1.2, hard splices 3 and
    more. Music whose beat has the same period gives more, too: compare with the source's figure.

    Args:
        audio: [C, T].
        period: of the tiles, in samples at ``sample_rate``.

    Raises:
        AudioTransferError: fewer than three periods fit.
    """
    signal = mono(audio, sample_rate)
    lag = round(period * SAMPLE_RATE / sample_rate / _SEAM_HOP)
    flux = _excess_flux(signal)
    near, far = max(4, round(0.03 * lag)), max(12, round(0.16 * lag))
    if lag <= far or len(flux) < 3 * lag:
        raise AudioTransferError(
            f"no seam energy for a period of {period} samples in {audio.shape[-1]}: "
            "give at least three periods of 2048 samples or more"
        )
    neighbours = [lag + side * step for step in range(near, far + 1) for side in (-1, 1)]
    background = float(np.mean([_correlation(flux, other) for other in neighbours]))
    # A seam between two frames, or a period that is no whole number of hops, spreads over two lags.
    at_period = float(np.mean([_correlation(flux, lag + step) for step in (-1, 0, 1)]))
    return at_period / background if background > 0 else 1.0


def _excess_flux(signal: Signal) -> Signal:
    power = stft_magnitude(signal, _SEAM_N_FFT, _SEAM_HOP)
    top = float(power.max())
    if top == 0.0:
        return np.zeros(power.shape[1], dtype=np.float32)
    spectrogram = librosa.amplitude_to_db(power, ref=top, top_db=_SEAM_RANGE_DB)
    flux = np.abs(np.diff(spectrogram, axis=1)).mean(axis=0)
    usual = np.maximum(median_filter(flux, size=_SEAM_BACKGROUND), 0.05)
    # Without taking the median off, the product of two ordinary frames would drown the seams:
    # one frame in a hundred is a seam, and the figure would stay near 1 for a hard splice.
    excess: Signal = np.clip(flux / usual - 1.0, 0.0, _SEAM_LOUDEST).astype(np.float32)
    return excess


def _correlation(flux: Signal, lag: int) -> float:
    return float(np.mean(flux[:-lag] * flux[lag:]))


def _blocks(length: int) -> list[tuple[int, int]]:
    """Ranges of 20 s; a remainder shorter than the largest window joins the block before it."""
    size = _BLOCK_SECONDS * SAMPLE_RATE
    starts = list(range(0, max(1, length - _SHORTEST), size)) or [0]
    return list(zip(starts, [*starts[1:], length], strict=True))
