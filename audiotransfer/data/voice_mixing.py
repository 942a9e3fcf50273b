"""What makes a crop of a voice another singer, and a voice and a band one mix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import signal

from audiotransfer.data.rendering.production import compressor_gain, stretched

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Sound = NDArray[np.float32]

_N_FFT, _HOP = 2048, 512
_QUEFRENCY = 0.0017  # s: finer structure of a spectrum is pitch, coarser formants
_MOST = 2.5  # natural logarithm of the highest gain


def with_formants(sound: Sound, ratio: float, sample_rate: int) -> Sound:
    """Sound ``[C, T]`` with its spectral envelopes stretched ``ratio`` times, at the same pitch.

    Envelopes are the low part of the cepstrum of each frame (A. Noll, "Cepstrum pitch
    determination", JASA 41, 1967), one for all channels.
    """
    window = signal.windows.hann(_N_FFT, sym=False)
    transform = signal.ShortTimeFFT(window, _HOP, sample_rate)
    spectra = transform.stft(sound)
    level = np.log(np.abs(spectra).mean(0) + 1e-5)
    cepstrum = np.fft.irfft(level, axis=0)
    order = round(_QUEFRENCY * sample_rate)
    cepstrum[order : len(cepstrum) - order + 1] = 0.0
    envelope = np.fft.rfft(cepstrum, axis=0).real
    gain = np.exp(np.clip(stretched(envelope, ratio) - envelope, -_MOST, _MOST))
    changed: Sound = transform.istft(spectra * gain, k1=sound.shape[-1]).astype(np.float32)
    return changed


def sung_level(voice: Sound) -> float:
    """RMS of the 46 ms frames of a voice ``[C, T]`` within 20 dB of its loudest; 0 for silence."""
    count = voice.shape[-1] // 2048
    if count == 0:
        return 0.0
    framed = voice[:, : count * 2048].reshape(len(voice), count, 2048)
    power = np.square(framed).mean((0, 2))
    loud = float(power.max())
    return float(np.sqrt(power[power >= 0.01 * loud].mean())) if loud > 1e-9 else 0.0


def compressed_together(stems: Sound, sample_rate: int, random: Generator) -> Sound:
    """Stems ``[S, C, T]`` times the gain of a compressor on their sum, so that they still add up.

    Levels over a random threshold, -8 to 3 dB from the RMS of the sum, are reduced by 1.5 to 5.
    """
    ratio, threshold = random.uniform(1.5, 5.0), random.uniform(-8.0, 3.0)
    power = np.square(stems.sum(0)).mean(0)
    gain = compressor_gain(power, sample_rate, ratio, threshold).astype(np.float32)
    squeezed: Sound = stems * gain
    return squeezed
