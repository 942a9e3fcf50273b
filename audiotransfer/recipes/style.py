"""A style: from rendered pairs, from folders of songs, or from both."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from audiotransfer.data.paired import PairedStems, PairSettings, find_pairs
from audiotransfer.data.stem_mixes import folder_takes
from audiotransfer.data.unpaired import UnpairedWindows
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.checkpoint_metric import CheckpointMetricSettings, rendered_validation
from audiotransfer.evaluation.validation_samples import ValidationSamples, recorded_samples
from audiotransfer.recipes.base import Show, start_from, watch
from audiotransfer.recipes.export import chosen, write_style
from audiotransfer.spectral.models.unet import STEMS, Generator
from audiotransfer.spectral.objectives.melgan_vc import MelGanVcSettings
from audiotransfer.spectral.objectives.paired import PairedObjective
from audiotransfer.spectral.objectives.unpaired import UnpairedObjective
from audiotransfer.styles.card import Card
from audiotransfer.training import Batches, Objective, Trainer, load_networks
from audiotransfer.training.objective import Mixed, Share
from vocoder import SpectrogramSettings

if TYPE_CHECKING:
    from audiotransfer.recipes.base import Training

_VALIDATION_BATCHES = 3
_LINES = 2  # of recordings, heard in the log


@dataclass
class UnpairedRecipe:
    """Stems of any songs as source and of the target's songs, by folder; one stem.

    Tiles have ``frames`` frames, three to a window; the objective (MelGAN-VC) is taken at every
    ``every``-th step. ``settings`` are its weights.
    """

    source: str = ""
    target: str = ""
    stem: str = "other"
    frames: int = 64
    every: int = 1
    batch: int = 4
    seed: int = 0
    settings: MelGanVcSettings = field(default_factory=MelGanVcSettings)


@dataclass
class StyleRecipe:
    """A style's name, its data, its network and what is asked of it.

    It learns from rendered ``pairs``, from the folders of ``unpaired``, or from both. ``weights``
    are those of the paired generator's terms (see ``PairedObjective``). The first
    ``validation_songs`` rendered songs are not trained on and tell how far it is, by distance and,
    as ``headline`` says, by H, which chooses the weights: discriminators cost some of the distance,
    and without H the last ones are taken. ``start`` is the checkpoint of a run whose generator is
    the first one. Stems that nothing taught are kept as they are.
    """

    name: str = "style"
    description: str = ""
    data: str = "data"
    pairs: str | None = None
    unpaired: UnpairedRecipe | None = None
    start: str | None = None
    spectrogram: dict[str, Any] = field(default_factory=dict)
    channels: tuple[int, ...] = (16, 40, 80, 112, 144, 160)
    weights: dict[str, float] = field(default_factory=dict)
    adversarial_from: int = 1200
    learning_rate: float = 4e-4
    discriminator_learning_rate: float = 2e-4
    validation_songs: int = 24
    headline: CheckpointMetricSettings = field(default_factory=CheckpointMetricSettings)
    corpora: list[dict[str, Any]] = field(default_factory=list)
    drawing: PairSettings = field(default_factory=PairSettings)


def train_style(
    recipe: StyleRecipe, config: Training, folder: Path, show: Show | None
) -> dict[str, float]:
    Card(recipe.name, recipe.description, {}, {})  # a name that no card takes fails before the work
    spectrogram = SpectrogramSettings.from_dict(recipe.spectrogram)
    generator = Generator(spectrogram.bins, recipe.channels)
    if recipe.start is not None:
        start_from(generator, Path(recipe.start), "spectrogram and channels")
    shares: list[Share] = []
    auditions: list[ValidationSamples] = []
    validation: Callable[[Objective], dict[str, float]] | None = None
    if recipe.pairs is not None:
        share, audition, validation = _paired(recipe, recipe.pairs, folder, generator, spectrogram)
        shares.append(share)
        auditions.append(audition)
    if recipe.unpaired is not None:
        share, audition = _unpaired(recipe, recipe.unpaired, folder, generator, spectrogram)
        shares.append(share)
        auditions.append(audition)
    if not shares:
        raise AudioTransferError("a style needs pairs or unpaired folders to learn from")
    # One objective keeps its own names: its checkpoint can start another recipe.
    mixed = Mixed(shares) if len(shares) > 1 else None
    objective: Objective = mixed or shares[0].objective
    batches: Batches = mixed or shares[0].batches
    name = mixed.network(shares[0].name, "generator") if mixed else "generator"
    trainer = Trainer(
        objective,
        batches,
        replace(config.trainer, ema=(name,) if config.trainer.ema_decay else ()),
        folder,
        validation,
        config=replace(recipe, description="", corpora=[], headline=CheckpointMetricSettings()),
        audition=auditions[0],
    )
    started = time.monotonic()
    figures = trainer.run(should_stop=watch(trainer, show))
    hours = (time.monotonic() - started) / 3600
    if not trainer.first:
        return figures
    checkpoint = chosen(folder)
    generator.load_state_dict(load_networks(checkpoint)[name])
    taught = STEMS if recipe.unpaired is None or recipe.pairs else (recipe.unpaired.stem,)
    drawn = spectrogram.to_dict()
    write_style(recipe, config, checkpoint, generator, drawn, taught, trainer.step, hours)
    return figures


def _paired(
    recipe: StyleRecipe,
    place: str,
    folder: Path,
    generator: Generator,
    spectrogram: SpectrogramSettings,
) -> tuple[Share, ValidationSamples, Callable[[Objective], dict[str, float]]]:
    pairs = find_pairs(Path(recipe.data) / place)
    kept, trained = pairs[: recipe.validation_songs], pairs[recipe.validation_songs :]
    objective = PairedObjective(
        generator,
        spectrogram,
        recipe.weights,
        recipe.adversarial_from,
        recipe.learning_rate,
        recipe.discriminator_learning_rate,
    )
    drawn = PairedStems(kept, replace(recipe.drawing, batch=16, seed=recipe.drawing.seed + 1))
    batches = [drawn.batch(step) for step in range(_VALIDATION_BATCHES)]
    share = Share("paired", objective, PairedStems(trained, recipe.drawing))
    style = recipe.drawing.style
    audition, headline = rendered_validation(
        [pair.folder for pair in kept],
        [pair.folder for pair in trained],
        STEMS,
        lambda _: {style: generator},
        (style,),
        spectrogram,
        recipe.headline,
        folder,
    )

    def validate(of: Objective) -> dict[str, float]:
        return _validate(objective, batches) | (headline(of) if headline else {})

    return share, audition, validate


def _unpaired(
    recipe: StyleRecipe,
    part: UnpairedRecipe,
    folder: Path,
    generator: Generator,
    spectrogram: SpectrogramSettings,
) -> tuple[Share, ValidationSamples]:
    sources, targets = (
        folder_takes(Path(recipe.data) / place, part.stem, folder / "decoded")
        for place in (part.source, part.target)
    )
    windows = UnpairedWindows(
        sources,
        targets,
        frames=3 * part.frames * spectrogram.hop_length - 1,
        batch=part.batch,
        seed=part.seed,
    )
    objective = UnpairedObjective(generator, spectrogram, part.stem, part.frames, part.settings)
    lines = recorded_samples(sources, _LINES)
    audition = ValidationSamples(lines, spectrogram, lambda _: {recipe.name: generator})
    return Share("unpaired", objective, windows, part.every), audition


def _validate(
    objective: PairedObjective, batches: Sequence[dict[str, torch.Tensor]]
) -> dict[str, float]:
    """Distances to the truth, and minus their mean ratio to doing nothing as the score."""
    found = [objective.distances(batch) for batch in batches]
    figures = {
        key: sum(one[key] for one in found if key in one) / sum(key in one for one in found)
        for key in sorted({key for one in found for key in one})
    }
    ratios = [figures[s] / figures[f"{s}/nothing"] for s in STEMS if s in figures]
    figures["score"] = -sum(ratios) / len(ratios)
    return figures
