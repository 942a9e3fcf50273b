"""A U-Net and a discriminator conditioned on stem, style and strength."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiotransfer.errors import AudioTransferError
from audiotransfer.spectral.models.base import (
    SPREAD,
    STEMS,
    SpectrogramModel,
    normalised,
    style_index,
)
from audiotransfer.spectral.networks.layers import SLOPE, convolution
from vocoder.pitch_layers import ChannelNorm

_HARMONICS = 3  # of the strength, in its code


class ConditionalUNet(SpectrogramModel):
    """U-Net on log-mel spectrograms of any stem, for several styles, at any strength.

    Its output is added to its input: a change of each cell's level, which the strength scales as
    well as conditions. So strength 0 changes nothing, and neither does a new network. The input is
    folded into patches, so that most of the work is not done at full resolution. Any number of
    frames: they are padded inside. `only` gives the network of one style, for use on songs.

    Args:
        styles: their names.
        bins: F of the spectrograms.
        channels: of each level, from the top; both axes are halved between levels.
        patch: bins and frames of the input that make one cell of the first level.
        blocks: residual blocks at the lowest level.
        code: values of the condition's code (see `Condition`).

    Raises AudioTransferError for bins that cannot be halved so often.
    """

    kind = "conditional-unet"
    core, margin = 256, 32
    position: Tensor

    def __init__(
        self,
        styles: Sequence[str],
        bins: int = 256,
        channels: Sequence[int] = (32, 64, 96, 128, 160),
        patch: Sequence[int] = (2, 2),
        blocks: int = 2,
        code: int = 64,
    ) -> None:
        super().__init__()
        self.styles, self.bins, self.channels = tuple(styles), bins, tuple(channels)
        self.patch, self.blocks, self.code = tuple(patch), blocks, code
        halvings = 2 ** (len(self.channels) - 1)
        if bins % (self.patch[0] * halvings):
            raise AudioTransferError(
                f"{bins} bins are no multiple of {self.patch[0] * halvings}, which patches of"
                f" {self.patch[0]} and {len(self.channels)} levels need; take fewer channels"
            )
        self.time_factor = self.patch[1] * halvings
        self._style: int | None = None
        top = self.channels[0]
        places = torch.linspace(-1, 1, bins // self.patch[0]).view(1, 1, -1, 1)
        self.register_buffer("position", places, persistent=False)
        self.condition = Condition(len(self.styles), code)
        cells = self.patch[0] * self.patch[1]
        self.enter = nn.Conv2d(cells + 1, top, 3, padding=1)
        pairs = list(pairwise(self.channels))
        self.before = nn.ModuleList(_Block(a, code) for a, _ in pairs)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairs)
        self.middle = nn.ModuleList(_Block(self.channels[-1], code) for _ in range(blocks))
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in reversed(pairs))
        self.after = nn.ModuleList(_Block(a, code) for a, _ in reversed(pairs))
        self.norm = ChannelNorm(top)
        self.leave = nn.Conv2d(top, cells, 3, padding=1)
        # Training starts from the identity.
        nn.init.zeros_(self.leave.weight)
        assert self.leave.bias is not None
        nn.init.zeros_(self.leave.bias)

    def shape(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON takes them."""
        return {
            "styles": list(self.styles),
            "bins": self.bins,
            "channels": list(self.channels),
            "patch": list(self.patch),
            "blocks": self.blocks,
            "code": self.code,
        }

    def only(self, style: str) -> Self:
        """The same network, weights shared, whose `predict` gives this style.

        Raises AudioTransferError for a style that it does not know.
        """
        single = copy.copy(self)
        single._style = style_index(style, self.styles)
        return single

    def predict(self, features: Tensor, stem: Tensor) -> Tensor:
        """Spectrograms ``[B, F, L]`` in the style of `only`, at strength 1."""
        return self.predict_at(features, stem, 1.0)

    def predict_at(self, features: Tensor, stem: Tensor, strength: float) -> Tensor:
        """`predict` at a strength 0..1, which is a condition of the network."""
        if self._style is None:
            raise AudioTransferError(f"these weights hold {', '.join(self.styles)}; choose one")
        style = torch.full_like(stem, self._style)
        predicted: Tensor = self(
            features, stem, style, torch.full_like(stem, strength, dtype=features.dtype)
        )
        return predicted

    def forward(self, spectrogram: Tensor, stem: Tensor, style: Tensor, strength: Tensor) -> Tensor:
        """Spectrograms ``[B, F, L]``, stem and style indices and strengths, each ``[B]``, to
        spectrograms ``[B, F, L]``.
        """
        frames = spectrogram.shape[-1]
        code = self.condition(stem, style, strength)
        x = functional.pad(
            normalised(spectrogram), (0, -frames % self.time_factor), mode="replicate"
        )
        x = self._patches(x)
        x = self.enter(torch.cat([x, self.position.expand(len(x), -1, -1, x.shape[-1])], 1))
        skips = []
        for block, down in zip(self.before, self.down, strict=True):
            skips.append(block(x, code))
            x = down(skips[-1])
        for block in self.middle:
            x = block(x, code)
        for up, block in zip(self.up, self.after, strict=True):
            x = functional.interpolate(up(x), scale_factor=2.0, mode="nearest")
            x = block(x + skips.pop(), code)
        change = self._cells(self.leave(functional.silu(self.norm(x))).float())[..., :frames]
        return spectrogram + strength[:, None, None] * SPREAD * change

    def _patches(self, spectrogram: Tensor) -> Tensor:
        """``[B, F, L]`` to patches ``[B, p q, F / p, L / q]``."""
        high, long = self.patch
        split: Tensor = spectrogram.unflatten(2, (-1, long)).unflatten(1, (-1, high))
        return split.permute(0, 2, 4, 1, 3).flatten(1, 2)

    def _cells(self, patches: Tensor) -> Tensor:
        """The inverse of `_patches`."""
        split: Tensor = patches.unflatten(1, self.patch)
        return split.permute(0, 3, 1, 4, 2).flatten(3, 4).flatten(1, 2)


