"""Short-time Fourier transform of any length of sound, and back to exactly that length.

Frames are centred: frame l stands over sample l * hop_length, so a sound of T samples has T //
hop_length + 1 frames. The window is a periodic Hann; magnitudes carry no normalisation, as in
librosa and torchaudio.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

# Frames times channels that one pass of Weave holds: the spectra (0.5 MB at n_fft 2048) stay in a
# core's cache.
CACHED_FRAMES = 64


def frame_count(length: int, hop_length: int) -> int:
    """How many centred frames `length` samples have; also one for no samples at all."""
    return length // hop_length + 1


@lru_cache(maxsize=16)
def hann(n_fft: int, device: torch.device) -> Tensor:
    # A tensor made under inference_mode could never take part in a gradient again, and this one is
    # kept.
    with torch.inference_mode(False):
        return torch.hann_window(n_fft, device=device)


def pad_centre(audio: Tensor, margin: int, padding: str) -> Tensor:
    """[.., T] -> [.., margin + T + margin], mirrored at the ends or with zeros; any T."""
    length = audio.shape[-1]
    if padding == "zero-centre" or length == 0:
        return functional.pad(audio, (margin, margin))
    if length > margin:
        flat = functional.pad(audio.reshape(-1, length), (margin, margin), mode="reflect")
        return flat.reshape(*audio.shape[:-1], length + 2 * margin)
    if length == 1:
        return audio.expand(*audio.shape[:-1], 1 + 2 * margin)
    period = 2 * (length - 1)
    index = torch.arange(-margin, length + margin, device=audio.device).remainder(period)
    return audio[..., torch.minimum(index, period - index)]


def transform(
    audio: Tensor, n_fft: int, hop_length: int, padding: str = "reflect-centre"
) -> Tensor:
    """Sound [.., T] -> spectrum [.., n_fft // 2 + 1, T // hop_length + 1]; differentiable."""
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
    audio: Tensor, n_fft: int, hop_length: int, padding: str, see: Callable[[Tensor], Tensor]
) -> Tensor:
    """What `see` [.., l, F] -> [.., l, K] makes of the channels' mean power: sound [.., C, T] ->
    [.., T // hop_length + 1, K].

    It gets a few frames at a time, so that whole spectra never exist; differentiable.
    """
    padded = pad_centre(audio.float(), n_fft // 2, padding)
    window = hann(n_fft, audio.device)
    frames = frame_count(audio.shape[-1], hop_length)
    rows = max(1, math.prod(audio.shape[:-1]))
    step = max(16, CACHED_FRAMES // rows) if audio.device.type == "cpu" else frames
    seen = []
    for first in range(0, frames, step):
        last = min(first + step, frames)
        cut = padded[..., first * hop_length : (last - 1) * hop_length + n_fft]
        spectrum = torch.fft.rfft(cut.unfold(-1, n_fft, hop_length) * window)
        seen.append(see(torch.view_as_real(spectrum).square().sum(-1).mean(-3)))
    return torch.cat(seen, dim=-2)


def inverse(spectrum: Tensor, length: int, n_fft: int, hop_length: int) -> Tensor:
    """Spectrum [.., F, L] -> the sound [.., length] nearest in least squares; differentiable."""
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


class Weave:
    """One trip sound -> frames -> spectra -> something done to them -> frames -> sound, a few
    frames at a time.

    Whole spectra never exist: each handful of frames is transformed, changed, transformed back and
    added while it is still in the cache, which is several times faster than two full transforms.
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
        self.scale = self._middle(total).clamp(min=1e-8).reciprocal()

    def __call__(self, audio: Tensor, change: Callable[[Tensor, slice], Tensor]) -> Tensor:
        """Sound [N, T] -> sound [N, T].

        `change(spectrum [N, l, F], frames)` gets some frames and which ones they are; it may work
        in place.
        """
        rows = audio.shape[0]
        if audio.numel() == 0:
            return audio.clone()
        padded = pad_centre(audio, self.n_fft // 2, self.padding).contiguous()
        result = torch.zeros(rows, self._span(self.frames), device=audio.device)
        step = max(4, CACHED_FRAMES // rows) if audio.device.type == "cpu" else self.frames
        for first in range(0, self.frames, step):
            last = min(first + step, self.frames)
            shape = (rows, last - first, self.n_fft)
            strides = (padded.stride(0), self.hop_length, 1)
            cut = padded.as_strided(shape, strides, first * self.hop_length)
            spectrum = change(torch.fft.rfft(cut * self.window), slice(first, last))
            pieces = torch.fft.irfft(spectrum, n=self.n_fft).mul_(self.window)
            self._add(result, pieces, first)
        return self._middle(result) * self.scale

    def _span(self, frames: int) -> int:
        return (frames - 1) * self.hop_length + self.n_fft + self.hop_length

    def _middle(self, total: Tensor) -> Tensor:
        return total[:, self.n_fft // 2 : self.n_fft // 2 + self.length]

    def _add(self, total: Tensor, pieces: Tensor, first: int) -> None:
        """Overlap-add: slices one hop long never overlap, so each is a single addition."""
        rows, frames, _ = pieces.shape
        strides = (total.stride(0), self.hop_length, 1)
        for start in range(0, self.n_fft, self.hop_length):
            part = pieces[..., start : start + self.hop_length]
            shape = (rows, frames, part.shape[-1])
            offset = first * self.hop_length + start
            total.as_strided(shape, strides, offset).add_(part)
