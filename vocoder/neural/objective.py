"""Training a network that finds the magnitudes of bins from those of mel bands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from vocoder import mel
from vocoder.neural.network import MagnitudeNetwork
from vocoder.spectrogram import SpectrogramSettings
from vocoder.turns import OptimiserGroup, VocoderPreview, VocoderTurn

_REFINEMENTS = 2  # of the least squares that the network starts from; it is corrected afterwards


class MagnitudeObjective:
    """Distance of predicted and true log magnitudes, and of their bands.

    Batches hold ``sound`` ``[B, T]``. The error in nats counts where a bin is within 80 dB of its
    item's loudest; ``convergence`` is the error of magnitudes relative to them; ``bands`` is the
    distance of the prediction's log mel bands to the true ones. Of `degraded_share` of the items
    the network sees bands as networks of styles make them: blurred, or partly missing.
    """

    def __init__(
        self,
        expects: SpectrogramSettings,
        network: MagnitudeNetwork,
        learning_rate: float = 1e-3,
        degraded_share: float = 0.2,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        self.expects = expects
        self.network = network
        self.degraded_share = degraded_share
        self.networks: dict[str, nn.Module] = {"magnitude": network}
        self.groups = {"magnitude": OptimiserGroup(("magnitude",), learning_rate, (0.9, 0.99), 0.0)}
        self.weights = dict(weights or {"log": 1.0, "convergence": 1.0, "bands": 0.3})

    def turns(
        self, batch: dict[str, Tensor], step: int, generator: torch.Generator | None
    ) -> Iterator[VocoderTurn]:
        """Yield the one update of a step."""
        levels, true = self._examples(batch["sound"])
        given = degraded(levels, self.degraded_share, generator)
        found = self.network(given, first_levels(self.expects, given)).float()
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
        """True, least-squares and predicted log magnitudes of the first sound."""
        levels, true = self._examples(batch["sound"][:1])
        first = first_levels(self.expects, levels)
        found = self.network(levels, first)
        return VocoderPreview(
            {
                "true": torch.log(true[0] + 1e-4),
                "least squares": first[0],
                "predicted": found[0].float(),
            }
        )

    @torch.no_grad()
    def _examples(self, sound: Tensor) -> tuple[Tensor, Tensor]:
        """Log bands and true magnitudes of sounds."""
        with torch.autocast(sound.device.type, enabled=False):
            true = self.expects.spectrum(sound.float()).abs()
            return self.expects.logarithm(self.expects.bands(true)), true


def first_levels(expects: SpectrogramSettings, levels: Tensor) -> Tensor:
    """Log bands ``[.., F, L]`` to log magnitudes ``[.., n_fft // 2 + 1, L]`` that have them.

    By non-negative least squares; at least a tenth of the spectrogram's floor.
    """
    bands = levels.exp().transpose(-1, -2)
    weights = expects.filterbank(levels.device)
    back = expects.pseudo_inverse(levels.device)
    magnitude = mel.to_magnitude(bands, weights, back, _REFINEMENTS)
    return torch.log(magnitude.clamp_min(0.1 * expects.floor)).transpose(-1, -2)


def degraded(levels: Tensor, share: float, generator: torch.Generator | None) -> Tensor:
    """Log mel bands ``[B, F, L]``; a `share` of the items blurred, or with bands missing.

    Blurred: powers averaged over 3 or 5 bands and as many frames. Missing: a fifth of the bands at
    the item's least level.
    """
    if not share or generator is None:
        return levels
    chosen = torch.rand(len(levels), generator=generator) < share
    if not bool(chosen.any()):
        return levels
    result = levels.clone()
    for item in chosen.nonzero().flatten().tolist():
        way = int(torch.randint(3, (), generator=generator))
        if way == 2:
            width = max(1, levels.shape[1] // 5)
            first = int(torch.randint(levels.shape[1] - width + 1, (), generator=generator))
            result[item, first : first + width] = levels[item].min()
        else:
            size = (3, 5)[way]
            power = torch.exp(2 * levels[item])[None, None]
            blurred = functional.avg_pool2d(power, size, 1, size // 2, count_include_pad=False)
            result[item] = 0.5 * blurred[0, 0].log()
    return result
