"""Networks of the conditional GAN: a generator for all genres, a discriminator, a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from audiotransfer.symbolic.genre.paper_networks import fold, unfold

_CODE = 16
_BEAT, _BAR, _CLASSES = 4, 16, 12
_PASSING = 2.5  # initial logit of an unchanged cell
_SLOPE = 0.2
_LOWEST = (4, 10)  # beats / 4 and pitches / 8 of a phrase of 64 x 84
FEATURES = 4 * _BEAT + 5


class ConditionalGenerator(nn.Module):
    """Transfers notes [B, 2, S, 84] (onsets, sounding; 0 and 1) to genres, indices [B].

    A U-Net on beats, conditioned on the genre by FiLM. Its output is added to the notes in logit
    space: sigmoid(a · x + Δ), with a learned and Δ initially 0, so that an untrained network
    changes nothing. S is a multiple of 16.

    Args:
        genres: the target genres.
        widths: channels at each level; both axes are halved between them.
        blocks: residual blocks at the lowest level.
    """

    kind = "conditional"
    channels = 2

    def __init__(
        self, genres: tuple[str, ...], widths: Sequence[int] = (32, 64, 96), blocks: int = 2
    ) -> None:
        super().__init__()
        self.genres = tuple(genres)
        self.widths, self.blocks = tuple(widths), blocks
        self.code = nn.Embedding(len(genres), _CODE)
        self.enter = _Modulated(FEATURES, widths[0], (3, 13))
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(_Modulated(a, b, (4, 4), 2) for a, b in pairs)
        self.middle = nn.ModuleList(_Block(widths[-1]) for _ in range(blocks))
        self.up = nn.ModuleList(_Modulated(a + b, a, (3, 3)) for a, b in reversed(pairs))
        self.leave = nn.Conv2d(widths[0], 2 * _BEAT, (3, 13), padding=(1, 6))
        nn.init.zeros_(self.leave.weight)
        assert self.leave.bias is not None
        nn.init.zeros_(self.leave.bias)
        self.passing = nn.Parameter(torch.full((2, 1, 1), _PASSING))

    def shape(self) -> dict[str, Any]:
        """Arguments that build the same network."""
        return {"genres": list(self.genres), "widths": list(self.widths), "blocks": self.blocks}

    def forward(self, roll: Tensor, target: Tensor) -> Tensor:
        """Logits [B, 2, S, 84]."""
        code = self.code(target)
        x = self.enter(input_features(roll), code)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x, code)
        for block in self.middle:
            x = block(x, code)
        for up in self.up:
            x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            skip = skips.pop()
            x = up(torch.cat([functional.pad(x, (0, skip.shape[-1] - x.shape[-1])), skip], 1), code)
        change = unfold(self.leave(x), _BEAT).float()
        return self.passing * (2 * roll - 1) + change


def input_features(roll: Tensor) -> Tensor:
    """Features of notes [B, 2, S, 84], one column for each beat: [B, C, S/4, 84].

    The notes; squashed numbers of notes that sound below and above; pitch classes of the beat and
    of the bar, in all octaves; whether the beat is the first or the third of its bar; the register.
    """
    sounding = roll[:, 1]
    below = (sounding.cumsum(-1) - sounding).tanh()
    above = (sounding.flip(-1).cumsum(-1).flip(-1) - sounding).tanh()
    batch, steps, pitches = sounding.shape
    beats = steps // _BEAT
    beat = torch.arange(beats, device=roll.device) % (_BAR // _BEAT)
    places = torch.stack([(beat == 0).float(), (beat == 2).float()])
    register = torch.linspace(-1, 1, pitches, device=roll.device)
    return torch.cat(
        [
            fold(roll, _BEAT),
            fold(torch.stack([below, above], 1), _BEAT),
            torch.stack([_classes(sounding, _BEAT), _classes(sounding, _BAR)], 1),
            places[None, :, :, None].expand(batch, 2, beats, pitches),
            register.expand(batch, 1, beats, pitches),
        ],
        1,
    )


def _classes(sounding: Tensor, steps: int) -> Tensor:
    """Share of ``steps`` in which each pitch class sounds: [B, S, 84] -> [B, S/4, 84]."""
    octaves = sounding.shape[-1] // _CLASSES
    folded = sounding.unflatten(-1, (octaves, _CLASSES)).amax(-2)
    means: Tensor = folded.unflatten(1, (-1, steps)).mean(2)
    return means.repeat_interleave(steps // _BEAT, 1).repeat(1, 1, octaves)


class _Modulated(nn.Module):
    """Convolution, instance norm, gain and shift by the genre (FiLM), leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int], stride: int = 1) -> None:
        super().__init__()
        padding = ((kernel[0] - 1) // 2, (kernel[1] - 1) // 2)
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.film = nn.Linear(_CODE, 2 * outputs)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        x = functional.instance_norm(self.conv(x))
        gain, shift = self.film(code)[..., None, None].chunk(2, dim=1)
        return functional.leaky_relu(x * (1 + gain) + shift, 0.2)


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _Modulated(width, width, (3, 3))
        self.second = _Modulated(width, width, (3, 3))

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        changed: Tensor = self.second(self.first(x, code), code)
        return x + changed


class GenreDiscriminator(nn.Module):
    """A discriminator of notes [B, 2, 64, 84] given genres [B]: outputs per bar and per phrase.

    One network with an output for each genre; spectral norm in all layers.

    Args:
        genres: number of genres.
        width: channels of the first layer; the next have two and three times as many.
    """

    def __init__(self, genres: int, width: int = 32) -> None:
        super().__init__()
        self.body = _body(width, spectral=True)
        self.bars = _conv(3 * width, genres, 1, 1, 0, spectral=True)
        self.whole = nn.Sequential(
            _conv(3 * width, 3 * width, _LOWEST, 1, 0, spectral=True),
            nn.LeakyReLU(_SLOPE),
            _conv(3 * width, genres, 1, 1, 0, spectral=True),
        )

    def forward(self, roll: Tensor, genre: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs of bars and registers [B, 4, 10] and of the phrase [B, 1, 1], unbounded."""
        x = self.body(input_features(roll))
        rows = torch.arange(len(genre), device=genre.device)
        return self.bars(x)[rows, genre], self.whole(x)[rows, genre]


class PhraseClassifier(nn.Module):
    """A convolutional genre classifier: notes [B, 2, S, 84] -> logits [B, genres]."""

    def __init__(self, genres: int, width: int = 24) -> None:
        super().__init__()
        self.body = _body(width, spectral=False)
        self.name = nn.Linear(3 * width, genres)

    def forward(self, roll: Tensor) -> Tensor:
        return cast(Tensor, self.name(self.body(input_features(roll)).mean((-2, -1))))


def _body(width: int, *, spectral: bool) -> nn.Sequential:
    return nn.Sequential(
        _conv(FEATURES, width, (3, 5), (1, 2), (1, 2), spectral=spectral),
        nn.LeakyReLU(_SLOPE),
        _conv(width, 2 * width, 4, 2, 1, spectral=spectral),
        nn.LeakyReLU(_SLOPE),
        _conv(2 * width, 3 * width, 4, 2, 1, spectral=spectral),
        nn.LeakyReLU(_SLOPE),
    )


def _conv(
    inputs: int,
    outputs: int,
    kernel: int | tuple[int, int],
    stride: int | tuple[int, int],
    padding: int | tuple[int, int],
    *,
    spectral: bool,
) -> nn.Module:
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding)
    nn.init.kaiming_uniform_(layer.weight, _SLOPE)
    return spectral_norm(layer) if spectral else layer
