"""Configs to what they describe: rendered songs, or a training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from audiotransfer.data.rendering.rendering import RenderSettings, render_corpus
from audiotransfer.errors import AudioTransferError
from audiotransfer.recipes.accompaniment import AccompanimentRecipe, train_accompaniment
from audiotransfer.recipes.any_to_many import AnyToManyRecipe, train_any_to_many
from audiotransfer.recipes.base import Show, Training
from audiotransfer.recipes.drums import DrumRecipe, train_drums
from audiotransfer.recipes.genre_classifier import GenreClassifierRecipe, train_genre_classifier
from audiotransfer.recipes.genre_gan import (
    ConditionalGanRecipe,
    GenreGanRecipe,
    train_conditional_gan,
    train_genre_gan,
)
from audiotransfer.recipes.instrument_classifier import (
    InstrumentClassifierRecipe,
    train_instrument_classifier,
)
from audiotransfer.recipes.midi_classifier import MidiClassifierRecipe, train_midi_classifier
from audiotransfer.recipes.separator import SeparatorRecipe, train_separator
from audiotransfer.recipes.style import StyleRecipe, train_style
from audiotransfer.recipes.templates import TemplateRecipe, train_templates
from audiotransfer.recipes.unpaired import UnpairedStyleRecipe, train_unpaired
from audiotransfer.training import curves
from audiotransfer.training.config import load_config
from audiotransfer.training.devices import is_first


@dataclass
class TrainingConfig(Training):
    """One of the recipes, and how it is trained."""

    separator: SeparatorRecipe | None = None
    style: StyleRecipe | None = None
    bands: TemplateRecipe | None = None
    any_to_many: AnyToManyRecipe | None = None
    judge: GenreClassifierRecipe | None = None
    tagger: InstrumentClassifierRecipe | None = None
    score_judge: MidiClassifierRecipe | None = None
    unpaired: UnpairedStyleRecipe | None = None
    bach: AccompanimentRecipe | None = None
    drums: DrumRecipe | None = None
    genre_gan: GenreGanRecipe | None = None
    conditional_gan: ConditionalGanRecipe | None = None


RECIPES: dict[str, Callable[[Any, Training, Path, Show | None], dict[str, float]]] = {
    "separator": train_separator,
    "style": train_style,
    "bands": train_templates,
    "any_to_many": train_any_to_many,
    "judge": train_genre_classifier,
    "tagger": train_instrument_classifier,
    "score_judge": train_midi_classifier,
    "unpaired": train_unpaired,
    "bach": train_accompaniment,
    "drums": train_drums,
    "genre_gan": train_genre_gan,
    "conditional_gan": train_conditional_gan,
}
"""Section of a config -> what trains the recipe in it."""


def render(
    name: str, overrides: Sequence[str], folder: Path, show: Show | None = None
) -> list[dict[str, object]]:
    """Renders the songs that a config names into ``folder``; what is there already stays.

    The songs of several genres lie in ``folder/GENRE``.
    """
    settings = load_config(name, overrides, RenderSettings)
    corpora = [
        (f"rendering {genre}", replace(settings, genre=genre, scores=scores, genres={}), genre)
        for genre, scores in settings.genres.items()
    ] or [("rendering", settings, "")]
    songs: list[dict[str, object]] = []
    for number, (stage, corpus, place) in enumerate(corpora):

        def tell(done: int, total: int, stage: str = stage, before: int = number) -> None:
            if show is not None:
                show(stage, (before + done / total) / len(corpora))

        songs += render_corpus(corpus, folder / place, tell)
    return songs


def train(
    name: str, overrides: Sequence[str], folder: Path, show: Show | None = None
) -> dict[str, float]:
    """Trains what a config describes and leaves it ready for use in ``folder``.

    A style lands in ``folder/NAME`` (``--style folder/NAME``), a separator in
    ``folder/separator.safetensors``, a judge or a tagger in ``folder`` itself (``--judge folder``);
    beside it stand the run's ``curves.png``. A run that was stopped goes on where it stood.

    Raises AudioTransferError for a config that names no recipe or several, or missing data.
    """
    config = load_config(name, overrides, TrainingConfig)
    named = {section: recipe for section in RECIPES if (recipe := getattr(config, section))}
    if len(named) != 1:
        raise AudioTransferError(
            f"config {name} must hold exactly one of the sections {', '.join(RECIPES)}"
        )
    torch.manual_seed(config.seed)
    ((section, recipe),) = named.items()
    figures = RECIPES[section](recipe, config, folder, show)
    if is_first():
        curves.draw(folder)
    return figures
