"""Training the embedded separator: masks of the mix's spectrum against the true stems.

A real mask m on a band of mix X has, for stem S, the error energy
sum |m X - S|^2 = m^2 sum |X|^2 - 2 m sum Re(S X*) + sum |S|^2, three sums that need no gradient.
The loss is its root: the distance of complex spectra, phase included, computed on bands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

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


class BandEnergies(NamedTuple):
    """Band energies of mixes and stems, all that the loss needs of them.

    ``mix`` ``[B, 1, 2, F, L]`` is that of the mix, ``common`` ``[B, 4, 2, F, L]`` the product of
    mix and stems, ``own`` ``[B, 4, 2, F, L]`` that of the stems.
    """

    mix: Tensor
    common: Tensor
    own: Tensor


@torch.no_grad()
def band_energies(stems: Tensor, bands: Bands) -> BandEnergies:
    """The energies of stems ``[B, 4, 2, T]`` in the bands of mid and side."""
    spectra = analyse(stems)
    mix = spectra.sum(1, keepdim=True)
    energy = bands.energy
    return BandEnergies(
        energy(mix.abs().square()),
        energy((mix.conj() * spectra).real),
        energy(spectra.abs().square()),
    )


class SeparatorObjective:
    """Mean distance of masked and true complex spectra, over bands of mid and side.

    Batches hold ``stems`` ``[B, 4, 2, T]`` in the order drums, bass, other, vocals, whose sum is
    the mix, or the three tensors of `BandEnergies`. Each stem's error is one term, weighed by
    ``stem_weights``. Of the mixes that ``grouped`` ``[B]`` marks only the voice and the rest, all
    in ``other``, are known: all three terms of the rest are the error of its sum.
    ``energy_weight`` is that of the root of an error's energy over a whole stem, which its loud
    parts rule, in addition to the mean distance. ``missing_weight`` is that of errors of the voice
    where its mask is too low: without it a voice that is uncertain is lost.
    """

    def __init__(
        self,
        network: str = "unet",
        learning_rate: float = 1e-3,
        stem_weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0),
        energy_weight: float = 0.0,
        missing_weight: float = 1.0,
    ) -> None:
        self.bands = Bands()
        self.separator: nn.Module = build(network, self.bands.count)
        self.networks: dict[str, nn.Module] = {"separator": self.separator}
        self.groups = {"separator": OptimiserGroup(("separator",), learning_rate, (0.9, 0.99), 0.0)}
        self.stem_weights = stem_weights
        self.energy_weight = energy_weight
        self.missing_weight = missing_weight

    def _energies(self, batch: Mapping[str, Tensor]) -> BandEnergies:
        """The energies of a batch, which may hold them already."""
        if "mix" in batch:
            return BandEnergies(batch["mix"], batch["common"], batch["own"])
        stems = batch["stems"].float()
        return band_energies(stems, self.bands.to(stems.device))

    def turns(
        self, batch: dict[str, Tensor], step: int, generator: torch.Generator | None
    ) -> Iterator[SeparatorTurn]:
        """Yield the one update of a step."""
        device = next(iter(batch.values())).device
        with torch.autocast(device.type, enabled=False):
            mix, common, stem = self._energies(batch)
            levels = (mix[:, 0] / self.bands.to(mix.device).widths).clamp_min(1e-12).sqrt()
        masks = self.separator(levels).float()
        left = masks * (masks * mix - 2 * common) + stem
        if "grouped" in batch:
            rest = masks[:, :3].sum(1, keepdim=True)
            whole = rest * (rest * mix - 2 * common[:, :3].sum(1, keepdim=True)) + stem[:, 2:3]
            grouped = batch["grouped"].view(-1, 1, 1, 1, 1)
            left = torch.cat([torch.where(grouped, whole, left[:, :3]), left[:, 3:]], 1)
        if self.missing_weight != 1.0:
            missing = masks[:, 3:] * mix < common[:, 3:]
            voice = left[:, 3:] * torch.where(missing, self.missing_weight**2, 1.0)
            left = torch.cat([left[:, :3], voice], 1)
        error = left.clamp_min(1e-6).sqrt().mean((0, 2, 3, 4))
        if self.energy_weight:
            energy = left.mean((2, 3, 4)).clamp_min(1e-6).sqrt().mean(0)
            error = error + self.energy_weight * energy
        terms = {name: error[i] for i, name in enumerate(STEMS)}
        yield SeparatorTurn("separator", terms, dict(zip(STEMS, self.stem_weights, strict=True)))

    @torch.no_grad()
    def preview(
        self, batch: dict[str, Tensor], generator: torch.Generator | None
    ) -> SeparatorPreview:
        """Masked band levels beside the true ones, of the first song of a batch."""
        mix, _, true = self._energies({name: part[:1] for name, part in batch.items()})
        levels = (mix[:, 0] / self.bands.widths).clamp_min(1e-12).sqrt()
        masks = self.separator(levels)
        images = {"mix": torch.log(levels[0, 0] + 1e-3)}
        true = (true[0, :, 0] / self.bands.widths).sqrt()
        for i, stem in enumerate(STEMS):
            images[f"{stem}/true"] = torch.log(true[i] + 1e-3)
            images[f"{stem}/separated"] = torch.log(masks[0, i, 0] * levels[0, 0] + 1e-3)
        return SeparatorPreview(images)
