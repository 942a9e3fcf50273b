"""A U-Net on log-mel spectrograms, conditioned on the stem by FiLM."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from audiotransfer.errors import AudioTransferError
from audiotransfer.spectral.models.base import SPREAD, STEMS, SpectrogramModel, normalised
from vocoder.mel import with_contrast

_CODE = 32  # values that describe the stem


class UNet(SpectrogramModel):
    """U-Net whose output is added to its input, so that it learns the change of each cell's level.

    The stem (an index into ``STEMS``) modulates every layer (FiLM, Perez et al. 2018). Any number
    of frames: they are padded to a multiple of ``time_factor`` inside.

    Args:
        bins: F of the spectrograms.
        channels: of each level, from the top; both axes are halved between levels.
        contrast: factor by which `predict` makes bands differ more from their neighbours' mean.

    Raises AudioTransferError for bins that cannot be halved once for each further level.
    """

    position: Tensor
    kind = "unet"

    def __init__(
        self,
        bins: int = 256,
        channels: Sequence[int] = (16, 40, 80, 112, 144, 160),
        contrast: float = 1.0,
    ) -> None:
        super().__init__()
        if bins % 2 ** (len(channels) - 1):
            raise AudioTransferError(
                f"{bins} bins cannot be halved {len(channels) - 1} times; take a multiple of "
                f"{2 ** (len(channels) - 1)}, or fewer channels"
            )
        self.bins = bins
        self.channels = tuple(channels)
        self.contrast = contrast
        self.time_factor = 2 ** (len(channels) - 1)
        self.register_buffer(
            "position", torch.linspace(-1, 1, bins).view(1, 1, bins, 1), persistent=False
        )
        self.code = nn.Embedding(len(STEMS), _CODE)
        self.enter = _FilmConvolution(2, channels[0], 3)
        pairs = list(pairwise(channels))
        self.down = nn.ModuleList(_FilmConvolution(a, b, 4, 2) for a, b in pairs)
        self.middle = nn.ModuleList(
            _FilmConvolution(channels[-1], channels[-1], 3) for _ in range(2)
        )
        self.up = nn.ModuleList(_FilmConvolution(a + b, a, 3) for a, b in reversed(pairs))
        self.leave = nn.Conv2d(channels[0], 1, 3, padding=1)
        # Training starts from the identity.
        nn.init.zeros_(self.leave.weight)
        assert self.leave.bias is not None
        nn.init.zeros_(self.leave.bias)

    def shape(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON takes them."""
        return {"bins": self.bins, "channels": list(self.channels), "contrast": self.contrast}

    def predict(self, features: Tensor, stem: Tensor) -> Tensor:
        """As `forward`, with the contrast of the class."""
        predicted: Tensor = self(features, stem)
        return with_contrast(predicted, self.contrast)

    def forward(self, spectrogram: Tensor, stem: Tensor) -> Tensor:
        """Log-mel spectrograms ``[B, F, L]`` and stem indices ``[B]`` to spectrograms of the same
        shape.
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
        change: Tensor = self.leave(x)[:, 0, :, :frames].float()
        return spectrogram + SPREAD * change


class _FilmConvolution(nn.Module):
    """Convolution with spectral norm, instance norm, then gain and shift from the stem's code."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = parametrizations.spectral_norm(
            nn.Conv2d(inputs, outputs, kernel, stride, padding=(kernel - 1) // 2, bias=False)
        )
        self.film = nn.Linear(_CODE, 2 * outputs)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """``[B, C, F, L]`` and codes ``[B, 32]`` to ``[B, C', F', L']``."""
        x = functional.instance_norm(self.conv(x))
        gain, shift = self.film(code)[..., None, None].chunk(2, dim=1)
        return functional.leaky_relu(x * (1 + gain) + shift, 0.2)
