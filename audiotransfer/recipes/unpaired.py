"""A style without pairs: any of the objectives that learn from two sets of spectrograms."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.checkpoint_metric import CheckpointMetric, CheckpointMetricSettings
from audiotransfer.evaluation.validation_samples import ValidationSamples
from audiotransfer.recipes.base import Show, watch
from audiotransfer.recipes.export import chosen, write_style
from audiotransfer.recipes.unpaired_data import prepared, recorded
from audiotransfer.spectral.models.base import SpectrogramModel
from audiotransfer.spectral.models.unet import STEMS
from audiotransfer.spectral.objectives import registry
from audiotransfer.spectral.objectives.registry import Materials
from audiotransfer.styles.card import Card
from audiotransfer.training import Trainer, load_networks

if TYPE_CHECKING:
    from audiotransfer.recipes.base import Training

logger = logging.getLogger(__name__)


@dataclass
class UnpairedStyleRecipe:
    """Two sets of songs, an objective by name, and the networks that it trains.

    ``prepared`` is what `audiotransfer prepare` made, of which ``source`` (or any) and ``target``
    are genres; without it they are folders of recordings of the ``stem``, relative to ``data``.
    Windows have ``frames`` frames of the ``spectrogram`` (settings of `vocoder.Spectrogram`; a
    prepared collection brings its own). ``generator`` and ``discriminators`` are kinds of networks
    with their settings (see `spectral.materials`), ``settings`` those of the objective.
    ``headline`` says how H is found on the validation songs of a prepared collection; the best
    weights by it are taken, without it the last.
    """

    name: str = "style"
    description: str = ""
    prepared: str | None = None
    data: str = "."
    source: str = ""
    target: str = ""
    stem: str = "other"
    spectrogram: dict[str, Any] = field(default_factory=dict)
    frames: int = 288
    batch: int = 16
    seed: int = 0
    objective: str = "melgan-vc"
    generator: dict[str, Any] = field(default_factory=dict)
    discriminators: dict[str, dict[str, Any]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    headline: CheckpointMetricSettings = field(default_factory=CheckpointMetricSettings)
    corpora: list[dict[str, Any]] = field(default_factory=list)


def train_unpaired(
    recipe: UnpairedStyleRecipe, config: Training, folder: Path, show: Show | None
) -> dict[str, float]:
    """Trains, and leaves a style in ``folder/NAME``.

    Where its spectrograms cannot become sound again, the card says so.
    """
    Card(recipe.name, recipe.description, {}, {})  # a name that no card takes fails before the work
    if recipe.stem not in STEMS:
        raise AudioTransferError(f"no style changes {recipe.stem!r}; take {', '.join(STEMS)}")
    for name in ("frames", "batch"):
        if getattr(recipe, name) < 1:
            raise AudioTransferError(f"unpaired.{name} is {getattr(recipe, name)}; give 1 or more")
    if recipe.prepared is None:
        ground = recorded(recipe, folder)
    else:
        ground = prepared(recipe, recipe.prepared, folder)
    if ground.lacks:
        logger.warning("%s will play no songs: %s", recipe.name, ground.lacks)
    bins = int(ground.settings["bins"])
    materials = Materials(bins, recipe.frames, recipe.generator, recipe.discriminators)
    objective = registry.create(recipe.objective, materials, recipe.settings)
    generator = cast(SpectrogramModel, objective.networks["generator"])
    audition = headline = None
    if ground.spectrogram is not None:
        audition = ValidationSamples(
            ground.lines, ground.spectrogram, lambda _: {recipe.target: generator}
        )
        if ground.judge is not None:
            headline = CheckpointMetric(audition, {recipe.target: ground.targets}, ground.judge)
    trainer = Trainer(
        objective,
        ground.batches,
        replace(config.trainer, ema=("generator",) if config.trainer.ema_decay else ()),
        folder,
        headline,
        config=replace(recipe, description="", corpora=[], headline=CheckpointMetricSettings()),
        audition=audition,
    )
    began = time.monotonic()
    figures = trainer.run(should_stop=watch(trainer, show))
    hours = (time.monotonic() - began) / 3600
    if trainer.first:
        checkpoint = chosen(folder)
        generator.cpu().load_state_dict(load_networks(checkpoint)["generator"])
        about = replace(
            recipe,
            description=recipe.description
            or f"The {ground.stem} of {recipe.source} repainted after {recipe.target}.",
            corpora=recipe.corpora or ground.corpora,
        )
        write_style(
            about,
            config,
            checkpoint,
            generator,
            ground.settings,
            (ground.stem,),
            trainer.step,
            hours,
            ground.lacks,
        )
    return figures
