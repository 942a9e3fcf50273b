"""Brunner et al.'s CycleGAN between two genres of phrases, with discriminators of the mixed set.

Source: Brunner, Wang, Wattenhofer and Zhao, "Symbolic music genre transfer with CycleGAN" (2018)
and its public code. There the discriminators of the mixed set are trained, but no generator gets a
gradient from them: generators of "partial" and "full" differ from those of "base" by chance alone.
With ``teach`` they do.
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
    """Discriminators, weights of the loss terms, and learning rates."""

    model: Model = "base"
    teach: bool = False  # generators get gradients from the discriminators of the mixed set
    mixed: float = 1.0  # γ, the weight of those discriminators
    cycle: float = 10.0
    noise: float = 1.0  # σ_D: |N(0, σ_D)| is added to inputs of discriminators
    pool: int = 50  # size of the pool of generated phrases
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)


class GenreGan:
    """Two generators between two genres, and one or two discriminators for each.

    A batch holds phrases [B, 2, 64, 84] of each genre under its name, and under "mixed" where there
    are discriminators of the mixed set. Only what sounds (channel 1) is used. Turns, at every
    step: "generator" (both), then "discriminator" (all).

    Args:
        generators: by target genre: [B, 1, 64, 84] -> logits [B, 1, 64, 84].
        discriminators: by genre: [B, 1, 64, 84] -> scores.
        mixed: by genre, of the mixed set against generated phrases of this genre; none for "base".
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
        discriminators = {
            f"discriminator_{genre}": net for genre, net in self.discriminators.items()
        }
        discriminators |= {
            f"discriminator_{MIXED}_{genre}": net for genre, net in self.mixed.items()
        }
        pools = {f"pool_{genre}": pool for genre, pool in self.pools.items()}
        self.networks: dict[str, nn.Module] = {**makers, **discriminators, **pools}
        self.groups: dict[str, Group] = {
            "generator": Group(tuple(makers), settings.learning_rate, settings.betas),
            "discriminator": Group(tuple(discriminators), settings.learning_rate, settings.betas),
        }

    def turns(self, batch: dict[str, Tensor], step: int, generator: Generator) -> Iterator[Turn]:
        """Yields the generators' turn, then the discriminators', on the same generated phrases."""
        real = {name: phrases[:, SOUND : SOUND + 1].float() for name, phrases in batch.items()}
        noise = self._noise(real[self.genres[0]], generator)
        made = {genre: self._make(genre, real[self._other(genre)]) for genre in self.genres}
        yield Turn("generator", self.generator_terms(real, made, noise), self.weights())
        yield Turn(
            "discriminator", self.discriminator_terms(real, made, noise, generator), self.weights()
        )

    def weights(self) -> dict[str, float]:
        """The weights of terms other than 1."""
        chosen, found = self.settings, {}
        for genre in self.genres:
            found[f"cycle_{genre}"] = chosen.cycle
            found[f"{MIXED}_{genre}"] = chosen.mixed
        return found

    def generator_terms(
        self, real: Mapping[str, Tensor], made: Mapping[str, Tensor], noise: Tensor
    ) -> dict[str, Tensor]:
        """The terms "adversarial_GENRE", "cycle_GENRE" (of GENRE), "mixed_GENRE" (``teach``)."""
        terms = {}
        for genre in self.genres:
            terms[f"adversarial_{genre}"] = least_squares_generator(
                self.discriminators[genre](made[genre] + noise)
            )
            again = self._make(genre, made[self._other(genre)])
            terms[f"cycle_{genre}"] = (again - real[genre]).abs().mean()
            if self.mixed and self.settings.teach:
                terms[f"{MIXED}_{genre}"] = least_squares_generator(
                    self.mixed[genre](made[genre] + noise)
                )
        return terms

    def discriminator_terms(
        self,
        real: Mapping[str, Tensor],
        made: Mapping[str, Tensor],
        noise: Tensor,
        generator: Generator,
    ) -> dict[str, Tensor]:
        """The terms "discriminator_GENRE", and "mixed_GENRE" of the mixed set."""
        terms = {}
        for genre in self.genres:
            false = self.pools[genre](made[genre], generator) + noise
            terms[f"discriminator_{genre}"] = least_squares_discriminator(
                self.discriminators[genre], real[genre] + noise, false
            )
            if self.mixed:
                true = real[MIXED] + noise
                terms[f"{MIXED}_{genre}"] = least_squares_discriminator(
                    self.mixed[genre], true, false
                )
        return terms

    def preview(self, batch: dict[str, Tensor], generator: Generator) -> Preview:
        """The first phrase of each genre, its transferred version, and that transferred back."""
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
        """Half-normal noise, the same for all inputs of discriminators in a step."""
        drawn = torch.randn(like.shape, generator=generator).abs() * self.settings.noise
        return drawn.to(like.device)


def least_squares_generator(outputs: Tensor) -> Tensor:
    """Least-squares loss of a generator: the mean of (D - 1)²."""
    return (outputs.float() - 1).square().mean()


def least_squares_discriminator(discriminator: nn.Module, true: Tensor, false: Tensor) -> Tensor:
    """Least-squares loss of a discriminator: half of mean (D(true) - 1)² + mean D(false)²."""
    loss = least_squares_generator(discriminator(true))
    verdicts: Tensor = discriminator(false)
    return 0.5 * (loss + verdicts.float().square().mean())
