"""The inverter by deep Griffin-Lim iterations."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Generator, Tensor

from vocoder import stft
from vocoder.base import VocoderError, require_frames, require_shape
from vocoder.deep_griffinlim.network import ResidualNetwork, projections
from vocoder.griffinlim import impose, linear_magnitude
from vocoder.pghi import heap_integration
from vocoder.spectrogram import SpectrogramSettings
from vocoder.trained import load_trained

SHIPPED = Path(__file__).parent / "deep_griffinlim.safetensors"
NAME = "deep-griffinlim"
_TILE = 192  # frames through the network at a time: its activations take 100 MB


class DeepGriffinLimInverter:
    """Sound from a "mel" or "stft" spectrogram alone, [.., F, L] to [.., length].

    Phases by heap integration, then `iterations` of Griffin-Lim, each corrected by the network. The
    network sees a few bins and frames at a time and serves any settings; those of its training had
    three quarters of overlap or more. An iteration takes half of the sound's length on one core.
    `source` is ignored. Raises VocoderError for a "cqt" spectrogram.
    """

    def __init__(
        self, expects: SpectrogramSettings, iterations: int = 3, weights: str | Path = SHIPPED
    ) -> None:
        if iterations < 0:
            raise VocoderError(f"{iterations} iterations of {NAME}: use 0 or more")
        require_frames(expects, NAME)
        self.network, _ = load_trained(weights, NAME, ResidualNetwork)
        self.expects, self.iterations = expects, iterations
        frames = self.network.reach * expects.hop_length
        self.reach = (1 + iterations) * (expects.n_fft + frames)

    @torch.no_grad()
    def __call__(
        self,
        spectrogram: Tensor,
        length: int,
        source: Tensor | None = None,
        generator: Generator | None = None,
    ) -> Tensor:
        require_shape(self.expects, spectrogram, length)
        values = linear_magnitude(self.expects, spectrogram)
        if not values.numel() or not length:
            return torch.zeros(*values.shape[:-2], length, device=values.device)
        settings = self.expects
        phases = heap_integration(values, settings.n_fft, settings.hop_length, generator)
        items = values.reshape(-1, *values.shape[-2:])
        network = self.network.to(values.device)
        sounds = []
        for magnitude, phase in zip(items, phases.reshape(items.shape), strict=True):
            spectrum = torch.polar(magnitude, phase)[None]
            for _ in range(self.iterations):
                spectra = projections(spectrum, magnitude[None], length, settings)
                spectrum = spectra[:, 2] - corrections(network, spectra, magnitude[None])
            imposed = impose(spectrum, magnitude)
            sounds.append(stft.inverse(imposed, length, settings.n_fft, settings.hop_length))
        return torch.cat(sounds).reshape(*values.shape[:-2], length)


def corrections(network: ResidualNetwork, spectra: Tensor, magnitude: Tensor) -> Tensor:
    """The network's output ``[B, F, L]`` for any number of frames, some at a time."""
    frames, reach = magnitude.shape[-1], network.reach
    parts = []
    for first in range(0, frames, _TILE):
        begin, last = max(0, first - reach), min(frames, first + _TILE)
        seen = slice(begin, min(frames, last + reach))
        made = network(spectra[..., seen], magnitude[..., seen])
        parts.append(made[..., first - begin : last - begin])
    return torch.cat(parts, dim=-1)
