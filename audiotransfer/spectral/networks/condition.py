"""What a network is asked for: a stem, a style and how much of it, as one vector."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiotransfer.spectral.generator import STEMS

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
