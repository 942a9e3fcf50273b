"""Feed-forward generators from sound to sound, and the discriminators of sound."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm

from audiotransfer.waveform.generators import WaveformGenerator
from audiotransfer.waveform.quantisation import soft_argmax
from vocoder.wavenet.network import WaveNet


class WaveNetGenerator(WaveformGenerator):
    """A WaveNet without causality from sound to sound, by tanh or by a soft arg-max of 256 steps.

    Args:
        sample_rate: in Hz.
        channels, layers, stacks, kernel: as of `vocoder.wavenet.network.WaveNet`.
        soft: the soft arg-max of the mu law's steps instead of tanh.
    """

    kind = "wavenet"

    def __init__(
        self,
        sample_rate: int = 16000,
        channels: int = 24,
        layers: int = 20,
        stacks: int = 2,
        kernel: int = 3,
        soft: bool = False,
    ) -> None:
        super().__init__()
        self.sample_rate, self.soft = sample_rate, soft
        self._shape = {
            "sample_rate": sample_rate, "channels": channels, "layers": layers, "stacks": stacks,
            "kernel": kernel, "soft": soft,
        }  # fmt: skip
        self.network = WaveNet(
            1, 256 if soft else 1, channels, channels, channels, layers, stacks, kernel,
            causal=False, final="none" if soft else "tanh",
        )  # fmt: skip
        self.grid, self.reach = 1, self.network.field // 2 + 1

    def shape(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON takes them."""
        return dict(self._shape)

    def forward(self, sound: Tensor) -> Tensor:
        """Sound ``[B, T]`` to sound ``[B, T]`` within ±1."""
        made: Tensor = self.network(sound[:, None])
        return soft_argmax(made) if self.soft else made[:, 0]

    def convert(self, sound: Tensor) -> Tensor:
        """As `forward`."""
        made: Tensor = self(sound)
        return made


class FoldedGenerator(WaveformGenerator):
    """Sound folded to an image of one row after the other, through a residual image network.

    A row of ``columns`` samples is a few periods of a tone; neighbouring rows hold the same phase
    of it, one row later. Each row is read and written with the same convolutions as any other.

    Args:
        sample_rate: in Hz. columns: samples of a row. channels, blocks: of the network.
    """

    kind = "folded"

    def __init__(
        self,
        sample_rate: int = 16000,
        columns: int = 128,
        channels: int = 32,
        blocks: int = 6,
    ) -> None:
        super().__init__()
        self.sample_rate, self.columns = sample_rate, columns
        self._shape = {
            "sample_rate": sample_rate, "columns": columns, "channels": channels, "blocks": blocks,
        }  # fmt: skip
        self.enter = nn.Conv2d(1, channels, 7, padding=3)
        self.blocks = nn.ModuleList(_ImageBlock(channels) for _ in range(blocks))
        self.leave = nn.Conv2d(channels, 1, 7, padding=3)
        self.grid = columns
        self.reach = (6 + 2 * blocks + 1) * columns

    def shape(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON takes them."""
        return dict(self._shape)

    def forward(self, sound: Tensor) -> Tensor:
        """Sound ``[B, T]`` to sound ``[B, T]`` within ±1."""
        length = sound.shape[-1]
        padded = functional.pad(sound, (0, -length % self.columns))
        x = self.enter(padded.unflatten(-1, (-1, self.columns))[:, None])
        for block in self.blocks:
            x = block(x)
        made: Tensor = torch.tanh(self.leave(x))
        return made[:, 0].flatten(1)[:, :length]

    def convert(self, sound: Tensor) -> Tensor:
        """As `forward`."""
        made: Tensor = self(sound)
        return made


class WaveNetDiscriminator(nn.Module):
    """A WaveNet with an unbounded output for every hop: ``[B, 1, T]`` to ``[B, 1, T / hop]``.

    Args:
        channels, layers, stacks, kernel: as of `vocoder.wavenet.network.WaveNet`.
        spectral: spectral norm of all layers (T. Miyato et al. 2018).
        hop: samples between outputs. Above 1 the WaveNet reads frames, of four hops, of a learned
            filterbank, which costs as much less time.
    """

    def __init__(
        self,
        channels: int = 16,
        layers: int = 16,
        stacks: int = 2,
        kernel: int = 3,
        spectral: bool = True,
        hop: int = 1,
    ) -> None:
        super().__init__()
        self.frames: nn.Module = nn.Identity()
        if hop > 1:
            self.frames = nn.Conv1d(1, channels, 4 * hop, stride=hop, padding=3 * hop // 2)
        inputs = channels if hop > 1 else 1
        self.network = WaveNet(
            inputs, 1, channels, channels, channels, layers, stacks, kernel, causal=False
        )
        if spectral:
            with_spectral_norm(self)

    def forward(self, sound: Tensor) -> Tensor:
        """Outputs for every hop."""
        made: Tensor = self.network(self.frames(sound))
        return made


class _ImageBlock(nn.Module):
    """Two convolutions of 3 x 3, added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.last = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.last(functional.silu(self.first(x)))
        return result


def with_spectral_norm(network: nn.Module) -> None:
    """Gives every convolution of a network spectral norm, in place."""
    for layer in list(network.modules()):
        if isinstance(layer, nn.Conv1d | nn.Conv2d):
            spectral_norm(layer)


def without_spectral_norm(network: nn.Module) -> None:
    """Replaces spectral norms by the weights that they give, in place."""
    for layer in list(network.modules()):
        if parametrize.is_parametrized(layer):
            parametrize.remove_parametrizations(layer, "weight")
