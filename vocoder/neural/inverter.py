"""The neural inverter: magnitudes by a ConvNeXt, phases as those of `vocoder.pghi`."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Generator, Tensor

from vocoder import mel
from vocoder.base import VocoderError, require_equal, require_shape
from vocoder.neural.network import MagnitudeNetwork
from vocoder.neural.objective import first_levels
from vocoder.pghi import from_magnitude
from vocoder.spectrogram import SpectrogramSettings
from vocoder.trained import load_trained

SHIPPED = Path(__file__).parent / "neural.safetensors"
_CORRECTIONS = 2  # towards the given bands, of the predicted magnitudes


class NeuralInverter:
    """Sound from a "mel" spectrogram of the settings that it was trained with, [.., length].

    A network finds the magnitudes of the bins; they are corrected so that their bands are the given
    ones. Phases come by heap integration and `iterations` after it. `source` is ignored.
    """

    def __init__(
        self,
        expects: SpectrogramSettings,
        iterations: int = 8,
        weights: str | Path = SHIPPED,
    ) -> None:
        if iterations < 0:
            raise VocoderError(f"{iterations} iterations of the neural inverter: use 0 or more")
        self.network, settings = load_trained(weights, "neural", MagnitudeNetwork)
        require_equal(settings, expects, "the neural inverter")
        self.expects, self.iterations = expects, iterations
        self.reach = (2 + iterations) * expects.n_fft + self.network.reach * expects.hop_length

    @torch.no_grad()
    def __call__(
        self,
        spectrogram: Tensor,
        length: int,
        source: Tensor | None = None,
        generator: Generator | None = None,
    ) -> Tensor:
        require_shape(self.expects, spectrogram, length)
        if not spectrogram.numel() or not length:
            return torch.zeros(*spectrogram.shape[:-2], length, device=spectrogram.device)
        values = self.magnitude(spectrogram)
        return from_magnitude(values, length, self.expects, self.iterations, generator)

    @torch.no_grad()
    def magnitude(self, spectrogram: Tensor) -> Tensor:
        """Mel spectrogram [.., F, L] to STFT magnitudes [.., n_fft // 2 + 1, L].

        One item at a time: heap integration turns a batch's other rounding into other phases.
        """
        items = spectrogram.reshape(-1, *spectrogram.shape[-2:]).split(1)
        found = torch.cat([self._magnitude(item) for item in items])
        return found.reshape(*spectrogram.shape[:-2], -1, spectrogram.shape[-1])

    def _magnitude(self, spectrogram: Tensor) -> Tensor:
        """`magnitude` of [1, F, L]."""
        bands = self.expects.magnitude(spectrogram)
        levels = self.expects.logarithm(bands)
        network = self.network.to(spectrogram.device)
        found = torch.exp(network(levels, first_levels(self.expects, levels)).clamp(max=12.0))
        # What the floor of the spectrogram hides is silence.
        weights = self.expects.filterbank(levels.device)
        magnitude = mel.corrected(
            found.transpose(1, 2), bands.transpose(1, 2), weights, _CORRECTIONS
        )
        return magnitude.transpose(1, 2)
