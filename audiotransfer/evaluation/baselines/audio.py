"""Baselines for audio: matched equaliser, source unchanged, random target clip, round trip."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import librosa
import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.metrics.signals import (
    BANDS,
    F_MAX,
    F_MIN,
    HOP_LENGTH,
    N_FFT,
    SAMPLE_RATE,
    decibels,
    loud_frames,
    mel_magnitude,
    mono,
    reference_floor_db,
)

_KIND = "matched-eq"
_SMOOTHING_BANDS = 2.0
_MAX_GAIN_DB = 40.0


class RoundTrip(Protocol):
    """The inverter of `inverter_round_trip`: spectrogram -> sound of ``length`` samples."""

    @property
    def expects(self) -> RoundTripSpectrogram: ...

    def __call__(
        self, spectrogram: Tensor, length: int, source: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor: ...  # fmt: skip


class RoundTripSpectrogram(Protocol):
    """Computes a spectrogram: sound [.., T] -> [.., F, L]."""

    def __call__(self, audio: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class MatchedEQ:
    """A static equaliser: one gain in dB for each of the 256 mel bands."""

    gains_db: tuple[float, ...]

    @classmethod
    def fit(cls, sources: Iterable[Tensor], targets: Iterable[Tensor]) -> MatchedEQ:
        """Gains that map the mean log-mel spectrum of the sources to that of the targets.

        Both are songs [C, T] at 44.1 kHz, each scaled to RMS 0.1, floored 50 dB below its own
        99.9th percentile and weighted alike. They need not be pairs: the mean of differences is
        the difference of means.
        Raises AudioTransferError when a set is empty or silent throughout.
        """
        gains = _mean_log_mel(targets, "target") - _mean_log_mel(sources, "source")
        return cls(tuple(np.clip(gains, -_MAX_GAIN_DB, _MAX_GAIN_DB).tolist()))

    def __call__(self, audio: Tensor) -> Tensor:
        """Equalises a sound [C, T] at 44.1 kHz: same length, zero phase."""
        window = torch.hann_window(N_FFT)
        spectrum = torch.stft(
            audio.float(),
            N_FFT,
            HOP_LENGTH,
            window=window,
            pad_mode="constant",
            return_complex=True,
        )
        spectrum = spectrum * self.bin_gains()[:, None]
        return torch.istft(spectrum, N_FFT, HOP_LENGTH, window=window, length=audio.shape[-1])

    def bin_gains(self) -> Tensor:
        """Linear gains of the 1025 STFT bins: smoothed over bands, interpolated in mel."""
        smooth = gaussian_filter1d(np.asarray(self.gains_db), _SMOOTHING_BANDS, mode="nearest")
        edges = librosa.mel_frequencies(BANDS + 2, fmin=F_MIN, fmax=F_MAX)
        bins = librosa.hz_to_mel(librosa.fft_frequencies(sr=SAMPLE_RATE, n_fft=N_FFT))
        decibel = np.interp(bins, librosa.hz_to_mel(edges[1:-1]), smooth)
        return torch.from_numpy(10 ** (decibel / 20)).float()

    def save(self, path: str | Path) -> None:
        """Writes a small JSON file."""
        fields = {
            "kind": _KIND, "version": 1, "sample_rate": SAMPLE_RATE, "bands": BANDS,
            "gains_db": [round(gain, 3) for gain in self.gains_db],
        }  # fmt: skip
        Path(path).write_text(json.dumps(fields) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> MatchedEQ:
        """Reads what ``save`` wrote. Raises AudioTransferError where the file is something else."""
        try:
            fields = json.loads(Path(path).read_text(encoding="utf-8"))
            gains = tuple(float(gain) for gain in fields["gains_db"])
            known = fields["kind"] == _KIND and len(gains) == BANDS and all(map(np.isfinite, gains))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise AudioTransferError(f"{path} is no matched EQ: {error}; fit it anew") from error
        if not known:
            raise AudioTransferError(
                f"{path} is no matched EQ of {BANDS} bands: fit it anew with MatchedEQ.fit"
            )
        return cls(gains)


def do_nothing(audio: Tensor) -> Tensor:
    """A copy of the source: content 1, style 0."""
    return audio.clone()


def random_target_clip(clips: Sequence[Tensor], length: int, generator: torch.Generator) -> Tensor:
    """``length`` samples from one of the target's songs [C, T]: style 1, content 0.

    A song that is too short is repeated. Raises AudioTransferError when there is none.
    """
    if not clips:
        raise AudioTransferError("no random target clip out of zero songs: give at least one")
    clip = clips[int(torch.randint(len(clips), (1,), generator=generator))]
    clip = clip.repeat(1, -(-length // clip.shape[-1]))
    start = int(torch.randint(clip.shape[-1] - length + 1, (1,), generator=generator))
    return clip[:, start : start + length].clone()


def inverter_round_trip(
    audio: Tensor, inverter: RoundTrip, generator: torch.Generator | None = None
) -> Tensor:
    """Copy synthesis of a sound [C, T] by an inverter that gets the spectrogram but no source."""
    return inverter(inverter.expects(audio), audio.shape[-1], generator=generator)


def _mean_log_mel(songs: Iterable[Tensor], name: str) -> np.ndarray:
    means = []
    for song in songs:
        signal = mono(song, SAMPLE_RATE)
        spectrogram = decibels(mel_magnitude(signal))
        loud = loud_frames(signal)
        if loud.any():
            means.append(
                np.maximum(spectrogram, reference_floor_db(spectrogram))[:, loud].mean(axis=1)
            )
    if not means:
        raise AudioTransferError(
            f"no matched EQ: the {name} songs are none or all silent; give at least one that sounds"
        )
    return np.asarray(np.mean(means, axis=0, dtype=np.float64))
