"""One generator for all genres, and a style of each."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from audiotransfer.recipes.scores.genre_styles import GenreRecipe, validation, write_score_style
from audiotransfer.recipes.training import Training
from audiotransfer.recipes.watching import Show, watch
from audiotransfer.symbolic.genre.batches import GenreBatches
from audiotransfer.symbolic.genre.conditional_gan import ConditionalGan, ConditionalGanSettings
from audiotransfer.symbolic.genre.genres import genre_phrases
from audiotransfer.symbolic.genre.networks import ConditionalGenerator
from audiotransfer.symbolic.genre.weights import Generator
from audiotransfer.training import Objective, Trainer, load_networks


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
        validation(recipe, _generators, parts["validation"]),
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


def _generators(objective: Objective) -> Mapping[str, Generator]:
    generator = cast(ConditionalGan, objective).generator
    return dict.fromkeys(generator.genres, generator)
