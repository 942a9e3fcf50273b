"""The training data of a style without pairs, its validation samples and their classifier."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiotransfer.audio.resampling import STEREO_RATE
from audiotransfer.data.datasets.genre_folders import LICENCE
from audiotransfer.data.imported_spectrograms import ImportedWindows, Levels, why_silent
from audiotransfer.data.manifest import Manifest, load_manifest
from audiotransfer.data.stem_mixes import folder_stems
from audiotransfer.data.unpaired import ANY, PreparedWindows, SpectrogramBatches, UnpairedWindows
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation import GenreClassifier
from audiotransfer.evaluation.validation_samples import ValidationSample, recorded_samples
from audiotransfer.recipes.prepared import card_corpora, song_classifier, song_samples
from audiotransfer.training import Batches
from vocoder import SpectrogramSettings
from vocoder.spectrogram import CHOICES

if TYPE_CHECKING:
    from audiotransfer.recipes.unpaired import UnpairedStyleRecipe

_SAMPLES = 2  # for the log, where H is not measured
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class UnpairedData:
    """Batches of a stem's spectrograms, and validation samples.

    ``settings`` are those of the spectrograms, as a card has them; ``spectrogram`` is None where
    they cannot be inverted to sound, and ``silent`` says why. Where there is a ``classifier``,
    ``samples`` and ``targets`` are of validation songs. ``corpora`` are the entries of a card.
    """

    batches: Batches
    stem: str
    settings: dict[str, Any]
    spectrogram: SpectrogramSettings | None
    corpora: list[dict[str, Any]]
    samples: Sequence[ValidationSample] = ()
    targets: Sequence[ValidationSample] = ()
    classifier: Callable[[], GenreClassifier] | None = None
    silent: str = ""


def recorded(recipe: UnpairedStyleRecipe, folder: Path) -> UnpairedData:
    """The data from two folders of recordings of the stem; none are held out for validation."""
    spectrogram = SpectrogramSettings.from_dict(recipe.spectrogram)
    if spectrogram.sample_rate != STEREO_RATE:
        raise AudioTransferError(
            f"spectrogram.sample_rate is {spectrogram.sample_rate}, but recordings are read at "
            f"{STEREO_RATE} Hz; leave it out"
        )
    for side in ("source", "target"):
        if not getattr(recipe, side):
            raise AudioTransferError(f"unpaired.{side} is empty; name a genre or a folder")
    sources, targets = (
        folder_stems(Path(recipe.data) / place, recipe.stem, folder / "decoded")
        for place in (recipe.source, recipe.target)
    )
    windows = UnpairedWindows(
        sources,
        targets,
        frames=spectrogram.samples(recipe.frames),
        batch=recipe.batch,
        seed=recipe.seed,
    )
    corpora = [
        {"name": Path(place).name, "licence": LICENCE, "songs": len(recordings)}
        for place, recordings in ((recipe.source, sources), (recipe.target, targets))
    ]
    return UnpairedData(
        SpectrogramBatches(windows, spectrogram),
        recipe.stem,
        spectrogram.to_dict(),
        spectrogram,
        corpora,
        recorded_samples(sources, _SAMPLES),
    )


def prepared(recipe: UnpairedStyleRecipe, place: str, folder: Path) -> UnpairedData:
    """The data from a prepared collection, with its validation songs for validation."""
    manifest = load_manifest(place)
    imported = manifest.spectrogram["kind"] not in CHOICES["kind"]
    if not imported:
        _check_same(recipe.spectrogram, manifest.spectrogram, place)
    stem = manifest.stems[0] if imported else recipe.stem
    genres = (recipe.source, recipe.target)
    windows = PreparedWindows(
        manifest, genres, recipe.frames, recipe.batch, recipe.seed, stems=(stem,)
    )
    corpora = card_corpora(manifest, (*_sources(recipe, manifest), recipe.target))
    if imported:
        levels = Levels.of(manifest, stem)
        settings = {**manifest.spectrogram, "lowest": levels.lowest, "highest": levels.highest}
        batches = ImportedWindows(windows, levels)
        return UnpairedData(batches, stem, settings, None, corpora, silent=why_silent(manifest))
    spectrogram = SpectrogramSettings.from_dict(dict(manifest.spectrogram))
    data = UnpairedData(windows, stem, spectrogram.to_dict(), spectrogram, corpora)
    return _with_validation(data, recipe, manifest, folder)


def _sources(recipe: UnpairedStyleRecipe, manifest: Manifest) -> list[str]:
    genres = manifest.genres if recipe.source == ANY else [recipe.source]
    return [genre for genre in genres if genre != recipe.target]


def _with_validation(
    data: UnpairedData, recipe: UnpairedStyleRecipe, manifest: Manifest, folder: Path
) -> UnpairedData:
    """The data with samples of validation songs and a classifier for them.

    Where there are no such songs: with samples of training songs, and no classifier.
    """
    sources = _sources(recipe, manifest)
    settings = recipe.checkpoint_metric

    def samples(split: str, *genres: str) -> list[ValidationSample]:
        count = settings.songs or _SAMPLES
        return song_samples(manifest, split, genres, (recipe.stem,), count)

    held_out, real = samples("validation", *sources), samples("validation", recipe.target)
    if not held_out or not real:
        logger.warning(
            "no H, so that the last weights are taken: %s has no validation songs with %s of %s;"
            " add songs by other artists and prepare again",
            manifest.folder,
            recipe.stem,
            recipe.source if not held_out else recipe.target,
        )
        return replace(data, samples=held_out or samples("train", *sources))
    data = replace(data, samples=held_out, targets=real)
    if not settings.songs:
        return data
    genres = (*sources, recipe.target)
    classifier = song_classifier(manifest, genres, (recipe.stem,), settings, folder)
    return replace(data, classifier=classifier)


def _check_same(wanted: Mapping[str, Any], there: Mapping[str, Any], place: str) -> None:
    """Raises AudioTransferError unless a collection's spectrograms have the wanted settings."""
    options = " ".join(f"--spectrogram {name}={value}" for name, value in wanted.items())
    for name, value in wanted.items():
        if there.get(name) != value:
            raise AudioTransferError(
                f"the spectrograms in {place} have {name}={there.get(name)}, not {value}; set "
                f"unpaired.spectrogram.{name}={there.get(name)}, or prepare them again with"
                f" {options}"
            )
