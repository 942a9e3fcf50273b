"""The MelGAN-VC objective: unpaired translation of spectrograms that keeps how tiles differ.

Source: Pasini, "MelGAN-VC: Voice Conversion and Audio Style Transfer on arbitrarily long samples
using Spectrograms", 2019. Different here, each for a reason: norms are smoothed, since identical
tiles (silence) give a raw square root no gradient that is a number; silent tiles take no part where
nothing can be learned from them; nothing is normalised over the batch, unless asked for; several
discriminators may judge together; spectrograms are taken as they come, with the fixed floor of
their settings, since a floor that follows each file's peak is a clue that a discriminator reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import ClassVar, Self

import torch
from torch import Generator, Tensor, nn

from audiotransfer.errors import AudioTransferError
from audiotransfer.spectral.networks.generators import SLOPE, Norm, normalisation
from audiotransfer.spectral.objectives.registry import Materials
from audiotransfer.training import Group, Preview, Turn
from audiotransfer.training.adversarial import smooth_norm

TILES = 3  # neighbours in a window


@dataclass(frozen=True)
class SiameseSettings:
    """The siamese network's channels, the size of its points, and what it normalises over."""

    width: int = 128
    size: int = 128
    norm: Norm = "group"


@dataclass(frozen=True)
class MelGanVcSettings:
    """Weights of the terms, when a tile is silent, and the siamese network."""

    adversarial: float = 1.0
    travel: float = 10.0
    margin: float = 10.0
    identity: float = 0.5
    distance: float = 2.0  # that the margin keeps between the points of two source tiles
    generator_every: int = 3  # steps; the discriminators move at each
    silence: float = -6.0  # natural log of magnitude: a tile with no louder cell is silent
    generator_rate: float = 2e-4
    discriminator_rate: float = 2e-4
    siamese: SiameseSettings = field(default_factory=SiameseSettings)


