"""Signs that a sound was made by a machine: inconsistent spectra and seams between tiles."""

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
    """A signal [length] from STFT magnitudes [F, L] and nothing of the old phase.

    Fast Griffin-Lim, momentum 0.99, from a seeded random phase (Perraudin et al. 2013).
    """
    copy = librosa.griffinlim(
        magnitude, n_iter=iterations, hop_length=hop_length, n_fft=n_fft,
        momentum=GRIFFIN_LIM_MOMENTUM, random_state=seed, pad_mode="constant",
    )  # fmt: skip
    return librosa.util.fix_length(copy, size=length).astype(np.float32)


def multi_resolution_distance(output: Signal, reference: Signal) -> float:
    """Multi-resolution STFT distance of two mono signals [T] (auraloss defaults); 0 for equal ones.

    Long signals are measured in blocks of 20 s, averaged by their lengths, so memory is bounded.
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
    """How badly a sound [C, T] survives its own copy synthesis; higher is less of a real sound.

    Magnitudes alone, 32 fast Griffin-Lim iterations from a random phase, multi-resolution STFT
    distance of the copy to the signal. Only its ratio to the source's figure says something
    (``artefact_ratio``). 0 for silence.
    """
    signal = mono(audio, sample_rate)
    total = 0.0
    for start, stop in _blocks(len(signal)):
        part = signal[start:stop]
        copy = griffin_lim_copy(stft_magnitude(part), len(part), seed=seed)
        total += multi_resolution_distance(copy, part) * len(part)
    return total / len(signal)


def artefact_ratio(output: Tensor, source: Tensor, sample_rate: int, *, seed: int = 0) -> float:
    """Artefact check of the output relative to the source's: 1 is as consistent as the source."""
    before = artefact_check(source, sample_rate, seed=seed)
    return artefact_check(output, sample_rate, seed=seed) / before if before > 0 else float("nan")


def seam_energy(audio: Tensor, sample_rate: int, period: int) -> float:
    """How much the spectral flux repeats at the tile period, relative to nearby lags: 1 = no seam.

    ``audio`` is [C, T], ``period`` in samples at ``sample_rate``. The flux (mean absolute change of
    the log spectrum from frame to frame, 512/128 at 44.1 kHz) is taken as its excess over the
    running median, relative to it, so that quiet and loud passages weigh alike and one loud hit
    does not decide; its autocorrelation at the period is divided by the mean over lags 3–16 %
    away on both sides. Music without seams lies about 0.8–1.2, hard splices at 3 and more.
    Music whose beat falls on the period repeats there too: compare with the source's figure.
    Raises AudioTransferError when fewer than three periods fit.
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
    """Ranges of 20 s; a rest too short for the largest window joins the block before it."""
    size = _BLOCK_SECONDS * SAMPLE_RATE
    starts = list(range(0, max(1, length - _SHORTEST), size)) or [0]
    return list(zip(starts, [*starts[1:], length], strict=True))
