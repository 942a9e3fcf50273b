"""One conditional generator for several styles and stems, from pairs, from songs, or from both.

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

from audiotransfer.spectral.models.unet import DISCRIMINATOR_FLOOR, STEMS, normalised
from audiotransfer.spectral.networks import ConditionalDiscriminator, ConditionalUNet
from audiotransfer.spectral.objectives.losses import RULES, audible, per_frame, seen
from audiotransfer.training import Group, Preview, Turn

_HINGE = RULES["hinge"]


@dataclass(frozen=True)
class AnyToManySettings:
    """The weights of the terms, how strengths are drawn, and how fast each side learns.

    Of the examples a share of ``whole`` is asked for the whole style, the others for a strength
    between 0 and 1. Discriminators take part from step ``adversarial_from`` on.
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


class Wish(NamedTuple):
    """What is asked for, of each example [B]: indices of its stem and style, a strength 0..1."""

    stem: Tensor
    style: Tensor
    strength: Tensor


class AnyToMany:
    """A generator that is told stem, style and strength, and a discriminator that is told them too.

    Batches of pairs hold "source" [B, F, L], "target" [B, S, F, L] in all styles and "stem" [B]; a
    style and a strength are drawn for each example, and the truth is the spectrogram that lies so
    far on the way from the source to the target, in level. Batches of songs hold "source" and
    "target" [B, F, L], "stem" [B] and "style" [B], which is the target's.

    The turns are "discriminator", once it takes part, and "generator". The discriminator's terms:
    "discriminator", a hinge, and "domain", cross-entropy of its guess at a real spectrogram's
    style. The generator's:

    - from pairs "audible", mean absolute difference (nats) above the level at which a mix hides
      everything; "frame", the root of its mean square in each frame; "deep", the same as
      "audible" down to the floor;
    - from songs "cycle", mean absolute difference of a target from what comes back when it was
      changed to another style, in what discriminators see; "identity", the same from what its own
      style makes of it at any strength; "way", of what is made at a strength from that share of the
      whole change;
    - from both "adversarial", what the discriminator holds against it, and "domain", cross-entropy
    of the
      discriminator's guess with the wish. At a strength below 1 it counts as much less.

    Args:
        generator, discriminator: (spectrograms [B, F, L], stem, style, strength [B]) ->
        spectrograms [B, F, L];
            -> verdicts [B, ..] and logits [B, S].
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
        """Yield the discriminator's turn, where it takes part, and the generator's."""
        if "style" in batch:
            yield from self._songs(batch, step, generator)
        else:
            yield from self._pairs(batch, step, generator)

    def _pairs(self, batch: dict[str, Tensor], step: int, generator: Generator) -> Iterator[Turn]:
        source, stem = batch["source"], batch["stem"]
        style = torch.randint(len(self.styles), (len(stem),), generator=generator).to(stem.device)
        wish = Wish(stem, style, self._strengths(stem, generator))
        target = batch["target"][torch.arange(len(stem), device=stem.device), style]
        truth = torch.lerp(source, target, wish.strength[:, None, None])
        made = self.generator(source, *wish)
        judged = step >= self.settings.adversarial_from
        if judged:
            yield Turn("discriminator", self.discriminator_terms(truth, made, wish))
        terms = {
            "audible": audible(made, truth).abs().mean(),
            "frame": per_frame(made, truth).mean(),
            "deep": (made - truth).abs().mean(),
        }
        if judged:
            terms |= self.judged_terms(made, wish)
        yield Turn("generator", terms, self.weights)

    def _songs(self, batch: dict[str, Tensor], step: int, generator: Generator) -> Iterator[Turn]:
        source, target, stem, style = (batch[k] for k in ("source", "target", "stem", "style"))
        wish = Wish(stem, style, torch.ones_like(stem, dtype=source.dtype))
        made = self.generator(source, *wish)
        judged = step >= self.settings.adversarial_from
        if judged:
            yield Turn("discriminator", self.discriminator_terms(target, made, wish))
        partly = wish._replace(strength=self._strengths(stem, generator))
        share = torch.lerp(source, made.detach(), partly.strength[:, None, None])
        away = wish._replace(style=self._others(style, generator))
        back = self.generator(self.generator(target, *away), *wish)
        terms = {
            "cycle": _difference(back, target),
            "identity": _difference(self.generator(target, *partly), target),
            "way": _difference(self.generator(source, *partly), share),
        }
        if judged:
            terms |= self.judged_terms(made, wish)
        yield Turn("generator", terms, self.weights)

    def discriminator_terms(self, real: Tensor, made: Tensor, wish: Wish) -> dict[str, Tensor]:
        """Return "discriminator" and "domain" of real and made spectrograms [B, F, L] that answer a
        wish.
        """
        true, guess = self.discriminator(_view(real), *wish)
        false, _ = self.discriminator(_view(made.detach()), *wish)
        return {
            "discriminator": _HINGE.discriminator(true, false),
            "domain": _surprise(guess, wish),
        }

    def judged_terms(self, made: Tensor, wish: Wish) -> dict[str, Tensor]:
        """Return "adversarial" and "domain" of spectrograms that were made."""
        verdict, guess = self.discriminator(_view(made), *wish)
        return {"adversarial": _HINGE.generator(verdict), "domain": _surprise(guess, wish)}

    def preview(self, batch: dict[str, Tensor], generator: Generator) -> Preview:
        """Show each stem's first example in every style, and how far the wishes' codes differ.

        Where a batch has the truth it is shown as well.
        """
        spectrograms: dict[str, Tensor] = {}
        codes: dict[str, Tensor] = {}
        for stem, name in enumerate(STEMS):
            where = (batch["stem"] == stem).nonzero()
            if not len(where):
                continue
            at = int(where[0])
            sources = batch["source"][at].expand(len(self.styles), -1, -1)
            wish = self._whole(batch["stem"][at].expand(len(sources)))
            made = self.generator(sources, *wish)
            for style, said in enumerate(self.styles):
                spectrograms[f"{name} to {said}/source"] = sources[style]
                spectrograms[f"{name} to {said}/output"] = made[style]
                if "style" not in batch:
                    spectrograms[f"{name} to {said}/truth"] = batch["target"][at, style]
            codes[name] = self.generator.condition(*wish)
        return Preview(spectrograms, embeddings=codes)

    def distances(self, batch: dict[str, Tensor]) -> dict[str, float]:
        """Distance to the truth per style as listeners' are taken (nats), and doing nothing's.

        Of a batch of pairs.
        """
        figures = {}
        source, stem = batch["source"], batch["stem"]
        for style, name in enumerate(self.styles):
            index = torch.full_like(stem, style)
            made = self.generator(source, stem, index, torch.ones_like(stem, dtype=source.dtype))
            for figure, shown in ((name, made), (f"{name}/nothing", source)):
                figures[figure] = float(per_frame(shown, batch["target"][:, style]).mean())
        return figures

    def _whole(self, stem: Tensor) -> Wish:
        """Every style in full, of one stem [S]."""
        styles = torch.arange(len(self.styles), device=stem.device)
        return Wish(stem, styles, torch.ones(len(styles), device=stem.device))

    def _strengths(self, stem: Tensor, generator: Generator) -> Tensor:
        drawn = torch.rand(2, len(stem), generator=generator).to(stem.device)
        return torch.where(drawn[0] < self.settings.whole, 1.0, drawn[1])

    def _others(self, style: Tensor, generator: Generator) -> Tensor:
        """For each style another one."""
        steps = torch.randint(1, len(self.styles), (len(style),), generator=generator)
        return (style + steps.to(style.device)) % len(self.styles)


def _view(spectrogram: Tensor) -> Tensor:
    """What discriminators see."""
    return normalised(spectrogram.float().clamp_min(DISCRIMINATOR_FLOOR))


def _difference(made: Tensor, true: Tensor) -> Tensor:
    return seen(made, true).abs().mean()


def _surprise(guess: Tensor, wish: Wish) -> Tensor:
    """Cross-entropy of guesses with the wished styles, each as much as it was wished for."""
    surprise = functional.cross_entropy(guess.float(), wish.style, reduction="none")
    return (wish.strength * surprise).mean()
