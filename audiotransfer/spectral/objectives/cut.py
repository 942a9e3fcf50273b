"""CUT: one-sided unpaired translation with a patchwise contrastive loss on the content.

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
from audiotransfer.spectral.objectives.losses import detach_silent, is_audible
from audiotransfer.spectral.objectives.registry import NetworkFactory
from audiotransfer.training import Group, Preview, Turn
from audiotransfer.training.adversarial import ADVERSARIAL_LOSSES, Game
from vocoder.spectrogram import to_unit

EncodingGenerator = PaddedUNet | ResNetGenerator


@dataclass(frozen=True)
class CutSettings:
    """The adversarial loss, weights of the terms, and the contrastive loss's sizes.

    Both contrastive weights together are 1 in the paper; its fast variant takes nce 10 and no
    identity.
    """

    game: Game = "lsgan"
    adversarial: float = 1.0
    nce: float = 0.5
    identity: float = 0.5
    temperature: float = 0.07
    patches: int = 256  # of each spectrogram and layer
    size: int = 256  # dimensions of their embeddings
    generator_rate: float = 2e-4
    discriminator_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)


class Cut:
    """A generator, discriminators, and projection heads for the contrastive loss.

    A batch holds "source" and "target", spectrograms [B, F, L] of log level. Its turns, at every
    step, are "discriminator" and "generator" (with the projection heads).

    Args:
        generator: [B, F, L] -> [B, F, L], with `encode` [B, 1, F, L] -> features, and
            `feature_channels`.
        discriminators: by name, [B, 1, F, L] -> outputs [B, ..].
        settings: see `CutSettings`.
        view: from log levels to the discriminators' input.
    """

    Settings: ClassVar[type[CutSettings]] = CutSettings

    def __init__(
        self,
        generator: EncodingGenerator,
        discriminators: Mapping[str, nn.Module],
        settings: CutSettings,
        view: Callable[[Tensor], Tensor],
    ) -> None:
        if ADVERSARIAL_LOSSES[settings.game].penalised:
            raise AudioTransferError(f"cut has no game {settings.game!r}; take lsgan or hinge")
        self.generator = generator
        self.discriminators = dict(discriminators)
        self.heads = ProjectionHeads(generator.feature_channels, settings.size)
        self.settings = settings
        self.loss = ADVERSARIAL_LOSSES[settings.game]
        self.view = view
        parts = {
            f"discriminator_{name}": discriminator
            for name, discriminator in self.discriminators.items()
        }
        self.networks: dict[str, nn.Module] = {
            "generator": generator,
            "heads": self.heads,
            **parts,
        }
        self.groups: dict[str, Group] = {
            "discriminator": Group(tuple(parts), settings.discriminator_rate, settings.betas),
            "generator": Group(("generator", "heads"), settings.generator_rate, settings.betas),
        }

    @classmethod
    def on_spectrograms(cls, factory: NetworkFactory, settings: CutSettings) -> Self:
        """Builds new networks. Raises AudioTransferError for a generator without features."""
        generator = factory.new_generator()
        if not hasattr(generator, "encode"):
            raise AudioTransferError(
                f"generator {generator.kind!r} has no features that cut could compare; take "
                f"{PaddedUNet.kind} or {ResNetGenerator.kind}"
            )
        return cls(
            cast(EncodingGenerator, generator), factory.new_discriminators(), settings, factory.view
        )

    def turns(self, batch: dict[str, Tensor], step: int, generator: Generator) -> Iterator[Turn]:
        """Yields the discriminators' turn, then the generator's."""
        source, target = batch["source"].float(), batch["target"].float()
        made = detach_silent(self.generator(source), is_audible(source))
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
        """Returns "discriminator_NAME" for each."""
        real, fake = self.view(target)[:, None], self.view(made.detach())[:, None]
        return {
            f"discriminator_{name}": self.loss.discriminator(
                discriminator(real), discriminator(fake)
            )
            for name, discriminator in self.discriminators.items()
        }

    def generator_terms(
        self, source: Tensor, target: Tensor, made: Tensor, generator: Generator
    ) -> dict[str, Tensor]:
        """Returns "adversarial_NAME" for each discriminator, "nce" and, unless its weight is 0,
        "identity_nce".

        "nce" compares the source with its conversion, "identity_nce" the target with its own.
        """
        fake = self.view(made)[:, None]
        terms = {
            f"adversarial_{name}": self.loss.generator(discriminator(fake))
            for name, discriminator in self.discriminators.items()
        }
        terms["nce"] = self.content_loss(source, made, generator)
        if self.settings.identity:
            terms["identity_nce"] = self.content_loss(target, self.generator(target), generator)
        return terms

    def content_loss(self, before: Tensor, after: Tensor, generator: Generator) -> Tensor:
        """Returns PatchNCE of input and output spectrograms [B, F, L], the mean over all layers."""
        settings = self.settings
        with torch.no_grad():
            features = self.generator.encode(to_unit(before)[:, None])
            cells = [_random_cells(one, settings.patches, generator) for one in features]
            keys = self.heads(_patches(features, cells))
        audible = is_audible(before)
        output_features = [
            detach_silent(one, audible) for one in self.generator.encode(to_unit(after)[:, None])
        ]
        queries = self.heads(_patches(output_features, cells))
        losses = [
            patch_nce(query, key, settings.temperature)
            for query, key in zip(queries, keys, strict=True)
        ]
        return torch.stack(losses).mean()

    def preview(self, batch: dict[str, Tensor], generator: Generator) -> Preview:
        """The first source window, its conversion, and a target window."""
        source = batch["source"][:1].float()
        converted = self.generator(source)
        target = batch["target"][0]
        return Preview({"source": source[0], "converted": converted[0], "target": target})


def patch_nce(query: Tensor, key: Tensor, temperature: float = 0.07) -> Tensor:
    """Returns the cross-entropy of finding each query's own key among all keys of its spectrogram.

    Queries and keys are unit vectors, [B, P, D] both.
    """
    similarity = query.float() @ key.float().transpose(1, 2) / temperature
    own = torch.arange(key.shape[1], device=key.device).expand(len(key), -1)
    return functional.cross_entropy(similarity.flatten(0, 1), own.flatten())


def _random_cells(feature: Tensor, count: int, generator: Generator) -> Tensor:
    """Flat indices of at most `count` distinct cells of a feature [B, C, F, L]."""
    count_all = feature.shape[-2] * feature.shape[-1]
    return torch.randperm(count_all, generator=generator)[:count].to(feature.device)


def _patches(features: Sequence[Tensor], cells: Sequence[Tensor]) -> list[Tensor]:
    """Features [B, C, F, L] to their chosen cells [B, P, C]."""
    return [
        feature.flatten(2)[:, :, chosen].transpose(1, 2)
        for feature, chosen in zip(features, cells, strict=True)
    ]
