"""The recipe of one conditional generator for several styles, from pairs, songs or both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiotransfer.data.paired_features import FeatureCrops, FeatureSettings, feature_songs
from audiotransfer.data.rendering.ensembles import target_ensemble
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.checkpoint_metric import CheckpointMetricSettings, rendered_validation
from audiotransfer.evaluation.validation_samples import ValidationSamples
from audiotransfer.recipes.any_to_many_data import ManySongs, many_songs_data
from audiotransfer.recipes.base import Figures, Fit, Run, restore, start_from
from audiotransfer.recipes.export import (
    About,
    sizes,
    style_folder,
    validated_alone,
    write_spectral_card,
)
from audiotransfer.spectral.models.base import STEMS, SpectrogramModel
from audiotransfer.spectral.networks import ConditionalDiscriminator, ConditionalUNet
from audiotransfer.spectral.objectives.any_to_many import AnyToMany, AnyToManySettings
from audiotransfer.spectral.transfer import TARGET, save_generator
from audiotransfer.styles.card import Card, StemEntry
from audiotransfer.training import Objective
from audiotransfer.training.objective import Mixed, Share
from vocoder import SpectrogramSettings

_BATCHES = 3  # of validation
_SHARED = "any-to-many/generator.safetensors"


@dataclass
class GeneratorSizes:
    """See `ConditionalUNet`."""

    channels: tuple[int, ...] = (32, 64, 96, 128, 160)
    patch: tuple[int, int] = (2, 4)
    blocks: int = 2
    code: int = 64


@dataclass
class DiscriminatorSizes:
    """See `ConditionalDiscriminator`."""

    width: int = 16
    levels: int = 4
    code: int = 64


@dataclass
class AnyToManyRecipe:
    """The styles and stems of one network, and the songs that it is trained on.

    ``styles`` are targets of rendered songs, genres of a prepared collection or both, with their
    descriptions. ``pairs`` is a folder of rendered and prepared songs in ``data``, cropped as
    ``drawing`` sets for each stem; ``songs`` are of any genres and need no pairs. Where there are
    both, the songs are taken at every ``songs.every``-th step. ``generator`` and ``discriminator``
    are the networks' sizes, ``settings`` the objective's. The first ``validation_songs`` rendered
    songs are not trained on but validated on, by distance; H, where ``checkpoint_metric`` asks for
    it, then chooses the weights. ``start`` is the checkpoint of a run whose generator is the first
    one.
    """

    styles: dict[str, str] = field(default_factory=dict)
    stems: tuple[str, ...] = STEMS
    data: str = "data"
    pairs: str | None = None
    songs: ManySongs | None = None
    generator: GeneratorSizes = field(default_factory=GeneratorSizes)
    discriminator: DiscriminatorSizes = field(default_factory=DiscriminatorSizes)
    settings: AnyToManySettings = field(default_factory=AnyToManySettings)
    drawing: FeatureSettings = field(default_factory=FeatureSettings)
    validation_songs: int = 12
    checkpoint_metric: CheckpointMetricSettings = field(default_factory=CheckpointMetricSettings)
    start: str | None = None
    corpora: list[dict[str, Any]] = field(default_factory=list)

    def train(self, run: Run) -> dict[str, float]:
        """Trains one network, and writes each style into ``STYLE`` in the run's folder."""
        self._check()
        styles = tuple(self.styles)
        songs = many_songs_data(self.songs, self.data, styles, self.stems) if self.songs else None
        spectrogram = songs.spectrogram if songs else SpectrogramSettings()
        if songs and self.pairs is not None and spectrogram != SpectrogramSettings():
            raise AudioTransferError(
                f"{songs.manifest.folder} has other spectrograms than rendered pairs, which are"
                " prepared with the spectrogram's defaults; prepare it again without --spectrogram"
            )
        generator = ConditionalUNet(styles, spectrogram.bins, **asdict(self.generator))
        if self.start is not None:
            start_from(generator, Path(self.start), "the generator and styles")
        discriminator = ConditionalDiscriminator(len(styles), **asdict(self.discriminator))
        objective = AnyToMany(generator, discriminator, styles, self.settings)

        def generators(_: str) -> dict[str, SpectrogramModel]:
            return {style: generator.only(style) for style in styles}

        shares: list[Share] = []
        figures: Figures | None
        if self.pairs is not None:
            share, samples, figures = _pairs(self, self.pairs, objective, generators, run.folder)
            shares.append(share)
        if songs:
            shares.append(Share("songs", objective, songs.batches, songs.every))
            if self.pairs is None:
                samples, figures = songs.validation(generators, self.checkpoint_metric, run.folder)
        mixed = Mixed(shares) if len(shares) > 1 else None
        name = mixed.network(shares[0].name, "generator") if mixed else "generator"
        identity = replace(
            self,
            styles=dict.fromkeys(styles, ""),
            corpora=[],
            checkpoint_metric=CheckpointMetricSettings(),
        )
        fit = run.fit(
            mixed or objective,
            mixed or shares[0].batches,
            identity,
            validation=figures,
            samples=samples,
            averaged=(name,),
        )
        if fit.exports:
            restore(fit.best_by_h, {name: generator})
            about = replace(self, corpora=self.corpora or (songs.corpora if songs else []))
            export_styles(about, run, fit, generator, spectrogram)
        return fit.figures

    def _check(self) -> None:
        """Raises AudioTransferError, before the work, for invalid settings."""
        if len(self.styles) < 2:
            raise AudioTransferError(
                f"any_to_many.styles has {len(self.styles)} of them; give two or more"
            )
        for style, description in self.styles.items():
            Card(style, description, {}, {})  # refuses a name that no card takes
        for stem in self.stems:
            if stem not in STEMS:
                raise AudioTransferError(f"no style changes {stem!r}; take {', '.join(STEMS)}")
        if self.pairs is None and self.songs is None:
            raise AudioTransferError("any_to_many needs pairs or songs to learn from; name one")


