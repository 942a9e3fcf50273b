"""CycleGAN: unpaired translation with cycle consistency, of spectrograms or of sound.

Source: Zhu, Park, Isola and Efros, "Unpaired image-to-image translation using cycle-consistent
adversarial networks", 2017; on CQT spectrograms with a gradient penalty, a discriminator of whole
spectrograms and a fading identity term: Huang et al., "TimbreTron", 2019.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from torch import Generator, Tensor, nn

from audiotransfer.training.adversarial import ADVERSARIAL_LOSSES, Game, ImagePool, gradient_penalty
from audiotransfer.training.objective import Group, Turn

SIDES = ("source", "target")


@dataclass(frozen=True)
class CycleGanSettings:
    """The adversarial loss, weights of the terms, and both sides' optimisers."""

    game: Game = "lsgan"
    adversarial: float = 1.0
    cycle: float = 10.0
    identity: float = 5.0
    identity_hold: int = 100_000  # steps at that weight
    identity_fade: int = 100_000  # further steps, over which it falls linearly to 0
    penalty: float = 10.0  # weight of the gradient penalty, for wgan-gp
    pool: int = 50  # size of the pool of earlier outputs (`ImagePool`)
    generator_rate: float = 2e-4
    discriminator_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)


class CycleConsistency:
    """Two generators, source to target and back, and discriminators on both sides.

    A batch holds "source" and "target", spectrograms [B, F, L] of log level or sounds [B, T]; below
    they are called [B, ..]. Its turns, at every step, are "generator" (both) and then
    "discriminator" (all), on the same outputs, mixed with earlier ones from a pool. Subclasses
    whose networks have conditions find them in the batch (`generate` and `planes`).

    Args:
        forth, back: [B, ..] -> [B, ..]; the first is the one that ships.
        discriminators: for each of "source" and "target", by name: [B, 1, ..] -> outputs
            [B, ..].
        pools: for each side.
        settings: see `CycleGanSettings`.
        view: to the discriminators' input, in which cycles are measured too.
    """

    def __init__(
        self,
        forth: nn.Module,
        back: nn.Module,
        discriminators: Mapping[str, Mapping[str, nn.Module]],
        pools: Mapping[str, ImagePool],
        settings: CycleGanSettings,
        view: Callable[[Tensor], Tensor],
    ) -> None:
        self.generators = {"target": forth, "source": back}  # by their output
        self.discriminators = {side: dict(discriminators[side]) for side in SIDES}
        self.pools = dict(pools)
        self.settings = settings
        self.loss = ADVERSARIAL_LOSSES[settings.game]
        self.view = view
        parts = {
            f"discriminator_{s}_{n}": c for s in SIDES for n, c in self.discriminators[s].items()
        }
        self.networks: dict[str, nn.Module] = {
            "generator": forth,
            "back": back,
            **parts,
            **{f"pool_{side}": pool for side, pool in self.pools.items()},
        }
        self.groups: dict[str, Group] = {
            "generator": Group(("generator", "back"), settings.generator_rate, settings.betas),
            "discriminator": Group(tuple(parts), settings.discriminator_rate, settings.betas),
        }

    def turns(self, batch: dict[str, Tensor], step: int, generator: Generator) -> Iterator[Turn]:
        """Yields the generators' turn, then the discriminators'."""
        real = {**batch, **{side: batch[side].float() for side in SIDES}}
        made = {"target": self.converted("target", real), "source": self.converted("source", real)}
        yield Turn("generator", self.generator_terms(real, made, step), self.weights(step))
        yield Turn(
            "discriminator", self.discriminator_terms(real, made, generator), self.weights(step)
        )

    def weights(self, step: int) -> dict[str, float]:
        """The weight of every term at a step; the discriminators of a side share theirs."""
        settings = self.settings
        weights = {
            f"penalty_{s}_{n}": settings.penalty for s in SIDES for n in self.discriminators[s]
        }
        for side in SIDES:
            share = settings.adversarial / len(self.discriminators[side])
            weights |= {f"adversarial_{side}_{name}": share for name in self.discriminators[side]}
            weights[f"cycle_{side}"] = settings.cycle
            weights[f"identity_{side}"] = settings.identity * self.identity_share(step)
        return weights

    def identity_share(self, step: int) -> float:
        """The factor of the identity term's weight at a step: 1, then falling linearly to 0."""
        settings = self.settings
        return min(
            1.0, max(0.0, 1 - (step - settings.identity_hold) / max(1, settings.identity_fade))
        )

    def generator_terms(
        self, real: Mapping[str, Tensor], made: Mapping[str, Tensor], step: int
    ) -> dict[str, Tensor]:
        """Returns "adversarial_SIDE_NAME", "cycle_SIDE" and, while it has weight, "identity_SIDE".

        A cycle starts and ends on its side; the identity term compares a side's examples with
        the output, for them, of the generator to that side.
        """
        terms = {}
        for side, other in zip(SIDES, reversed(SIDES), strict=True):
            fake = self.planes(self.view(made[side]), real)
            for name, discriminator in self.discriminators[side].items():
                terms[f"adversarial_{side}_{name}"] = self.loss.generator(discriminator(fake))
            cycled = self.audible_only(self.generate(side, made[other], real), real[side])
            terms[f"cycle_{side}"] = self._difference(cycled, real[side])
            if self.settings.identity * self.identity_share(step):
                same = self.audible_only(self.generate(side, real[side], real), real[side])
                terms[f"identity_{side}"] = self._difference(same, real[side])
        return terms

    def discriminator_terms(
        self, real: Mapping[str, Tensor], made: Mapping[str, Tensor], generator: Generator
    ) -> dict[str, Tensor]:
        """Returns "discriminator_SIDE_NAME" and, for wgan-gp, "penalty_SIDE_NAME"."""
        terms = {}
        for side in SIDES:
            genuine = self.planes(self.view(real[side]), real)
            viewed = self.pools[side](self.view(made[side].detach()), generator)
            fake = self.planes(viewed, real)
            for name, discriminator in self.discriminators[side].items():
                terms[f"discriminator_{side}_{name}"] = self.loss.discriminator(
                    discriminator(genuine), discriminator(fake)
                )
                if self.loss.penalised:
                    penalty = gradient_penalty(discriminator, genuine, fake, generator)
                    terms[f"penalty_{side}_{name}"] = penalty
        return terms

    def converted(self, side: str, real: Mapping[str, Tensor]) -> Tensor:
        """The other side's examples converted to ``side``."""
        (other,) = set(SIDES) - {side}
        return self.audible_only(self.generate(side, real[other], real), real[other])

    def generate(self, side: str, examples: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Examples of a batch, or what was made of them, through the generator to ``side``."""
        generated: Tensor = self.generators[side](examples)
        return generated

    def planes(self, viewed: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """The discriminators' input [B, C, ..] for views [B, ..] of a batch: here one plane."""
        return viewed[:, None]

    def audible_only(self, made: Tensor, real: Tensor) -> Tensor:
        """What was made, without a gradient where examples are silent; here of all examples."""
        return made

    def _difference(self, one: Tensor, other: Tensor) -> Tensor:
        """Mean absolute difference of both discriminator views."""
        return (self.view(one) - self.view(other)).abs().mean()
