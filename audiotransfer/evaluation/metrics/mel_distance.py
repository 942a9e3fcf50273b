"""Log-mel distance to a reference, spectral contrast, and all figures of one output."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from audiotransfer.evaluation.metrics.artefacts import artefact_ratio
from audiotransfer.evaluation.metrics.content import centred_chroma, onset_correlation, onset_f1
from audiotransfer.evaluation.metrics.signals import (
    Signal,
    common_frames,
    decibels,
    loud_frames,
    mel_magnitude,
    mono,
    reference_floor_db,
)

CONTRAST_BANDS = (16, 150)
CONTRAST_WINDOW = 13
CONTRAST_FLOOR = 1e-5
_FRAMES_AT_ONCE = 1024


def distance(output: Tensor, reference: Tensor, sample_rate: int) -> float:
    """Log-mel distance in dB between two sounds [C, T] at one rate; 0 for equal sounds of any gain.

    RMS over 256 bands of the dB difference, mean over the frames that both have. Both are mixed
    to mono, scaled to RMS 0.1 and floored 50 dB below the 99.9th percentile of the reference.
    Blurred spectrograms lower it: report it together with `contrast`.
    """
    truth = decibels(mel_magnitude(mono(reference, sample_rate)))
    found = decibels(mel_magnitude(mono(output, sample_rate)))
    truth, found = common_frames(truth, found)
    floor = reference_floor_db(truth)
    difference = np.maximum(found, floor) - np.maximum(truth, floor)
    return float(np.sqrt(np.mean(np.square(difference), axis=0)).mean())


def contrast(audio: Tensor, sample_rate: int) -> float:
    """Spectral contrast: level difference in dB between partials and what lies between them.

    In each frame above −50 dB and every window of 13 neighbouring mel bands between bands 16 and
    150: the 90th minus the 20th percentile of the log-mel (floor 1e-5), averaged. Music has 17–26,
    noise and blurred spectrograms 6–9, silence 0. Compare it with the reference's
    (`contrast_ratio`).
    """
    signal = mono(audio, sample_rate)
    spectrogram = decibels(mel_magnitude(signal), CONTRAST_FLOOR)
    spectrogram = spectrogram[CONTRAST_BANDS[0] : CONTRAST_BANDS[1], loud_frames(signal)]
    if spectrogram.shape[1] == 0:
        return 0.0
    blocks = [
        _window_range(spectrogram[:, start : start + _FRAMES_AT_ONCE])
        for start in range(0, spectrogram.shape[1], _FRAMES_AT_ONCE)
    ]
    return float(np.concatenate(blocks).mean())


def contrast_ratio(output: Tensor, reference: Tensor, sample_rate: int) -> float:
    """Contrast of the output divided by the reference's: below 1 blurred, above 1 sharpened."""
    truth = contrast(reference, sample_rate)
    return contrast(output, sample_rate) / truth if truth > 0 else float("nan")


def _window_range(spectrogram: Signal) -> Signal:
    """Range between percentiles, mean over windows of bands: [F, L] -> [L]."""
    windows = sliding_window_view(spectrogram, CONTRAST_WINDOW, axis=0)
    low, high = np.percentile(windows, (20, 90), axis=-1)
    spread: Signal = (high - low).mean(axis=0)
    return spread


def song_figures(
    output: Tensor,
    source: Tensor,
    sample_rate: int,
    *,
    truth: Tensor | None = None,
    artefacts: bool = False,
) -> dict[str, float]:
    """All metrics of one output [C, T] against its source [C, T] at one sample rate.

    ``centred chroma``, ``onset correlation`` and ``onset F1`` to the source, and ``artefacts``
    (`artefact_ratio`, which takes longest) where asked for. With ``truth``, the same music rendered
    with the target's instruments: ``distance`` in dB to it, ``distance ratio`` (1 for the source
    itself) and ``contrast ratio``; without, ``contrast``.
    """
    figures: dict[str, float] = {}
    if truth is None:
        figures["contrast"] = contrast(output, sample_rate)
    else:
        figures["distance"] = distance(output, truth, sample_rate)
        nothing = distance(source, truth, sample_rate)
        figures["distance ratio"] = figures["distance"] / nothing if nothing > 0 else float("nan")
        figures["contrast ratio"] = contrast_ratio(output, truth, sample_rate)
    figures["centred chroma"] = centred_chroma(output, source, sample_rate)
    figures["onset correlation"] = onset_correlation(output, source, sample_rate)
    figures["onset F1"] = onset_f1(output, source, sample_rate)
    if artefacts:
        figures["artefacts"] = artefact_ratio(output, source, sample_rate)
    return figures
