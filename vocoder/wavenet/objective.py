"""Training a WaveNet by the likelihood of true samples after true samples."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from vocoder.conditioning import training_example
from vocoder.spectrogram import SpectrogramSettings
from vocoder.turns import OptimiserGroup, VocoderPreview, VocoderTurn
from vocoder.wavenet.network import WaveNet, delayed
from vocoder.wavenet.outputs import output_of
from vocoder.wavenet.sampling import network_input


class LikelihoodObjective:
    """Negative log likelihood of sounds given their spectrograms.

    Batches hold ``sound`` ``[B, T]``. The term ``nats`` is a mean over the samples that have the
    whole receptive field before them.
    """

    def __init__(
        self, expects: SpectrogramSettings, network: WaveNet, learning_rate: float = 1e-3
    ) -> None:
        self.expects, self.network = expects, network
        self.output = output_of(network.leave.out_channels)
        self.networks: dict[str, nn.Module] = {"wavenet": network}
        self.groups = {"wavenet": OptimiserGroup(("wavenet",), learning_rate, (0.9, 0.99), 0.0)}

    def turns(
        self, batch: dict[str, Tensor], step: int, generator: torch.Generator | None
    ) -> Iterator[VocoderTurn]:
        """Yield the one update of a step."""
        levels, sound = training_example(self.expects, batch["sound"], generator)
        inputs = delayed(network_input(sound, self.output.size))[:, None]
        values = self.network(inputs, levels, None, self.expects.hop_length)
        first = min(self.network.field, sound.shape[-1] // 2)
        yield VocoderTurn(
            "wavenet", {"nats": self.output.loss(values[..., first:], sound[..., first:])}
        )

    @torch.no_grad()
    def preview(
        self, batch: dict[str, Tensor], generator: torch.Generator | None
    ) -> VocoderPreview:
        """The conditions of the first sound."""
        levels, _ = training_example(self.expects, batch["sound"][:1], generator)
        return VocoderPreview({"levels": levels[0]})
