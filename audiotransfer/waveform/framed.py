"""A WaveNet over frames of a learned filterbank, from sound to sound.

A WaveNet over single samples spends all of its layers on hearing periods. Here frames of samples
pass learned windows first, as in Y. Luo and N. Mesgarani, "Conv-TasNet", 2019.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiotransfer.waveform.generators import WaveformGenerator
from vocoder.wavenet.network import WaveNet
from vocoder.wavenet.outputs import companded

_LOUDER = 4.0  # before companding, so that frames of stems near RMS 0.06 use its range


class Filterbank(nn.Module):
    """Learned windows: sound ``[B, T]`` to frames ``[B, window, L]`` and back.

    They begin as cosines and sines of an orthonormal Fourier transform under the square root of a
    Hann window, where the way back is exact: first the ``window / 2 + 1`` cosines, then the sines.

    Args:
        window: samples, even. hop: samples between frames; divides half of the window.
    """

    def __init__(self, window: int, hop: int) -> None:
        super().__init__()
        self.window, self.hop = window, hop
        time = torch.arange(window, dtype=torch.float64)
        rows = torch.arange(window // 2 + 1, dtype=torch.float64)[:, None]
        angles = 2 * math.pi * rows * time / window
        scale = torch.full_like(rows, math.sqrt(2 / window))
        scale[0] = scale[-1] = math.sqrt(1 / window)
        waves = torch.cat([scale * angles.cos(), (scale * angles.sin())[1:-1]])
        windowed = waves * torch.hann_window(window, dtype=torch.float64).sqrt()
        self.analysis = nn.Parameter(windowed.float())
        self.synthesis = nn.Parameter((windowed * (2 * hop / window)).float())

    def forward(self, sound: Tensor) -> Tensor:
        """Frames of a sound; every sample is in ``window / hop`` of them."""
        before = self.window - self.hop
        padded = functional.pad(sound, (before, before + -sound.shape[-1] % self.hop))
        return functional.conv1d(padded[:, None], self.analysis[:, None], stride=self.hop)

    def inverse(self, frames: Tensor, length: int) -> Tensor:
        """Sound ``[B, length]`` of frames."""
        made = functional.conv_transpose1d(frames, self.synthesis[:, None], stride=self.hop)
        return made[:, 0, self.window - self.hop :][:, :length]


class FramedWaveNetGenerator(WaveformGenerator):
    """A WaveNet that scales the frames of a `Filterbank` and adds frames of its own; then tanh.

    It reads frames through the mu law, and the levels of pairs of cosines and sines. Each pair has
    one gain; it begins with gains of 1 and adds nothing, as the identity.

    Args:
        sample_rate: in Hz.
        window, hop: of the filterbank, in samples.
        channels, layers, stacks, kernel: as of `vocoder.wavenet.network.WaveNet`.
    """

    kind = "framed"

    def __init__(
        self,
        sample_rate: int = 16000,
        window: int = 512,
        hop: int = 128,
        channels: int = 96,
        layers: int = 12,
        stacks: int = 2,
        kernel: int = 3,
    ) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self._shape = {
            "sample_rate": sample_rate, "window": window, "hop": hop, "channels": channels,
            "layers": layers, "stacks": stacks, "kernel": kernel,
        }  # fmt: skip
        self.filterbank = Filterbank(window, hop)
        self.pairs = window // 2 + 1
        self.network = WaveNet(
            window + self.pairs, self.pairs + window, channels, channels, channels,
            layers, stacks, kernel, causal=False,
        )  # fmt: skip
        nn.init.zeros_(self.network.leave.weight)
        assert self.network.leave.bias is not None
        nn.init.zeros_(self.network.leave.bias)
        self.grid = hop
        self.reach = window + hop * (self.network.field // 2 + 1)

    def shape(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON takes them."""
        return dict(self._shape)

    def forward(self, sound: Tensor) -> Tensor:
        """Sound ``[B, T]`` to sound ``[B, T]`` within ±1."""
        frames = self.filterbank(sound)
        levels = (frames[:, : self.pairs].square() + self._sines(frames).square() + 1e-10).sqrt()
        seen = companded(_LOUDER * torch.cat([frames, levels], 1))
        gains, added = self.network(seen).split([self.pairs, self.filterbank.window], 1)
        gains = torch.exp(gains.clamp(-6.0, 3.0))
        scaled = frames * torch.cat([gains, gains[:, 1:-1]], 1)
        return torch.tanh(self.filterbank.inverse(scaled + 0.1 * added, sound.shape[-1]))

    def convert(self, sound: Tensor) -> Tensor:
        """As `forward`."""
        made: Tensor = self(sound)
        return made

    def _sines(self, frames: Tensor) -> Tensor:
        """The sine of each pair; the first and the last have none."""
        return functional.pad(frames[:, self.pairs :], (0, 0, 1, 1))
