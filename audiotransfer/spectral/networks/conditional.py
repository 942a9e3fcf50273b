"""One U-Net for all styles and stems: what it is asked for steers every block."""

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
from audiotransfer.spectral.models.base import SpectrogramModel, place_of
from audiotransfer.spectral.models.templates import ChannelNorm
from audiotransfer.spectral.models.unet import SPREAD, STEMS, normalised
from audiotransfer.spectral.networks.generators import SLOPE, convolution


class _Block(nn.Module):
    """Residual: scaled cells, a convolution, gain and shift by the code, and back."""

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
        return x + self.out(inner)


class ConditionalUNet(SpectrogramModel):
    """Log-mel spectrograms of a stem in any of several styles, at any strength.

    What the network adds is a change of level, cell by cell, and the strength scales it besides
    steering it: at 0 a spectrogram stays as it is, whatever was learned, and so does every
    spectrogram in a new network. Cells enter in patches, which the first level's cells stand for,
    so that most of the work is not done at full resolution. Spectrograms of any length: frames are
    padded inside. `only` gives the network of one style, which songs are played with.

    Args:
        styles: their names.
        bins: F of the spectrograms.
        channels: of each level, from the top; both axes are halved between them.
        patch: bins and frames of a spectrogram that one cell of the first level stands for.
        blocks: at the lowest level.
        code: values of what it is asked for (see `Condition`).

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
        # A new network changes nothing: training starts from the identity.
        nn.init.zeros_(self.leave.weight)
        assert self.leave.bias is not None
        nn.init.zeros_(self.leave.bias)

    def shape(self) -> dict[str, Any]:
        """What builds the same network again."""
        return {
            "styles": list(self.styles),
            "bins": self.bins,
            "channels": list(self.channels),
            "patch": list(self.patch),
            "blocks": self.blocks,
            "code": self.code,
        }

    def only(self, style: str) -> Self:
        """The same network, weights shared, which paints this style when it is asked to repaint.

        Raises AudioTransferError for a style that it does not know.
        """
        place = place_of(style, self.styles)
        one = copy.copy(self)
        one._style = place
        return one

    def repaint(self, views: Tensor, stem: Tensor) -> Tensor:
        """Spectrograms ``[B, F, L]`` in the one style of `only`, the whole of it."""
        return self.repaint_at(views, stem, 1.0)

    def repaint_at(self, views: Tensor, stem: Tensor, strength: float) -> Tensor:
        """The same at a strength 0..1, which the network knows itself."""
        if self._style is None:
            raise AudioTransferError(f"these weights hold {', '.join(self.styles)}; choose one")
        style = torch.full_like(stem, self._style)
        painted: Tensor = self(
            views, stem, style, torch.full_like(stem, strength, dtype=views.dtype)
        )
        return painted

    def forward(self, spectrogram: Tensor, stem: Tensor, style: Tensor, strength: Tensor) -> Tensor:
        """Spectrograms ``[B, F, L]``, indices of stems and styles and strengths ``[B]`` to
        spectrograms.
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
        """``[B, F, L]`` to ``[B, cells, F / p, L / q]``."""
        high, long = self.patch
        split = spectrogram.unflatten(2, (-1, long)).unflatten(1, (-1, high))
        return split.permute(0, 2, 4, 1, 3).flatten(1, 2)

    def _cells(self, patches: Tensor) -> Tensor:
        """The inverse."""
        split = patches.unflatten(1, self.patch)
        return split.permute(0, 3, 1, 4, 2).flatten(3, 4).flatten(1, 2)


_WAVES = 3


class Condition(nn.Module):
    """Indices of stems and styles ``[B]`` and strengths 0..1 ``[B]`` to codes ``[B, D]``.

    Stems and styles are points that add up, so that what a style does to one stem helps the
    others; a layer mixes them. The strength comes as itself and as slow waves of it, so that
    near strengths have near codes.

    Args:
        styles: how many there are.
        size: D.
    """

    waves: Tensor

    def __init__(self, styles: int, size: int = 64) -> None:
        super().__init__()
        self.stem = nn.Embedding(len(STEMS), size)
        self.style = nn.Embedding(styles, size)
        self.strength = nn.Linear(1 + 2 * _WAVES, size)
        self.mix = nn.Linear(size, size)
        waves = math.pi * torch.arange(1, _WAVES + 1, dtype=torch.float32)
        self.register_buffer("waves", waves, persistent=False)

    def forward(self, stem: Tensor, style: Tensor, strength: Tensor) -> Tensor:
        share = strength[:, None].to(self.waves.dtype)
        turns = share * self.waves
        told = self.strength(torch.cat([share, turns.sin(), turns.cos()], 1))
        return functional.silu(self.mix(self.stem(stem) + self.style(style) + told))


class ConditionalDiscriminator(nn.Module):
    """Verdicts on the places of a spectrogram, and one guess at its style.

    Layers that halve both axes are not told anything but where a bin lies; the verdict on a place
    is a direction in what they see there, plus one that the stem, style and strength turn to
    (projection). The guess, from the mean over all places, cannot be read off the wish.

    Source: StarGAN (Choi et al. 2018) for the two heads, Miyato and Koyama 2018 for the
    projection.

    Args:
        styles: how many there are.
        width: channels of the first layer, doubled at each further one up to eight-fold.
        levels: halvings of both axes.
        code: values of the wish (see `Condition`).
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
        self.turn = nn.Linear(code, sizes[-1])
        self.verdict = convolution(sizes[-1], 1, 1, bias=True, spectral=True)
        self.guess = nn.Linear(sizes[-1], styles)

    def forward(
        self, spectrogram: Tensor, stem: Tensor, style: Tensor, strength: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Spectrograms ``[B, F, L]`` in about -1..1 and what was wished for ``[B]`` each.

        To verdicts ``[B, 1, F', L']``, unbounded, and logits of styles ``[B, S]``.
        """
        bins = spectrogram.shape[1]
        place = torch.linspace(-1, 1, bins, device=spectrogram.device)[:, None].expand_as(
            spectrogram
        )
        seen = self.layers(torch.stack([spectrogram, place], 1))
        turned = self.turn(self.condition(stem, style, strength))[..., None, None]
        verdict = self.verdict(seen) + (seen * turned).mean(1, keepdim=True)
        return verdict, self.guess(seen.mean((2, 3)))
