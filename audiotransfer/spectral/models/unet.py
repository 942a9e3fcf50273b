"""The conditional U-Net that repaints a stem's log-mel spectrogram in the colours of a style."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, parametrize

from audiotransfer.errors import AudioTransferError
from audiotransfer.spectral.models.base import SpectrogramModel

STEMS = ("drums", "bass", "other")
_CODE = 32


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Module:
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding=(kernel - 1) // 2, bias=False)
    return parametrizations.spectral_norm(layer)


class _Modulated(nn.Module):
    """Convolution with spectral norm, instance norm, then gain and shift by the condition."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = _conv(inputs, outputs, kernel, stride)
        self.film = nn.Linear(_CODE, 2 * outputs)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """``[B, C, F, L]`` and code ``[B, 32]`` to ``[B, C', F', L']``."""
        x = functional.instance_norm(self.conv(x))
        gain, shift = self.film(code)[..., None, None].chunk(2, dim=1)
        return functional.leaky_relu(x * (1 + gain) + shift, 0.2)


class Generator(SpectrogramModel):
    """U-Net on log-mel spectrograms; what it adds is a change of level, cell by cell.

    The spectrogram itself passes through, so the network only learns what the style changes. The
    stem (an index into ``STEMS``) steers every layer (FiLM). Spectrograms of any length: frames are
    padded to a multiple of ``time_factor`` inside.

    Raises AudioTransferError for bins that cannot be halved once for each further level.
    """

    position: Tensor
    kind = "unet"

    def __init__(
        self, bins: int = 256, channels: Sequence[int] = (16, 40, 80, 112, 144, 160)
    ) -> None:
        super().__init__()
        if bins % 2 ** (len(channels) - 1):
            raise AudioTransferError(
                f"{bins} bins cannot be halved {len(channels) - 1} times; take a multiple of "
                f"{2 ** (len(channels) - 1)}, or fewer channels"
            )
        self.bins = bins
        self.channels = tuple(channels)
        self.time_factor = 2 ** (len(channels) - 1)
        self.register_buffer(
            "position", torch.linspace(-1, 1, bins).view(1, 1, bins, 1), persistent=False
        )
        self.code = nn.Embedding(len(STEMS), _CODE)
        self.enter = _Modulated(2, channels[0], 3)
        pairs = list(pairwise(channels))
        self.down = nn.ModuleList(_Modulated(a, b, 4, 2) for a, b in pairs)
        self.middle = nn.ModuleList(_Modulated(channels[-1], channels[-1], 3) for _ in range(2))
        self.up = nn.ModuleList(_Modulated(a + b, a, 3) for a, b in reversed(pairs))
        self.leave = nn.Conv2d(channels[0], 1, 3, padding=1)
        # A new network changes nothing: training starts from the identity.
        nn.init.zeros_(self.leave.weight)
        assert self.leave.bias is not None
        nn.init.zeros_(self.leave.bias)

    def shape(self) -> dict[str, Any]:
        """What builds the same network again."""
        return {"bins": self.bins, "channels": list(self.channels)}

    def repaint(self, views: Tensor, stem: Tensor) -> Tensor:
        """As `forward`."""
        return self(views, stem)

    def forward(self, spectrogram: Tensor, stem: Tensor) -> Tensor:
        """Log-mel spectrograms ``[B, F, L]`` and stem indices ``[B]`` to spectrograms ``[B, F,
        L]``.
        """
        frames = spectrogram.shape[-1]
        code = self.code(stem)
        x = functional.pad(
            normalised(spectrogram), (0, -frames % self.time_factor), mode="replicate"
        )
        x = x[:, None]
        x = torch.cat([x, self.position.expand(x.shape[0], 1, -1, x.shape[-1])], 1)
        x = self.enter(x, code)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x, code)
        for middle in self.middle:
            x = x + middle(x, code)
        for up in self.up:
            x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = up(torch.cat([x, skips.pop()], 1), code)
        change = self.leave(x)[:, 0, :, :frames].float()
        return spectrogram + SPREAD * change


def fold(network: nn.Module) -> nn.Module:
    """Bakes spectral norms into plain weights: same output, faster, and what ships."""
    for module in network.modules():
        if parametrize.is_parametrized(module):
            parametrize.remove_parametrizations(module, "weight")
    return network


#: Natural-log mel levels of stems near RMS 0.1 lie about here, and vary about so much.
CENTRE, SPREAD = -5.0, 3.0
#: Below this level (natural log) nothing of a stem is heard in its mix.
INAUDIBLE = -6.0
#: Discriminators see no deeper than this: what lies below differs by soundfont, not by style.
DISCRIMINATOR_FLOOR = -9.0


def normalised(spectrogram: Tensor) -> Tensor:
    """Log levels to what networks like: about zero mean and unit variance."""
    return (spectrogram - CENTRE) / SPREAD
