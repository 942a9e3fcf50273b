"""Training the embedded separator: masks of the mix's spectrum against the true stems.

A real mask m on a band of mix X has, for stem S, the error energy
sum |m X - S|^2 = m^2 sum |X|^2 - 2 m sum Re(S X*) + sum |S|^2, three sums that need no gradient.
The loss is its root: the distance of complex spectra, phase included, computed on bands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from separation.embedded.masking import Bands
from separation.embedded.network import STEMS, build
from separation.embedded.separator import analyse


@dataclass(frozen=True)
class OptimiserGroup:
    """Networks that one optimiser updates, and its settings."""

    networks: tuple[str, ...]
    learning_rate: float
    betas: tuple[float, float]
    weight_decay: float
    rates: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SeparatorTurn:
    """One update of one optimiser group: named losses and their weights."""

    group: str
    terms: dict[str, Tensor]
    weights: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SeparatorPreview:
    """For the training log: images ``[F, L]``, audio ``([C, T], rate in Hz)`` and embeddings
    ``[B, D]``.
    """

    images: dict[str, Tensor]
    audio: dict[str, tuple[Tensor, int]] = field(default_factory=dict)
    embeddings: dict[str, Tensor] = field(default_factory=dict)


class SeparatorObjective:
    """Mean distance of masked and true complex spectra, over bands of mid and side.

    Batches hold ``stems`` ``[B, 4, 2, T]`` in the order drums, bass, other, vocals; the mix is
    their sum. Each stem's error is one term, weighed by ``stem_weights``.
    """

    def __init__(
        self,
        network: str = "unet",
        learning_rate: float = 1e-3,
        stem_weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0),
    ) -> None:
        self.bands = Bands()
        self.separator: nn.Module = build(network, self.bands.count)
        self.networks: dict[str, nn.Module] = {"separator": self.separator}
        self.groups = {"separator": OptimiserGroup(("separator",), learning_rate, (0.9, 0.99), 0.0)}
        self.stem_weights = stem_weights

    @torch.no_grad()
    def _energies(self, stems: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Band energies of the mix ``[B, 1, 2, F, L]``, and two ``[B, 4, 2, F, L]``.

        These are the products of mix and stems, and the stems.
        """
        self.bands.to(stems.device)
        spectra = analyse(stems)
        mix = spectra.sum(1, keepdim=True)
        energy = self.bands.energy
        return (
            energy(mix.abs().square()),
            energy((mix.conj() * spectra).real),
            energy(spectra.abs().square()),
        )

    def turns(
        self, batch: dict[str, Tensor], step: int, generator: torch.Generator | None
    ) -> Iterator[SeparatorTurn]:
        """Yield the one update of a step."""
        with torch.autocast(batch["stems"].device.type, enabled=False):
            mix, common, stem = self._energies(batch["stems"].float())
            levels = (mix[:, 0] / self.bands.widths).clamp_min(1e-12).sqrt()
        masks = self.separator(levels).float()
        left = masks * (masks * mix - 2 * common) + stem
        error = left.clamp_min(1e-6).sqrt().mean((0, 2, 3, 4))
        terms = {name: error[i] for i, name in enumerate(STEMS)}
        yield SeparatorTurn("separator", terms, dict(zip(STEMS, self.stem_weights, strict=True)))

    @torch.no_grad()
    def preview(
        self, batch: dict[str, Tensor], generator: torch.Generator | None
    ) -> SeparatorPreview:
        """Masked band levels beside the true ones, of the first song of a batch."""
        stems = batch["stems"][:1].float()
        mix, _, true = self._energies(stems)
        levels = (mix[:, 0] / self.bands.widths).clamp_min(1e-12).sqrt()
        masks = self.separator(levels)
        images = {"mix": torch.log(levels[0, 0] + 1e-3)}
        true = (true[0, :, 0] / self.bands.widths).sqrt()
        for i, stem in enumerate(STEMS):
            images[f"{stem}/true"] = torch.log(true[i] + 1e-3)
            images[f"{stem}/separated"] = torch.log(masks[0, i, 0] * levels[0, 0] + 1e-3)
        return SeparatorPreview(images)
