"""CycleGAN on spectrograms of sound: there and back must be what it was.

Source: Zhu, Park, Isola and Efros, "Unpaired image-to-image translation using cycle-consistent
adversarial networks", 2017; on CQT spectrograms with a gradient penalty, a discriminator of whole
spectrograms and a fading identity term: Huang et al., "TimbreTron", 2019. Spectrograms of any kind:
log-mel or CQT.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from torch import Generator, Tensor, nn

from audiotransfer.spectral.objectives.losses import RULES, Game, sounding, taught
from audiotransfer.spectral.objectives.registry import Materials
from audiotransfer.training import Group, Preview, Turn
from audiotransfer.training.adversarial import ImagePool, gradient_penalty

SIDES = ("source", "target")


@dataclass(frozen=True)
class CycleGanSettings:
    """The game, the weights of the terms, and how fast each side learns."""

    game: Game = "lsgan"
    adversarial: float = 1.0
    cycle: float = 10.0
    identity: float = 5.0
    identity_hold: int = 100_000  # steps at that weight
    identity_fade: int = 100_000  # further steps, along which it falls to 0
    penalty: float = 10.0  # of the discriminators' slope, for wgan-gp
    pool: int = 50  # made spectrograms that discriminators are reminded of
    generator_rate: float = 2e-4
    discriminator_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)


class CycleGan:
    """Two generators, source to target and back, and discriminators on both sides.

    A batch holds "source" and "target", spectrograms [B, F, L] of log level. Its turns, at every
    step, are "generator" (both) and then "discriminator" (all), which judges what the generators
    made in their turn, mixed with older spectrograms from a pool.

    Args:
        forth, back: [B, F, L] -> [B, F, L]; the first is the one that ships.
        discriminators: for each of "source" and "target", by name: [B, 1, F, L] -> verdicts [B,
        ..].
        pools: for each side.
        view: from log levels to what the discriminators see and cycles are measured in.
    """

    Settings: ClassVar[type[CycleGanSettings]] = CycleGanSettings

    def __init__(
        self,
        forth: nn.Module,
        back: nn.Module,
        discriminators: Mapping[str, Mapping[str, nn.Module]],
        pools: Mapping[str, ImagePool],
        settings: CycleGanSettings,
        view: Callable[[Tensor], Tensor],
    ) -> None:
        self.generators = {"target": forth, "source": back}  # by what they make
        self.discriminators = {side: dict(discriminators[side]) for side in SIDES}
        self.pools = dict(pools)
        self.settings = settings
        self.rules = RULES[settings.game]
        self.view = view
        judges = {
            f"discriminator_{s}_{n}": c for s in SIDES for n, c in self.discriminators[s].items()
        }
        self.networks: dict[str, nn.Module] = {
            "generator": forth,
            "back": back,
            **judges,
            **{f"pool_{side}": pool for side, pool in self.pools.items()},
        }
        self.groups: dict[str, Group] = {
            "generator": Group(("generator", "back"), settings.generator_rate, settings.betas),
            "discriminator": Group(tuple(judges), settings.discriminator_rate, settings.betas),
        }

    @classmethod
    def on_spectrograms(cls, materials: Materials, settings: CycleGanSettings) -> Self:
        """Build the networks anew for windows of one size."""
        return cls(
            materials.new_generator(),
            materials.new_generator(),
            {side: materials.new_discriminators() for side in SIDES},
            {side: ImagePool(settings.pool, materials.bins, materials.frames) for side in SIDES},
            settings,
            materials.view,
        )

    def turns(self, batch: dict[str, Tensor], step: int, generator: Generator) -> Iterator[Turn]:
        """Yield the generators' turn, then the discriminators'."""
        real = {side: batch[side].float() for side in SIDES}
        made = {"target": self._make("target", real), "source": self._make("source", real)}
        yield Turn("generator", self.generator_terms(real, made, step), self.weights(step))
        yield Turn(
            "discriminator", self.discriminator_terms(real, made, generator), self.weights(step)
        )

    def weights(self, step: int) -> dict[str, float]:
        """The weight of every term at a step; the discriminators of a side share theirs."""
        chosen = self.settings
        weights = {
            f"penalty_{s}_{n}": chosen.penalty for s in SIDES for n in self.discriminators[s]
        }
        for side in SIDES:
            share = chosen.adversarial / len(self.discriminators[side])
            weights |= {f"adversarial_{side}_{name}": share for name in self.discriminators[side]}
            weights[f"cycle_{side}"] = chosen.cycle
            weights[f"identity_{side}"] = chosen.identity * self.identity_left(step)
        return weights

    def identity_left(self, step: int) -> float:
        """The share of the identity's weight that is left: 1, then along a line to 0."""
        chosen = self.settings
        return min(1.0, max(0.0, 1 - (step - chosen.identity_hold) / max(1, chosen.identity_fade)))

    def generator_terms(
        self, real: Mapping[str, Tensor], made: Mapping[str, Tensor], step: int
    ) -> dict[str, Tensor]:
        """Return "adversarial_SIDE_NAME", "cycle_SIDE" and, while it counts, "identity_SIDE".

        A cycle ends on its side; a side's identity is what the generator that makes it leaves of
        what is there already.
        """
        terms = {}
        for side, other in zip(SIDES, reversed(SIDES), strict=True):
            seen = self.view(made[side])[:, None]
            for name, discriminator in self.discriminators[side].items():
                terms[f"adversarial_{side}_{name}"] = self.rules.generator(discriminator(seen))
            sounds = sounding(real[side])
            again = taught(self.generators[side](made[other]), sounds)
            terms[f"cycle_{side}"] = self._difference(again, real[side])
            if self.settings.identity * self.identity_left(step):
                kept = taught(self.generators[side](real[side]), sounds)
                terms[f"identity_{side}"] = self._difference(kept, real[side])
        return terms

    def discriminator_terms(
        self, real: Mapping[str, Tensor], made: Mapping[str, Tensor], generator: Generator
    ) -> dict[str, Tensor]:
        """Return "discriminator_SIDE_NAME" and, where the game wants it, "penalty_SIDE_NAME"."""
        terms = {}
        for side in SIDES:
            true = self.view(real[side])[:, None]
            false = self.pools[side](self.view(made[side].detach()), generator)[:, None]
            for name, discriminator in self.discriminators[side].items():
                terms[f"discriminator_{side}_{name}"] = self.rules.discriminator(
                    discriminator(true), discriminator(false)
                )
                if self.rules.penalised:
                    penalty = gradient_penalty(discriminator, true, false, generator)
                    terms[f"penalty_{side}_{name}"] = penalty
        return terms

    def preview(self, batch: dict[str, Tensor], generator: Generator) -> Preview:
        """Show the first window of each side, what becomes of it, and what comes back."""
        real = {side: batch[side][:1].float() for side in SIDES}
        spectrograms = {}
        for side, other in zip(SIDES, reversed(SIDES), strict=True):
            made = self._make(other, real)
            spectrograms[f"to {other}/source"] = real[side][0]
            spectrograms[f"to {other}/converted"] = made[0]
            spectrograms[f"to {other}/back"] = self.generators[side](made)[0]
        return Preview(spectrograms)

    def _make(self, side: str, real: Mapping[str, Tensor]) -> Tensor:
        (other,) = set(SIDES) - {side}
        return taught(self.generators[side](real[other]), sounding(real[other]))

    def _difference(self, one: Tensor, other: Tensor) -> Tensor:
        return (self.view(one) - self.view(other)).abs().mean()
