"""Brunner et al.'s CycleGAN between two genres of phrases, with discriminators of the mixed set.

Source: Brunner, Wang, Wattenhofer and Zhao, "Symbolic music genre transfer with CycleGAN" (2018)
and its public code. There the discriminators of the mixed set learn, but teach nobody: the
generators of "partial" and "full" differ from those of "base" by chance alone. ``teach`` says
whether they teach.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor, nn

from audiotransfer.midi.piano_rolls import PHRASE, PITCHES, SOUND
from audiotransfer.training import Group, Preview, Turn
from audiotransfer.training.adversarial import ImagePool

#: Discriminators of the two genres alone; of their union too; of the union with a third genre.
Model = Literal["base", "partial", "full"]
MIXED = "mixed"


@dataclass(frozen=True)
class GenreGanSettings:
    """Which discriminators there are, the weights of the terms, and how fast all learn."""

    model: Model = "base"
    teach: bool = False  # discriminators of the mixed set teach the generators as well
    mixed: float = 1.0  # γ, the weight of those discriminators
    cycle: float = 10.0
    noise: float = 1.0  # σ_D: what discriminators look at has |N(0, σ_D)| added
    pool: int = 50  # made phrases that discriminators are reminded of
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)


class GenreGan:
    """Two generators between two genres, and one or two discriminators for each.

    A batch holds phrases [B, 2, 64, 84] of each genre under its name, and under "mixed" where there
    are discriminators of the mixed set. Only what sounds (channel 1) is looked at. Turns, at every
    step: "generator" (both), then "discriminator" (all).

    Args:
        generators: by the genre that they make: [B, 1, 64, 84] -> logits [B, 1, 64, 84].
        discriminators: by genre, of that genre: [B, 1, 64, 84] -> verdicts.
        mixed: by genre, of the mixed set against what is made of this genre; none for "base".
    """

    def __init__(
        self,
        generators: Mapping[str, nn.Module],
        discriminators: Mapping[str, nn.Module],
        mixed: Mapping[str, nn.Module],
        settings: GenreGanSettings,
    ) -> None:
        self.genres = tuple(generators)
        self.generators = dict(generators)
        self.discriminators = dict(discriminators)
        self.mixed = dict(mixed) if settings.model != "base" else {}
        self.settings = settings
        self.pools = {g: ImagePool(settings.pool, 1, PHRASE, PITCHES) for g in self.genres}
        makers = {f"to_{genre}": net for genre, net in self.generators.items()}
        judges = {f"discriminator_{genre}": net for genre, net in self.discriminators.items()}
        judges |= {f"discriminator_{MIXED}_{genre}": net for genre, net in self.mixed.items()}
        pools = {f"pool_{genre}": pool for genre, pool in self.pools.items()}
        self.networks: dict[str, nn.Module] = {**makers, **judges, **pools}
        self.groups: dict[str, Group] = {
            "generator": Group(tuple(makers), settings.learning_rate, settings.betas),
            "discriminator": Group(tuple(judges), settings.learning_rate, settings.betas),
        }

    def turns(self, batch: dict[str, Tensor], step: int, generator: Generator) -> Iterator[Turn]:
        """Yield the generators' turn, then the discriminators', which judge what was made in the
        first.
        """
        real = {name: phrases[:, SOUND : SOUND + 1].float() for name, phrases in batch.items()}
        noise = self._noise(real[self.genres[0]], generator)
        made = {genre: self._make(genre, real[self._other(genre)]) for genre in self.genres}
        yield Turn("generator", self.generator_terms(real, made, noise), self.weights())
        yield Turn(
            "discriminator", self.discriminator_terms(real, made, noise, generator), self.weights()
        )

    def weights(self) -> dict[str, float]:
        """The weight of each term that has not weight 1."""
        chosen, found = self.settings, {}
        for genre in self.genres:
            found[f"cycle_{genre}"] = chosen.cycle
            found[f"{MIXED}_{genre}"] = chosen.mixed
        return found

    def generator_terms(
        self, real: Mapping[str, Tensor], made: Mapping[str, Tensor], noise: Tensor
    ) -> dict[str, Tensor]:
        """Return "adversarial_GENRE" and "cycle_GENRE", and "mixed_GENRE" where those teach.

        A cycle ends on its genre.
        """
        terms = {}
        for genre in self.genres:
            terms[f"adversarial_{genre}"] = convinced(
                self.discriminators[genre](made[genre] + noise)
            )
            again = self._make(genre, made[self._other(genre)])
            terms[f"cycle_{genre}"] = (again - real[genre]).abs().mean()
            if self.mixed and self.settings.teach:
                terms[f"{MIXED}_{genre}"] = convinced(self.mixed[genre](made[genre] + noise))
        return terms

    def discriminator_terms(
        self,
        real: Mapping[str, Tensor],
        made: Mapping[str, Tensor],
        noise: Tensor,
        generator: Generator,
    ) -> dict[str, Tensor]:
        """Return "discriminator_GENRE", and "mixed_GENRE" where there are discriminators of the
        mixed set.
        """
        terms = {}
        for genre in self.genres:
            false = self.pools[genre](made[genre], generator) + noise
            terms[f"discriminator_{genre}"] = told_apart(
                self.discriminators[genre], real[genre] + noise, false
            )
            if self.mixed:
                true = real[MIXED] + noise
                terms[f"{MIXED}_{genre}"] = told_apart(self.mixed[genre], true, false)
        return terms

    def preview(self, batch: dict[str, Tensor], generator: Generator) -> Preview:
        """Show the first phrase of each genre, what becomes of it, and what comes back."""
        images = {}
        for genre in self.genres:
            other = self._other(genre)
            source = batch[other][:1, SOUND : SOUND + 1].float()
            made = self._make(genre, source)
            back = self._make(other, made)
            for name, roll in (("source", source), ("converted", made), ("back", back)):
                images[f"to {genre}/{name}"] = roll[0, 0].T
        return Preview(images)

    def _make(self, genre: str, roll: Tensor) -> Tensor:
        logits: Tensor = self.generators[genre](roll)
        return logits.float().sigmoid()

    def _other(self, genre: str) -> str:
        one, other = self.genres
        return other if genre == one else one

    def _noise(self, like: Tensor, generator: Generator) -> Tensor:
        """Half-normal, and the same for whatever discriminators see in this step."""
        drawn = torch.randn(like.shape, generator=generator).abs() * self.settings.noise
        return drawn.to(like.device)


def convinced(verdicts: Tensor) -> Tensor:
    """What a generator descends: the mean of (D - 1)²."""
    return (verdicts.float() - 1).square().mean()


def told_apart(discriminator: nn.Module, true: Tensor, false: Tensor) -> Tensor:
    """What a discriminator descends: half of the mean of (D(true) - 1)² and D(false)² together."""
    return 0.5 * (convinced(discriminator(true)) + discriminator(false).float().square().mean())
