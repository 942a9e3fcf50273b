"""Networks of the embedded separator: band levels to one mask per stem."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from separation.base import SeparationError

STEMS = ("drums", "bass", "other", "vocals")
REACH = 127
"""Frames on each side that a mask depends on, at most, for every network here."""
_VIEWS = 2  # mid and side
_FLOOR = 1e-3
_CENTRE, _SPREAD = -3.0, 2.5


def features(levels: Tensor) -> Tensor:
    """Band levels ``[B, 2, F, L]`` as logarithms of roughly unit variance."""
    return (torch.log(levels + _FLOOR) - _CENTRE) / _SPREAD


def _masks(logits: Tensor) -> Tensor:
    """Logits ``[B, stems * views, F, L]`` to masks ``[B, stems, views, F, L]`` of sum 1
    over stems.
    """
    batch, _, bands, frames = logits.shape
    shaped = logits.view(batch, len(STEMS), _VIEWS, bands, frames)
    return torch.softmax(shaped.float(), dim=1)


def _block(inputs: int, outputs: int, stride: tuple[int, int] = (1, 1)) -> nn.Sequential:
    kernel = (4 if stride[0] == 2 else 3, 4 if stride[1] == 2 else 3)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, (1, 1), bias=False),
        nn.BatchNorm2d(outputs),
        nn.LeakyReLU(0.1, inplace=True),
    )


class _Join(nn.Sequential):
    """Convolution block over the upsampled input and the skip connection.

    Equals ``block(cat([repeat(x), skip]))`` without making either: a convolution of repeated values
    is a transposed convolution of the values themselves, with fewer products.
    """

    def __init__(self, below: int, outputs: int, stride: tuple[int, int]) -> None:
        super().__init__(*_block(below + outputs, outputs))
        self.below, self.stride = below, stride

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:  # type: ignore[override]
        """``[B, below, F, L]`` and the skip connection ``[B, outputs, F', L']`` to the latter
        shape.
        """
        conv, norm, activation = self
        assert isinstance(conv, nn.Conv2d)
        weight, bias = conv.weight, conv.bias
        kernel = weight[:, : self.below].flip(-1, -2).transpose(0, 1)
        for axis, factor in enumerate(self.stride):
            if factor == 2:
                late = (0, 0, 1, 0) if axis == 0 else (1, 0)
                early = (0, 0, 0, 1) if axis == 0 else (0, 1)
                kernel = functional.pad(kernel, late) + functional.pad(kernel, early)
        joined = functional.conv_transpose2d(x, kernel, bias, self.stride, padding=1)
        joined += functional.conv2d(skip, weight[:, self.below :], padding=1)
        done: Tensor = activation(norm(joined))
        return done


class UNet(nn.Module):
    """A masking U-Net over bands and frames.

    Norms are batch norms: at inference every layer is local in time, so that a block with enough
    context gives exactly what the whole song gives. Frames are padded to a multiple of
    ``time_factor`` inside.
    """

    position: Tensor

    def __init__(self, bands: int, channels: Sequence[int] = (16, 32, 64, 96, 128, 160)) -> None:
        super().__init__()
        self.register_buffer(
            "position", torch.linspace(-1, 1, bands).view(1, 1, bands, 1), persistent=False
        )
        self.strides = [(2, 1), *[(2, 2)] * (len(channels) - 2)]
        self.time_factor = 2 ** (len(channels) - 2)
        self.enter = _block(_VIEWS + 1, channels[0])
        pairs = list(pairwise(channels))
        self.down = nn.ModuleList(
            nn.Sequential(_block(a, b, s), _block(b, b))
            for (a, b), s in zip(pairs, self.strides, strict=True)
        )
        self.up = nn.ModuleList(
            _Join(b, a, s) for (a, b), s in reversed(list(zip(pairs, self.strides, strict=True)))
        )
        self.leave = nn.Conv2d(channels[0], len(STEMS) * _VIEWS, 1)

    def forward(self, levels: Tensor) -> Tensor:
        """Levels ``[B, 2, F, L]`` to masks ``[B, 4, 2, F, L]``."""
        frames = levels.shape[-1]
        x = features(levels)
        x = functional.pad(x, (0, -frames % self.time_factor, 0, 0), mode="replicate")
        position = self.position.expand(x.shape[0], 1, -1, x.shape[-1])
        x = self._level(0, self.enter(torch.cat([x, position], 1)))
        skips = []
        for level, down in enumerate(self.down, start=1):
            skips.append(x)
            x = self._level(level, down(x))
        x = self._deepest(x)
        for up in self.up:
            x = up(x, skips.pop())
        return _masks(self.leave(x)[..., :frames])

    def _level(self, level: int, x: Tensor) -> Tensor:
        """Hook after the layers of each resolution on the way down."""
        return x

    def _deepest(self, x: Tensor) -> Tensor:
        """Hook at the lowest resolution."""
        return x


class TemporalBlock(nn.Module):
    """Residual block of a temporal convolution network: depthwise over time, then over channels."""

    def __init__(self, width: int, hidden: int, dilation: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(width, hidden, 1, bias=False),
            nn.BatchNorm1d(hidden),
            nn.LeakyReLU(0.1, inplace=True),
            nn.Conv1d(hidden, hidden, 3, padding=dilation, dilation=dilation, groups=hidden),
            nn.BatchNorm1d(hidden),
            nn.LeakyReLU(0.1, inplace=True),
            nn.Conv1d(hidden, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``[B, width, L]`` to the same shape."""
        change: Tensor = self.body(x)
        return x + change


