"""Analysis shared by the audio metrics: mono signals, STFT and mel magnitudes, loud frames.

The mel filters are librosa's, with which published figures were measured; those of `vocoder.mel`
are integrated over bins and differ.
"""

from __future__ import annotations

from functools import lru_cache

import librosa
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from audiotransfer.audio.resampling import STEREO_RATE, resample
from audiotransfer.errors import AudioTransferError

Signal = npt.NDArray[np.float32]

SAMPLE_RATE = STEREO_RATE
N_FFT = 2048
HOP_LENGTH = 512
BANDS = 256
F_MIN = 20.0
F_MAX = 20_000.0
LEVEL = 0.1
LOUD_DB = -50.0
FLOOR_BELOW_REFERENCE_DB = 50.0


def mono(audio: Tensor, sample_rate: int, *, level: float | None = LEVEL) -> Signal:
    """Mean of the channels at 44.1 kHz, scaled to RMS ``level`` (``None`` leaves the level alone).

    ``audio`` is [C, T] or [T], full scale ±1. Silence stays silence.
    Raises AudioTransferError on an empty, misshapen or non-finite signal.
    """
    if audio.ndim == 1:
        audio = audio[None]
    if audio.ndim != 2 or audio.shape[-1] == 0 or audio.shape[0] == 0:
        raise AudioTransferError(
            f"cannot measure audio of shape {tuple(audio.shape)}: give [channels, samples]"
        )
    folded = audio.detach().to("cpu", torch.float32).mean(dim=0, keepdim=True)
    if not bool(torch.isfinite(folded).all()):
        raise AudioTransferError("cannot measure audio that holds NaN or infinite samples")
    if sample_rate != SAMPLE_RATE:
        folded = resample(folded, sample_rate, SAMPLE_RATE)
    signal: Signal = folded[0].numpy()
    return signal if level is None else scaled(signal, level)


def scaled(signal: Signal, level: float = LEVEL) -> Signal:
    """The signal [T] scaled to RMS ``level``; silence stays silence."""
    rms = float(np.sqrt(np.mean(np.square(signal, dtype=np.float64))))
    return signal if rms < 1e-9 else (signal * (level / rms)).astype(np.float32)


def stft_magnitude(signal: Signal, n_fft: int = N_FFT, hop_length: int = HOP_LENGTH) -> Signal:
    """Magnitudes [n_fft/2+1, L] of a Hann STFT, zero-padded at both ends; any length."""
    if len(signal) < n_fft:
        signal = np.pad(signal, (0, n_fft - len(signal)))
    spectrum = librosa.stft(signal, n_fft=n_fft, hop_length=hop_length, pad_mode="constant")
    magnitude: Signal = np.abs(spectrum).astype(np.float32)
    return magnitude


@lru_cache(maxsize=1)
def mel_filters() -> Signal:
    """Weights [256, 1025] of Slaney mel bands, 20 Hz to 20 kHz, on magnitudes."""
    filters: Signal = librosa.filters.mel(
        sr=SAMPLE_RATE, n_fft=N_FFT, n_mels=BANDS, fmin=F_MIN, fmax=F_MAX
    )
    return filters


def mel_magnitude(signal: Signal) -> Signal:
    """Mel magnitudes [256, L] of a 44.1 kHz signal [T]."""
    spectrogram: Signal = mel_filters() @ stft_magnitude(signal)
    return spectrogram


def decibels(magnitude: Signal, floor: float = 1e-10) -> Signal:
    """20·log10 of magnitudes, at least ``floor``."""
    return (20.0 * np.log10(np.maximum(magnitude, floor))).astype(np.float32)


def reference_floor_db(spectrogram_db: Signal) -> float:
    """50 dB below the 99.9th percentile of a spectrogram in dB: inaudible below."""
    return float(np.percentile(spectrogram_db, 99.9)) - FLOOR_BELOW_REFERENCE_DB


def loud_frames(signal: Signal) -> npt.NDArray[np.bool_]:
    """Mask [L] of frames of a signal above −50 dB of full scale (RMS over 2048 samples)."""
    if len(signal) < N_FFT:
        signal = np.pad(signal, (0, N_FFT - len(signal)))
    rms = librosa.feature.rms(y=signal, frame_length=N_FFT, hop_length=HOP_LENGTH)[0]
    mask: npt.NDArray[np.bool_] = rms > 10.0 ** (LOUD_DB / 20.0)
    return mask


def common_frames(*spectrograms: Signal) -> list[Signal]:
    """Spectrograms [.., L] cut to the shortest one's frames."""
    frames = min(spectrogram.shape[-1] for spectrogram in spectrograms)
    return [spectrogram[..., :frames] for spectrogram in spectrograms]
