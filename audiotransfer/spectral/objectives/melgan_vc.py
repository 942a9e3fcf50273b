"""The MelGAN-VC objective: unpaired translation that preserves vector differences of tiles.

Source: Pasini, "MelGAN-VC: Voice Conversion and Audio Style Transfer on arbitrarily long samples
using Spectrograms", 2019. Differences from the paper: norms are smoothed, since the square root
has no finite gradient where tiles are identical (silence); silent tiles are left out where nothing
can be learned from them; batch normalisation only on request; there may be several discriminators;
spectrograms have the fixed floor of their settings, since a floor relative to each file's peak is a
clue to discriminators.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import ClassVar, Self

import torch
from torch import Generator, Tensor, nn

from audiotransfer.errors import AudioTransferError
from audiotransfer.spectral.networks.layers import SLOPE, Norm, normalisation
from audiotransfer.spectral.objectives.registry import NetworkFactory
from audiotransfer.training import Group, Preview, Turn
from audiotransfer.training.adversarial import discriminator_hinge, masked_mean, smooth_norm

TILES = 3  # neighbouring tiles in a window


@dataclass(frozen=True)
class SiameseSettings:
    """The siamese network's channels, the size of its embeddings, and its normalisation."""

    width: int = 128
    size: int = 128
    norm: Norm = "group"


@dataclass(frozen=True)
class MelGanVcSettings:
    """Weights of the terms, both sides' optimisers, and the siamese network."""

    adversarial: float = 1.0
    travel: float = 10.0
    margin: float = 10.0
    identity: float = 0.5
    distance: float = 2.0  # least distance of two source tiles' embeddings (the margin)
    generator_every: int = 3  # steps; the discriminators learn at each
    silence: float = -6.0  # natural log of magnitude: a tile with no louder cell is silent
    generator_rate: float = 2e-4
    discriminator_rate: float = 2e-4
    siamese: SiameseSettings = field(default_factory=SiameseSettings)


