"""The inverter by WaveGlow: noise through the inverse of the network."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Generator, Tensor

from vocoder.base import VocoderError, require_equal, require_shape
from vocoder.conditioning import conditions_of, require_mel, restored
from vocoder.spectrogram import SpectrogramSettings
from vocoder.trained import load_trained
from vocoder.waveglow.network import WaveGlow

SHIPPED = Path(__file__).parent / "waveglow.safetensors"
NAME = "waveglow"


class WaveGlowInverter:
    """Sound from a "mel" spectrogram of the settings that the network was trained with.

    [.., F, L] to [.., length]. All items start from the same noise of deviation `deviation`.
    `source` is ignored. Raises VocoderError for other settings, and without weights.
    """

    def __init__(
        self,
        expects: SpectrogramSettings,
        weights: str | Path = SHIPPED,
        deviation: float = 0.6,
    ) -> None:
        if not deviation >= 0:
            raise VocoderError(f"deviation {deviation} of {NAME}'s noise: use 0 or more")
        require_mel(expects, NAME)
        self.network, settings = load_trained(weights, NAME, WaveGlow)
        require_equal(settings, expects, NAME)
        self.expects, self.deviation = expects, deviation
        self.reach = self.network.reach + 4 * expects.hop_length

    @torch.no_grad()
    def __call__(
        self,
        spectrogram: Tensor,
        length: int,
        source: Tensor | None = None,
        generator: Generator | None = None,
    ) -> Tensor:
        require_shape(self.expects, spectrogram, length)
        batch = spectrogram.shape[:-2]
        if not spectrogram.numel() or not length:
            return torch.zeros(*batch, length, device=spectrogram.device)
        network, device = self.network.to(spectrogram.device), spectrogram.device
        given = conditions_of(self.expects, spectrogram.reshape(-1, *spectrogram.shape[-2:]))
        groups = spectrogram.shape[-1] * network.hop
        noise = torch.randn(
            network.group, groups, generator=generator,
            device=device if generator is None else generator.device,
        )  # fmt: skip
        noise = self.deviation * noise[None].to(device)
        # An item at a time: a batch then has the very values of its items.
        made = [network.inverse(noise, levels)[:, :length] for levels in given.levels.split(1)]
        sound = restored(torch.cat(made)).to(device)
        sound = sound * given.envelope(self.expects.hop_length, length)
        return sound.reshape(*batch, length)
