"""Styles of one conditional generator: from rendered pairs, from prepared songs, or from both."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from audiotransfer.data.paired_features import FeatureCrops, FeatureSettings, feature_songs
from audiotransfer.data.rendering.ensembles import target_band
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.checkpoint_metric import CheckpointMetricSettings, rendered_validation
from audiotransfer.recipes.any_to_many_data import ManySongs, song_ground
from audiotransfer.recipes.base import Show, start_from, watch
from audiotransfer.recipes.export import About, chosen, describe, sizes, validated
from audiotransfer.spectral.models.base import SpectrogramModel
from audiotransfer.spectral.models.unet import STEMS
from audiotransfer.spectral.networks import ConditionalDiscriminator, ConditionalUNet
from audiotransfer.spectral.objectives.any_to_many import AnyToMany, AnyToManySettings
from audiotransfer.spectral.transfer import TARGET, save_generator
from audiotransfer.styles.card import Card, StemEntry
from audiotransfer.training import Objective, Trainer, load_networks
from audiotransfer.training.objective import Mixed, Share
from vocoder import SpectrogramSettings

if TYPE_CHECKING:
    from audiotransfer.evaluation.validation_samples import ValidationSamples
    from audiotransfer.recipes.base import Training

_BATCHES = 3  # of validation
_SHARED = "any-to-many/generator.safetensors"
Figures = Callable[[Objective], dict[str, float]]


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
    """Which styles of which stems one network paints, and what it learns them from.

    ``styles`` are targets of rendered songs, genres of a prepared collection or both, with what is
    said of them. ``pairs`` is a folder of rendered and prepared songs in ``data``, drawn as
    ``drawing`` says for each stem; ``songs`` are of any genres and need no pairs. Where there are
    both, the songs are taken at every ``songs.every``-th step. ``generator`` and ``discriminator``
    are the networks' sizes, ``settings`` the objective's. The first ``validation_songs`` rendered
    songs are not trained on and tell how far it is, by distance; H, where ``headline`` asks for it,
    then chooses the weights. ``start`` is the checkpoint of a run whose generator is the first one.
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
    headline: CheckpointMetricSettings = field(default_factory=CheckpointMetricSettings)
    start: str | None = None
    corpora: list[dict[str, Any]] = field(default_factory=list)


class StemCrops:
    """Crops of several stems in one batch of pairs, each drawn by itself."""

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
        """``source`` ``[B, F, L]``, ``target`` ``[B, S, F, L]`` and ``stem`` ``[B]``, an index into
        `STEMS`.
        """
        drawn = {stem: crops.batch(step) for stem, crops in self.crops.items()}
        found = {
            side: torch.cat([one[f"{stem}/{side}"] for stem, one in drawn.items()])
            for side in ("source", "target")
        }
        counts = torch.tensor([len(one[f"{stem}/source"]) for stem, one in drawn.items()])
        stems = torch.tensor([STEMS.index(stem) for stem in drawn])
        return {**found, "stem": stems.repeat_interleave(counts)}


def train_any_to_many(
    recipe: AnyToManyRecipe, config: Training, folder: Path, show: Show | None
) -> dict[str, float]:
    """Trains one network and leaves a style of it in ``folder/STYLE`` for each."""
    _check(recipe)
    styles = tuple(recipe.styles)
    songs = song_ground(recipe.songs, recipe.data, styles, recipe.stems) if recipe.songs else None
    spectrogram = songs.spectrogram if songs else SpectrogramSettings()
    if songs and recipe.pairs is not None and spectrogram != SpectrogramSettings():
        raise AudioTransferError(
            f"{songs.manifest.folder} has other spectrograms than rendered pairs, which are"
            " prepared with the spectrogram's defaults; prepare it again without --spectrogram"
        )
    generator = ConditionalUNet(styles, spectrogram.bins, **asdict(recipe.generator))
    if recipe.start is not None:
        start_from(generator, Path(recipe.start), "the generator and styles")
    discriminator = ConditionalDiscriminator(len(styles), **asdict(recipe.discriminator))
    objective = AnyToMany(generator, discriminator, styles, recipe.settings)

    def present(_: str) -> dict[str, SpectrogramModel]:
        return {style: generator.only(style) for style in styles}

    shares: list[Share] = []
    figures: Figures | None
    if recipe.pairs is not None:
        share, audition, figures = _pairs(recipe, objective, present, folder)
        shares.append(share)
    if songs:
        shares.append(Share("songs", objective, songs.batches, songs.every))
        if recipe.pairs is None:
            audition, figures = songs.trial(present, recipe.headline, folder)
    mixed = Mixed(shares) if len(shares) > 1 else None
    known = replace(
        recipe, styles=dict.fromkeys(styles, ""), corpora=[], headline=CheckpointMetricSettings()
    )
    name = mixed.network(shares[0].name, "generator") if mixed else "generator"
    trainer = Trainer(
        mixed or objective,
        mixed or shares[0].batches,
        replace(config.trainer, ema=(name,) if config.trainer.ema_decay else ()),
        folder,
        figures,
        config=known,
        audition=audition,
    )
    started = time.monotonic()
    last = trainer.run(should_stop=watch(trainer, show))
    hours = (time.monotonic() - started) / 3600
    if trainer.first:
        checkpoint = chosen(folder)
        generator.cpu().load_state_dict(load_networks(checkpoint)[name])
        about = replace(recipe, corpora=recipe.corpora or (songs.corpora if songs else []))
        export(about, config, checkpoint, generator, spectrogram, trainer.step, hours)
    return last


