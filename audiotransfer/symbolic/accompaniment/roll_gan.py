"""The conditional GAN of AWS DeepComposer: noise and a melody's roll to rolls of four voices.

Layers as published (8.27 M weights at width 64). Different here: layer norm instead of batch norm,
which computes something else in training than in use.
"""

from __future__ import annotations

from typing import Any, ClassVar, cast

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from audiotransfer.symbolic.accompaniment.chorales import RANGES, REST, VOICES

STEPS = 32  # of a window, two bars
PITCHES = 128
_LEVELS = (1, 2, 4, 8)
_HOP = STEPS // 2
_SLOPE = 0.2


class RollGenerator(nn.Module):
    """A U-Net: melody [B, 1, 32, 128] of -1/+1 and noise [B, 8 width, 2, 8] -> [B, 4, 32, 128]."""

    kind: ClassVar[str] = "roll-gan"

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.width = width
        sizes = [level * width for level in _LEVELS]
        self.downs = nn.ModuleList(
            _down(before, after, normed=n > 0)
            for n, (before, after) in enumerate(zip([1, *sizes[:-1]], sizes, strict=True))
        )
        self.ups = nn.ModuleList(
            _up(before, after)
            for before, after in zip(
                [2 * sizes[3], 2 * sizes[2], 2 * sizes[1]], reversed(sizes[:-1]), strict=True
            )
        )
        self.out = nn.Conv2d(2 * width, len(VOICES), 4)

    def shape(self) -> dict[str, Any]:
        """Arguments that build the same network."""
        return {"width": self.width}

    def noise(self, count: int, generator: Generator) -> Tensor:
        """Truncated normal noise, [count, 8 width, 2, 8], on the CPU."""
        noise = torch.empty(count, _LEVELS[-1] * self.width, 2, 8)
        return nn.init.trunc_normal_(noise, generator=generator)

    def forward(self, melody: Tensor, noise: Tensor) -> Tensor:
        hidden, skips = melody, []
        for down in self.downs:
            hidden = down(hidden)
            skips.append(hidden)
        hidden = torch.cat([skips.pop(), noise], 1)
        for up in self.ups:
            hidden = torch.cat([up(hidden), skips.pop()], 1)
        hidden = functional.pad(functional.interpolate(hidden, scale_factor=2.0), (1, 2, 1, 2))
        return cast(Tensor, self.out(hidden)).tanh()


class WassersteinCritic(nn.Module):
    """The critic: rolls of four voices and the melody, [B, 4 and 1, 32, 128] -> scores [B].

    Without normalisation layers, as the gradient penalty requires.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        sizes = [level * width for level in _LEVELS]
        layers: list[nn.Module] = []
        for before, after in zip([len(VOICES) + 1, *sizes[:-1]], sizes, strict=True):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.LeakyReLU(_SLOPE)]
        self.layers = nn.Sequential(*layers)
        self.verdict = nn.Linear(sizes[-1] * 2 * 8, 1)

    def forward(self, voices: Tensor, melody: Tensor) -> Tensor:
        hidden = self.layers(torch.cat([voices, melody], 1))
        return cast(Tensor, self.verdict(hidden.flatten(1)))[:, 0]


def roll(voices: Tensor) -> Tensor:
    """Voices [B, T, V] as rolls [B, V, T, 128] of 1 where a note sounds, else -1."""
    pitches = torch.arange(PITCHES, device=voices.device)
    return 2.0 * (voices.transpose(1, 2)[..., None] == pitches).float() - 1.0


def voices_of(rolls: Tensor) -> Tensor:
    """Rolls [B, V, T, 128] as voices [B, T, V]: the largest cell, a rest if none is above 0."""
    strongest, pitch = rolls.max(-1)
    return torch.where(strongest > 0, pitch, REST).transpose(1, 2)


@torch.no_grad()
def over_windows(
    network: RollGenerator, melody: Tensor, temperature: float, generator: Generator
) -> Tensor:
    """Harmonises melodies [B, T] of any length: [B, T, 4], the melody first.

    Windows of two bars begin at every bar and share their noise, which ``temperature`` scales.
    Where windows overlap their rolls are averaged before tanh. A voice has the largest cell of its
    range; where the melody rests all voices rest.
    """
    batch, steps = melody.shape
    noise = temperature * network.noise(batch, generator).to(melody.device)
    count = max(1, -(-(steps - STEPS) // _HOP) + 1)
    whole = functional.pad(melody, (0, STEPS + (count - 1) * _HOP - steps), value=REST)
    logits = torch.zeros(batch, len(VOICES), whole.shape[1], PITCHES, device=melody.device)
    for first in range(0, count * _HOP, _HOP):
        made = network(roll(whole[:, first : first + STEPS, None]), noise)
        logits[:, :, first : first + STEPS] += made.clamp(-0.999999, 0.999999).atanh()
    pitches = torch.arange(PITCHES, device=melody.device)
    for part, (low, high) in zip(logits.unbind(1), RANGES, strict=True):
        part[..., (pitches < low) | (pitches > high)] = -torch.inf
    voices = logits[:, :, :steps].argmax(-1).transpose(1, 2)
    voices = torch.where(melody[..., None] >= 0, voices, REST)
    voices[..., 0] = melody
    return voices


def _down(before: int, after: int, *, normed: bool) -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(before, after, 4, 2, 1), nn.LeakyReLU(_SLOPE)]
    return nn.Sequential(*layers, nn.GroupNorm(1, after)) if normed else nn.Sequential(*layers)


def _up(before: int, after: int) -> nn.Module:
    return nn.Sequential(
        nn.Upsample(scale_factor=2),
        nn.ZeroPad2d((1, 2, 1, 2)),
        nn.Conv2d(before, after, 4),
        nn.GroupNorm(1, after),
        nn.ReLU(),
    )
