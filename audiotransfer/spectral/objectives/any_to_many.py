"""One conditional generator for all styles and stems, trained on pairs, unpaired songs or both.

Source: the two-headed discriminator and the cycle through another style are StarGAN's (Choi et al.,
"StarGAN: unified generative adversarial networks for multi-domain image-to-image translation",
2018); pairs and strengths are ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from audiotransfer.spectral.models.base import STEMS
from audiotransfer.spectral.networks import ConditionalDiscriminator, ConditionalUNet
from audiotransfer.spectral.objectives.losses import discriminator_view, visible_difference
from audiotransfer.training import Group, Preview, Turn
from audiotransfer.training.adversarial import ADVERSARIAL_LOSSES
from audiotransfer.training.distances import audible_difference, frame_distance

_HINGE = ADVERSARIAL_LOSSES["hinge"]


@dataclass(frozen=True)
class AnyToManySettings:
    """Weights of the terms, distribution of strengths, and both sides' optimisers.

    A share of ``whole`` of the examples has strength 1, the others a uniform one between 0 and 1.
    The discriminator takes part from step ``adversarial_from`` on.
    """

    audible: float = 1.0
    frame: float = 1.0
    deep: float = 0.2
    adversarial: float = 0.5
    domain: float = 0.5
    cycle: float = 5.0
    identity: float = 2.0
    way: float = 1.0
    whole: float = 0.5
    adversarial_from: int = 0
    generator_rate: float = 1e-3
    discriminator_rate: float = 3e-4
    generator_betas: tuple[float, float] = (0.9, 0.98)
    discriminator_betas: tuple[float, float] = (0.0, 0.99)


class Conditions(NamedTuple):
    """Stem indices, style indices and strengths 0..1 of a batch's examples, each [B]."""

    stem: Tensor
    style: Tensor
    strength: Tensor


