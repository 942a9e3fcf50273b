"""The registry of recipes, by config section; loads configs, and renders or trains by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, make_dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from audiotransfer.atomic import write_bytes
from audiotransfer.data.rendering.composing import RenderSettings
from audiotransfer.data.rendering.excerpts import ExcerptSettings, render_excerpts
from audiotransfer.data.rendering.rendering import render_corpus
from audiotransfer.errors import AudioTransferError
from audiotransfer.recipes.base import Recipe, Run, Show, Training
from audiotransfer.recipes.export import plain
from audiotransfer.training import curves
from audiotransfer.training.config import find_config, load_config
from audiotransfer.training.devices import is_first

CONFIG = "config.yaml"
"""File in a run's folder with its resolved config."""
RECIPES = {
    "accompaniment": "accompaniment:AccompanimentRecipe",
    "any_to_many": "any_to_many:AnyToManyRecipe",
    "arranger_network": "arranger_network:ArrangerNetworkRecipe",
    "conditional_gan": "genre_gan:ConditionalGanRecipe",
    "deep_griffinlim": "inverters:DeepGriffinLimRecipe",
    "drums": "drums:DrumRecipe",
    "genre_classifier": "genre_classifier:GenreClassifierRecipe",
    "genre_gan": "genre_gan:GenreGanRecipe",
    "instrument_classifier": "instrument_classifier:InstrumentClassifierRecipe",
    "midi_classifier": "midi_classifier:MidiClassifierRecipe",
    "neural": "inverters:NeuralRecipe",
    "pitch_transcription": "pitch_transcription:PitchTranscriptionRecipe",
    "rhythm_transcription": "rhythm_transcription:RhythmTranscriptionRecipe",
    "separator": "separator:SeparatorRecipe",
    "sound_cycle_gan": "sound_cycle_gan:SoundCycleGanRecipe",
    "style": "style:StyleRecipe",
    "templates": "templates:TemplateRecipe",
    "translation": "translation:TranslationRecipe",
    "unpaired": "unpaired:UnpairedStyleRecipe",
    "waveglow": "inverters:WaveGlowRecipe",
    "wavenet": "inverters:WaveNetRecipe",
}
"""Section of a config -> the file in this folder and the class of the recipe in it."""


@dataclass
class TrainingConfig(Training):
    """A config of a training: its recipe, from the section of that name, and how it is trained."""

    section: str = ""
    recipe: Any = None

    def to_dict(self) -> dict[str, Any]:
        """The config as plain values, as in its YAML file."""
        return {
            "seed": self.seed,
            self.section: asdict(self.recipe),
            "trainer": asdict(self.trainer),
        }


def find_recipe(section: str) -> type[Recipe]:
    """The class of the recipe of a section, whose file is imported now."""
    file, _, name = RECIPES[section].partition(":")
    recipe: type[Recipe] = getattr(import_module(f"audiotransfer.recipes.{file}"), name)
    return recipe


def load_training(name: str | Path, overrides: Sequence[str] = ()) -> TrainingConfig:
    """The config of a training, by name or path, with ``key=value`` overrides.

    Raises AudioTransferError for a config that holds no recipe or several, an unknown key or a
    value of the wrong type.
    """
    sections: list[str] = []

    def schema(keys: Sequence[str]) -> type[Training]:
        sections[:] = [key for key in keys if key in RECIPES]
        types = {key: Any if key not in sections else find_recipe(key) for key in RECIPES}
        fields = [(key, type_ | None, None) for key, type_ in types.items()]
        return make_dataclass("TrainingConfig", fields, bases=(Training,))

    read = load_config(name, overrides, schema)
    held = {key: recipe for key in sections if (recipe := getattr(read, key)) is not None}
    if len(held) != 1:
        raise AudioTransferError(
            f"config {find_config(name).stem} must hold exactly one of the sections"
            f" {', '.join(RECIPES)}"
        )
    ((section, recipe),) = held.items()
    return TrainingConfig(read.trainer, read.seed, section, recipe)


def render(
    name: str, overrides: Sequence[str], folder: Path, show: Show | None = None
) -> list[dict[str, object]]:
    """Renders the songs or excerpts that a config names into ``folder``; what is there is kept.

    The songs of several genres lie in ``folder/GENRE``, excerpts in ``folder/SPLIT``.
    """

    def schema(keys: Sequence[str]) -> type[RenderSettings | ExcerptSettings]:
        return ExcerptSettings if "excerpts" in keys else RenderSettings

    settings = load_config(name, overrides, schema)
    if isinstance(settings, ExcerptSettings):

        def rendered(done: int, total: int) -> None:
            if show is not None:
                show("rendering", done / total)

        return render_excerpts(settings, folder, rendered)
    corpora = [
        (f"rendering {genre}", replace(settings, genre=genre, scores=scores, genres={}), genre)
        for genre, scores in settings.genres.items()
    ] or [("rendering", settings, "")]
    songs: list[dict[str, object]] = []
    for number, (stage, corpus, place) in enumerate(corpora):

        def report(done: int, total: int, stage: str = stage, before: int = number) -> None:
            if show is not None:
                show(stage, (before + done / total) / len(corpora))

        songs += render_corpus(corpus, folder / place, report)
    return songs


def train(
    name: str | Path,
    overrides: Sequence[str],
    folder: Path,
    show: Show | None = None,
    *,
    minutes: float | None = None,
) -> dict[str, float]:
    """Trains what a config describes, exports it into ``folder`` and returns the last figures.

    A style lands in ``folder/NAME`` (``--style folder/NAME``), a separator in
    ``folder/separator.safetensors``, a classifier in ``folder`` itself (``--classifier folder``);
    beside it stand the run's ``curves.png``, ``preview.png``, ``preview.wav`` and the resolved
    ``config.yaml``. A run that was stopped continues from its checkpoint. ``minutes`` end it.

    Raises AudioTransferError for a config that names no recipe or several, or missing data.
    """
    config = load_training(name, overrides)
    if is_first():
        folder.mkdir(parents=True, exist_ok=True)
        text = OmegaConf.to_yaml(OmegaConf.create(plain(config.to_dict())))
        write_bytes(folder / CONFIG, text.encode(), overwrite=True)
    return _run(config, Run(folder, config.trainer, show=show, minutes=minutes))


def finish(folder: Path, *, unfinished: bool = False, show: Show | None = None) -> dict[str, float]:
    """Exports what the checkpoint of a run holds, as `train` does at its end, without training.

    ``unfinished`` marks the card of a style as such. Raises AudioTransferError where ``folder`` is
    no run, or has no checkpoint yet.
    """
    if not (folder / CONFIG).is_file():
        raise AudioTransferError(
            f"{folder} is no run of a training: it has no {CONFIG}; `audiotransfer train` makes one"
        )
    config = load_training(folder / CONFIG)
    run = Run(folder, config.trainer, show=show, finish=True, unfinished=unfinished)
    return _run(config, run)


def _run(config: TrainingConfig, run: Run) -> dict[str, float]:
    torch.manual_seed(config.seed)
    run = replace(run, seed=config.seed, config=config.to_dict())
    figures: dict[str, float] = config.recipe.train(run)
    if is_first():
        curves.draw(run.folder)
    return figures
