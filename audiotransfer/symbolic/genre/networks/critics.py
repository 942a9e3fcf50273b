"""Who tells real phrases of a genre from made ones, and who names genres."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from audiotransfer.symbolic.genre.networks.conditional import SEEN, seen

_SLOPE = 0.2
_LOWEST = (4, 10)  # beats / 4 and pitches / 8 of a phrase of 64 x 84


class GenreCritic(nn.Module):
    """Verdicts on notes [B, 2, 64, 84] as music of the genres [B]: on bars, and on the phrase.

    Spectral norm everywhere. One network for all genres, with a head for each.

    Args:
        genres: how many.
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
        """[B, 4, 10] (bars, registers) and [B, 1, 1], unbounded."""
        x = self.body(seen(roll))
        rows = torch.arange(len(genre), device=genre.device)
        return self.bars(x)[rows, genre], self.whole(x)[rows, genre]


class GenreListener(nn.Module):
    """Names the genre of notes [B, 2, S, 84]: logits [B, genres]."""

    def __init__(self, genres: int, width: int = 24) -> None:
        super().__init__()
        self.body = _body(width, spectral=False)
        self.name = nn.Linear(3 * width, genres)

    def forward(self, roll: Tensor) -> Tensor:
        return cast(Tensor, self.name(self.body(seen(roll)).mean((-2, -1))))


class BeatListener(nn.Module):
    """The same by one beat after another, each seen whole: it remembers instead of convolving."""

    def __init__(self, genres: int, width: int = 64) -> None:
        super().__init__()
        self.beat = nn.Linear(8 * 84, width)
        self.memory = nn.GRU(width, width, batch_first=True)
        self.name = nn.Linear(width, genres)

    def forward(self, roll: Tensor) -> Tensor:
        batch, channels, steps, pitches = roll.shape
        beats = roll.view(batch, channels, steps // 4, 4 * pitches).transpose(1, 2).flatten(2)
        heard, _ = self.memory(functional.relu(self.beat(beats)))
        return cast(Tensor, self.name(heard.mean(1)))


def _body(width: int, *, spectral: bool) -> nn.Sequential:
    return nn.Sequential(
        _conv(SEEN, width, (3, 5), (1, 2), (1, 2), spectral=spectral),
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
