"""The networks of Brunner et al., "Symbolic music genre transfer with CycleGAN" (2018).

Layer by layer as in their public code; convolutions without bias, weights drawn from N(0, 0.02).
"""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor, nn

_SLOPE = 0.2


class PaperGenerator(nn.Module):
    """Transfers sounding notes, [B, 1, S, 84] of 0 and 1, to one genre.

    Two halvings of both axes, residual blocks (ReLU after the sum), and back. S is a multiple of
    4 · ``steps``. 12.54 M weights of convolutions at the published size.

    Args:
        genres: the target genre.
        width: channels of the first layer; each halving doubles them.
        blocks: residual blocks.
        steps: sixteenths per column of the input; published is 1, and 4 costs a quarter.
        passing: logit of an unchanged cell, to which the layers' output is added, so that an
            untrained network changes nothing. Published is 0, the layers alone: those begin with
            silence and need many steps to leave it.
    """

    kind = "paper"
    channels = 1

    def __init__(
        self,
        genres: tuple[str, ...],
        width: int = 64,
        blocks: int = 10,
        steps: int = 1,
        passing: float = 0.0,
    ) -> None:
        super().__init__()
        self.genres = tuple(genres)
        self.width, self.blocks, self.steps, self.passing = width, blocks, steps, passing
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(3),
            nn.Conv2d(steps, width, 7, bias=False),
            *_normalised(width),
            *_halving(width, 2 * width),
            *_halving(2 * width, 4 * width),
            *(_Block(4 * width) for _ in range(blocks)),
            *_doubling(4 * width, 2 * width),
            *_doubling(2 * width, width),
            nn.ReflectionPad2d(3),
            nn.Conv2d(width, steps, 7, bias=False),
        )
        _draw(self)

    def shape(self) -> dict[str, Any]:
        """Arguments that build the same network."""
        return {
            "genres": list(self.genres),
            "width": self.width,
            "blocks": self.blocks,
            "steps": self.steps,
            "passing": self.passing,
        }

    def forward(self, roll: Tensor, target: Tensor | None = None) -> Tensor:
        """Logits [B, 1, S, 84]; ``target`` is not used."""
        logits = unfold(self.layers(fold(roll, self.steps)), self.steps)
        return logits + self.passing * (2 * roll - 1) if self.passing else logits


class PaperDiscriminator(nn.Module):
    """A patch discriminator of sounding notes: [B, 1, S, 84] -> [B, 1, S/4, 21], unbounded.

    0.82 M weights of convolutions at the published width.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, width, 7, 2, 3, bias=False),
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(width, 4 * width, 7, 2, 3, bias=False),
            nn.InstanceNorm2d(4 * width, affine=True),
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(4 * width, 1, 7, 1, 3, bias=False),
        )
        _draw(self)

    def forward(self, roll: Tensor) -> Tensor:
        return cast(Tensor, self.layers(roll))


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3, bias=False),
            *_normalised(width),
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3, bias=False),
            nn.InstanceNorm2d(width, affine=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu(x + self.layers(x))


def _normalised(width: int) -> tuple[nn.Module, nn.Module]:
    return nn.InstanceNorm2d(width, affine=True), nn.ReLU()


def _halving(before: int, after: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(before, after, 3, 2, 1, bias=False), *_normalised(after)


def _doubling(before: int, after: int) -> tuple[nn.Module, ...]:
    layer = nn.ConvTranspose2d(before, after, 3, 2, 1, output_padding=1, bias=False)
    return layer, *_normalised(after)


def _draw(network: nn.Module) -> None:
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, 0.02)


def fold(roll: Tensor, steps: int) -> Tensor:
    """Folds ``steps`` sixteenths into channels: [B, C, S, P] -> [B, C * steps, S / steps, P]."""
    if steps == 1:
        return roll
    batch, channels, _, pitches = roll.shape
    cut: Tensor = roll.unflatten(2, (-1, steps)).transpose(2, 3)
    return cut.reshape(batch, channels * steps, -1, pitches)


def unfold(folded: Tensor, steps: int) -> Tensor:
    """The inverse of `fold`."""
    if steps == 1:
        return folded
    batch, channels, _, pitches = folded.shape
    cut: Tensor = folded.unflatten(1, (channels // steps, steps)).transpose(2, 3)
    return cut.reshape(batch, channels // steps, -1, pitches)