class Condition(nn.Module):
    """Embeds stem indices, style indices and strengths 0..1, each ``[B]``, as codes ``[B, D]``.

    Embeddings of stem and style are added, so that what is learned of a style with one stem serves
    the others, and pass a dense layer. The strength enters as itself and as sines and cosines of
    low frequency, so that similar strengths have similar codes.

    Args:
        styles: their number.
        size: D.
    """

    waves: Tensor

    def __init__(self, styles: int, size: int = 64) -> None:
        super().__init__()
        self.stem = nn.Embedding(len(STEMS), size)
        self.style = nn.Embedding(styles, size)
        self.strength = nn.Linear(1 + 2 * _HARMONICS, size)
        self.mix = nn.Linear(size, size)
        waves = math.pi * torch.arange(1, _HARMONICS + 1, dtype=torch.float32)
        self.register_buffer("waves", waves, persistent=False)

    def forward(self, stem: Tensor, style: Tensor, strength: Tensor) -> Tensor:
        """Indices and strengths ``[B]`` to codes ``[B, D]``."""
        scalar = strength[:, None].to(self.waves.dtype)
        phases = scalar * self.waves
        encoded = self.strength(torch.cat([scalar, phases.sin(), phases.cos()], 1))
        return functional.silu(self.mix(self.stem(stem) + self.style(style) + encoded))


class ConditionalDiscriminator(nn.Module):
    """An output for each patch of a spectrogram, given its conditions, and logits of its style.

    Convolutions see the spectrogram and each bin's frequency, but no conditions. A patch's output
    is a linear function of their features plus the features' product with a projection of the
    conditions. The style logits, from the mean over all patches, do not depend on the conditions.

    Source: StarGAN (Choi et al. 2018) for the two heads, Miyato and Koyama 2018 for the
    projection.

    Args:
        styles: their number.
        width: channels of the first layer, doubled at each further one up to eight-fold.
        levels: halvings of both axes.
        code: values of the condition's code (see `Condition`).
    """

    def __init__(self, styles: int, width: int = 32, levels: int = 4, code: int = 64) -> None:
        super().__init__()
        sizes = [2, *(width * min(8, 2**level) for level in range(levels))]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            layers += [
                convolution(inputs, outputs, 4, 2, 1, bias=True, spectral=True),
                nn.LeakyReLU(SLOPE),
            ]
        self.layers = nn.Sequential(*layers)
        self.condition = Condition(styles, code)
        self.projection = nn.Linear(code, sizes[-1])
        self.output = convolution(sizes[-1], 1, 1, bias=True, spectral=True)
        self.style_logits = nn.Linear(sizes[-1], styles)

    def forward(
        self, spectrogram: Tensor, stem: Tensor, style: Tensor, strength: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Spectrograms ``[B, F, L]`` in about -1..1 and their conditions, each ``[B]``.

        Returns outputs ``[B, 1, F', L']``, unbounded, and style logits ``[B, S]``.
        """
        bins = spectrogram.shape[1]
        place = torch.linspace(-1, 1, bins, device=spectrogram.device)[:, None].expand_as(
            spectrogram
        )
        features = self.layers(torch.stack([spectrogram, place], 1))
        projected = self.projection(self.condition(stem, style, strength))[..., None, None]
        output = self.output(features) + (features * projected).mean(1, keepdim=True)
        return output, self.style_logits(features.mean((2, 3)))


class _Block(nn.Module):
    """Residual block: normalisation, convolution, gain and shift from the code (FiLM)."""

    def __init__(self, channels: int, code: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.near = nn.Conv2d(channels, channels, 3, padding=1)
        self.film = nn.Linear(code, 2 * channels)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """``[B, C, F, L]`` and codes ``[B, D]`` to ``[B, C, F, L]``."""
        gain, shift = self.film(code)[..., None, None].chunk(2, dim=1)
        inner = functional.silu(self.near(self.norm(x)) * (1 + gain) + shift)
        change: Tensor = self.out(inner)
        return x + change