class MelGanVc:
    """A generator, discriminators and a siamese network, trained without pairs.

    A batch holds "source" and "target", spectrograms [B, F, 3 L] of three neighbouring tiles each
    in the generator's unit. Each tile is converted by itself; the discriminators see the three
    together, which discourages seams.

    Its turns are "discriminator" (every step) and "generator" (the generator and the siamese
    network). Other objectives can build on it: `discriminator_terms` and `generator_terms` give the
    terms for turns of their own, `networks` and `groups` merge as dicts.

    Args:
        generator: [B, F, L] -> [B, F, L].
        discriminators: by name, [B, 1, F, 3 L] -> outputs of any shape [B, ..], unbounded.
        siamese: [B, 1, F, L] -> [B, D].
        settings: see `MelGanVcSettings`.
        condition: the batch's entry [B] that the generator takes as well (the stem's index, say);
            it then holds for source and target both. Without one their B may differ.
        view: from the generator's unit to the input of the discriminators and the siamese network
            (about zero mean and unit variance); the identity by default.
        difference: of generated and true spectrograms [B, F, 3 L], for the identity term; by
            default that of their views.
    """

    Settings: ClassVar[type[MelGanVcSettings]] = MelGanVcSettings

    def __init__(
        self,
        generator: nn.Module,
        discriminators: Mapping[str, nn.Module],
        siamese: nn.Module,
        settings: MelGanVcSettings | None = None,
        *,
        condition: str | None = None,
        view: Callable[[Tensor], Tensor] | None = None,
        difference: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        self.generator = generator
        self.discriminators = dict(discriminators)
        self.siamese = siamese
        self.settings = settings or MelGanVcSettings()
        self.condition = condition
        self.view = view or _identity
        self.difference = difference or self._view_difference
        parts = {
            f"discriminator_{name}": discriminator
            for name, discriminator in self.discriminators.items()
        }
        self.networks: dict[str, nn.Module] = {
            "generator": generator,
            "siamese": siamese,
            **parts,
        }
        chosen = self.settings
        self.groups: dict[str, Group] = {
            "discriminator": Group(tuple(parts), chosen.discriminator_rate, (0.5, 0.99)),
            "generator": Group(("generator", "siamese"), chosen.generator_rate, (0.5, 0.99)),
        }

    @classmethod
    def on_spectrograms(cls, factory: NetworkFactory, settings: MelGanVcSettings) -> Self:
        """Builds new networks for windows of three tiles.

        Raises AudioTransferError where their frames are no multiple of 3.
        """
        if factory.frames % TILES:
            raise AudioTransferError(
                f"windows of {factory.frames} frames hold no {TILES} equal tiles; take a "
                f"multiple of {TILES}"
            )
        tile = factory.frames // TILES
        return cls(
            factory.new_generator(),
            factory.new_discriminators(),
            Siamese(factory.bins, tile, **asdict(settings.siamese)),
            settings,
            view=factory.view,
        )

    def turns(self, batch: dict[str, Tensor], step: int, generator: Generator) -> Iterator[Turn]:
        """Yields the discriminators' turn, and every `generator_every` steps the generator's."""
        yield Turn("discriminator", self.discriminator_terms(batch))
        if step % self.settings.generator_every == 0:
            yield Turn("generator", self.generator_terms(batch), self.generator_weights)

    @property
    def generator_weights(self) -> dict[str, float]:
        """The weight of each of `generator_terms`; the discriminators share theirs."""
        chosen = self.settings
        share = chosen.adversarial / max(1, len(self.discriminators))
        return {f"adversarial_{name}": share for name in self.discriminators} | {
            "travel": chosen.travel,
            "margin": chosen.margin,
            "identity": chosen.identity,
        }

    def discriminator_terms(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Returns each discriminator's hinge, "hinge_NAME", without windows that are all silent."""
        source, target = _windows(batch, "source"), _windows(batch, "target")
        with torch.no_grad():
            converted = self._view(self.convert(source, batch))
        use_made, use_real = self._is_loud(source).any(1), self._is_loud(target).any(1)
        real = self._view(target)
        return {
            f"hinge_{name}": discriminator_hinge(
                discriminator(real), discriminator(converted), use_real, use_made
            )
            for name, discriminator in self.discriminators.items()
        }

    def generator_terms(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Returns "adversarial_NAME" for each discriminator, "travel", "margin" and "identity"."""
        source, target = _windows(batch, "source"), _windows(batch, "target")
        converted = self._view(self.convert(source, batch))
        loud = self._is_loud(source)
        terms = {
            f"adversarial_{name}": -masked_mean(discriminator(converted), loud.any(1))
            for name, discriminator in self.discriminators.items()
        }
        travels = self._travel(self._view(source)), self._travel(converted)
        comparable = loud[:, 0] & loud[:, -1]
        terms["travel"] = travel(*travels, comparable)
        terms["margin"] = margin(travels[0], self.settings.distance, comparable)
        terms["identity"] = self.difference(self.convert(target, batch), target).abs().mean()
        return terms

    def convert(self, window: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Converts each of a window's tiles by itself: [B, F, 3 L] to the same shape."""
        tiles = torch.cat(window.chunk(TILES, dim=-1))
        if self.condition is None:
            converted = self.generator(tiles)
        else:
            converted = self.generator(tiles, torch.cat([batch[self.condition]] * TILES))
        return torch.cat(converted.chunk(TILES), dim=-1)

    def preview(self, batch: dict[str, Tensor], generator: Generator) -> Preview:
        """The batch's first source window, its conversion, and a target window.

        The embeddings are the siamese network's, of the first tile of every source.
        """
        first = {name: value[:1] for name, value in batch.items()}
        source = _windows(first, "source")
        converted, target = self.convert(source, first), _windows(first, "target")
        tiles = self._view(_windows(batch, "source")).chunk(TILES, dim=-1)[0]
        return Preview(
            {"source": source[0], "converted": converted[0], "target": target[0]},
            embeddings={"siamese": self.siamese(tiles)},
        )

    def _view(self, window: Tensor) -> Tensor:
        """The discriminators' and the siamese network's input, float32: [B, 1, F, 3 L]."""
        return self.view(window.float()).unsqueeze(1)

    def _view_difference(self, made: Tensor, true: Tensor) -> Tensor:
        """The difference of the views of both."""
        return self._view(made) - self._view(true)

    def _travel(self, window: Tensor) -> Tensor:
        """First tile's embedding minus the third's: [B, 1, F, 3 L] to [B, D]."""
        tiles = window.chunk(TILES, dim=-1)
        embeddings: Tensor = self.siamese(torch.cat((tiles[0], tiles[-1])))
        first, third = embeddings.float().chunk(2)
        return first - third

    def _is_loud(self, window: Tensor) -> Tensor:
        """Whether each tile has a cell above the silence level: [B, F, 3 L] to [B, 3]."""
        loudest = torch.stack([t.amax((1, 2)) for t in window.chunk(TILES, dim=-1)], dim=1)
        return loudest > self.settings.silence


def travel(source: Tensor, converted: Tensor, use: Tensor | None = None) -> Tensor:
    """Returns the TraVeL loss of embedding differences [B, D] before and after conversion.

    Mean squared change of the difference, minus the cosine between both; `use` [B] says which
    examples count.
    """
    square = (source - converted).square().mean(1)
    cosine = (source * converted).sum(1) / (smooth_norm(source) * smooth_norm(converted))
    return masked_mean(square - cosine, use)


def margin(difference: Tensor, distance: float = 2.0, use: Tensor | None = None) -> Tensor:
    """Returns the squared hinge on the length of embedding differences [B, D].

    Without it the siamese network could minimise TraVeL by mapping all tiles to one point.
    """
    return masked_mean(torch.relu(distance - smooth_norm(difference)).square(), use)


def _windows(batch: dict[str, Tensor], name: str) -> Tensor:
    """The batch's spectrograms of that name. Raises ValueError unless three tiles fit."""
    spectrograms = batch[name]
    if spectrograms.shape[-1] % TILES:
        raise ValueError(
            f"{name} has {spectrograms.shape[-1]} frames; three tiles need a multiple of {TILES}"
        )
    return spectrograms


def _identity(window: Tensor) -> Tensor:
    return window


def tile_frames(seconds: float, sample_rate: int, hop_length: int, multiple: int = 16) -> int:
    """Returns the frames of a tile of at least `seconds`, rounded up to a multiple of `multiple`.

    A tile needs a certain time (0.3 s is too short to recognise an instrument, 0.8 s is not), so
    its frames depend on sample rate and hop.
    """
    return multiple * max(1, -int(-seconds * sample_rate // (hop_length * multiple)))


class Siamese(nn.Module):
    """Embeds a tile: [B, 1, F, L] -> [B, D].

    Group normalisation, within each tile: batch statistics, which the paper has, mix source, target
    and converted tiles. No last bias: it would cancel in every difference.

    Args:
        bins: F of the tiles.
        frames: L of the tiles, from 3 on.
        width: channels.
        size: D.
        norm: "group", or "batch" as published.

    Source: the siamese network of MelGAN-VC (Pasini 2019).
    """

    def __init__(
        self, bins: int, frames: int, width: int = 128, size: int = 128, norm: Norm = "group"
    ) -> None:
        super().__init__()
        left = frames - 2
        for _ in range(2):
            left = (left + 1) // 2
        self.layers = nn.Sequential(
            nn.Conv2d(1, width, (bins, 3), bias=False),
            normalisation(norm, width),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(width, width, (1, 9), (1, 2), (0, 4), bias=False),
            normalisation(norm, width),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(width, width, (1, 7), (1, 2), (0, 3), bias=False),
            normalisation(norm, width),
            nn.LeakyReLU(SLOPE),
            nn.Flatten(),
            nn.Linear(width * left, size, bias=False),
        )
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_uniform_(layer.weight, SLOPE)

    def forward(self, tile: Tensor) -> Tensor:
        """Tiles ``[B, 1, F, L]`` to embeddings ``[B, D]``."""
        embedding: Tensor = self.layers(tile)
        return embedding
