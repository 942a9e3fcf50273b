"""The inverter that samples a WaveNet."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Generator, Tensor

from vocoder.base import VocoderError, require_equal, require_shape
from vocoder.conditioning import conditions_of, require_mel, restored
from vocoder.spectrogram import SpectrogramSettings
from vocoder.trained import load_trained
from vocoder.wavenet.network import WaveNet
from vocoder.wavenet.segments import reach, sample_segments

SHIPPED = Path(__file__).parent / "wavenet.safetensors"
NAME = "wavenet"


class WaveNetInverter:
    """Sound from a "mel" spectrogram of the settings that the network was trained with.

    [.., F, L] to [.., length]. Segments of the sound are sampled side by side, each after a start
    of its own that is thrown away, and cross-faded. All items and segments draw the same random
    numbers at the same place. `source` is ignored; `temperature` scales the width of what a sample
    is drawn from. Raises VocoderError for other settings, and without weights.
    """

    def __init__(
        self,
        expects: SpectrogramSettings,
        weights: str | Path = SHIPPED,
        temperature: float = 1.0,
    ) -> None:
        if not temperature > 0:
            raise VocoderError(f"temperature {temperature} of {NAME}: use a positive number")
        require_mel(expects, NAME)
        self.network, settings = load_trained(weights, NAME, WaveNet)
        require_equal(settings, expects, NAME)
        self.expects, self.temperature = expects, temperature
        self.reach = reach(self.network, expects.hop_length)

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
        hop, network = self.expects.hop_length, self.network
        given = conditions_of(
            self.expects, spectrogram.detach().cpu().reshape(-1, *spectrogram.shape[-2:])
        )
        device = torch.device("cpu") if generator is None else generator.device
        uniform = torch.rand(2, length, generator=generator, device=device).cpu()
        sound = sample_segments(network, given.levels, hop, uniform, self.temperature)
        made = restored(sound) * given.envelope(hop, length)
        return made.to(spectrogram.device).reshape(*batch, length)
