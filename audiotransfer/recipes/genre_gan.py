"""The paper's CycleGAN between two genres, and both styles that come of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from audiotransfer.errors import AudioTransferError
from audiotransfer.recipes.base import Show, Training, watch
from audiotransfer.recipes.midi_styles import GenreRecipe, validation, write_score_style
from audiotransfer.symbolic.genre.conditional_gan import ConditionalGan, ConditionalGanSettings
from audiotransfer.symbolic.genre.conditional_networks import ConditionalGenerator
from audiotransfer.symbolic.genre.cycle_gan import GenreGan, GenreGanSettings
from audiotransfer.symbolic.genre.data import GenreBatches, PairBatches, genre_phrases
from audiotransfer.symbolic.genre.paper_networks import PaperDiscriminator, PaperGenerator
from audiotransfer.symbolic.genre.transfer import Generator
from audiotransfer.training import Objective, Trainer, load_networks


@dataclass
class GenreGanRecipe(GenreRecipe):
    """Between the two genres of ``pair``; the mixed set of "full" is all genres of the packs.

    ``width`` and ``blocks`` are those of the generators, ``discriminator_width`` that of the
    discriminators; generators take ``steps`` sixteenths as one column, and cells pass them with the
    logit ``passing`` (see `PaperGenerator`).
    """

    pair: list[str] = field(default_factory=lambda: ["jazz", "classical"])
    width: int = 64
    blocks: int = 10
    steps: int = 1
    passing: float = 0.0
    discriminator_width: int = 64
    settings: GenreGanSettings = field(default_factory=GenreGanSettings)


def train_genre_gan(
    recipe: GenreGanRecipe, config: Training, folder: Path, show: Show | None
) -> dict[str, float]:
    """Leaves a style in ``folder/GENRE`` for each genre of the pair."""
    pair = _pair(recipe)
    parts = genre_phrases(recipe.packs, recipe.data, folder / "phrases")
    mixed = {"base": (), "partial": pair, "full": tuple(recipe.packs)}[recipe.settings.model]
    batches = PairBatches(
        parts["train"],
        pair,
        recipe.batch,
        config.seed,
        mixed=mixed,
        transpose=recipe.transpose,
    )
    objective = build(recipe)
    trainer = Trainer(
        objective,
        batches,
        config.trainer,
        folder,
        validation(recipe, _generators, {genre: parts["validation"][genre] for genre in pair}),
        config=recipe,
    )
    began = time.monotonic()
    figures = trainer.run(should_stop=watch(trainer, show))
    hours = (time.monotonic() - began) / 3600
    if trainer.first:
        states = load_networks(folder / "checkpoint")
        for genre, generator in _generators(objective).items():
            generator.cpu().load_state_dict(states[f"to_{genre}"])
            write_score_style(genre, recipe, config, folder, generator, trainer.step, hours)
    return figures


def build(recipe: GenreGanRecipe) -> GenreGan:
    """The objective with fresh networks."""
    pair = _pair(recipe)
    size = (recipe.width, recipe.blocks, recipe.steps, recipe.passing)
    generators = {genre: PaperGenerator((genre,), *size) for genre in pair}
    discriminators = {genre: PaperDiscriminator(recipe.discriminator_width) for genre in pair}
    mixed = {genre: PaperDiscriminator(recipe.discriminator_width) for genre in pair}
    return GenreGan(generators, discriminators, mixed, recipe.settings)


def _pair(recipe: GenreGanRecipe) -> tuple[str, str]:
    if len(recipe.pair) != 2 or recipe.pair[0] == recipe.pair[1]:
        raise AudioTransferError(
            f"genre_gan.pair is {recipe.pair}; name two genres of {', '.join(recipe.packs)}"
        )
    one, other = recipe.pair
    return one, other


def _generators(objective: Objective) -> Mapping[str, Generator]:
    return cast(Mapping[str, Generator], cast(GenreGan, objective).generators)


@dataclass
class ConditionalGanRecipe(GenreRecipe):
    """Among all genres of the packs. ``widths`` and ``blocks``: see `ConditionalGenerator`."""

    widths: list[int] = field(default_factory=lambda: [32, 64, 96])
    blocks: int = 2
    settings: ConditionalGanSettings = field(default_factory=ConditionalGanSettings)


def train_conditional_gan(
    recipe: ConditionalGanRecipe, config: Training, folder: Path, show: Show | None
) -> dict[str, float]:
    """Leaves a style in ``folder/GENRE`` for each genre, of the best checkpoint where a judge
    chose one.
    """
    parts = genre_phrases(recipe.packs, recipe.data, folder / "phrases")
    batches = GenreBatches(parts["train"], recipe.batch, config.seed, transpose=recipe.transpose)
    generator = ConditionalGenerator(tuple(recipe.packs), recipe.widths, recipe.blocks)
    trainer = Trainer(
        ConditionalGan(generator, recipe.settings),
        batches,
        replace(config.trainer, ema=("generator",) if config.trainer.ema_decay else ()),
        folder,
        validation(recipe, _conditional_gan_generators, parts["validation"]),
        config=recipe,
    )
    began = time.monotonic()
    figures = trainer.run(should_stop=watch(trainer, show))
    hours = (time.monotonic() - began) / 3600
    if trainer.first:
        best = folder / "best" if (folder / "best").is_dir() else folder / "checkpoint"
        generator.cpu().load_state_dict(load_networks(best)["generator"])
        for genre in generator.genres:
            write_score_style(genre, recipe, config, folder, generator, trainer.step, hours)
    return figures


def _conditional_gan_generators(objective: Objective) -> Mapping[str, Generator]:
    generator = cast(ConditionalGan, objective).generator
    return dict.fromkeys(generator.genres, generator)
