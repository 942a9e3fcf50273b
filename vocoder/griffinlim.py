"""Phase retrieval from magnitudes: Griffin-Lim, its fast version, and ADMM.

Griffin, Lim 1984; Perraudin, Balazs, Søndergaard 2013 (momentum); Masuyama, Yatabe and Oikawa,
"Griffin-Lim like phase recovery via alternating direction method of multipliers", IEEE Signal
Processing Letters 26(1), 2019.

The momentum of the fast version extrapolates spectra. As the transform is linear, extrapolating the
sound is equivalent, and only one earlier sound has to be kept. ADMM keeps one spectrum.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from vocoder import mel
from vocoder.base import VocoderError, require_shape
from vocoder.spectrogram import SpectrogramSettings
from vocoder.stft import OverlapAdd

RELAXATION = 0.2
"""Weight in ADMM of the spectrum that has the magnitudes against its projection to a sound's."""
INERTIA = 0.3
"""Share of an iteration's change in ADMM that the next one makes again."""
MOMENTUM = 0.99
_TINIEST = 1e-37  # square of a magnitude


def iterate(
    project: Callable[[Tensor], Tensor], start: Tensor, iterations: int, momentum: float = MOMENTUM
) -> Tensor:
    """Apply `project` (replace magnitudes, resynthesise) `iterations` times with momentum."""
    current = ahead = start
    for _ in range(iterations):
        previous, current = current, project(ahead)
        ahead = torch.lerp(previous, current, 1 + momentum)
    return current


def imposer(magnitude: Tensor) -> Callable[[Tensor, slice], Tensor]:
    """A `change` for `OverlapAdd` that keeps phases and sets magnitudes to [N, L, F]; 0 stays 0."""

    return lambda spectrum, frames: impose(spectrum, magnitude[:, frames])


def impose(spectrum: Tensor, magnitude: Tensor | float = 1.0) -> Tensor:
    """Complex numbers of the same angles and the given magnitudes, in place; 0 stays 0.

    By real numbers: torch's absolute values and quotients of complex ones take longer than the
    Fourier transforms, and `torch.sgn` gives infinities for some subnormal ones, such as the end of
    a long decay.
    """
    parts = torch.view_as_real(spectrum)
    real, imaginary = parts.unbind(-1)
    scale = (real * real).addcmul_(imaginary, imaginary).clamp_min_(_TINIEST).rsqrt_()
    parts.mul_(scale.mul_(magnitude).unsqueeze(-1))
    return spectrum


@torch.no_grad()
def griffin_lim(
    magnitude: Tensor,
    length: int,
    spectrogram: SpectrogramSettings,
    iterations: int = 32,
    momentum: float = MOMENTUM,
    generator: Generator | None = None,
    start: Tensor | None = None,
    phases: Tensor | None = None,
) -> Tensor:
    """Sound [.., length] whose STFT magnitude approximates `magnitude` [.., F, L].

    The initial phase is that of `start` [.., T] or `phases` (radians, [.., F, L]) where one is
    given, else random from `generator`: the same for every item, so that a batch equals its items
    and equal channels stay equal. A `momentum` of 0 is the plain method.
    """
    if length == 0 or magnitude.numel() == 0:
        return torch.zeros(*magnitude.shape[:-2], length, device=magnitude.device)
    target, overlap_add = _prepared(magnitude, length, spectrogram)
    change = imposer(target)
    first = _first(magnitude, target, overlap_add, generator, start, phases)
    audio = iterate(lambda ahead: overlap_add(ahead, change), first, iterations, momentum)
    return audio.reshape(*magnitude.shape[:-2], length)


