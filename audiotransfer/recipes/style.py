"""The recipe of a U-Net style: from rendered pairs, from two folders of songs, or from both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from audiotransfer.data.paired import Pair, PairedStems, PairSettings, ShuffledStems, find_pairs
from audiotransfer.data.stem_mixes import folder_stems
from audiotransfer.data.unpaired import UnpairedWindows
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.checkpoint_metric import CheckpointMetricSettings, rendered_validation
from audiotransfer.evaluation.validation_samples import ValidationSamples, recorded_samples
from audiotransfer.recipes.base import Figures, Run, restore, start_from
from audiotransfer.recipes.export import write_style
from audiotransfer.recipes.refining import refined_style, write_refined_style
from audiotransfer.spectral.models.base import STEMS, SpectrogramModel
from audiotransfer.spectral.models.refined import RefinedModel
from audiotransfer.spectral.models.unet import UNet
from audiotransfer.spectral.objectives.melgan_vc import MelGanVcSettings
from audiotransfer.spectral.objectives.paired import PairedObjective
from audiotransfer.spectral.objectives.stem_cycle_gan import StemCycleGan
from audiotransfer.spectral.objectives.stem_spectrograms import StemSpectrograms
from audiotransfer.spectral.objectives.unpaired import UnpairedObjective
from audiotransfer.spectral.transfer import CHANNELS
from audiotransfer.styles.card import Card
from audiotransfer.training import Objective
from audiotransfer.training.cycle_consistency import CycleGanSettings
from audiotransfer.training.objective import Mixed, Share
from vocoder import SpectrogramSettings

_VALIDATION_BATCHES = 3
_SAMPLES = 2  # of recordings, for the log


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
class CycleRecipe:
    """CycleGAN on the stems of the pairs' songs, sources of some and targets of others.

    It is taken at every ``every``-th step, on ``batch`` stems. ``channels`` are those of the U-Net
    that converts back, ``settings`` the objective's.
    """

    channels: tuple[int, ...] = (12, 24, 48, 64, 80)
    every: int = 1
    batch: int = 4
    seed: int = 0
    settings: CycleGanSettings = field(default_factory=lambda: CycleGanSettings("hinge", pool=0))


@dataclass
class StyleRecipe:
    """A style's name, its data, its network and its objective.

    It is trained on rendered ``pairs``, on the folders of ``unpaired``, or on both, and by
    ``cycle`` on the songs of the pairs as if they were unpaired. ``weights`` are those of the
    paired generator's terms, ``adversarial_from`` the step from which its discriminators take part,
    None for never (see `PairedObjective`). The first ``validation_songs`` rendered songs
    are not trained on but validated on, by distance and, as ``checkpoint_metric`` says, by H,
    which chooses the weights: discriminators cost some of the distance, and without H the last
    ones are taken. ``start`` is the checkpoint of a run whose generator is the first one. Stems
    that are not trained are kept as they are. ``channels`` and ``contrast`` are the generator's
    (see `UNet`).

    With ``mean_channel`` what is predicted are spectrograms of the channels' mean, else those of
    their power: the true ones of the mean come nearer to true renderings, by any way back to sound.

    With ``refines``, a style by its name, the network's input is what that style's networks predict
    and not the stem's own spectrogram; what is written is that style with the network after them.
    """

    name: str = "style"
    description: str = ""
    data: str = "data"
    pairs: str | None = None
    unpaired: UnpairedRecipe | None = None
    cycle: CycleRecipe | None = None
    start: str | None = None
    refines: str | None = None
    spectrogram: dict[str, Any] = field(default_factory=dict)
    mean_channel: bool = False
    channels: tuple[int, ...] = (16, 40, 80, 112, 144, 160)
    contrast: float = 1.0
    weights: dict[str, float] = field(default_factory=dict)
    adversarial_from: int | None = 1200
    learning_rate: float = 4e-4
    discriminator_learning_rate: float = 2e-4
    validation_songs: int = 24
    checkpoint_metric: CheckpointMetricSettings = field(default_factory=CheckpointMetricSettings)
    corpora: list[dict[str, Any]] = field(default_factory=list)
    drawing: PairSettings = field(default_factory=PairSettings)

    def train(self, run: Run) -> dict[str, float]:
        """Trains the network, and writes a style into ``NAME`` in the run's folder."""
        Card(self.name, self.description, {}, {})  # refuses a name that no card takes
        refined = refined_style(self.refines) if self.refines is not None else None
        spectrograms = (
            refined.spectrograms
            if refined
            else StemSpectrograms(
                SpectrogramSettings.from_dict(self.spectrogram), mean_channel=self.mean_channel
            )
        )
        generator = UNet(spectrograms.settings.bins, self.channels, self.contrast)
        if self.start is not None:
            start_from(generator, Path(self.start), "spectrogram and channels")
        shares: list[Share] = []
        samples: list[ValidationSamples] = []
        validation: Figures | None = None
        if self.pairs is not None:
            pairs = find_pairs(Path(self.data) / self.pairs)
            held_out, trained = pairs[: self.validation_songs], pairs[self.validation_songs :]
            share, of_pairs, validation = _paired(
                self, held_out, trained, run.folder, generator, spectrograms
            )
            shares.append(share)
            samples.append(of_pairs)
            if self.cycle is not None:
                shares.append(_cycle(self, self.cycle, trained, generator, spectrograms))
        elif self.cycle is not None:
            raise AudioTransferError("style.cycle takes the songs of style.pairs; name them")
        if self.unpaired is not None:
            share, of_songs = _unpaired(self, self.unpaired, run.folder, generator, spectrograms)
            shares.append(share)
            samples.append(of_songs)
        if not shares:
            raise AudioTransferError("a style needs pairs or unpaired folders to learn from")
        # One objective keeps its own names: its checkpoint can start another recipe.
        mixed = Mixed(shares) if len(shares) > 1 else None
        name = mixed.network(shares[0].name, "generator") if mixed else "generator"
        plain = CheckpointMetricSettings()
        fit = run.fit(
            mixed or shares[0].objective,
            mixed or shares[0].batches,
            replace(self, description="", corpora=[], checkpoint_metric=plain),
            validation=validation,
            samples=samples[0],
            averaged=(name,),
        )
        if fit.exports:
            restore(fit.best_by_h, {name: generator})
            one_stem = self.unpaired is not None and not self.pairs
            stems = (self.unpaired.stem,) if self.unpaired and one_stem else STEMS
            if refined is not None:
                write_refined_style(self, run, fit, generator, refined)
            else:
                settings = spectrograms.settings.to_dict()
                options = {CHANNELS: "mean"} if self.mean_channel else {}
                write_style(self, run, fit, generator, settings, stems, options=options)
        return fit.figures