def _check(recipe: AnyToManyRecipe) -> None:
    """What cannot be is refused before the work."""
    if len(recipe.styles) < 2:
        raise AudioTransferError(
            f"any_to_many.styles has {len(recipe.styles)} of them; give two or more"
        )
    for style, said in recipe.styles.items():
        Card(style, said, {}, {})  # a name that no card takes fails here
    for stem in recipe.stems:
        if stem not in STEMS:
            raise AudioTransferError(f"no style changes {stem!r}; take {', '.join(STEMS)}")
    if recipe.pairs is None and recipe.songs is None:
        raise AudioTransferError("any_to_many needs pairs or songs to learn from; name one")


def _pairs(
    recipe: AnyToManyRecipe,
    objective: AnyToMany,
    present: Callable[[str], dict[str, SpectrogramModel]],
    folder: Path,
) -> tuple[Share, ValidationSamples, Figures]:
    """What is learned from rendered songs, and figures of those that are kept from it."""
    assert recipe.pairs is not None
    styles, place = tuple(recipe.styles), Path(recipe.data) / recipe.pairs
    songs = feature_songs(place, recipe.stems, styles, "train")
    kept, taught = songs[: recipe.validation_songs], songs[recipe.validation_songs :]
    if not taught:
        raise AudioTransferError(
            f"{len(songs)} songs leave none to train on beside {recipe.validation_songs} for "
            "validation; render more, or set validation_songs lower"
        )
    settings = replace(
        recipe.drawing, separated_share=1.0, tone_share=0.0, seed=recipe.drawing.seed + 98
    )
    tried = {
        stem: [StemCrops(kept, (stem,), styles, settings).batch(step) for step in range(_BATCHES)]
        for stem in recipe.stems
    }
    audition, headline = rendered_validation(
        [features.parent for features in kept],
        [features.parent for features in taught],
        recipe.stems,
        present,
        styles,
        SpectrogramSettings(),
        recipe.headline,
        folder,
    )

    def figures(of: Objective) -> dict[str, float]:
        """Distances on separated stems, minus the mean ratio to doing nothing as the score."""
        said: dict[str, float] = {}
        device = next(objective.generator.parameters()).device
        for stem, batches in tried.items():
            found = [
                objective.distances({k: v.to(device) for k, v in one.items()}) for one in batches
            ]
            for name in found[0]:
                said[f"{stem}/{name}"] = sum(one[name] for one in found) / len(found)
        ratios = [said[f"{s}/{one}"] / said[f"{s}/{one}/nothing"] for s in tried for one in styles]
        judged = headline(of) if headline else {}
        return {**said, "score": -sum(ratios) / len(ratios), **judged}

    batches = StemCrops(taught, recipe.stems, styles, recipe.drawing)
    return Share("pairs", objective, batches), audition, figures


def export(
    recipe: AnyToManyRecipe,
    config: Training,
    checkpoint: Path,
    generator: ConditionalUNet,
    spectrogram: SpectrogramSettings,
    steps: int,
    hours: float,
) -> None:
    """Writes every style beside the checkpoint that it is of, and the weights that they share."""
    shared = checkpoint.parent / _SHARED
    shared.parent.mkdir(exist_ok=True)
    save_generator(shared, generator.eval())
    for style, description in recipe.styles.items():
        place = checkpoint.parent / style
        place.mkdir(parents=True, exist_ok=True)
        stems = {
            stem: StemEntry(
                "spectral", f"../{_SHARED}", stem, spectrogram.to_dict(), {TARGET: style}
            )
            for stem in recipe.stems
        }
        others = set(recipe.styles) - {style}
        said = {n: v for n, v in validated(checkpoint).items() if others.isdisjoint(n.split("/"))}
        describe(
            About(style, description, recipe.corpora),
            config,
            place,
            stems,
            {"generator": sizes(generator)},
            steps,
            hours,
            {"validation": said} if said else {},
            target_band(style).effects if recipe.pairs else {},
        )
