"""Fast Griffin-Lim phase retrieval (Griffin and Lim 1984; Perraudin, Balazs and Sondergaard 2013).

The momentum of the fast version extrapolates spectra. As the transform is linear, extrapolating the
sound is equivalent, and only one earlier sound has to be kept.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from vocoder import mel
from vocoder.base import VocoderError, require_shape
from vocoder.spectrogram import SpectrogramSettings
from vocoder.stft import OverlapAdd


def iterate(
    project: Callable[[Tensor], Tensor], start: Tensor, iterations: int, momentum: float = 0.99
) -> Tensor:
    """Apply `project` (replace magnitudes, resynthesise) `iterations` times with momentum."""
    current = ahead = start
    for _ in range(iterations):
        previous, current = current, project(ahead)
        ahead = torch.lerp(previous, current, 1 + momentum)
    return current


def imposer(magnitude: Tensor) -> Callable[[Tensor, slice], Tensor]:
    """A `change` for `OverlapAdd` that keeps phases and sets magnitudes to [N, L, F]; 0 stays 0."""

    def change(spectrum: Tensor, frames: slice) -> Tensor:
        return torch.sgn(spectrum, out=spectrum).mul_(magnitude[:, frames])

    return change


@torch.no_grad()
def griffin_lim(
    magnitude: Tensor,
    length: int,
    spectrogram: SpectrogramSettings,
    iterations: int = 32,
    momentum: float = 0.99,
    generator: Generator | None = None,
    start: Tensor | None = None,
) -> Tensor:
    """Sound [.., length] whose STFT magnitude approximates `magnitude` [.., F, L].

    The initial phase is that of `start` [.., T] where one is given, else random from `generator`:
    the same for every item, so that a batch equals its items and equal channels stay equal.
    """
    batch, device = magnitude.shape[:-2], magnitude.device
    if length == 0 or magnitude.numel() == 0:
        return torch.zeros(*batch, length, device=device)
    target = magnitude.reshape(-1, *magnitude.shape[-2:]).transpose(-1, -2).contiguous()
    overlap_add = OverlapAdd(
        length, spectrogram.n_fft, spectrogram.hop_length, spectrogram.padding, device
    )
    change = imposer(target)
    if start is None:
        phases = random_phases(target.shape[1:], generator, device)
        first = overlap_add(
            torch.zeros(len(target), length, device=device),
            lambda _, frames: target[:, frames] * phases[frames],
        )
    else:
        first = overlap_add(start.expand(*batch, length).reshape(-1, length), change)
    audio = iterate(lambda ahead: overlap_add(ahead, change), first, iterations, momentum)
    return audio.reshape(*batch, length)


def random_phases(
    shape: torch.Size | tuple[int, ...], generator: Generator | None, device: torch.device
) -> Tensor:
    """Unit complex numbers of random angle, drawn on the generator's device."""
    generator_device = device if generator is None else generator.device
    angle = (
        2 * torch.pi * torch.rand(*shape, generator=generator, device=generator_device).to(device)
    )
    return torch.polar(torch.ones_like(angle), angle)


class GriffinLimInverter:
    """Sound from a spectrogram alone: [.., F, L] to [.., length].

    A mel spectrogram is first mapped to a magnitude by its non-negative pseudo-inverse. A CQT
    spectrogram is iterated on the CQT itself and gives only what lies between its lowest and
    highest bin. `source` is ignored.
    """

    def __init__(
        self, expects: SpectrogramSettings, iterations: int = 32, momentum: float = 0.99
    ) -> None:
        if iterations < 0:
            raise VocoderError(f"{iterations} Griffin-Lim iterations: use 0 or more")
        if not 0 <= momentum <= 1:
            raise VocoderError(f"Griffin-Lim momentum {momentum}: use 0 to 1, usually 0.99")
        self.expects, self.iterations, self.momentum = expects, iterations, momentum
        self.reach = (1 + iterations) * expects.n_fft

    @torch.no_grad()
    def __call__(
        self,
        spectrogram: Tensor,
        length: int,
        source: Tensor | None = None,
        generator: Generator | None = None,
    ) -> Tensor:
        require_shape(self.expects, spectrogram, length)
        values = self.expects.magnitude(spectrogram)
        if self.expects.kind == "cqt":
            return self._on_constant_q(values, length, generator)
        if self.expects.kind == "mel":
            weights = self.expects.filterbank(values.device)
            back = self.expects.pseudo_inverse(values.device)
            values = mel.to_magnitude(values.transpose(-1, -2), weights, back).transpose(-1, -2)
        return griffin_lim(values, length, self.expects, self.iterations, self.momentum, generator)

    def _on_constant_q(self, values: Tensor, length: int, generator: Generator | None) -> Tensor:
        batch = values.shape[:-2]
        if length == 0 or values.numel() == 0:
            return torch.zeros(*batch, length, device=values.device)
        transform = self.expects.constant_q(values.device)
        target = values.reshape(-1, *values.shape[-2:])
        phases = random_phases(target.shape[1:], generator, values.device)
        first = transform.inverse(target * phases, length, iterations=1)
        audio = iterate(
            lambda ahead: transform.impose(ahead, target), first, self.iterations, self.momentum
        )
        return audio.reshape(*batch, length)
