"""Encoders of universal translation: sound of any domain to a code that all decoders read.

N. Mor et al., "A universal music translation network", ICLR 2019: a WaveNet without causality,
whose outputs are averaged over 800 samples. The other encoder is for small machines: it works on a
pitch axis, where a network need not learn each pitch anew, and its code keeps the keys apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiotransfer.errors import AudioTransferError
from vocoder.pitch import pitch_levels
from vocoder.pitch_layers import KEYS, PARTIALS, KeyBlock, with_partials
from vocoder.spectrogram import SpectrogramSettings
from vocoder.wavenet.network import WaveNet

#: Mean and standard deviation, roughly, of log levels of stems near RMS 0.1.
_CENTRE, _SPREAD = -5.0, 3.0
_SHORT, _LONG = 2048, 8192  # samples: windows that resolve onsets, and low notes


class Encoder(nn.Module):
    """Sound ``[B, T]`` to a code ``[B, size, ceil-or-so of T / hop]`` (`frames`).

    ``reach``: samples on each side of a frame that it depends on.
    """

    kind: ClassVar[str]
    sample_rate: int
    size: int
    hop: int
    reach: int

    def shape(self) -> dict[str, Any]:
        """The constructor's arguments and the ``kind``, as JSON takes them."""
        raise NotImplementedError

    def frames(self, length: int) -> int:
        """Frames of the code of ``length`` samples."""
        raise NotImplementedError


class PitchEncoder(Encoder):
    """A code of some channels for each key, 43 times a second, of sound at 44.1 kHz.

    Levels on a pitch axis by a short and a long window, partials stacked as channels, and residual
    blocks over keys and time.

    Args:
        channels: width.
        code: channels of the code, for each of 88 keys.
        dilations: of the blocks, over time.
    """

    kind = "pitch"

    def __init__(
        self, channels: int = 48, code: int = 12, dilations: Sequence[int] = (1, 2, 4)
    ) -> None:
        super().__init__()
        self.channels, self.code, self.dilations = channels, code, tuple(dilations)
        self.spectrogram = SpectrogramSettings()
        self.sample_rate, self.size = self.spectrogram.sample_rate, code * KEYS
        self.hop = 2 * self.spectrogram.hop_length
        self.enter = nn.Conv2d(3 * len(PARTIALS), 24, 3, padding=1)
        self.fine = nn.Conv2d(24, 24, 3, padding=1)
        self.to_keys = nn.Conv2d(24, channels, 3, stride=(3, 1), padding=(0, 1))
        self.blocks = nn.ModuleList(KeyBlock(channels, d) for d in self.dilations)
        self.to_code = nn.Conv2d(channels, code, 1)
        self.reach = _LONG // 2 + self.hop * (4 + sum(self.dilations))

    def shape(self) -> dict[str, Any]:
        """The constructor's arguments and the ``kind``, as JSON takes them."""
        return {
            "kind": self.kind, "channels": self.channels, "code": self.code,
            "dilations": list(self.dilations),
        }  # fmt: skip

    def frames(self, length: int) -> int:
        """Half of the spectrogram's frames, rounded up."""
        return (self.spectrogram.frames(length) + 1) // 2

    def forward(self, sound: Tensor) -> Tensor:
        """``[B, T]`` to ``[B, code * 88, frames]``."""
        code: Tensor = self.to_code(self.keys(sound))
        return code.flatten(1, 2)

    def keys(self, sound: Tensor) -> Tensor:
        """What the code is a linear map of: ``[B, T]`` to ``[B, channels, 88, frames]``."""
        with torch.autocast(sound.device.type, enabled=False):
            levels = self._levels(sound[:, None].float())
        x = functional.silu(self.enter(with_partials((levels - _CENTRE) / _SPREAD, -2.0)))
        keys: Tensor = self.to_keys(functional.silu(self.fine(x)))
        for block in self.blocks:
            keys = block(keys)
        return keys

    @torch.no_grad()
    def _levels(self, sound: Tensor) -> Tensor:
        """Two frames of the short window, one of the long: ``[B, 1, T]`` to ``[B, 3, 324, L]``."""
        hop = self.spectrogram.hop_length
        short = pitch_levels(sound, _SHORT, hop, self.spectrogram)
        long = pitch_levels(sound, _LONG, 2 * hop, self.spectrogram)
        short = functional.pad(short, (0, short.shape[-1] % 2), mode="replicate")
        pairs = short.unflatten(-1, (-1, 2)).permute(0, 3, 1, 2)
        return torch.cat([pairs, long[:, None, :, : pairs.shape[-1]]], 1)


class WaveNetEncoder(Encoder):
    """The published encoder: dilated gated layers over samples, then a mean over ``hop`` of them.

    Args:
        sample_rate: in Hz.
        code: channels of the code.
        channels, layers, stacks, kernel: as of `vocoder.wavenet.network.WaveNet`.
        hop: samples that are averaged.
    """

    kind = "wavenet"

    def __init__(
        self,
        sample_rate: int = 16000,
        code: int = 64,
        channels: int = 128,
        layers: int = 30,
        stacks: int = 3,
        kernel: int = 3,
        hop: int = 800,
    ) -> None:
        super().__init__()
        self.sample_rate, self.size, self.hop = sample_rate, code, hop
        self._shape = {
            "sample_rate": sample_rate, "code": code, "channels": channels, "layers": layers,
            "stacks": stacks, "kernel": kernel, "hop": hop,
        }  # fmt: skip
        self.layers = WaveNet(
            1, code, channels, channels, channels, layers, stacks, kernel, causal=False
        )
        self.reach = self.layers.field // 2 + 1 + hop

    def shape(self) -> dict[str, Any]:
        """The constructor's arguments and the ``kind``, as JSON takes them."""
        return {"kind": self.kind, **self._shape}

    def frames(self, length: int) -> int:
        """Whole and begun means."""
        return -(-length // self.hop)

    def forward(self, sound: Tensor) -> Tensor:
        """``[B, T]`` to ``[B, code, frames]``."""
        padded = functional.pad(sound, (0, -sound.shape[-1] % self.hop))
        code: Tensor = functional.avg_pool1d(self.layers(padded[:, None]), self.hop)
        return code


ENCODERS: dict[str, type[Encoder]] = {one.kind: one for one in (PitchEncoder, WaveNetEncoder)}


def build_encoder(shape: dict[str, Any]) -> Encoder:
    """The encoder of a ``kind`` with its arguments. Raises AudioTransferError for another kind."""
    arguments = dict(shape)
    kind = arguments.pop("kind", None)
    if kind not in ENCODERS:
        raise AudioTransferError(f"no encoder {kind!r}; there are {', '.join(ENCODERS)}")
    return ENCODERS[kind](**arguments)
