"""Networks that tell genres of phrases apart: the paper's, and one that only counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from torch import Tensor, nn

from audiotransfer.evaluation.scores.counts import COUNTS, counts
from audiotransfer.symbolic.genre.networks import BeatListener
from audiotransfer.symbolic.rolls import SOUND

_LEAK = 0.2


class OctaveClassifier(nn.Module):
    """The classifier of Brunner et al. (2018): phrases [B, 2, 64, 84] -> logits [B, genres].

    It hears what sounds as -1 and +1. The first layer takes an octave at once, the
    others only time; convolutions without bias, instance norm, leaky ReLU. 1.15 M parameters at
    ``width`` 64, the published size.
    """

    def __init__(self, genres: int, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, width, (1, 12), (1, 12), bias=False),
            nn.LeakyReLU(_LEAK),
            *_layer(width, 2 * width, 4),
            *_layer(2 * width, 4 * width, 2),
            *_layer(4 * width, 8 * width, 8),
            nn.Conv2d(8 * width, genres, (1, 7), (1, 7), bias=False),
        )
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, 0.0, 0.02)

    def forward(self, phrases: Tensor) -> Tensor:
        return cast(Tensor, self.layers(2 * phrases[:, [SOUND]] - 1)).flatten(1)


class CountingClassifier(nn.Module):
    """Counts of intervals, rhythm and texture through one hidden layer: phrases [B, 2, S, 84] ->
    logits [B, genres]. What fools a convolution's eye leaves the counts as they are.
    """

    def __init__(self, genres: int, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Dropout(0.3),
            nn.Linear(COUNTS, width),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(width, genres),
        )

    def forward(self, phrases: Tensor) -> Tensor:
        return cast(Tensor, self.layers(counts(phrases)))


NETWORKS: dict[str, Callable[[int, int], nn.Module]] = {
    "octaves": OctaveClassifier,
    "counts": CountingClassifier,
    "beats": BeatListener,
}
"""How a judge listens -> the network that does."""


def _layer(before: int, after: int, steps: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(before, after, (steps, 1), (steps, 1), bias=False),
        nn.InstanceNorm2d(after, affine=True),
        nn.LeakyReLU(_LEAK),
    )
