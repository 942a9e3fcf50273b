"""Spectrogram settings: computation of spectrograms, and conversion back to magnitudes."""

from __future__ import annotations

import dataclasses
import difflib
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor

from vocoder import cqt, mel, stft
from vocoder.base import VocoderError

MEL_BINS = 256
# Added under square roots (-200 dB), so that the gradient is finite on silence.
TINY = 1e-20


def power_mean(spectrum: Tensor) -> Tensor:
    """Root mean power over channels: complex [.., C, F, L] to one magnitude [.., F, L].

    It is invariant to swapping channels and to their polarity, and channels cannot cancel each
    other.
    """
    return torch.sqrt(torch.view_as_real(spectrum).square().sum(-1).mean(-3) + TINY)


@dataclass(frozen=True)
class SpectrogramSettings:
    """Settings of a spectrogram; called with sound [.., T], it returns the spectrogram [.., F, L].

    kind: "mel" (Slaney bands of the magnitude, see `mel`), "stft" (the magnitude itself) or "cqt"
        (see `cqt`).
    hop_length, n_fft: in samples; for "cqt" n_fft only sets the STFT on which a source is filtered.
    bins: 0 takes the usual number: 256 mel bands, n_fft // 2 + 1, or all from f_min to f_max.
    f_min, f_max: in Hz.
    scale: "log" is the natural logarithm of the magnitude, at least log(`floor`); "magnitude" is
        the magnitude.
    padding: "reflect-centre" mirrors the sound at its ends; "zero-centre" adds zeros and is always
        used for "cqt".

    Magnitudes are unnormalised, as in librosa: with Hann 2048 a full-scale sine has 512 in the
    STFT. Settings that a kind does not use are set to one fixed value, so that settings of equal
    spectrograms compare equal.

    Raises VocoderError for settings that lose sound between frames.
    """

    kind: Literal["mel", "stft", "cqt"] = "mel"
    sample_rate: int = 44100
    n_fft: int = 2048
    hop_length: int = 512
    bins: int = 0
    f_min: float = 20.0
    f_max: float = 20000.0
    bins_per_octave: int = 48
    scale: Literal["log", "magnitude"] = "log"
    floor: float = 3e-5
    padding: Literal["reflect-centre", "zero-centre"] = "reflect-centre"

    def __post_init__(self) -> None:
        for name in ("kind", "scale", "padding"):
            allowed = CHOICES[name]
            if getattr(self, name) not in allowed:
                raise VocoderError(
                    f"spectrogram has no {name} {getattr(self, name)!r}: use {', '.join(allowed)}"
                )
        for name, least in (
            ("sample_rate", 1),
            ("n_fft", 8),
            ("hop_length", 1),
            ("bins_per_octave", 1),
        ):
            if getattr(self, name) < least:
                raise VocoderError(
                    f"spectrogram's {name} is {getattr(self, name)}: use at least {least}"
                )
        if not self.floor > 0:
            raise VocoderError(
                f"spectrogram's floor is {self.floor}: use a positive magnitude such as 3e-5"
            )
        if self.n_fft % 2 or self.hop_length > self.n_fft // 3:
            raise VocoderError(
                f"n_fft {self.n_fft} with hop_length {self.hop_length} cannot be turned back: "
                f"use an even n_fft and hop_length={max(1, self.n_fft // 4)} or less"
            )
        {"mel": self._settle_mel, "stft": self._settle_stft, "cqt": self._settle_cqt}[self.kind]()

    def __call__(self, audio: Tensor) -> Tensor:
        """Sound [.., T] to its spectrogram [.., F, L]; differentiable, finite on silence, any T."""
        return self.compress(self._magnitude(audio))

    def stereo(self, audio: Tensor) -> Tensor:
        """One spectrogram [.., F, L] of all channels of a sound [.., C, T] (see `power_mean`)."""
        if self.kind == "cqt":
            return self.compress(power_mean(self._constant_q(audio)))
        bands = stft.mean_power(
            audio,
            self.n_fft,
            self.hop_length,
            self.padding,
            lambda power: self.frame_bands(torch.sqrt(power + TINY)),
        )
        return self.compress(bands.transpose(-1, -2).contiguous())

    def spectrum(self, audio: Tensor) -> Tensor:
        """Sound [.., T] to the complex STFT [.., n_fft // 2 + 1, L] under the spectrogram."""
        return stft.transform(audio, self.n_fft, self.hop_length, self.padding)

    def bands(self, magnitude: Tensor) -> Tensor:
        """STFT magnitude [.., n_fft // 2 + 1, L] to a "mel" or "stft" magnitude [.., F, L]."""
        return self.frame_bands(magnitude.transpose(-1, -2)).transpose(-1, -2).contiguous()

    def frame_bands(self, magnitude: Tensor) -> Tensor:
        """`bands` for frames as they lie in memory: [.., L, n_fft // 2 + 1] to [.., L, F]."""
        return magnitude if self.kind == "stft" else magnitude @ self.filterbank(magnitude.device)

    def filterbank(self, device: torch.device) -> Tensor:
        """Weights [n_fft // 2 + 1, bins] of a "mel" spectrogram, built once per device."""
        return mel.filterbank(*self._mel_settings(), device)

    def pseudo_inverse(self, device: torch.device) -> Tensor:
        """Weights [bins, n_fft // 2 + 1] from mel bands to bins, built once per device."""
        return mel.pseudo_inverse(*self._mel_settings(), device)

    def compress(self, magnitude: Tensor) -> Tensor:
        """Magnitudes to spectrogram values, on the settings' scale."""
        return self.logarithm(magnitude) if self.scale == "log" else magnitude

    def logarithm(self, magnitude: Tensor) -> Tensor:
        """Natural logarithm of magnitudes, at least log(`floor`)."""
        return torch.log(magnitude.clamp(min=self.floor))

    def log_values(self, values: Tensor) -> Tensor:
        """Spectrogram values to log magnitudes, whichever the scale."""
        if self.scale == "magnitude":
            return self.logarithm(values)
        return values.clamp(min=math.log(self.floor))

    def magnitude(self, values: Tensor) -> Tensor:
        """Spectrogram values to magnitudes of the same shape; the floor becomes 0."""
        if self.scale == "magnitude":
            return values.clamp(min=0)
        return (torch.exp(values) - self.floor * (1 + 1e-5)).clamp(min=0)

    def centres(self) -> Tensor:
        """Each bin's frequency in Hz [bins], float64."""
        if self.kind == "mel":
            return mel.band_edges(self.bins, self.f_min, self.f_max)[1:-1]
        steps = torch.arange(self.bins, dtype=torch.float64)
        if self.kind == "stft":
            return steps * self.sample_rate / self.n_fft
        return self.f_min * 2.0 ** (steps / self.bins_per_octave)

    @property
    def reach(self) -> int:
        """Samples on each side of a frame's centre that affect it."""
        if self.kind == "cqt":
            return cqt.filter_length(self.f_min, self.sample_rate, self.bins_per_octave)
        return self.n_fft // 2

    def frames(self, length: int) -> int:
        """Number of frames L of a sound of `length` samples."""
        return stft.frame_count(length, self.hop_length)

    def samples(self, frames: int) -> int:
        """Length of the shortest sound whose spectrogram has this many frames."""
        return max(0, frames - 1) * self.hop_length

    def to_dict(self) -> dict[str, Any]:
        """All settings, by name."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> SpectrogramSettings:
        """The inverse of `to_dict`. Raises VocoderError for an unknown setting."""
        known = [field.name for field in dataclasses.fields(cls)]
        for name in settings:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1, 0.0)[0]
                raise VocoderError(f"spectrograms have no setting {name!r}: did you mean {near!r}?")
        return cls(**settings)

    def _magnitude(self, audio: Tensor) -> Tensor:
        if self.kind == "cqt":
            return torch.sqrt(torch.view_as_real(self._constant_q(audio)).square().sum(-1) + TINY)
        return self.bands(self.spectrum(audio).abs())

    def _constant_q(self, audio: Tensor) -> Tensor:
        flat: Tensor = self.constant_q(audio.device)(
            audio.reshape(math.prod(audio.shape[:-1]), audio.shape[-1])
        )
        return flat.reshape(*audio.shape[:-1], *flat.shape[-2:])

    def constant_q(self, device: torch.device) -> cqt.ConstantQ:
        """The transform under a "cqt" spectrogram, built once per device."""
        return cqt.constant_q(*self._cqt_settings(), device)

    def _cqt_settings(self) -> tuple[int, int, int, float, int]:
        return self.sample_rate, self.hop_length, self.bins, self.f_min, self.bins_per_octave

    def _mel_settings(self) -> tuple[int, int, int, float, float]:
        return self.sample_rate, self.n_fft, self.bins, self.f_min, self.f_max

    def _settle(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _settle_mel(self) -> None:
        if self.f_max > self.sample_rate / 2:
            raise VocoderError(
                f"f_max {self.f_max:g} Hz lies above half of sample_rate {self.sample_rate}: "
                f"use f_max={self.sample_rate / 2:g} or less"
            )
        if not 0 <= self.f_min < self.f_max:
            raise VocoderError(
                f"f_min {self.f_min:g} Hz is not between 0 and f_max {self.f_max:g} Hz: "
                "use f_min=20"
            )
        self._settle(bins=self.bins or MEL_BINS, bins_per_octave=48)

    def _settle_stft(self) -> None:
        bins = self.n_fft // 2 + 1
        if self.bins not in (0, bins):
            raise VocoderError(
                f"an STFT with n_fft {self.n_fft} has {bins} bins, not {self.bins}: use bins=0"
            )
        self._settle(bins=bins, f_min=0.0, f_max=self.sample_rate / 2, bins_per_octave=48)

    def _settle_cqt(self) -> None:
        if not self.f_min > 0:
            raise VocoderError(f"a CQT cannot start at f_min {self.f_min:g} Hz: use f_min=32.7")
        octaves = math.log2(min(self.f_max, self.sample_rate / 2) / self.f_min)
        bins = self.bins or max(1, int(octaves * self.bins_per_octave) + 1)
        cqt.check(self.sample_rate, self.hop_length, bins, self.f_min, self.bins_per_octave)
        top = cqt.top_frequency(self.f_min, bins, self.bins_per_octave)
        self._settle(bins=bins, f_max=top, padding="zero-centre")


CHOICES = {
    "kind": ("mel", "stft", "cqt"),
    "scale": ("log", "magnitude"),
    "padding": ("reflect-centre", "zero-centre"),
}


@lru_cache(maxsize=16)
def bin_neighbours(spectrogram: SpectrogramSettings, device: torch.device) -> tuple[Tensor, Tensor]:
    """Position of each STFT bin between the spectrogram's bins: index below [F] and share [F].

    Distances are on the spectrogram's own scale (mel, linear, logarithmic); beyond the outermost
    bins they are 0 or 1.
    """
    with torch.inference_mode(False):
        size = spectrogram.n_fft // 2 + 1
        hz = torch.arange(size, dtype=torch.float64) * spectrogram.sample_rate / spectrogram.n_fft
        centres = spectrogram.centres()
        if spectrogram.kind == "mel":
            hz, centres = mel.hz_to_mel(hz), mel.hz_to_mel(centres)
        elif spectrogram.kind == "cqt":
            hz, centres = hz.clamp(min=1e-3).log2(), centres.log2()
        if spectrogram.bins == 1:
            below = torch.zeros(size, dtype=torch.long)
            return below.to(device), torch.zeros(size, device=device)
        above = torch.searchsorted(centres, hz, right=True).clamp(1, spectrogram.bins - 1)
        below = above - 1
        way = ((hz - centres[below]) / (centres[above] - centres[below])).clamp(0, 1)
        return below.to(device), way.float().to(device)


def to_bins(spectrogram: SpectrogramSettings, values: Tensor) -> Tensor:
    """Gains per spectrogram bin [.., bins], interpolated to STFT bins [.., n_fft // 2 + 1]."""
    if spectrogram.kind == "stft":
        return values
    below, way = bin_neighbours(spectrogram, values.device)
    low = values.index_select(-1, below)
    high = values.index_select(-1, (below + 1).clamp(max=spectrogram.bins - 1))
    return low.lerp_(high, way)


_NATS_PER_DB = math.log(10) / 20
#: Natural logs of magnitude (full-scale sound, unnormalised spectrograms): -80 dB and +20 dB.
BOTTOM, TOP = -80 * _NATS_PER_DB, 20 * _NATS_PER_DB
_MIDDLE, _HALF = (TOP + BOTTOM) / 2, (TOP - BOTTOM) / 2


def to_unit(spectrogram: Tensor) -> Tensor:
    """Log magnitudes scaled to -1..1, clipped at both ends."""
    return ((spectrogram - _MIDDLE) / _HALF).clamp(-1, 1)


def from_unit(unit: Tensor) -> Tensor:
    """The inverse of `to_unit`: -1..1 to log magnitudes."""
    return _MIDDLE + _HALF * unit
