"""The published decoder of universal translation: a WaveNet under a code, sample by sample."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from audiotransfer.waveform.decoders import Decoder
from vocoder.wavenet.network import WaveNet, delayed
from vocoder.wavenet.outputs import output_of
from vocoder.wavenet.sampling import network_input
from vocoder.wavenet.segments import reach, sample_segments


class WaveNetDecoder(Decoder):
    """A causal WaveNet of 256 steps of the mu law, conditioned on a code at every layer.

    The code is interpolated linearly between its frames, where the source repeats each. Its loss is
    ``nats``, the negative log likelihood of a true sample after true ones. What it decodes is drawn
    at random, always with the same random numbers. Source: Mor et al. 2019 (4 stacks of 14 layers,
    128 channels).

    Args:
        size, hop: of the code.
        channels, layers, stacks: as of `vocoder.wavenet.network.WaveNet`.
        frames: width of two convolutions over the code.
        temperature: scales the logits' spread: below 1 likelier samples are drawn.
    """

    kind = "wavenet"
    feed_forward: ClassVar[bool] = False

    def __init__(
        self,
        size: int = 64,
        hop: int = 800,
        channels: int = 128,
        layers: int = 56,
        stacks: int = 4,
        frames: int = 128,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        self._shape = {
            "size": size, "hop": hop, "channels": channels, "layers": layers, "stacks": stacks,
            "frames": frames, "temperature": temperature,
        }  # fmt: skip
        self.hop, self.temperature = hop, temperature
        self.network = WaveNet(
            1, 256, channels, channels, channels, layers, stacks, 2, local=size, frames=frames
        )
        self.output = output_of(256)
        self.reach = reach(self.network, hop) + hop

    def shape(self) -> dict[str, Any]:
        """The constructor's arguments and the ``kind``, as JSON takes them."""
        return {"kind": self.kind, **self._shape}

    def losses(self, code: Tensor, truth: Tensor, source: Tensor) -> dict[str, Tensor]:
        """``nats``, over the samples that have the receptive field, or half a crop, before them."""
        sound = truth.clamp(-1.0, 1.0)
        inputs = delayed(network_input(sound, self.output.size))[:, None]
        values = self.network(inputs, code, None, self.hop)
        first = min(self.network.field, sound.shape[-1] // 2)
        return {"nats": self.output.loss(values[..., first:], sound[..., first:])}

    def decode(self, code: Tensor, source: Tensor, strength: float = 1.0) -> Tensor:
        """Samples ``[B, T]``; at a strength below 1 they are mixed with the source's."""
        length = source.shape[-1]
        if not length:
            return source
        uniform = torch.rand(2, length, generator=torch.Generator().manual_seed(0))
        made = sample_segments(
            self.network, code.cpu().float(), self.hop, uniform, self.temperature
        )
        return torch.lerp(source, made.to(source), strength)
