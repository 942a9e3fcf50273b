"""CycleGAN's residual generator, with nearest-neighbour upsampling instead of deconvolutions.

Source: Zhu et al. 2017 (after Johnson et al. 2016); upsampling as in TimbreTron (Huang et al.
2019), because deconvolutions leave a checkerboard, which is heard.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from audiotransfer.errors import AudioTransferError
from audiotransfer.spectral.models.base import SpectrogramNetwork


class ResNetGenerator(SpectrogramNetwork):
    """Two-fold halvings, residual blocks, and back; spectrograms are padded to fit inside.

    Args:
        bins: F; kept for `shape`, any spectrogram that mirrors over three cells will do.
        width: channels of the first layer; each halving doubles them.
        halvings: of both axes.
        blocks: residual blocks at the lowest resolution.
        norm: of every layer but the last.
    """

    kind = "resnet"

    def __init__(
        self,
        bins: int,
        width: int = 64,
        halvings: int = 2,
        blocks: int = 9,
        norm: Norm = "instance",
    ) -> None:
        super().__init__(bins, width=width, halvings=halvings, blocks=blocks, norm=norm)
        self.enter = _layer(1, width, 7, 1, norm)
        sizes = [width * 2**level for level in range(halvings + 1)]
        pairs = list(pairwise(sizes))
        self.down = nn.ModuleList(_layer(a, b, 3, 2, norm) for a, b in pairs)
        self.blocks = nn.ModuleList(_Block(sizes[-1], norm) for _ in range(blocks))
        self.up = nn.ModuleList(_layer(b, a, 3, 1, norm) for a, b in reversed(pairs))
        self.leave = nn.Sequential(nn.ReflectionPad2d(3), convolution(width, 1, 7, bias=True))
        self._compared = sorted({0, blocks // 2}) if blocks else []
        self.feature_channels = (1, *sizes[1:], *[sizes[-1]] * len(self._compared))

    def paint(self, unit: Tensor) -> Tensor:
        bins, frames = unit.shape[-2:]
        factor = 2 ** len(self.down)
        x = self.enter(
            functional.pad(unit, (0, -frames % factor, 0, -bins % factor), mode="replicate")
        )
        for down in self.down:
            x = down(x)
        for block in self.blocks:
            x = block(x)
        for up in self.up:
            x = up(functional.interpolate(x, scale_factor=2.0, mode="nearest"))
        painted: Tensor = self.leave(x)
        return painted[..., :bins, :frames]

    def encode(self, unit: Tensor) -> list[Tensor]:
        """What CUT compares: the spectrogram, each halving, the first block and the middle one."""
        features, x = [unit], self.enter(unit)
        for down in self.down:
            x = down(x)
            features.append(x)
        for number, block in enumerate(self.blocks[: len(self.blocks) // 2 + 1]):
            x = block(x)
            if number in self._compared:
                features.append(x)
        return features


class _Block(nn.Module):
    def __init__(self, width: int, norm: Norm) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _layer(width, width, 3, 1, norm),
            nn.ReflectionPad2d(1),
            convolution(width, width, 3, bias=norm == "none"),
            normalisation(norm, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.layers(x)
        return x + changed


def _layer(inputs: int, outputs: int, kernel: int, stride: int, norm: Norm) -> nn.Sequential:
    return nn.Sequential(
        nn.ReflectionPad2d(kernel // 2),
        convolution(inputs, outputs, kernel, stride, bias=norm == "none"),
        normalisation(norm, outputs),
        nn.ReLU(),
    )


class PaddedUNet(SpectrogramNetwork):
    """Halves both axes once for each of `channels` and doubles them back, with skips.

    Args:
        bins: F, which must leave at least one cell at the lowest level.
        channels: of each level, from the top.
        norm: of every layer but the first, the lowest and the last.
        spectral: convolutions of gain at most 1.

    Raises AudioTransferError for a spectrogram that cannot be halved so often.
    """

    kind = "padded-unet"

    def __init__(
        self,
        bins: int,
        channels: Sequence[int] = (64, 128, 256, 256),
        norm: Norm = "instance",
        spectral: bool = True,
    ) -> None:
        super().__init__(bins, channels=list(channels), norm=norm, spectral=spectral)
        _require(bins, len(channels), "bins")
        self.feature_channels = (1, *channels)
        levels = list(pairwise(self.feature_channels))
        self.down = nn.ModuleList()
        for level, (inputs, outputs) in enumerate(levels):
            kind: Norm = "none" if level in (0, len(levels) - 1) else norm
            self.down.append(_padded_unet_layer(inputs, outputs, 4, 2, kind, spectral))
        ups = [
            _padded_unet_layer(lower + upper, upper, 3, 1, norm, spectral)
            for upper, lower in levels[1:]
        ]
        last = _padded_unet_layer(channels[0], channels[0], 3, 1, norm, spectral)
        self.up = nn.ModuleList([*reversed(ups), last])
        self.leave = convolution(channels[0], 1, 3, padding=1, bias=True)

    def paint(self, unit: Tensor) -> Tensor:
        *skips, x = self.encode(unit)
        for level, up in enumerate(self.up):
            skip = skips.pop()
            x = _double(x, skip.shape[-2:], low=level % 2 == 0)
            x = up(torch.cat([x, skip], 1) if skips else x)
        painted: Tensor = self.leave(x)
        return painted

    def encode(self, unit: Tensor) -> list[Tensor]:
        """What each level on the way down makes of ``[B, 1, F, L]``, that spectrogram first."""
        _require(unit.shape[-1], len(self.down), "frames")
        features = [unit]
        for down in self.down:
            features.append(down(features[-1]))
        return features


def _padded_unet_layer(
    inputs: int, outputs: int, kernel: int, stride: int, norm: Norm, spectral: bool
) -> nn.Sequential:
    return nn.Sequential(
        convolution(inputs, outputs, kernel, stride, 1, bias=norm == "none", spectral=spectral),
        normalisation(norm, outputs),
        nn.LeakyReLU(SLOPE),
    )


def _double(x: Tensor, size: Sequence[int], low: bool) -> Tensor:
    """Twice as large, and mirrored by one cell where `size` is odd: at its low end or the high."""
    x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
    missing = [wanted - has for wanted, has in zip(size, x.shape[-2:], strict=True)]
    if not any(missing):
        return x
    bins, frames = missing
    padding = (frames, 0, bins, 0) if low else (0, frames, 0, bins)
    return functional.pad(x, padding, mode="reflect")


def _require(size: int, halvings: int, what: str) -> None:
    if size < 2**halvings:
        raise AudioTransferError(
            f"{size} {what} cannot be halved {halvings} times; take {2**halvings} or more, or "
            "fewer channels"
        )


SLOPE = 0.2
Norm = Literal["batch", "group", "instance", "none"]


def convolution(
    inputs: int,
    outputs: int,
    kernel: int | tuple[int, int],
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    *,
    bias: bool = False,
    spectral: bool = False,
) -> nn.Module:
    """A convolution with He's uniform weights, of gain at most 1 where `spectral`."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=bias)
    nn.init.kaiming_uniform_(layer.weight, SLOPE)
    return spectral_norm(layer) if spectral else layer


def normalisation(kind: Norm, channels: int) -> nn.Module:
    """The layer that sets mean and variance: over the batch, a tile's groups, or each channel."""
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "group":
        return nn.GroupNorm(math.gcd(channels, 8), channels)
    if kind == "instance":
        return nn.InstanceNorm2d(channels, affine=True)
    return nn.Identity()


class ProjectionHeads(nn.Module):
    """A two-layer network for each of a generator's layers, onto the unit sphere.

    Source: CUT (Park et al. 2020); leaky here, since a unit that never answers to the one channel
    of a spectrogram would never learn to.

    Args:
        channels: of each layer.
        size: D.
    """

    def __init__(self, channels: Sequence[int], size: int = 256) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(inputs, size), nn.LeakyReLU(SLOPE), nn.Linear(size, size))
            for inputs in channels
        )

    def forward(self, patches: Sequence[Tensor]) -> list[Tensor]:
        """Patches ``[B, P, C]`` of each layer to points ``[B, P, D]`` of length 1."""
        return [
            functional.normalize(layer(one).float(), dim=-1, eps=1e-6)
            for layer, one in zip(self.layers, patches, strict=True)
        ]