class TemporalConvNet(nn.Module):
    """A dilated convolution network over time with whole spectra as channels.

    Some ten times cheaper a frame than the U-Net, but it shares no weights between pitches.
    """

    time_factor = 1

    def __init__(self, bands: int, width: int = 320, hidden: int = 448, blocks: int = 7) -> None:
        super().__init__()
        self.enter = nn.Conv1d(_VIEWS * bands, width, 1)
        self.body = nn.Sequential(
            *(TemporalBlock(width, hidden, 2 ** (i % 5)) for i in range(blocks))
        )
        self.leave = nn.Conv1d(width, len(STEMS) * _VIEWS * bands, 1)

    def forward(self, levels: Tensor) -> Tensor:
        """Levels ``[B, 2, F, L]`` to masks ``[B, 4, 2, F, L]``."""
        batch, _, bands, frames = levels.shape
        x = self.body(self.enter(features(levels).reshape(batch, -1, frames)))
        return _masks(self.leave(x).view(batch, -1, bands, frames))


class AcrossBands(nn.Module):
    """Residual bottleneck over bands, shared by the channels: each band depends on all others.

    The time-distributed fully connected block of TFC-TDF (Choi et al. 2020). It starts as the
    identity.
    """

    def __init__(self, channels: int, bands: int, narrow: int = 8) -> None:
        super().__init__()
        self.squeeze = nn.Linear(bands, bands // narrow, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.spread = nn.Linear(bands // narrow, bands)
        nn.init.zeros_(self.spread.weight)
        nn.init.zeros_(self.spread.bias)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, F, L]`` to the same shape."""
        narrow = self.squeeze(x.transpose(-1, -2))
        narrow = functional.leaky_relu(self.norm(narrow), 0.1)
        change: Tensor = self.spread(narrow)
        return x + change.transpose(-1, -2)


class DenseUNet(UNet):
    """The U-Net with a bottleneck over bands at each level and a temporal network at the lowest.

    At initialisation it equals the U-Net, whose weights it may take.
    """

    def __init__(self, bands: int, channels: Sequence[int] = (16, 32, 64, 96, 128, 160)) -> None:
        super().__init__(bands, channels)
        self.across = nn.ModuleList(
            AcrossBands(count, bands >> level) for level, count in enumerate(channels)
        )
        deep = channels[-1] * (bands >> (len(channels) - 1))
        self.gather = nn.Conv1d(deep, 192, 1)
        self.memory = nn.Sequential(*(TemporalBlock(192, 256, dilation) for dilation in (1, 2)))
        self.scatter = nn.Conv1d(192, deep, 1)
        nn.init.zeros_(self.scatter.weight)
        assert self.scatter.bias is not None
        nn.init.zeros_(self.scatter.bias)

    def _level(self, level: int, x: Tensor) -> Tensor:
        across: Tensor = self.across[level](x)
        return across

    def _deepest(self, x: Tensor) -> Tensor:
        flat = x.flatten(1, 2)
        change: Tensor = self.scatter(self.memory(self.gather(flat)))
        return x + change.view_as(x)


def fold(network: nn.Module) -> nn.Module:
    """Fold batch norms into the convolutions before them, for inference: same masks, less work."""
    for module in network.modules():
        if isinstance(module, nn.Sequential) and len(module) > 1:
            conv, norm = module[0], module[1]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                module[0], module[1] = fuse_conv_bn_eval(conv, norm), nn.Identity()
    return network


NETWORKS: dict[str, Callable[[int], nn.Module]] = {
    "unet": UNet,
    "dense": DenseUNet,
    "tcn": TemporalConvNet,
}


def build(kind: str, bands: int) -> nn.Module:
    """The network registered as ``kind``. Raises SeparationError for an unknown name."""
    if kind not in NETWORKS:
        raise SeparationError(
            f"separator network {kind!r} is not known; there are {', '.join(NETWORKS)}"
        )
    return NETWORKS[kind](bands)
