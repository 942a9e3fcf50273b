"""A ConvNeXt over frames, from mel bands to the magnitudes of an STFT's bins.

The blocks are those of Z. Liu et al., "A ConvNet for the 2020s", CVPR 2022, over time as in H.
Siuzdak, "Vocos: closing the gap between time-domain and Fourier-based neural vocoders", ICLR 2024.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_SPREAD = 2.0  # nats, of log mel bands of a frame of music


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution over frames, then a layer over channels; added to its input."""

    def __init__(self, width: int, hidden: int, kernel: int = 7, scale: float = 0.2) -> None:
        super().__init__()
        self.frames = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.enter = nn.Linear(width, hidden)
        self.leave = nn.Linear(hidden, width)
        self.scale = nn.Parameter(torch.full((width,), scale))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, width, L]`` to the same shape."""
        y = self.norm(self.frames(x).transpose(1, 2))
        y = self.leave(functional.gelu(self.enter(y))) * self.scale
        result: Tensor = x + y.transpose(1, 2)
        return result


class MagnitudeNetwork(nn.Module):
    """Log mel bands to log magnitudes of bins, as a change of first ones."""

    def __init__(
        self, bands: int, bins: int, width: int = 320, hidden: int = 640, blocks: int = 4
    ) -> None:
        super().__init__()
        self.shape = {
            "bands": bands, "bins": bins, "width": width, "hidden": hidden, "blocks": blocks
        }  # fmt: skip
        self.enter = nn.Conv1d(bands, width, 3, padding=1)
        self.norm = nn.LayerNorm(width)
        self.body = nn.Sequential(*(ConvNeXtBlock(width, hidden) for _ in range(blocks)))
        self.last = nn.LayerNorm(width)
        self.leave = nn.Linear(width, bins)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)
        #: Frames on each side that a frame depends on.
        self.reach = 1 + 3 * blocks

    def forward(self, levels: Tensor, first: Tensor) -> Tensor:
        """Log bands ``[B, bands, L]`` and first log magnitudes ``[B, bins, L]`` to log bins.

        The frame's mean level is taken out first, so that a change of gain is one of the output.
        """
        mean = levels.mean(1, keepdim=True)
        x = self.enter((levels - mean) / _SPREAD)
        x = self.body(self.norm(x.transpose(1, 2)).transpose(1, 2))
        change: Tensor = self.leave(self.last(x.transpose(1, 2))).transpose(1, 2)
        return first + change