@torch.no_grad()
def admm(
    magnitude: Tensor,
    length: int,
    spectrogram: SpectrogramSettings,
    iterations: int = 32,
    relaxation: float = RELAXATION,
    generator: Generator | None = None,
    start: Tensor | None = None,
    phases: Tensor | None = None,
    momentum_share: float = 0.0,
    inertia: float = INERTIA,
) -> Tensor:
    """What `griffin_lim` gives, by the alternating direction method of multipliers.

    An iteration costs as much as one of Griffin-Lim and comes nearer, above all on dense sound. The
    last `momentum_share` of the iterations are those of fast Griffin-Lim, which comes nearer still
    from what ADMM has found, where the start was a good one.
    """
    if length == 0 or magnitude.numel() == 0:
        return torch.zeros(*magnitude.shape[:-2], length, device=magnitude.device)
    target, overlap_add = _prepared(magnitude, length, spectrogram)
    audio = _first(magnitude, target, overlap_add, generator, start, phases)
    # The sum of the spectrum that has the magnitudes and of the scaled multiplier, and its change:
    # real and imaginary parts, whose sums and products by real numbers are faster.
    total = torch.empty(*target.shape, 2, device=target.device)
    step = torch.zeros_like(total)
    begun = False

    def change(spectrum: Tensor, frames: slice) -> Tensor:
        parts, kept, moved = torch.view_as_real(spectrum), total[:, frames], step[:, frames]
        if not begun:
            kept.copy_(parts)
        mixed = parts.add_(kept, alpha=relaxation).mul_(1 / (1 + relaxation))
        reflected = torch.sub(mixed, kept, alpha=0.5)
        impose(torch.view_as_complex(reflected), target[:, frames])
        kept.add_(moved.mul_(inertia).add_(reflected).sub_(mixed))
        spectrum.copy_(torch.view_as_complex(kept))
        return spectrum

    fast = int(iterations * momentum_share)
    for _ in range(iterations - fast):
        audio = overlap_add(audio, change)
        begun = True
    if iterations:
        # Sounds of spectra whose magnitudes are the wanted ones, without the multiplier.
        again = imposer(target)
        audio = iterate(lambda ahead: overlap_add(ahead, again), audio, 1 + fast, MOMENTUM)
    return audio.reshape(*magnitude.shape[:-2], length)


def _prepared(
    magnitude: Tensor, length: int, spectrogram: SpectrogramSettings
) -> tuple[Tensor, OverlapAdd]:
    """Magnitudes [N, L, F] as they are used, and the transform."""
    target = magnitude.reshape(-1, *magnitude.shape[-2:]).transpose(-1, -2).contiguous()
    return target, OverlapAdd(
        length, spectrogram.n_fft, spectrogram.hop_length, spectrogram.padding, magnitude.device
    )


def _first(
    magnitude: Tensor,
    target: Tensor,
    overlap_add: OverlapAdd,
    generator: Generator | None,
    start: Tensor | None,
    phases: Tensor | None,
) -> Tensor:
    """The first sound [N, T], by given phases or random ones."""
    length, device = overlap_add.length, target.device
    if start is not None:
        sound = start.expand(*magnitude.shape[:-2], length).reshape(-1, length)
        return overlap_add(sound, imposer(target))
    if phases is None:
        units = random_phases(target.shape[1:], generator, device)[None]
    else:
        flat = phases.reshape(-1, *phases.shape[-2:]).transpose(-1, -2)
        units = torch.polar(torch.ones_like(flat), flat)
    return overlap_add(
        torch.zeros(len(target), length, device=device),
        lambda _, frames: target[:, frames] * units[:, frames],
    )


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
        self,
        expects: SpectrogramSettings,
        iterations: int = 32,
        momentum: float = MOMENTUM,
        least_squares: int = 0,
    ) -> None:
        if iterations < 0:
            raise VocoderError(f"{iterations} Griffin-Lim iterations: use 0 or more")
        if not 0 <= momentum <= 1:
            raise VocoderError(f"Griffin-Lim momentum {momentum}: use 0 to 1, usually 0.99")
        self.expects, self.iterations, self.momentum = expects, iterations, momentum
        self.least_squares = least_squares
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
        if self.expects.kind == "cqt":
            values = self.expects.magnitude(spectrogram)
            return self._on_constant_q(values, length, generator)
        values = linear_magnitude(self.expects, spectrogram, self.least_squares)
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


def linear_magnitude(
    expects: SpectrogramSettings, spectrogram: Tensor, least_squares: int = 0
) -> Tensor:
    """Magnitude of the STFT [.., n_fft // 2 + 1, L] of a "mel" or "stft" spectrogram [.., F, L].

    `least_squares`: iterations of `mel.least_squares` after `mel.to_magnitude`. 50 reach the bands
    to -115 dB and the true magnitudes no nearer than 0.1 dB, for four times the work.
    """
    values = expects.magnitude(spectrogram)
    if expects.kind == "stft":
        return values
    weights = expects.filterbank(values.device)
    back = expects.pseudo_inverse(values.device)
    bands = values.transpose(-1, -2)
    found = mel.to_magnitude(bands, weights, back)
    if least_squares:
        found = mel.least_squares(bands, weights, found, least_squares)
    return found.transpose(-1, -2)
