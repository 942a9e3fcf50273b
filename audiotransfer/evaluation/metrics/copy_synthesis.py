"""Copy synthesis: distances of a sound to its copy by an inverter, and the inverter's cost."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.metrics.artefacts import multi_resolution_distance
from audiotransfer.evaluation.metrics.content import centred_chroma
from audiotransfer.evaluation.metrics.signals import LEVEL, Signal, decibels, mono, stft_magnitude

RANGE_DB = 80.0


def copy_synthesis_figures(
    audio: Tensor, sample_rate: int, round_trip: Callable[[Tensor], Tensor]
) -> dict[str, float]:
    """Runs ``round_trip`` ([C, T] -> [C, T]) on a sound and measures the copy and the cost.

    The figures of `copy_figures`, ``real_time_factor`` (seconds of work per second of sound) and
    ``peak_memory_mb`` (see `peak_memory_mb`).
    """
    start = time.perf_counter()
    with torch.no_grad():
        copy = round_trip(audio)
    seconds = time.perf_counter() - start
    memory = peak_memory_mb()
    return {
        **copy_figures(copy, audio, sample_rate),
        "real_time_factor": seconds * sample_rate / audio.shape[-1],
        "peak_memory_mb": memory,
    }


def copy_figures(copy: Tensor, audio: Tensor, sample_rate: int) -> dict[str, float]:
    """Distances of a copy [C, T] to the original [C, T].

    Spectral convergence (dB, −∞ for equal sounds), multi-resolution STFT distance, log-spectral
    distance (dB) and centred chroma. Both sounds get the gain that brings the original to RMS 0.1,
    so differences in level count. Raises AudioTransferError where shapes differ.
    """
    if copy.shape != audio.shape:
        raise AudioTransferError(
            f"the copy has shape {tuple(copy.shape)} and the sound {tuple(audio.shape)}: "
            "copy synthesis must keep channels and samples"
        )
    original, found = mono(audio, sample_rate, level=None), mono(copy, sample_rate, level=None)
    rms = float(np.sqrt(np.mean(np.square(original, dtype=np.float64))))
    gain = np.float32(LEVEL / rms if rms > 1e-9 else 1.0)
    original, found = original * gain, found * gain
    one, other = stft_magnitude(original), stft_magnitude(found)
    return {
        "spectral_convergence_db": spectral_convergence_db(other, one),
        "multi_resolution_stft": multi_resolution_distance(found, original),
        "log_spectral_distance_db": log_spectral_distance(other, one),
        "centred_chroma": centred_chroma(copy, audio, sample_rate),
    }


def spectral_convergence_db(output: Signal, reference: Signal) -> float:
    """20·log10 of ‖|X| − |Y|‖ / ‖|X|‖ for STFT magnitudes [F, L]; lower is better."""
    energy = float(np.linalg.norm(reference))
    if energy == 0.0:
        return float("nan")
    return float(20 * np.log10(max(float(np.linalg.norm(output - reference)) / energy, 1e-10)))


def log_spectral_distance(output: Signal, reference: Signal) -> float:
    """RMS over bins of the dB difference of magnitudes [F, L], mean over frames.

    Both are floored 80 dB below the reference's loudest bin.
    """
    floor = max(float(reference.max()) * 10 ** (-RANGE_DB / 20), 1e-10)
    difference = decibels(output, floor) - decibels(reference, floor)
    return float(np.sqrt(np.mean(np.square(difference), axis=0)).mean())


def peak_memory_mb() -> float:
    """Peak resident memory of this process in MB; NaN where the system does not report it."""
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
