"""Convolution and normalisation layers that the networks share."""

from __future__ import annotations

import math
from typing import Literal

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

SLOPE = 0.2  # of leaky ReLUs
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
    """A 2-D convolution with He's uniform initial weights, and spectral norm where `spectral`."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=bias)
    nn.init.kaiming_uniform_(layer.weight, SLOPE)
    return spectral_norm(layer) if spectral else layer


def normalisation(kind: Norm, channels: int) -> nn.Module:
    """Batch norm, group norm in up to 8 groups, instance norm, or no normalisation."""
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "group":
        return nn.GroupNorm(math.gcd(channels, 8), channels)
    if kind == "instance":
        return nn.InstanceNorm2d(channels, affine=True)
    return nn.Identity()
