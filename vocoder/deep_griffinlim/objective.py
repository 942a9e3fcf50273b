"""Training the network of deep Griffin-Lim iterations by denoising."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from vocoder.deep_griffinlim.network import ResidualNetwork, local_level, projections
from vocoder.spectrogram import SpectrogramSettings
from vocoder.turns import OptimiserGroup, VocoderPreview, VocoderTurn

NOISE_DB = (-6.0, 12.0)
"""Signal-to-noise ratios that are drawn, dB."""
SETTINGS = ((2048, 512), (2048, 512), (2048, 256), (1024, 256))
"""Windows and hops in samples that take turns; the first is that of the styles' spectrograms."""
BINS = 257
"""Bins of an example: those at the bottom in every other step, else random ones."""


class DenoisingObjective:
    """Distance of corrected spectra to the true ones, from true ones with noise.

    Batches hold ``sound`` ``[B, T]``. The noise is as loud as the sound around each bin. The
    ``residual`` term is the mean distance relative to the root of the local and the item's level;
    ``share`` is the distance relative to that of the spectrum before the network, only for the log.
    """

    def __init__(
        self,
        network: ResidualNetwork,
        learning_rate: float = 4e-4,
        settings: Sequence[tuple[int, int]] = SETTINGS,
    ) -> None:
        self.network = network
        self.settings = [
            SpectrogramSettings(kind="stft", n_fft=n_fft, hop_length=hop, scale="magnitude")
            for n_fft, hop in settings
        ]
        self.networks: dict[str, nn.Module] = {"residual": network}
        self.groups = {"residual": OptimiserGroup(("residual",), learning_rate, (0.9, 0.999), 0.0)}
        self.weights = {"residual": 1.0, "share": 0.0}

    def turns(
        self, batch: dict[str, Tensor], step: int, generator: torch.Generator | None
    ) -> Iterator[VocoderTurn]:
        """Yield the one update of a step."""
        settings = self.settings[step % len(self.settings)]
        true, spectra, magnitude = self._examples(batch["sound"], settings, generator)
        first = 0
        if magnitude.shape[1] > BINS and step % 8 >= 4:
            device = None if generator is None else generator.device
            places = (magnitude.shape[1] - BINS + 1,)
            first = int(torch.randint(*places, (), generator=generator, device=device))
        bins = slice(first, first + BINS)
        found = self.network(spectra[:, :, bins], magnitude[:, bins])
        true, wrong, magnitude = true[:, bins], (spectra[:, 2] - true)[:, bins], magnitude[:, bins]
        near = local_level(magnitude, spectra[:, 2, bins])
        level = magnitude.square().mean((1, 2), keepdim=True).sqrt()
        scale = (near * level).sqrt() + 1e-4
        error = (wrong - found).abs() / scale
        terms = {
            "residual": error.mean(),
            "share": error.detach().mean() / (wrong.abs() / scale).mean().clamp_min(1e-6),
        }
        yield VocoderTurn("residual", terms, self.weights)

    @torch.no_grad()
    def preview(
        self, batch: dict[str, Tensor], generator: torch.Generator | None
    ) -> VocoderPreview:
        """True, noisy and corrected log magnitudes of the first sound."""
        true, spectra, magnitude = self._examples(batch["sound"][:1], self.settings[0], generator)
        corrected = spectra[:, 2] - self.network(spectra, magnitude)
        images = {"true": true, "noisy": spectra[:, 0], "corrected": corrected}
        return VocoderPreview({name: x[0].abs().add(1e-4).log() for name, x in images.items()})

    @torch.no_grad()
    def _examples(
        self, sound: Tensor, settings: SpectrogramSettings, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """True spectra ``[B, F, L]``, noisy ones with their projections, and magnitudes."""
        with torch.autocast(sound.device.type, enabled=False):
            true = settings.spectrum(sound.float())
            magnitude = true.abs()
            low, high = NOISE_DB
            device = sound.device if generator is None else generator.device
            drawn = torch.rand(len(sound), 1, 1, generator=generator, device=device)
            gain = 10 ** (-(low + (high - low) * drawn) / 20)
            noise = torch.view_as_complex(
                torch.randn(*true.shape, 2, generator=generator, device=device) / 2**0.5
            )
            noisy = true + local_level(magnitude) * (gain * noise).to(sound.device)
            return true, projections(noisy, magnitude, sound.shape[-1], settings), magnitude
