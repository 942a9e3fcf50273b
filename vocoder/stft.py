"""Short-time Fourier transform of sounds of any length, and its inverse to exactly that length.

Frames are centred: frame l is centred on sample l * hop_length, so a sound of T samples has T //
hop_length + 1 frames. The window is a periodic Hann; magnitudes are not normalised, as in librosa
and torchaudio.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

# Samples of all frames transformed at a time: their spectra, 0.5 MB, fit in a core's cache.
_CACHED = 64 * 2048


def frame_count(length: int, hop_length: int) -> int:
    """Number of centred frames of `length` samples; at least one."""
    return length // hop_length + 1


@lru_cache(maxsize=16)
def hann(n_fft: int, device: torch.device) -> Tensor:
    # A tensor made under inference_mode cannot be part of a gradient later, and this one is cached.
    """Periodic Hann window, cached per size and device."""
    with torch.inference_mode(False):
        return torch.hann_window(n_fft, device=device)


def pad_centre(audio: Tensor, margin: int, padding: str) -> Tensor:
    """[.., T] to [.., margin + T + margin], with mirrored ends or zeros; any T."""
    length = audio.shape[-1]
    if padding == "zero-centre" or length == 0:
        return functional.pad(audio, (margin, margin))
    if length > margin:
        flat = functional.pad(audio.reshape(-1, length), (margin, margin), mode="reflect")
        return flat.reshape(*audio.shape[:-1], length + 2 * margin)
    return audio[..., _mirrored(length, margin, audio.device)]


def _mirrored(length: int, margin: int, device: torch.device) -> Tensor:
    """Which of `length` samples each one of a sound with mirrored ends is."""
    period = max(1, 2 * (length - 1))
    index = torch.arange(-margin, length + margin, device=device).remainder(period)
    return torch.minimum(index, period - index).clamp_max_(length - 1)


def transform(
    audio: Tensor, n_fft: int, hop_length: int, padding: str = "reflect-centre"
) -> Tensor:
    """Sound [.., T] to its complex STFT [.., F, L]; differentiable.

    F is n_fft // 2 + 1 and L is T // hop_length + 1.
    """
    padded = pad_centre(audio.float(), n_fft // 2, padding)
    spectrum = torch.stft(
        padded.reshape(-1, padded.shape[-1]),
        n_fft,
        hop_length,
        window=hann(n_fft, audio.device),
        center=False,
        return_complex=True,
    )
    return spectrum.reshape(*audio.shape[:-1], *spectrum.shape[-2:])


def mean_power(
    audio: Tensor, n_fft: int, hop_length: int, padding: str, reduce: Callable[[Tensor], Tensor]
) -> Tensor:
    """Mean power over channels, reduced frame by frame: sound [.., C, T] to [.., L, K].

    `reduce` maps the power of some frames [.., l, F] to [.., l, K]; it gets a few frames at a time,
    so that whole spectra are never held. Differentiable.
    """
    padded = pad_centre(audio.float(), n_fft // 2, padding)
    window = hann(n_fft, audio.device)
    frames = frame_count(audio.shape[-1], hop_length)
    rows = max(1, math.prod(audio.shape[:-1]))
    step = max(16, _CACHED // (rows * n_fft)) if audio.device.type == "cpu" else frames
    reduced = []
    for first in range(0, frames, step):
        last = min(first + step, frames)
        segment = padded[..., first * hop_length : (last - 1) * hop_length + n_fft]
        spectrum = torch.fft.rfft(segment.unfold(-1, n_fft, hop_length) * window)
        reduced.append(reduce(torch.view_as_real(spectrum).square().sum(-1).mean(-3)))
    return torch.cat(reduced, dim=-2)


def inverse(spectrum: Tensor, length: int, n_fft: int, hop_length: int) -> Tensor:
    """Sound [.., length] nearest in least squares to a spectrum [.., F, L]; differentiable."""
    batch = spectrum.shape[:-2]
    if length == 0 or 0 in batch:
        return torch.zeros(*batch, length, device=spectrum.device)
    audio = torch.istft(
        spectrum.reshape(-1, *spectrum.shape[-2:]),
        n_fft,
        hop_length,
        window=hann(n_fft, spectrum.device),
        length=length,
    )
    return audio.reshape(*batch, length)


class OverlapAdd:
    """Spectral processing by overlap-add: frames are transformed, changed and added again.

    A few frames at a time are transformed, changed, transformed back and added while they are in
    the cache, which is several times faster than two full transforms and holds no whole spectra.
    Carries no gradient.
    """

    def __init__(
        self, length: int, n_fft: int, hop_length: int, padding: str, device: torch.device
    ) -> None:
        self.length, self.n_fft, self.hop_length, self.padding = length, n_fft, hop_length, padding
        self.frames = frame_count(length, hop_length)
        self.window = hann(n_fft, device)
        total = torch.zeros(1, self._span(self.frames), device=device)
        self._add(total, self.window.square().expand(1, self.frames, n_fft), 0)
        self.scale = self._folded(total).clamp(min=1e-8).reciprocal()

    def __call__(self, audio: Tensor, change: Callable[[Tensor, slice], Tensor]) -> Tensor:
        """Sound [N, T] to sound [N, T].

        `change(spectrum [N, l, F], frames)` gets some frames and their range; it may work in place.
        """
        rows = audio.shape[0]
        if audio.numel() == 0:
            return audio.clone()
        padded = pad_centre(audio, self.n_fft // 2, self.padding).contiguous()
        result = torch.zeros(rows, self._span(self.frames), device=audio.device)
        step = max(4, _CACHED // (rows * self.n_fft))
        step = step if audio.device.type == "cpu" else self.frames
        for first in range(0, self.frames, step):
            last = min(first + step, self.frames)
            shape = (rows, last - first, self.n_fft)
            strides = (padded.stride(0), self.hop_length, 1)
            segment = padded.as_strided(shape, strides, first * self.hop_length)
            spectrum = change(torch.fft.rfft(segment * self.window), slice(first, last))
            segments = torch.fft.irfft(spectrum, n=self.n_fft).mul_(self.window)
            self._add(result, segments, first)
        return self._folded(result) * self.scale

    def _span(self, frames: int) -> int:
        return (frames - 1) * self.hop_length + self.n_fft + self.hop_length

    def _folded(self, total: Tensor) -> Tensor:
        """The sum [N, span], changed in place, without its padding: [N, T].

        What lies on a mirrored end is of the sample that is mirrored there. So the sound is the
        nearest to all frames, those at the ends too.
        """
        margin, length = self.n_fft // 2, self.length
        inside = total[:, margin : margin + length]
        if self.padding == "zero-centre":
            return inside
        if length > margin:
            inside[:, 1 : 1 + margin] += total[:, :margin].flip(-1)
            after = total[:, margin + length : margin + length + margin]
            inside[:, length - 1 - margin : length - 1] += after.flip(-1)
            return inside
        index = _mirrored(length, margin, total.device)
        return torch.zeros_like(inside).index_add_(1, index, total[:, : len(index)])

    def _add(self, total: Tensor, segments: Tensor, first: int) -> None:
        """Add overlapping segments at their offsets.

        Slices one hop long never overlap, so that each is a single addition.
        """
        rows, frames, _ = segments.shape
        strides = (total.stride(0), self.hop_length, 1)
        for start in range(0, self.n_fft, self.hop_length):
            part = segments[..., start : start + self.hop_length]
            shape = (rows, frames, part.shape[-1])
            offset = first * self.hop_length + start
            total.as_strided(shape, strides, offset).add_(part)