class MelGanVc:
    """Teaches a generator to make source tiles sound like the target's, without pairs.

    A batch holds "source" and "target", spectrograms [B, F, 3 L] of three neighbouring tiles each
    in the generator's unit. Each tile is converted by itself; the discriminators judge the three
    together, which is what discourages seams.

    Its turns are "discriminator" (every step) and "generator" (the generator and the siamese
    network). Another objective may share the generator: `discriminator_terms` and `generator_terms`
    give the terms for turns of its own, `networks` and `groups` merge as dicts.

    Args:
        generator: [B, F, L] -> [B, F, L], any module that turns spectrograms into spectrograms.
        discriminators: by name, [B, 1, F, 3 L] -> verdicts of any shape [B, ..], unbounded.
        siamese: [B, 1, F, L] -> [B, D].
        condition: the batch's entry [B] that the generator takes as well (which stem it is, say);
            it then holds for source and target both. Without one their B may differ.
        view: from the generator's unit to what the discriminators and the siamese network see
        (about zero
            mean and unit variance); nothing by default.
        difference: of spectrograms [B, F, 3 L] that were made and true ones, for the identity term;
        by
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
        self.view = view or _as_it_is
        self.difference = difference or self._of_views
        judges = {
            f"discriminator_{name}": discriminator
            for name, discriminator in self.discriminators.items()
        }
        self.networks: dict[str, nn.Module] = {
            "generator": generator,
            "siamese": siamese,
            **judges,
        }
        rates = self.settings
        self.groups: dict[str, Group] = {
            "discriminator": Group(tuple(judges), rates.discriminator_rate, (0.5, 0.99)),
            "generator": Group(("generator", "siamese"), rates.generator_rate, (0.5, 0.99)),
        }

    @classmethod
    def on_spectrograms(cls, materials: Materials, settings: MelGanVcSettings) -> Self:
        """Build the networks anew for windows of three tiles.

        Raises AudioTransferError where their frames are no multiple of 3.
        """
        if materials.frames % TILES:
            raise AudioTransferError(
                f"windows of {materials.frames} frames hold no {TILES} equal tiles; take a "
                f"multiple of {TILES}"
            )
        tile = materials.frames // TILES
        return cls(
            materials.new_generator(),
            materials.new_discriminators(),
            Siamese(materials.bins, tile, **asdict(settings.siamese)),
            settings,
            view=materials.view,
        )

    def turns(self, batch: dict[str, Tensor], step: int, generator: Generator) -> Iterator[Turn]:
        """Yield the discriminators' turn, and at every `generator_every`-th step the
        generator's.
        """
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
        """Return each discriminator's hinge, "hinge_NAME"; windows that are all silent take no
        part.
        """
        source, target = _windows(batch, "source"), _windows(batch, "target")
        with torch.no_grad():
            converted = self._seen(self.convert(source, batch))
        heard, wanted = self._sounding(source).any(1), self._sounding(target).any(1)
        real = self._seen(target)
        return {
            f"hinge_{name}": discriminator_hinge(
                discriminator(real), discriminator(converted), wanted, heard
            )
            for name, discriminator in self.discriminators.items()
        }

    def generator_terms(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return "adversarial_NAME" for each discriminator, "travel", "margin" and "identity"."""
        source, target = _windows(batch, "source"), _windows(batch, "target")
        converted = self._seen(self.convert(source, batch))
        sounding = self._sounding(source)
        terms = {
            f"adversarial_{name}": -_mean(discriminator(converted), sounding.any(1))
            for name, discriminator in self.discriminators.items()
        }
        travelled = self._travel(self._seen(source)), self._travel(converted)
        comparable = sounding[:, 0] & sounding[:, -1]
        terms["travel"] = travel(*travelled, comparable)
        terms["margin"] = margin(travelled[0], self.settings.distance, comparable)
        terms["identity"] = self.difference(self.convert(target, batch), target).abs().mean()
        return terms

    def convert(self, window: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Convert each of a window's tiles by itself: [B, F, 3 L] -> the same."""
        tiles = torch.cat(window.chunk(TILES, dim=-1))
        if self.condition is None:
            converted = self.generator(tiles)
        else:
            converted = self.generator(tiles, torch.cat([batch[self.condition]] * TILES))
        return torch.cat(converted.chunk(TILES), dim=-1)

    def preview(self, batch: dict[str, Tensor], generator: Generator) -> Preview:
        """Show the batch's first source window, what becomes of it, and a target window.

        The embeddings are the siamese network's points for the first tile of every source.
        """
        first = {name: value[:1] for name, value in batch.items()}
        source = _windows(first, "source")
        converted, target = self.convert(source, first), _windows(first, "target")
        tiles = self._seen(_windows(batch, "source")).chunk(TILES, dim=-1)[0]
        return Preview(
            {"source": source[0], "converted": converted[0], "target": target[0]},
            embeddings={"siamese": self.siamese(tiles)},
        )

    def _seen(self, window: Tensor) -> Tensor:
        """Return what the judging networks look at, in float32: [B, F, 3 L] -> [B, 1, F, 3 L]."""
        return self.view(window.float()).unsqueeze(1)

    def _of_views(self, made: Tensor, true: Tensor) -> Tensor:
        return self._seen(made) - self._seen(true)

    def _travel(self, window: Tensor) -> Tensor:
        """Return from the third tile's point to the first's: [B, 1, F, 3 L] -> [B, D]."""
        tiles = window.chunk(TILES, dim=-1)
        first, third = self.siamese(torch.cat((tiles[0], tiles[-1]))).float().chunk(2)
        return first - third

    def _sounding(self, window: Tensor) -> Tensor:
        """Say of each tile whether it sounds: [B, F, 3 L] -> [B, 3]."""
        loudest = torch.stack([t.amax((1, 2)) for t in window.chunk(TILES, dim=-1)], dim=1)
        return loudest > self.settings.silence


def discriminator_hinge(
    real: Tensor, made: Tensor, use_real: Tensor | None = None, use_made: Tensor | None = None
) -> Tensor:
    """Return half the sum of both hinges: verdicts above 1 on real, below -1 on made ones.

    Args:
        real, made: verdicts [B, ..]; the two B may differ.
        use_real, use_made: [B], which examples count; all by default.
    """
    good, bad = torch.relu(1 - real.float()), torch.relu(1 + made.float())
    return 0.5 * (_mean(good, use_real) + _mean(bad, use_made))


def travel(source: Tensor, converted: Tensor, use: Tensor | None = None) -> Tensor:
    """Return TraVeL: how far, and in what other direction, the tiles' difference [B, D] moved.

    The mean square of what changed minus the cosine between both; `use` [B] says which count.
    """
    square = (source - converted).square().mean(1)
    cosine = (source * converted).sum(1) / (smooth_norm(source) * smooth_norm(converted))
    return _mean(square - cosine, use)


def margin(difference: Tensor, distance: float = 2.0, use: Tensor | None = None) -> Tensor:
    """Return how much the points of two source tiles, `difference` [B, D], are too near, squared.

    Without it the siamese network would put all tiles on one point and TraVeL would be content.
    """
    return _mean(torch.relu(distance - smooth_norm(difference)).square(), use)


def _mean(values: Tensor, use: Tensor | None) -> Tensor:
    """Return the mean over the examples that count, 0 where none does, with a gradient anyway."""
    each = values.float().flatten(1).mean(1) if values.ndim > 1 else values.float()
    if use is None:
        return each.mean()
    return (each * use).sum() / use.sum().clamp(min=1)


def _windows(batch: dict[str, Tensor], name: str) -> Tensor:
    spectrograms = batch[name]
    if spectrograms.shape[-1] % TILES:
        raise ValueError(
            f"{name} has {spectrograms.shape[-1]} frames; three tiles need a multiple of {TILES}"
        )
    return spectrograms


def _as_it_is(window: Tensor) -> Tensor:
    return window


def tile_frames(seconds: float, sample_rate: int, hop_length: int, multiple: int = 16) -> int:
    """Return the frames of a tile that lasts at least `seconds`, a multiple of `multiple`.

    A tile's length is a matter of time (0.3 s is too short to tell an instrument, 0.8 s is not),
    so the same frames at another sample rate would be another recipe.
    """
    return multiple * max(1, -int(-seconds * sample_rate // (hop_length * multiple)))


class Siamese(nn.Module):
    """Maps a tile to a point: [B, 1, F, L] -> [B, D].

    Normalised in groups of channels, each tile by itself: batch statistics, which the paper has,
    mix source, target and converted tiles. No bias at the end: it would cancel in every difference.

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
        point: Tensor = self.layers(tile)
        return point
