"""CUT: one generator, one way; each place of the output must know its place in the input.

Source: Park, Efros, Zhang and Zhu, "Contrastive learning for unpaired image-to-image translation",
2020.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self, cast

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from audiotransfer.errors import AudioTransferError
from audiotransfer.spectral.networks import PaddedUNet, ProjectionHeads, ResNetGenerator
from audiotransfer.spectral.objectives.losses import RULES, Game, sounding, taught
from audiotransfer.spectral.objectives.registry import Materials
from audiotransfer.training import Group, Preview, Turn
from vocoder.spectrogram import to_unit

Encoding = PaddedUNet | ResNetGenerator


@dataclass(frozen=True)
class CutSettings:
    """The game, the weights of the terms, and how patches are compared.

    Both contrastive weights together are 1 in the paper; its fast variant takes nce 10 and no
    identity.
    """

    game: Game = "lsgan"
    adversarial: float = 1.0
    nce: float = 0.5
    identity: float = 0.5
    temperature: float = 0.07
    patches: int = 256  # of each spectrogram and layer
    size: int = 256  # of the space in which they are compared
    generator_rate: float = 2e-4
    discriminator_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)


class Cut:
    """A generator with discriminators, and heads that measure what it kept of each place.

    A batch holds "source" and "target", spectrograms [B, F, L] of log level. Its turns, at every
    step, are "discriminator" and "generator" (with the projection heads).

    Args:
        generator: [B, F, L] -> [B, F, L], with `encode` [B, 1, F, L] -> features, and
            `feature_channels`.
        discriminators: by name, [B, 1, F, L] -> verdicts [B, ..].
        view: from log levels to what the discriminators see.
    """

    Settings: ClassVar[type[CutSettings]] = CutSettings

    def __init__(
        self,
        generator: Encoding,
        discriminators: Mapping[str, nn.Module],
        settings: CutSettings,
        view: Callable[[Tensor], Tensor],
    ) -> None:
        if RULES[settings.game].penalised:
            raise AudioTransferError(f"cut knows no game {settings.game!r}; take lsgan or hinge")
        self.generator = generator
        self.discriminators = dict(discriminators)
        self.heads = ProjectionHeads(generator.feature_channels, settings.size)
        self.settings = settings
        self.rules = RULES[settings.game]
        self.view = view
        judges = {
            f"discriminator_{name}": discriminator
            for name, discriminator in self.discriminators.items()
        }
        self.networks: dict[str, nn.Module] = {
            "generator": generator,
            "heads": self.heads,
            **judges,
        }
        self.groups: dict[str, Group] = {
            "discriminator": Group(tuple(judges), settings.discriminator_rate, settings.betas),
            "generator": Group(("generator", "heads"), settings.generator_rate, settings.betas),
        }

    @classmethod
    def on_spectrograms(cls, materials: Materials, settings: CutSettings) -> Self:
        """Build the networks anew. Raises AudioTransferError for a generator without features."""
        generator = materials.new_generator()
        if not hasattr(generator, "encode"):
            raise AudioTransferError(
                f"generator {generator.kind!r} has no features that cut could compare; take "
                f"{PaddedUNet.kind} or {ResNetGenerator.kind}"
            )
        return cls(
            cast(Encoding, generator), materials.new_discriminators(), settings, materials.view
        )

    def turns(self, batch: dict[str, Tensor], step: int, generator: Generator) -> Iterator[Turn]:
        """Yield the discriminators' turn, then the generator's."""
        source, target = batch["source"].float(), batch["target"].float()
        made = taught(self.generator(source), sounding(source))
        yield Turn("discriminator", self.discriminator_terms(target, made))
        yield Turn("generator", self.generator_terms(source, target, made, generator), self.weights)

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each of the generator's terms; the discriminators share theirs."""
        share = self.settings.adversarial / len(self.discriminators)
        return {f"adversarial_{name}": share for name in self.discriminators} | {
            "nce": self.settings.nce,
            "identity_nce": self.settings.identity,
        }

    def discriminator_terms(self, target: Tensor, made: Tensor) -> dict[str, Tensor]:
        """Return "discriminator_NAME" for each."""
        real, false = self.view(target)[:, None], self.view(made.detach())[:, None]
        return {
            f"discriminator_{name}": self.rules.discriminator(
                discriminator(real), discriminator(false)
            )
            for name, discriminator in self.discriminators.items()
        }

    def generator_terms(
        self, source: Tensor, target: Tensor, made: Tensor, generator: Generator
    ) -> dict[str, Tensor]:
        """Return "adversarial_NAME" for each discriminator, "nce" and, where it counts,
        "identity_nce".

        "nce" compares the source with what was made of it, "identity_nce" the target with what the
        generator makes of that.
        """
        seen = self.view(made)[:, None]
        terms = {
            f"adversarial_{name}": self.rules.generator(discriminator(seen))
            for name, discriminator in self.discriminators.items()
        }
        terms["nce"] = self.content(source, made, generator)
        if self.settings.identity:
            terms["identity_nce"] = self.content(target, self.generator(target), generator)
        return terms

    def content(self, before: Tensor, after: Tensor, generator: Generator) -> Tensor:
        """Return PatchNCE from what was [B, F, L] to what became of it, over all layers."""
        settings = self.settings
        with torch.no_grad():
            features = self.generator.encode(to_unit(before)[:, None])
            places = [_places(one, settings.patches, generator) for one in features]
            keys = self.heads(_patches(features, places))
        sounds = sounding(before)
        learning = [taught(one, sounds) for one in self.generator.encode(to_unit(after)[:, None])]
        queries = self.heads(_patches(learning, places))
        losses = [
            patch_nce(query, key, settings.temperature)
            for query, key in zip(queries, keys, strict=True)
        ]
        return torch.stack(losses).mean()

    def preview(self, batch: dict[str, Tensor], generator: Generator) -> Preview:
        """Show the first source window, what becomes of it, and a target window."""
        source = batch["source"][:1].float()
        converted = self.generator(source)
        shown = {"source": source, "converted": converted, "target": batch["target"][:1]}
        return Preview({name: spectrogram[0] for name, spectrogram in shown.items()})


def patch_nce(query: Tensor, key: Tensor, temperature: float = 0.07) -> Tensor:
    """Return the cross-entropy of finding each query's own key among all keys of its spectrogram.

    Points of length 1, [B, P, D] both.
    """
    likeness = query.float() @ key.float().transpose(1, 2) / temperature
    own = torch.arange(key.shape[1], device=key.device).expand(len(key), -1)
    return functional.cross_entropy(likeness.flatten(0, 1), own.flatten())


def _places(feature: Tensor, count: int, generator: Generator) -> Tensor:
    """Which cells of a feature [B, C, F, L] are compared: at most `count`, none of them twice."""
    cells = feature.shape[-2] * feature.shape[-1]
    return torch.randperm(cells, generator=generator)[:count].to(feature.device)


def _patches(features: Sequence[Tensor], places: Sequence[Tensor]) -> list[Tensor]:
    """Features [B, C, F, L] to their chosen cells [B, P, C]."""
    return [
        feature.flatten(2)[:, :, chosen].transpose(1, 2)
        for feature, chosen in zip(features, places, strict=True)
    ]
