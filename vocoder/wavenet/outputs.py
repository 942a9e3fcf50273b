"""What a WaveNet says of the next sample: 256 steps of the mu law, or a mixture of logistics.

The mixture is that of T. Salimans et al., "PixelCNN++", ICLR 2017, as used for sound by A. van den
Oord et al., "Parallel WaveNet", 2017.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

MU = 255.0
_STEPS = 65536  # of 16 bit
LEAST_SCALE = -7.0
"""Least logarithm of a logistic's scale, 30 steps of 16 bit: below it single samples decide."""


class Output(Protocol):
    """A distribution of samples within ±1, by the values that the network gives for it."""

    size: int
    """Values per sample."""

    def loss(self, values: Tensor, sound: Tensor) -> Tensor:
        """Mean of the negative log likelihood, in nats a sample: `[B, size, T]`, `[B, T]`."""
        ...

    def draw(self, values: Tensor, uniform: Tensor, temperature: float = 1.0) -> Tensor:
        """Samples `[B, T]` from values `[B, size, T]` and uniform numbers `[B, 2, T]`."""
        ...


def companded(sound: Tensor) -> Tensor:
    """The mu law: sound within ±1 to values within ±1 in which quiet samples differ more."""
    return sound.sign() * torch.log1p(MU * sound.abs().clamp(max=1.0)) / math.log1p(MU)


def expanded(value: Tensor) -> Tensor:
    """The inverse of `companded`."""
    return value.sign() * torch.expm1(value.abs() * math.log1p(MU)) / MU


def quantised(value: Tensor) -> Tensor:
    """Companded values to the nearest of 256 steps, 0..255."""
    return ((value + 1) / 2 * MU + 0.5).long().clamp(0, int(MU))


class MuLaw:
    """256 logits of the steps of a companded sample."""

    size = 256

    def loss(self, values: Tensor, sound: Tensor) -> Tensor:
        """Cross entropy of the step that each sample falls on."""
        return functional.cross_entropy(values.float(), quantised(companded(sound)))

    def draw(self, values: Tensor, uniform: Tensor, temperature: float = 1.0) -> Tensor:
        """The first step whose cumulative probability exceeds the first uniform number."""
        shares = torch.softmax(values.float() / temperature, dim=1).cumsum(1)
        step = (shares <= uniform[:, :1] * shares[:, -1:]).sum(1).clamp(max=int(MU))
        return expanded(step / MU * 2 - 1)


class LogisticMixture:
    """Logits, means and log scales of logistic distributions."""

    def __init__(self, mixtures: int = 10) -> None:
        self.size = 3 * mixtures

    def loss(self, values: Tensor, sound: Tensor) -> Tensor:
        """Negative log of the probability of each sample's 16-bit step."""
        logits, means, scales = values.float().chunk(3, dim=1)
        scales = scales.clamp(min=LEAST_SCALE)
        distance = sound[:, None].clamp(-1, 1) - means
        narrow = torch.exp(-scales)
        half = 1.0 / (_STEPS - 1)
        above, below = narrow * (distance + half), narrow * (distance - half)
        inside = torch.sigmoid(above) - torch.sigmoid(below)
        middle = narrow * distance
        # Far from a mean the difference vanishes: the density at the middle, times the step.
        density = middle - scales - 2 * functional.softplus(middle) + math.log(2 * half)
        log = torch.where(inside > 1e-5, inside.clamp_min(1e-12).log(), density)
        log = torch.where(sound[:, None] < -0.999, above - functional.softplus(above), log)
        log = torch.where(sound[:, None] > 0.999, -functional.softplus(below), log)
        return -torch.logsumexp(log + torch.log_softmax(logits, dim=1), dim=1).mean()

    def draw(self, values: Tensor, uniform: Tensor, temperature: float = 1.0) -> Tensor:
        """A logistic by the first uniform number, and a value of it by the second."""
        logits, means, scales = values.float().chunk(3, dim=1)
        shares = torch.softmax(logits, dim=1).cumsum(1)
        chosen = (shares <= uniform[:, :1] * shares[:, -1:]).sum(1, keepdim=True)
        chosen = chosen.clamp(max=logits.shape[1] - 1)
        mean, scale = means.gather(1, chosen)[:, 0], scales.gather(1, chosen)[:, 0]
        within = uniform[:, 1].clamp(1e-5, 1 - 1e-5)
        spread = temperature * torch.exp(scale.clamp(min=LEAST_SCALE))
        return (mean + spread * torch.logit(within)).clamp(-1, 1)


def output_of(size: int) -> Output:
    """The distribution that a network with this many outputs describes: 256 are the mu law's."""
    return MuLaw() if size == MuLaw.size else LogisticMixture(size // 3)
