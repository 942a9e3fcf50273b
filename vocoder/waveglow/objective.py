"""Training WaveGlow by the likelihood of sounds."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from vocoder.conditioning import training_example
from vocoder.spectrogram import SpectrogramSettings
from vocoder.turns import OptimiserGroup, VocoderPreview, VocoderTurn
from vocoder.waveglow.network import WaveGlow


class FlowObjective:
    """Negative log likelihood of sounds given their spectrograms, in nats a sample.

    Batches hold ``sound`` ``[B, T]``. ``nats`` is that of normal noise of deviation 1.
    """

    def __init__(
        self, expects: SpectrogramSettings, network: WaveGlow, learning_rate: float = 1e-3
    ) -> None:
        self.expects, self.network = expects, network
        self.networks: dict[str, nn.Module] = {"waveglow": network}
        self.groups = {"waveglow": OptimiserGroup(("waveglow",), learning_rate, (0.9, 0.99), 0.0)}

    def turns(
        self, batch: dict[str, Tensor], step: int, generator: torch.Generator | None
    ) -> Iterator[VocoderTurn]:
        """Yield the one update of a step."""
        levels, sound = training_example(self.expects, batch["sound"], generator)
        noise, volume = self.network(self._whole(sound), levels)
        samples = noise.shape[1] * noise.shape[2]
        energy = noise.float().square().sum((1, 2)) / 2
        nats = (energy - volume) / samples + math.log(2 * math.pi) / 2
        yield VocoderTurn("waveglow", {"nats": nats.mean()})

    @torch.no_grad()
    def preview(
        self, batch: dict[str, Tensor], generator: torch.Generator | None
    ) -> VocoderPreview:
        """The conditions of the first sound and its noise, which ought to have no structure."""
        levels, sound = training_example(self.expects, batch["sound"][:1], generator)
        noise, _ = self.network(self._whole(sound), levels)
        return VocoderPreview({"levels": levels[0], "noise": noise[0].float()})

    def _whole(self, sound: Tensor) -> Tensor:
        """Sound without the last samples, which fill no group."""
        group = self.network.group
        return sound[:, : sound.shape[-1] // group * group]