class StemCrops:
    """Batches of pairs that hold crops of several stems, each drawn by itself."""

    def __init__(
        self,
        songs: Sequence[Path],
        stems: Sequence[str],
        styles: Sequence[str],
        settings: FeatureSettings,
    ) -> None:
        hertz = SpectrogramSettings().centres()
        self.crops = {
            stem: FeatureCrops(songs, styles, {stem: hertz}, replace(settings, seed=seed))
            for seed, stem in enumerate(stems, start=settings.seed)
        }

    def batch(self, step: int) -> dict[str, Tensor]:
        """``source`` ``[B, F, L]``, ``target`` ``[B, S, F, L]``, ``stem`` ``[B]`` (of `STEMS`)."""
        drawn = {stem: crops.batch(step) for stem, crops in self.crops.items()}
        found = {
            side: torch.cat([one[f"{stem}/{side}"] for stem, one in drawn.items()])
            for side in ("source", "target")
        }
        counts = torch.tensor([len(one[f"{stem}/source"]) for stem, one in drawn.items()])
        stems = torch.tensor([STEMS.index(stem) for stem in drawn])
        return {**found, "stem": stems.repeat_interleave(counts)}


def _pairs(
    recipe: AnyToManyRecipe,
    pairs: str,
    objective: AnyToMany,
    generators: Callable[[str], dict[str, SpectrogramModel]],
    folder: Path,
) -> tuple[Share, ValidationSamples, Figures]:
    """Training on rendered songs as a `Share`, and validation on those that are held out."""
    styles = tuple(recipe.styles)
    songs = feature_songs(Path(recipe.data) / pairs, recipe.stems, styles, "train")
    held_out, trained = songs[: recipe.validation_songs], songs[recipe.validation_songs :]
    if not trained:
        raise AudioTransferError(
            f"{len(songs)} songs leave none to train on beside {recipe.validation_songs} for "
            "validation; render more, or set validation_songs lower"
        )
    settings = replace(
        recipe.drawing, separated_share=1.0, tone_share=0.0, seed=recipe.drawing.seed + 98
    )
    fixed: dict[str, list[dict[str, Tensor]]] = {}
    for stem in recipe.stems:
        crops = StemCrops(held_out, (stem,), styles, settings)
        fixed[stem] = [crops.batch(step) for step in range(_BATCHES)]
    samples, metric = rendered_validation(
        [features.parent for features in held_out],
        [features.parent for features in trained],
        recipe.stems,
        generators,
        styles,
        SpectrogramSettings(),
        recipe.checkpoint_metric,
        folder,
    )

    def figures(of: Objective) -> dict[str, float]:
        """Distances on separated stems, minus the mean ratio to doing nothing as the score."""
        found: dict[str, float] = {}
        device = next(objective.generator.parameters()).device
        for stem, batches in fixed.items():
            distances = [
                objective.distances({k: v.to(device) for k, v in one.items()}) for one in batches
            ]
            for name in distances[0]:
                found[f"{stem}/{name}"] = sum(one[name] for one in distances) / len(distances)
        ratios = [
            found[f"{stem}/{style}"] / found[f"{stem}/{style}/nothing"]
            for stem in fixed
            for style in styles
        ]
        return {**found, "score": -sum(ratios) / len(ratios), **(metric(of) if metric else {})}

    batches = StemCrops(trained, recipe.stems, styles, recipe.drawing)
    return Share("pairs", objective, batches), samples, figures


def export_styles(
    recipe: AnyToManyRecipe,
    run: Run,
    fit: Fit,
    generator: ConditionalUNet,
    spectrogram: SpectrogramSettings,
) -> None:
    """Writes every style beside the checkpoint, and the weights that they share."""
    checkpoint = fit.best_by_h
    shared = checkpoint.parent / _SHARED
    shared.parent.mkdir(exist_ok=True)
    save_generator(shared, generator.eval())
    for style, description in recipe.styles.items():
        settings, options = spectrogram.to_dict(), {TARGET: style}
        stems = {
            stem: StemEntry("spectral", f"../{_SHARED}", stem, settings, options)
            for stem in recipe.stems
        }
        found = validated_alone(checkpoint, style, recipe.styles)
        write_spectral_card(
            About(style, description, recipe.corpora),
            run,
            fit,
            style_folder(checkpoint.parent, style),
            stems,
            {"generator": sizes(generator)},
            {"validation": found} if found else {},
            target_ensemble(style).effects if recipe.pairs else {},
        )
