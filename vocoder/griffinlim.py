"""Fast Griffin-Lim: a phase for a magnitude, found by going back and forth between the two.

Griffin and Lim 1984; the momentum is Perraudin, Balazs and Sondergaard 2013. They extrapolate the
spectra, and the transform is linear, so extrapolating the sound is the same: one past sound is all
that an iteration remembers.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from vocoder import mel
from vocoder.base import require_shape
from vocoder.errors import VocoderError
from vocoder.spectrogram import SpectrogramSettings
from vocoder.stft import Weave


def iterate(
    project: Callable[[Tensor], Tensor], start: Tensor, iterations: int, momentum: float = 0.99
) -> Tensor:
    """Apply `project` (impose magnitudes, back to sound) `iterations` times with momentum."""
    current = ahead = start
    for _ in range(iterations):
        previous, current = current, project(ahead)
        ahead = torch.lerp(previous, current, 1 + momentum)
    return current


def imposer(magnitude: Tensor) -> Callable[[Tensor, slice], Tensor]:
    """A change for `Weave`: keep the phase, take the magnitudes [N, L, F]; 0 stays 0."""

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
    """STFT magnitude [.., F, L] -> sound [.., length] whose STFT comes near it.

    The first phase is that of `start` [.., T] where one is given, else random from `generator`: the
    same for every item, so that a batch gives what its items give alone and equal channels stay
    equal.
    """
    batch, device = magnitude.shape[:-2], magnitude.device
    if length == 0 or magnitude.numel() == 0:
        return torch.zeros(*batch, length, device=device)
    wanted = magnitude.reshape(-1, *magnitude.shape[-2:]).transpose(-1, -2).contiguous()
    weave = Weave(length, spectrogram.n_fft, spectrogram.hop_length, spectrogram.padding, device)
    change = imposer(wanted)
    if start is None:
        turns = random_turns(wanted.shape[1:], generator, device)
        first = weave(
            torch.zeros(len(wanted), length, device=device),
            lambda _, frames: wanted[:, frames] * turns[frames],
        )
    else:
        first = weave(start.expand(*batch, length).reshape(-1, length), change)
    audio = iterate(lambda ahead: weave(ahead, change), first, iterations, momentum)
    return audio.reshape(*batch, length)


def random_turns(
    shape: torch.Size | tuple[int, ...], generator: Generator | None, device: torch.device
) -> Tensor:
    """Unit complex numbers of random angle, drawn where the generator lives."""
    home = device if generator is None else generator.device
    angle = 2 * torch.pi * torch.rand(*shape, generator=generator, device=home).to(device)
    return torch.polar(torch.ones_like(angle), angle)


class GriffinLimInverter:
    """Sound from a spectrogram alone: [.., F, L] -> [.., length].

    Mel spectrograms go through their non-negative pseudo-inverse to a magnitude first. CQT
    spectrograms iterate on the CQT itself and give what lies between their lowest and highest bin.
    `source` is not looked at.
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
        wanted = values.reshape(-1, *values.shape[-2:])
        turns = random_turns(wanted.shape[1:], generator, values.device)
        first = transform.inverse(wanted * turns, length, iterations=1)
        audio = iterate(
            lambda ahead: transform.impose(ahead, wanted), first, self.iterations, self.momentum
        )
        return audio.reshape(*batch, length)
