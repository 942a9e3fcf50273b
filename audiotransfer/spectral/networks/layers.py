"""Layers that the networks here share."""

from __future__ import annotations

import math
from typing import Literal

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

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
