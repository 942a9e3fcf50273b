"""Constant-Q transform (nnAudio's recursive octaves) and its least-squares inverse.

The transform C is linear in the sound, so automatic differentiation gives its adjoint C*, and the
sound nearest to given coefficients c in least squares solves C*C x = C*c. C*C is nearly a filter;
dividing by that filter's response makes conjugate gradients converge in a few steps (Velasco et al.
2011 divide by it once, which is exact only where filters are sampled densely). What no filter
covers - below the lowest and above the highest bin - is lost.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from vocoder.base import VocoderError

# Frequencies at which the power response is below this share of its maximum count as not covered.
COVERED = 0.1


def filter_length(frequency: float, sample_rate: int, bins_per_octave: int) -> int:
    """Length in samples of the filter at `frequency` (Hz); higher filters are shorter."""
    quality: float = 1.0 / (2.0 ** (1.0 / bins_per_octave) - 1.0)
    return math.ceil(quality * sample_rate / frequency)


def top_frequency(f_min: float, bins: int, bins_per_octave: int) -> float:
    """Centre of the highest bin in Hz."""
    top: float = f_min * 2.0 ** ((bins - 1) / bins_per_octave)
    return top


def _best_hop(sample_rate: int, bins: int, f_min: float, bins_per_octave: int) -> int:
    """The longest hop that can be inverted, or 0; each octave down halves the hop."""
    unit: int = 2 ** (math.ceil(bins / bins_per_octave) - 1)
    top = top_frequency(f_min, bins, bins_per_octave)
    if top > sample_rate / 2:
        return 0
    return filter_length(top, sample_rate, bins_per_octave) // unit * unit


def check(sample_rate: int, hop_length: int, bins: int, f_min: float, bins_per_octave: int) -> None:
    """Raise VocoderError, naming valid settings, for a transform that cannot be inverted."""
    top = top_frequency(f_min, bins, bins_per_octave)
    halvings = math.ceil(bins / bins_per_octave) - 1
    shortest = filter_length(top, sample_rate, bins_per_octave)
    if top > sample_rate / 2:
        wrong = f"{bins} CQT bins from {f_min:g} Hz end at {top:.0f} Hz, above half the sample rate"
    elif hop_length > shortest:
        wrong = (
            f"hop_length {hop_length} is longer than the shortest CQT filter "
            f"({shortest} samples at {top:.0f} Hz)"
        )
    elif hop_length % 2**halvings:
        wrong = (
            f"hop_length {hop_length} does not halve {halvings} times, once for each lower octave"
        )
    else:
        return
    fewer = bins
    while not (longest := _best_hop(sample_rate, fewer, f_min, bins_per_octave)) and fewer > 1:
        fewer -= 1
    unit = 2 ** (math.ceil(fewer / bins_per_octave) - 1)
    nearest = min(longest, max(unit, round(hop_length / unit) * unit))
    raise VocoderError(f"{wrong}: use hop_length={nearest} with bins={fewer}")


class ConstantQ(nn.Module):
    """Sound [N, T] to constant-Q coefficients [N, bins, T // hop_length + 1], complex, and back.

    The sound is padded with zeros: the longest filters span seconds, where mirroring would make
    chords.
    """

    response: Tensor
    loudness: Tensor

    def __init__(
        self, sample_rate: int, hop_length: int, bins: int, f_min: float, bins_per_octave: int
    ) -> None:
        super().__init__()
        check(sample_rate, hop_length, bins, f_min, bins_per_octave)
        from nnAudio.features import CQT2010v2  # takes over a second to import

        self.hop_length = hop_length
        self.longest = filter_length(f_min, sample_rate, bins_per_octave)
        self.layer = CQT2010v2(
            sr=sample_rate,
            hop_length=hop_length,
            fmin=f_min,
            n_bins=bins,
            bins_per_octave=bins_per_octave,
            pad_mode="constant",
            earlydownsample=False,
            output_format="Complex",
            verbose=False,
        )
        self.layer.requires_grad_(False)
        # librosa's scale grows with the filter's length; the inverse needs the filters unscaled,
        # whose response is even over the whole range.
        self.register_buffer("loudness", self.layer.lenghts.sqrt()[:, None], persistent=False)
        self.register_buffer("response", self._response(), persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        """Sound [N, T] to complex coefficients [N, bins, T // hop_length + 1]; differentiable."""
        return torch.view_as_complex(self._coefficients(audio)) * self.loudness

    def inverse(self, coefficients: Tensor, length: int, iterations: int = 8) -> Tensor:
        """Coefficients [N, bins, L] to sound [N, length], by preconditioned conjugate gradients.

        Between f_min and the top bin music is reconstructed to about -70 dB with eight iterations,
        to -27 dB with one (48 bins per octave, hop at most the shortest filter).
        """
        rows = coefficients.shape[0]
        if coefficients.numel() == 0 or length == 0:
            return torch.zeros(rows, length, device=coefficients.device)
        audio = torch.zeros(rows, length, device=coefficients.device)
        residual = self._adjoint(torch.view_as_real(coefficients.detach() / self.loudness), length)
        smoothed = self._precondition(residual)
        direction = smoothed.clone()
        energy = (residual * smoothed).sum(-1, keepdim=True)
        tiny = torch.finfo(torch.float32).tiny
        for _ in range(iterations):
            answer = self._normal(direction)
            stride = energy / (direction * answer).sum(-1, keepdim=True).clamp(min=tiny)
            audio += stride * direction
            residual = residual - stride * answer
            smoothed = self._precondition(residual)
            before, energy = energy, (residual * smoothed).sum(-1, keepdim=True)
            direction = smoothed + energy / before.clamp(min=tiny) * direction
        return audio

    def impose(self, audio: Tensor, magnitude: Tensor) -> Tensor:
        """Sound [N, T] with the magnitudes of its coefficients replaced by [N, bins, L]."""
        with torch.inference_mode(False), torch.enable_grad():
            audio = audio.detach().clone().requires_grad_()
            output = self._coefficients(audio)
            phase = torch.sgn(torch.view_as_complex(output.detach()))
            target = torch.view_as_real(phase * (magnitude / self.loudness))
            return self._precondition(torch.autograd.grad(output, audio, target)[0])

    def _coefficients(self, audio: Tensor) -> Tensor:
        length = audio.shape[-1]
        frames = length // self.hop_length + 1
        # With a whole number of hops every octave has the same number of frames.
        padded = functional.pad(audio.float(), (0, frames * self.hop_length - length))
        coefficients: Tensor = self.layer(padded, normalization_type="convolutional")
        return coefficients[:, :, :frames].contiguous()

    def _adjoint(self, coefficients: Tensor, length: int) -> Tensor:
        """C* c: coefficients [N, bins, L, 2] to [N, length]."""
        with torch.inference_mode(False), torch.enable_grad():
            device = coefficients.device
            audio = torch.zeros(len(coefficients), length, device=device, requires_grad=True)
            output = self._coefficients(audio)
            return torch.autograd.grad(output, audio, coefficients.clone())[0]

    def _normal(self, audio: Tensor) -> Tensor:
        """C*C x: sound [N, T] to [N, T]."""
        with torch.inference_mode(False), torch.enable_grad():
            audio = audio.detach().clone().requires_grad_()
            output = self._coefficients(audio)
            return torch.autograd.grad(output, audio, output.detach())[0]

    def _response(self) -> Tensor:
        """Power response of C*C over frequency, from impulses on a frame and between two."""
        size = 2 ** math.ceil(math.log2(2 * self.longest))
        places = (size // 2, size // 2 + self.hop_length // 2)
        impulses = torch.zeros(len(places), size)
        for row, place in enumerate(places):
            impulses[row, place] = 1.0
        spectrum = torch.fft.rfft(self._normal(impulses))
        power: Tensor = (spectrum * torch.fft.rfft(impulses).conj()).real.mean(0)
        return power.clamp(min=0)

    def _precondition(self, audio: Tensor) -> Tensor:
        """Divide the spectrum of [N, T] by the power response of C*C, limited where it is small."""
        length = audio.shape[-1]
        size = 2 ** math.ceil(math.log2(length + self.longest))
        response = functional.interpolate(
            self.response[None, None], size=size // 2 + 1, mode="linear", align_corners=True
        )[0, 0]
        limit = COVERED * response.max()
        weights = response / (response.square() + limit.square())
        filtered: Tensor = torch.fft.irfft(torch.fft.rfft(audio, n=size) * weights, n=size)
        return filtered[..., :length]


@lru_cache(maxsize=4)
def constant_q(
    sample_rate: int,
    hop_length: int,
    bins: int,
    f_min: float,
    bins_per_octave: int,
    device: torch.device,
) -> ConstantQ:
    """The transform for these settings, built once per device."""
    with torch.inference_mode(False):
        return ConstantQ(sample_rate, hop_length, bins, f_min, bins_per_octave).to(device)
