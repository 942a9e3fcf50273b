"""Generators of the unpaired objectives: ResNet, U-Net and MelGAN-VC's, on levels in -1..1."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from audiotransfer.errors import AudioTransferError
from audiotransfer.spectral.models.base import SpectrogramNetwork
from audiotransfer.spectral.networks.layers import SLOPE, Norm, convolution, normalisation


class ResNetGenerator(SpectrogramNetwork):
    """CycleGAN's generator: halvings, residual blocks and doublings; padded to fit inside.

    Source: Zhu et al. 2017 (after Johnson et al. 2016); nearest-neighbour upsampling as in
    TimbreTron (Huang et al. 2019), because transposed convolutions leave an audible checkerboard.

    Args:
        bins: F; only kept for `shape`: any spectrogram of 4 cells or more on both axes fits.
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
        self.enter = _mirrored_layer(1, width, 7, 1, norm)
        sizes = [width * 2**level for level in range(halvings + 1)]
        pairs = list(pairwise(sizes))
        self.down = nn.ModuleList(_mirrored_layer(a, b, 3, 2, norm) for a, b in pairs)
        self.blocks = nn.ModuleList(_ResidualBlock(sizes[-1], norm) for _ in range(blocks))
        self.up = nn.ModuleList(_mirrored_layer(b, a, 3, 1, norm) for a, b in reversed(pairs))
        self.leave = nn.Sequential(nn.ReflectionPad2d(3), convolution(width, 1, 7, bias=True))
        self._compared = sorted({0, blocks // 2}) if blocks else []
        self.feature_channels = (1, *sizes[1:], *[sizes[-1]] * len(self._compared))

    def transform(self, unit: Tensor) -> Tensor:
        """``[B, 1, F, L]`` in -1..1 to the same shape, unbounded."""
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
        output: Tensor = self.leave(x)
        return output[..., :bins, :frames]

    def encode(self, unit: Tensor) -> list[Tensor]:
        """Features for CUT: the input, each halving, the first block and the middle one."""
        features, x = [unit], self.enter(unit)
        for down in self.down:
            x = down(x)
            features.append(x)
        for number, block in enumerate(self.blocks[: len(self.blocks) // 2 + 1]):
            x = block(x)
            if number in self._compared:
                features.append(x)
        return features


class PaddedUNet(SpectrogramNetwork):
    """A U-Net for spectrograms of any size: odd sizes are mirrored by one cell on the way up.

    Args:
        bins: F, which must leave at least one cell at the lowest level.
        channels: of each level, from the top; both axes are halved once for each.
        norm: of every layer but the first, the lowest and the last.
        spectral: whether convolutions have spectral norm.

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
            self.down.append(_layer(inputs, outputs, 4, 2, kind, spectral))
        ups = [_layer(lower + upper, upper, 3, 1, norm, spectral) for upper, lower in levels[1:]]
        last = _layer(channels[0], channels[0], 3, 1, norm, spectral)
        self.up = nn.ModuleList([*reversed(ups), last])
        self.leave = convolution(channels[0], 1, 3, padding=1, bias=True)

    def transform(self, unit: Tensor) -> Tensor:
        """``[B, 1, F, L]`` in -1..1 to the same shape, unbounded."""
        *skips, x = self.encode(unit)
        for level, up in enumerate(self.up):
            skip = skips.pop()
            x = _double(x, skip.shape[-2:], low=level % 2 == 0)
            x = up(torch.cat([x, skip], 1) if skips else x)
        output: Tensor = self.leave(x)
        return output

    def encode(self, unit: Tensor) -> list[Tensor]:
        """The input ``[B, 1, F, L]`` and the features of each level on the way down."""
        _require(unit.shape[-1], len(self.down), "frames")
        features = [unit]
        for down in self.down:
            features.append(down(features[-1]))
        return features


_HALVINGS = 2


class WholeFrequencyGenerator(SpectrogramNetwork):
    """MelGAN-VC's generator: a first kernel that spans all bins, then a U-Net along time.

    Spectral norm throughout; lengths are padded to a multiple of 4 frames inside. Frequency becomes
    channels, so nothing learned at one pitch holds at another. Source: Pasini, "MelGAN-VC", 2019,
    with 192 bins, tiles of 24 frames and 2.93 M weights.

    Args:
        bins: F, which must be that of the spectrograms.
        width: channels.
        norm: "batch" as published, or "group", within each tile.
    """

    kind = "whole-frequency"

    def __init__(self, bins: int, width: int = 256, norm: Norm = "batch") -> None:
        super().__init__(bins, width=width, norm=norm)

        def along_time(inputs: int, kernel: int, stride: int, norm: Norm = norm) -> nn.Sequential:
            size, padding = (1, kernel), (0, kernel // 2)
            return nn.Sequential(
                convolution(inputs, width, size, (1, stride), padding, spectral=True),
                normalisation(norm, width),
                nn.LeakyReLU(SLOPE),
            )

        self.enter = nn.Sequential(
            convolution(1, width, (bins, 3), padding=(0, 1), spectral=True),
            normalisation(norm, width),
            nn.LeakyReLU(SLOPE),
        )
        self.down = nn.ModuleList([along_time(width, 9, 2), along_time(width, 7, 2)])
        self.up = nn.ModuleList([along_time(width, 7, 1), along_time(2 * width, 9, 1, "none")])
        leave = nn.ConvTranspose2d(2 * width, 1, (bins, 1), bias=False)
        nn.init.kaiming_uniform_(leave.weight, SLOPE)
        self.leave = spectral_norm(leave)

    def transform(self, unit: Tensor) -> Tensor:
        """``[B, 1, F, L]`` in -1..1 to the same shape, unbounded."""
        frames = unit.shape[-1]
        x = functional.pad(unit, (0, -frames % 2**_HALVINGS, 0, 0), mode="replicate")
        x = self.enter(x)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        for up in self.up:
            x = up(functional.interpolate(x, scale_factor=(1.0, 2.0), mode="nearest"))
            x = torch.cat([x, skips.pop()], 1)
        output: Tensor = self.leave(x)
        return output[..., :frames]


class ProjectionHeads(nn.Module):
    """CUT's projection heads: a two-layer network for each feature, onto the unit sphere.

    Source: Park et al. 2020; leaky ReLU here, since a unit that is never active on the one channel
    of a spectrogram would get no gradient.

    Args:
        channels: of each feature.
        size: D.
    """

    def __init__(self, channels: Sequence[int], size: int = 256) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(inputs, size), nn.LeakyReLU(SLOPE), nn.Linear(size, size))
            for inputs in channels
        )

    def forward(self, patches: Sequence[Tensor]) -> list[Tensor]:
        """Patches ``[B, P, C]`` of each feature to unit vectors ``[B, P, D]``."""
        return [
            functional.normalize(layer(one).float(), dim=-1, eps=1e-6)
            for layer, one in zip(self.layers, patches, strict=True)
        ]


class _ResidualBlock(nn.Module):
    """Two convolutions, whose output is added to the input."""

    def __init__(self, width: int, norm: Norm) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _mirrored_layer(width, width, 3, 1, norm),
            nn.ReflectionPad2d(1),
            convolution(width, width, 3, bias=norm == "none"),
            normalisation(norm, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, F, L]`` to the same shape."""
        change: Tensor = self.layers(x)
        return x + change


def _mirrored_layer(
    inputs: int, outputs: int, kernel: int, stride: int, norm: Norm
) -> nn.Sequential:
    """Convolution with mirrored borders, normalisation and ReLU."""
    return nn.Sequential(
        nn.ReflectionPad2d(kernel // 2),
        convolution(inputs, outputs, kernel, stride, bias=norm == "none"),
        normalisation(norm, outputs),
        nn.ReLU(),
    )


def _layer(
    inputs: int, outputs: int, kernel: int, stride: int, norm: Norm, spectral: bool
) -> nn.Sequential:
    """Convolution with zeros at the borders, normalisation and leaky ReLU."""
    return nn.Sequential(
        convolution(inputs, outputs, kernel, stride, 1, bias=norm == "none", spectral=spectral),
        normalisation(norm, outputs),
        nn.LeakyReLU(SLOPE),
    )


def _double(x: Tensor, size: Sequence[int], low: bool) -> Tensor:
    """Twice the resolution; where `size` is odd, one more cell mirrored at the low or high end."""
    x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
    missing = [wanted - has for wanted, has in zip(size, x.shape[-2:], strict=True)]
    if not any(missing):
        return x
    bins, frames = missing
    padding = (frames, 0, bins, 0) if low else (0, frames, 0, bins)
    return functional.pad(x, padding, mode="reflect")


def _require(size: int, halvings: int, what: str) -> None:
    """Raises AudioTransferError where a size cannot be halved so often."""
    if size < 2**halvings:
        raise AudioTransferError(
            f"{size} {what} cannot be halved {halvings} times; take {2**halvings} or more, or "
            "fewer channels"
        )
