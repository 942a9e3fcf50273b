"""CycleGAN's residual generator, with nearest-neighbour upsampling instead of deconvolutions.

Source: Zhu et al. 2017 (after Johnson et al. 2016); upsampling as in TimbreTron (Huang et al.
2019), because deconvolutions leave a checkerboard, which is heard.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from audiotransfer.spectral.networks.layers import Norm, convolution, normalisation
from audiotransfer.spectral.networks.painter import Painter


class ResNetGenerator(Painter):
    """Two-fold halvings, residual blocks, and back; pictures are padded to fit inside.

    Args:
        bins: F; kept for `shape`, any picture that mirrors over three cells will do.
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
        """What CUT compares: the picture, each halving, the first block and the middle one."""
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
