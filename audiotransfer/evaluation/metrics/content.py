"""Content preservation: agreement of pitch classes and onsets with the source."""

from __future__ import annotations

import warnings

import librosa
import numpy as np
import numpy.typing as npt
from torch import Tensor

from audiotransfer.evaluation.metrics.signals import (
    HOP_LENGTH,
    N_FFT,
    SAMPLE_RATE,
    Signal,
    common_frames,
    loud_frames,
    mono,
)
from audiotransfer.evaluation.report.statistics import rescaled

ONSET_TOLERANCE = 0.05


def centred_chroma(output: Tensor, reference: Tensor, sample_rate: int) -> float:
    """Cosine similarity of centred chroma, −1..1: 1 for the same notes, about 0 for unrelated ones.

    Constant-Q chroma (36 bins an octave) of both sounds [C, T], each frame minus its mean over the
    twelve classes (so that noise has similarity 0), cosine per frame, mean over the frames in
    which the reference is above −50 dB. 1 for two silences.
    """
    truth, found = mono(reference, sample_rate), mono(output, sample_rate)
    truth_chroma, found_chroma = common_frames(_chroma(truth), _chroma(found))
    loud = loud_frames(truth)[: truth_chroma.shape[1]]
    if not loud.any():
        return 0.0 if loud_frames(found).any() else 1.0
    return float(np.mean(_cosine(truth_chroma[:, loud], found_chroma[:, loud])))


def onset_correlation(output: Tensor, reference: Tensor, sample_rate: int) -> float:
    """Pearson correlation of two sounds' [C, T] onset-strength envelopes; two silences give 1."""
    truth, found = common_frames(
        _onset_strength(mono(reference, sample_rate)), _onset_strength(mono(output, sample_rate))
    )
    truth, found = truth - truth.mean(), found - found.mean()
    norms = float(np.linalg.norm(truth)), float(np.linalg.norm(found))
    if min(norms) < 1e-6:
        return 1.0 if max(norms) < 1e-6 else 0.0
    return float(np.dot(truth, found) / (norms[0] * norms[1]))


def onset_f1(output: Tensor, reference: Tensor, sample_rate: int) -> float:
    """F-measure of detected onsets within ±50 ms; 1 where neither sound has an onset."""
    from mir_eval.onset import f_measure

    truth, found = (
        librosa.onset.onset_detect(
            onset_envelope=_onset_strength(mono(audio, sample_rate)),
            sr=SAMPLE_RATE,
            hop_length=HOP_LENGTH,
            units="time",
        )
        for audio in (reference, output)
    )
    if len(truth) == 0 or len(found) == 0:
        return float(len(truth) == len(found))
    return float(f_measure(truth, found, window=ONSET_TOLERANCE)[0])


def content_score(output: Tensor, source: Tensor, sample_rate: int) -> float:
    """Mean of centred chroma and onset correlation against the source, not yet rescaled."""
    return 0.5 * (
        centred_chroma(output, source, sample_rate) + onset_correlation(output, source, sample_rate)
    )


def rescaled_content(
    output: Tensor, source: Tensor, random_clip: Tensor, sample_rate: int
) -> float:
    """`content_score` rescaled: 0 for a random clip of the target, 1 for the source itself."""
    return rescaled(
        content_score(output, source, sample_rate),
        zero=content_score(random_clip, source, sample_rate),
        one=1.0,
    )


def _chroma(signal: Signal) -> Signal:
    # The constant-Q transform warns about signals shorter than its longest filter; its frames are
    # right all the same, and validation samples are that short.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        chroma: Signal = librosa.feature.chroma_cqt(
            y=_at_least_one_frame(signal), sr=SAMPLE_RATE, hop_length=HOP_LENGTH, bins_per_octave=36
        )
    return chroma


def _cosine(one: Signal, other: Signal) -> npt.NDArray[np.float64]:
    """Cosine per frame of two centred spectrograms [12, L]; 0 where one of them is flat."""
    one = one - one.mean(axis=0, keepdims=True)
    other = other - other.mean(axis=0, keepdims=True)
    norms = np.linalg.norm(one, axis=0) * np.linalg.norm(other, axis=0)
    return np.where(norms > 1e-8, (one * other).sum(axis=0) / np.maximum(norms, 1e-8), 0.0)


def _onset_strength(signal: Signal) -> Signal:
    envelope: Signal = librosa.onset.onset_strength(
        y=_at_least_one_frame(signal), sr=SAMPLE_RATE, hop_length=HOP_LENGTH
    )
    return envelope


def _at_least_one_frame(signal: Signal) -> Signal:
    return np.pad(signal, (0, max(0, N_FFT - len(signal))))