def _paired(
    recipe: StyleRecipe,
    held_out: Sequence[Pair],
    trained: Sequence[Pair],
    folder: Path,
    generator: UNet,
    spectrograms: StemSpectrograms,
) -> tuple[Share, ValidationSamples, Figures]:
    """Training on rendered pairs as a `Share`, and validation on those that are held out."""
    objective = PairedObjective(
        generator,
        spectrograms,
        recipe.weights,
        recipe.adversarial_from,
        recipe.learning_rate,
        recipe.discriminator_learning_rate,
    )
    settings = replace(recipe.drawing, batch=16, seed=recipe.drawing.seed + 1)
    fixed = PairedStems(held_out, settings)
    batches = [fixed.batch(step) for step in range(_VALIDATION_BATCHES)]
    share = Share("paired", objective, PairedStems(trained, recipe.drawing))
    style = recipe.drawing.style
    samples, metric = rendered_validation(
        [pair.folder for pair in held_out],
        [pair.folder for pair in trained],
        STEMS,
        lambda stem: {style: _whole(generator, spectrograms, stem)},
        (style,),
        spectrograms.settings,
        recipe.checkpoint_metric,
        folder,
    )

    def validate(of: Objective) -> dict[str, float]:
        return _distances(objective, batches) | (metric(of) if metric else {})

    return share, samples, validate


def _cycle(
    recipe: StyleRecipe,
    part: CycleRecipe,
    trained: Sequence[Pair],
    generator: UNet,
    spectrograms: StemSpectrograms,
) -> Share:
    """CycleGAN on the stems of the pairs that are not held out."""
    back = UNet(spectrograms.settings.bins, part.channels)
    batches = ShuffledStems(trained, replace(recipe.drawing, batch=part.batch, seed=part.seed))
    return Share(
        "cycle", StemCycleGan(generator, back, spectrograms, part.settings), batches, part.every
    )


def _unpaired(
    recipe: StyleRecipe,
    part: UnpairedRecipe,
    folder: Path,
    generator: UNet,
    spectrograms: StemSpectrograms,
) -> tuple[Share, ValidationSamples]:
    """Training on two folders of songs as a `Share`, and samples of the source's songs."""
    sources, targets = (
        folder_stems(Path(recipe.data) / place, part.stem, folder / "decoded")
        for place in (part.source, part.target)
    )
    windows = UnpairedWindows(
        sources,
        targets,
        frames=3 * part.frames * spectrograms.settings.hop_length - 1,
        batch=part.batch,
        seed=part.seed,
    )
    objective = UnpairedObjective(generator, spectrograms, part.stem, part.frames, part.settings)
    samples = ValidationSamples(
        recorded_samples(sources, _SAMPLES),
        spectrograms.settings,
        lambda stem: {recipe.name: _whole(generator, spectrograms, stem)},
    )
    return Share("unpaired", objective, windows, part.every), samples


def _whole(generator: UNet, spectrograms: StemSpectrograms, stem: str) -> SpectrogramModel:
    """The model of a stem, with that which the generator refines where there is one."""
    first = spectrograms.models.get(stem)
    return generator if first is None else RefinedModel(first, generator)


def _distances(
    objective: PairedObjective, batches: Sequence[dict[str, Tensor]]
) -> dict[str, float]:
    """Distances to the true rendering; ``score`` is minus their mean ratio to doing nothing."""
    found = [objective.distances(batch) for batch in batches]
    figures = {
        key: sum(one[key] for one in found if key in one) / sum(key in one for one in found)
        for key in sorted({key for one in found for key in one})
    }
    ratios = [figures[s] / figures[f"{s}/nothing"] for s in STEMS if s in figures]
    figures["score"] = -sum(ratios) / len(ratios)
    return figures