class AnyToMany:
    """A generator and a discriminator, both conditioned on stem, style and strength.

    Batches of pairs hold "source" [B, F, L], "target" [B, S, F, L] in all styles and "stem" [B]; a
    style and a strength are drawn for each example, and the truth is interpolated in log level
    between source and target. Batches of songs hold "source" and "target" [B, F, L], "stem" [B] and
    "style" [B], which is the target's.

    The turns are "discriminator", once it takes part, and "generator". The discriminator's terms:
    "discriminator", a hinge, and "domain", cross-entropy of its style logits of real spectrograms
    with their style. The generator's:

    - from pairs "audible", mean absolute audible difference (nats); "frame", its root mean square
      in each frame; "deep", mean absolute difference down to the floor;
    - from songs "cycle", mean absolute difference, as discriminators see it, of a target and its
      reconstruction after conversion to another style; "identity", of a target and its conversion
      to its own style at any strength; "way", of an output at a strength and that share of the
      whole change;
    - from both "adversarial", the discriminator's loss for the generator, and "domain", the
      cross-entropy of the discriminator's style logits with the style asked for, weighted by
      strength.

    Args:
        generator: (spectrograms [B, F, L], stem, style, strength [B]) -> spectrograms [B, F, L].
        discriminator: the same arguments -> outputs [B, ..] and style logits [B, S].
        styles: names of the S styles, two or more.
    """

    def __init__(
        self,
        generator: ConditionalUNet,
        discriminator: ConditionalDiscriminator,
        styles: Sequence[str],
        settings: AnyToManySettings,
    ) -> None:
        self.generator, self.discriminator = generator, discriminator
        self.styles, self.settings = tuple(styles), settings
        self.networks: dict[str, nn.Module] = {
            "generator": generator,
            "discriminator": discriminator,
        }
        self.groups: dict[str, Group] = {
            "discriminator": Group(
                ("discriminator",), settings.discriminator_rate, settings.discriminator_betas
            ),
            "generator": Group(("generator",), settings.generator_rate, settings.generator_betas),
        }

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each of the generator's terms."""
        names = ("audible", "frame", "deep", "adversarial", "domain", "cycle", "identity", "way")
        return {name: getattr(self.settings, name) for name in names}

    def turns(self, batch: dict[str, Tensor], step: int, generator: Generator) -> Iterator[Turn]:
        """Yields the discriminator's turn, where it takes part, and the generator's."""
        if "style" in batch:
            yield from self._songs(batch, step, generator)
        else:
            yield from self._pairs(batch, step, generator)

    def _pairs(self, batch: dict[str, Tensor], step: int, generator: Generator) -> Iterator[Turn]:
        """The turns of a batch of pairs."""
        source, stem = batch["source"], batch["stem"]
        style = torch.randint(len(self.styles), (len(stem),), generator=generator).to(stem.device)
        conditions = Conditions(stem, style, self._strengths(stem, generator))
        target = batch["target"][torch.arange(len(stem), device=stem.device), style]
        truth = torch.lerp(source, target, conditions.strength[:, None, None])
        made = self.generator(source, *conditions)
        adversarial = step >= self.settings.adversarial_from
        if adversarial:
            yield Turn("discriminator", self.discriminator_terms(truth, made, conditions))
        terms = {
            "audible": audible_difference(made, truth).abs().mean(),
            "frame": frame_distance(made, truth).mean(),
            "deep": (made - truth).abs().mean(),
        }
        if adversarial:
            terms |= self.adversarial_terms(made, conditions)
        yield Turn("generator", terms, self.weights)

    def _songs(self, batch: dict[str, Tensor], step: int, generator: Generator) -> Iterator[Turn]:
        """The turns of a batch of unpaired songs."""
        source, target, stem, style = (batch[k] for k in ("source", "target", "stem", "style"))
        conditions = Conditions(stem, style, torch.ones_like(stem, dtype=source.dtype))
        made = self.generator(source, *conditions)
        adversarial = step >= self.settings.adversarial_from
        if adversarial:
            yield Turn("discriminator", self.discriminator_terms(target, made, conditions))
        partial = conditions._replace(strength=self._strengths(stem, generator))
        partial_change = torch.lerp(source, made.detach(), partial.strength[:, None, None])
        others = conditions._replace(style=self._others(style, generator))
        back = self.generator(self.generator(target, *others), *conditions)
        terms = {
            "cycle": _difference(back, target),
            "identity": _difference(self.generator(target, *partial), target),
            "way": _difference(self.generator(source, *partial), partial_change),
        }
        if adversarial:
            terms |= self.adversarial_terms(made, conditions)
        yield Turn("generator", terms, self.weights)

    def discriminator_terms(
        self, real: Tensor, made: Tensor, conditions: Conditions
    ) -> dict[str, Tensor]:
        """Returns "discriminator" and "domain" of real and generated spectrograms [B, F, L]."""
        on_real, style_logits = self.discriminator(discriminator_view(real), *conditions)
        on_made, _ = self.discriminator(discriminator_view(made.detach()), *conditions)
        return {
            "discriminator": _HINGE.discriminator(on_real, on_made),
            "domain": _domain_loss(style_logits, conditions),
        }

    def adversarial_terms(self, made: Tensor, conditions: Conditions) -> dict[str, Tensor]:
        """Returns "adversarial" and "domain" of generated spectrograms [B, F, L]."""
        output, style_logits = self.discriminator(discriminator_view(made), *conditions)
        return {
            "adversarial": _HINGE.generator(output),
            "domain": _domain_loss(style_logits, conditions),
        }

    def preview(self, batch: dict[str, Tensor], generator: Generator) -> Preview:
        """Source, output and, for pairs, truth of each stem's first example in every style.

        The embeddings are the codes of the conditions.
        """
        images: dict[str, Tensor] = {}
        codes: dict[str, Tensor] = {}
        for stem, name in enumerate(STEMS):
            where = (batch["stem"] == stem).nonzero()
            if not len(where):
                continue
            at = int(where[0])
            sources = batch["source"][at].expand(len(self.styles), -1, -1)
            conditions = self._every_style(batch["stem"][at].expand(len(sources)))
            made = self.generator(sources, *conditions)
            for style, style_name in enumerate(self.styles):
                images[f"{name} to {style_name}/source"] = sources[style]
                images[f"{name} to {style_name}/output"] = made[style]
                if "style" not in batch:
                    images[f"{name} to {style_name}/truth"] = batch["target"][at, style]
            codes[name] = self.generator.condition(*conditions)
        return Preview(images, embeddings=codes)

    def distances(self, batch: dict[str, Tensor]) -> dict[str, float]:
        """Mean frame distance (nats) of output and of source to the truth, in a batch of pairs.

        ``STYLE`` and ``STYLE/nothing``.
        """
        figures = {}
        source, stem = batch["source"], batch["stem"]
        for style, name in enumerate(self.styles):
            index = torch.full_like(stem, style)
            made = self.generator(source, stem, index, torch.ones_like(stem, dtype=source.dtype))
            for figure, shown in ((name, made), (f"{name}/nothing", source)):
                figures[figure] = float(frame_distance(shown, batch["target"][:, style]).mean())
        return figures

    def _every_style(self, stem: Tensor) -> Conditions:
        """Conditions for every style at strength 1, for one stem given as [S]."""
        styles = torch.arange(len(self.styles), device=stem.device)
        return Conditions(stem, styles, torch.ones(len(styles), device=stem.device))

    def _strengths(self, stem: Tensor, generator: Generator) -> Tensor:
        """A random strength for each example."""
        uniform = torch.rand(2, len(stem), generator=generator).to(stem.device)
        return torch.where(uniform[0] < self.settings.whole, 1.0, uniform[1])

    def _others(self, style: Tensor, generator: Generator) -> Tensor:
        """For each style [B] a random other one."""
        steps = torch.randint(1, len(self.styles), (len(style),), generator=generator)
        return (style + steps.to(style.device)) % len(self.styles)


def _difference(made: Tensor, true: Tensor) -> Tensor:
    """Mean absolute difference of both discriminator views."""
    return visible_difference(made, true).abs().mean()


def _domain_loss(style_logits: Tensor, conditions: Conditions) -> Tensor:
    """Cross-entropy of style logits [B, S] with the styles asked for, weighted by strength."""
    each = functional.cross_entropy(style_logits.float(), conditions.style, reduction="none")
    return (conditions.strength * each).mean()
