"""The recipes of genre transfer on MIDI: the CycleGAN between two genres, and one conditional GAN.

Brunner et al.: Symbolic music genre transfer with CycleGAN, ICTAI 2018.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from audiotransfer.errors import AudioTransferError
from audiotransfer.recipes.base import Run, restore
from audiotransfer.recipes.midi_styles import GenreRecipe, validation, write_midi_style
from audiotransfer.symbolic.genre.conditional_gan import ConditionalGan, ConditionalGanSettings
from audiotransfer.symbolic.genre.conditional_networks import ConditionalGenerator
from audiotransfer.symbolic.genre.cycle_gan import GenreGan, GenreGanSettings
from audiotransfer.symbolic.genre.data import GenreBatches, PairBatches, genre_phrases
from audiotransfer.symbolic.genre.paper_networks import PaperDiscriminator, PaperGenerator
from audiotransfer.symbolic.genre.transfer import Generator
from audiotransfer.training import Objective


@dataclass
class GenreGanRecipe(GenreRecipe):
    """A CycleGAN between the two genres of ``pair``.

    The mixed set of the model "full" has all genres of the archives. ``width`` and ``blocks`` are
    those of the generators, ``discriminator_width`` that of the discriminators; generators take
    ``steps`` sixteenths as one column, and cells pass them with the logit ``passing`` (see
    `PaperGenerator`).
    """

    pair: list[str] = field(default_factory=lambda: ["jazz", "classical"])
    width: int = 64
    blocks: int = 10
    steps: int = 1
    passing: float = 0.0
    discriminator_width: int = 64
    settings: GenreGanSettings = field(default_factory=GenreGanSettings)

    def train(self, run: Run) -> dict[str, float]:
        """Trains both generators, and writes a style into ``GENRE`` for each genre of the pair."""
        pair = _pair(self)
        parts = genre_phrases(self.archives, self.data, run.folder / "phrases")
        mixed = {"base": (), "partial": pair, "full": tuple(self.archives)}[self.settings.model]
        batches = PairBatches(
            parts["train"],
            pair,
            self.batch,
            run.seed,
            mixed=mixed,
            transpose=self.transpose,
        )
        objective = build(self)
        held_out = {genre: parts["validation"][genre] for genre in pair}
        fit = run.fit(
            objective, batches, self, validation=validation(self, _of_each_genre, held_out)
        )
        if fit.exports:
            generators = objective.generators
            restore(fit.last, {f"to_{genre}": one for genre, one in generators.items()})
            for genre, generator in _of_each_genre(objective).items():
                write_midi_style(genre, self, run, fit, generator)
        return fit.figures


def build(recipe: GenreGanRecipe) -> GenreGan:
    """Builds the objective of a recipe, with new networks."""
    pair = _pair(recipe)
    size = (recipe.width, recipe.blocks, recipe.steps, recipe.passing)
    generators = {genre: PaperGenerator((genre,), *size) for genre in pair}
    discriminators = {genre: PaperDiscriminator(recipe.discriminator_width) for genre in pair}
    mixed = {genre: PaperDiscriminator(recipe.discriminator_width) for genre in pair}
    return GenreGan(generators, discriminators, mixed, recipe.settings)


def _pair(recipe: GenreGanRecipe) -> tuple[str, str]:
    if len(recipe.pair) != 2 or recipe.pair[0] == recipe.pair[1]:
        raise AudioTransferError(
            f"genre_gan.pair is {recipe.pair}; name two genres of {', '.join(recipe.archives)}"
        )
    one, other = recipe.pair
    return one, other


def _of_each_genre(objective: Objective) -> Mapping[str, Generator]:
    return cast(Mapping[str, Generator], cast(GenreGan, objective).generators)


@dataclass
class ConditionalGanRecipe(GenreRecipe):
    """One GAN among all genres of the archives. ``widths``, ``blocks``: `ConditionalGenerator`."""

    widths: list[int] = field(default_factory=lambda: [32, 64, 96])
    blocks: int = 2
    settings: ConditionalGanSettings = field(default_factory=ConditionalGanSettings)

    def train(self, run: Run) -> dict[str, float]:
        """Trains the generator, and writes a style into ``GENRE`` for each genre.

        They have the weights of the best validation where a classifier validates, else the last.
        """
        parts = genre_phrases(self.archives, self.data, run.folder / "phrases")
        batches = GenreBatches(parts["train"], self.batch, run.seed, transpose=self.transpose)
        generator = ConditionalGenerator(tuple(self.archives), self.widths, self.blocks)
        fit = run.fit(
            ConditionalGan(generator, self.settings),
            batches,
            self,
            validation=validation(self, _for_each_genre, parts["validation"]),
            averaged=("generator",),
        )
        if fit.exports:
            restore(fit.best, {"generator": generator})
            for genre in generator.genres:
                write_midi_style(genre, self, run, fit, generator)
        return fit.figures


def _for_each_genre(objective: Objective) -> Mapping[str, Generator]:
    generator = cast(ConditionalGan, objective).generator
    return dict.fromkeys(generator.genres, generator)
