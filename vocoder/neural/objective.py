"""Training a network that finds the magnitudes of bins from those of mel bands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from vocoder.neural.network import MagnitudeNetwork
from vocoder.spectrogram import SpectrogramSettings, to_bins


@dataclass(frozen=True)
class OptimiserGroup:
    """Networks that one optimiser updates, and its settings."""

    networks: tuple[str, ...]
    learning_rate: float
    betas: tuple[float, float]
    weight_decay: float
    rates: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class VocoderTurn:
    """One update of one optimiser group: named losses and their weights."""

    group: str
    terms: dict[str, Tensor]
    weights: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class VocoderPreview:
    """For the training log: images ``[F, L]``, audio ``([C, T], rate in Hz)`` and embeddings
    ``[B, D]``.
    """

    images: dict[str, Tensor]
    audio: dict[str, tuple[Tensor, int]] = field(default_factory=dict)
    embeddings: dict[str, Tensor] = field(default_factory=dict)


class MagnitudeObjective:
    """Distance of predicted and true log magnitudes, and of their bands.

    Batches hold ``sound`` ``[B, T]``. The error in nats counts where a bin is within 80 dB of its
    item's loudest; ``convergence`` is the error of magnitudes relative to them; ``bands`` is the
    distance of the prediction's log mel bands to the given ones.
    """

    def __init__(
        self,
        expects: SpectrogramSettings,
        network: MagnitudeNetwork,
        learning_rate: float = 1e-3,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        self.expects = expects
        self.network = network
        self.networks: dict[str, nn.Module] = {"magnitude": network}
        self.groups = {"magnitude": OptimiserGroup(("magnitude",), learning_rate, (0.9, 0.99), 0.0)}
        self.weights = dict(weights or {"log": 1.0, "convergence": 0.5, "bands": 0.3})

    def turns(
        self, batch: dict[str, Tensor], step: int, generator: torch.Generator | None
    ) -> Iterator[VocoderTurn]:
        """Yield the one update of a step."""
        levels, between, true = self._examples(batch["sound"])
        found = self.network(levels, between).float()
        loudest = true.amax((1, 2), keepdim=True)
        floor = torch.log(loudest * 1e-4 + 1e-9)
        target = torch.maximum(torch.log(true + 1e-9), floor)
        magnitude = torch.exp(found.clamp(max=12.0))
        error = (magnitude - true).square().sum((1, 2)) / (true.square().sum((1, 2)) + 1e-6)
        bands = self.expects.bands(magnitude).clamp_min(self.expects.floor).log()
        terms = {
            "log": (torch.maximum(found, floor) - target).abs().mean(),
            "convergence": (error + 1e-6).sqrt().mean(),
            "bands": (bands - levels).abs().mean(),
        }
        yield VocoderTurn("magnitude", terms, self.weights)

    @torch.no_grad()
    def preview(
        self, batch: dict[str, Tensor], generator: torch.Generator | None
    ) -> VocoderPreview:
        """True, interpolated and predicted log magnitudes of the first sound."""
        levels, between, true = self._examples(batch["sound"][:1])
        found = self.network(levels, between)
        return VocoderPreview(
            {
                "true": torch.log(true[0] + 1e-4),
                "between bands": between[0],
                "predicted": found[0].float(),
            }
        )

    @torch.no_grad()
    def _examples(self, sound: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log bands, log magnitudes between them, and true magnitudes of sounds."""
        with torch.autocast(sound.device.type, enabled=False):
            true = self.expects.spectrum(sound.float()).abs()
            levels = self.expects.logarithm(self.expects.bands(true))
            return levels, between_bands(self.expects, levels), true


def between_bands(expects: SpectrogramSettings, levels: Tensor) -> Tensor:
    """Log mel bands ``[.., F, L]`` interpolated to the STFT's bins ``[.., n_fft // 2 + 1, L]``."""
    return to_bins(expects, levels.transpose(-1, -2)).transpose(-1, -2)
