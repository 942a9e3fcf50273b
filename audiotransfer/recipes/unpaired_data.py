"""What a style without pairs is learned from, heard on and chosen by."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from audiotransfer.audio.resampling import STEREO_RATE
from audiotransfer.data.datasets.genre_folders import LICENCE
from audiotransfer.data.imported_spectrograms import ImportedWindows, Levels, what_it_lacks
from audiotransfer.data.manifest import Manifest, load_manifest
from audiotransfer.data.stem_mixes import folder_takes
from audiotransfer.data.unpaired import ANY, PreparedWindows, UnpairedWindows
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation import GenreClassifier
from audiotransfer.evaluation.checkpoint_metric import (
    CheckpointMetricSettings,
    some_of_each,
    validation_classifier,
)
from audiotransfer.evaluation.classifiers.genre_data import Clip
from audiotransfer.evaluation.validation_samples import (
    ValidationSample,
    prepared_samples,
    recorded_samples,
)
from audiotransfer.training import Batches
from vocoder import SpectrogramSettings
from vocoder.spectrogram import CHOICES

_LINES = 2  # that are heard where none are judged
logger = logging.getLogger(__name__)


class UnpairedDataSettings(Protocol):
    """What a recipe says about its data."""

    prepared: str | None
    data: str
    source: str
    target: str
    stem: str
    spectrogram: dict[str, Any]
    frames: int
    batch: int
    seed: int
    headline: CheckpointMetricSettings


@dataclass(frozen=True)
class UnpairedData:
    """Batches of a stem's spectrograms, and lines to hear.

    ``settings`` are those of the spectrograms, as a card has them; ``spectrogram`` is None where
    they cannot be turned into sound, and ``lacks`` says what cannot be done then. Where there is a
    ``judge``, lines and ``targets`` are of validation songs. ``corpora`` is what a card says of the
    songs.
    """

    batches: Batches
    stem: str
    settings: dict[str, Any]
    spectrogram: SpectrogramSettings | None
    corpora: list[dict[str, Any]]
    lines: Sequence[ValidationSample] = ()
    targets: Sequence[ValidationSample] = ()
    judge: Callable[[], GenreClassifier] | None = None
    lacks: str = ""


class SpectrogramBatches:
    """Windows of sound as spectrograms ``[B, F, L]``, made beside the step by whoever loads
    them.
    """

    def __init__(self, windows: Batches, spectrogram: SpectrogramSettings) -> None:
        self.windows, self.spectrogram = windows, spectrogram

    def batch(self, step: int) -> dict[str, Tensor]:
        """The spectrograms of a step."""
        sounds = self.windows.batch(step)
        return {side: self.spectrogram.stereo(sound) for side, sound in sounds.items()}


def recorded(wish: UnpairedDataSettings, folder: Path) -> UnpairedData:
    """Two folders of recordings of the stem; nothing is kept apart to choose by."""
    spectrogram = SpectrogramSettings.from_dict(wish.spectrogram)
    if spectrogram.sample_rate != STEREO_RATE:
        raise AudioTransferError(
            f"spectrogram.sample_rate is {spectrogram.sample_rate}, but recordings are read at "
            f"{STEREO_RATE} Hz; leave it out"
        )
    for side in ("source", "target"):
        if not getattr(wish, side):
            raise AudioTransferError(f"unpaired.{side} is empty; name a genre or a folder")
    sources, targets = (
        folder_takes(Path(wish.data) / place, wish.stem, folder / "decoded")
        for place in (wish.source, wish.target)
    )
    sounds = UnpairedWindows(
        sources,
        targets,
        frames=spectrogram.samples(wish.frames),
        batch=wish.batch,
        seed=wish.seed,
    )
    corpora = [
        {"name": Path(place).name, "licence": LICENCE, "songs": len(takes)}
        for place, takes in ((wish.source, sources), (wish.target, targets))
    ]
    return UnpairedData(
        SpectrogramBatches(sounds, spectrogram),
        wish.stem,
        spectrogram.to_dict(),
        spectrogram,
        corpora,
        recorded_samples(sources, _LINES),
    )


def prepared(wish: UnpairedDataSettings, place: str, folder: Path) -> UnpairedData:
    """A prepared collection, whose validation songs are heard and judged."""
    manifest = load_manifest(place)
    foreign = manifest.spectrogram["kind"] not in CHOICES["kind"]
    if not foreign:
        _same(wish.spectrogram, manifest.spectrogram, place)
    stem = manifest.stems[0] if foreign else wish.stem
    genres = (wish.source, wish.target)
    windows = PreparedWindows(manifest, genres, wish.frames, wish.batch, wish.seed, stems=(stem,))
    corpora = [_card_entry(manifest, genre) for genre in (*_sources(wish, manifest), wish.target)]
    if foreign:
        levels = Levels.of(manifest, stem)
        settings = {**manifest.spectrogram, "lowest": levels.lowest, "highest": levels.highest}
        lacks = what_it_lacks(manifest)
        return UnpairedData(
            ImportedWindows(windows, levels), stem, settings, None, corpora, lacks=lacks
        )
    spectrogram = SpectrogramSettings.from_dict(dict(manifest.spectrogram))
    ground = UnpairedData(windows, stem, spectrogram.to_dict(), spectrogram, corpora)
    return _heard(ground, wish, manifest, folder)


def _sources(wish: UnpairedDataSettings, manifest: Manifest) -> list[str]:
    genres = manifest.genres if wish.source == ANY else [wish.source]
    return [genre for genre in genres if genre != wish.target]


def _card_entry(manifest: Manifest, genre: str) -> dict[str, Any]:
    songs = manifest.of(genre, "train")
    licence = "; ".join(sorted({song.licence for song in songs}))
    return {"name": f"{genre} ({manifest.kind})", "licence": licence, "songs": len(songs)}


def _heard(
    ground: UnpairedData, wish: UnpairedDataSettings, manifest: Manifest, folder: Path
) -> UnpairedData:
    """With lines of validation songs and who judges them, or else of songs that are trained on."""
    sources = _sources(wish, manifest)
    count = wish.headline.songs

    def lines(split: str, *of: str) -> list[ValidationSample]:
        songs = [song for song in manifest.songs if song.genre in of and song.split == split]
        return prepared_samples(manifest, songs, wish.stem, count or _LINES)

    kept, real = lines("validation", *sources), lines("validation", wish.target)
    if not kept or not real:
        logger.warning(
            "no H, so that the last weights are taken: %s has no validation songs with %s of %s;"
            " add songs by other artists and prepare again",
            manifest.folder,
            wish.stem,
            wish.source if not kept else wish.target,
        )
        return replace(ground, lines=kept or lines("train", *sources))
    ground = replace(ground, lines=kept, targets=real)
    if not count:
        return ground
    clips = [
        Clip(manifest.folder / song.files[wish.stem], song.genre, song.artist or song.id)
        for song in manifest.songs
        if song.genre in (*sources, wish.target)
        and song.split == "train"
        and wish.stem in song.files
    ]
    heard = some_of_each(clips, wish.headline.classifier_songs)
    return replace(ground, judge=partial(validation_classifier, heard, folder, wish.headline))


def _same(wanted: Mapping[str, Any], there: Mapping[str, Any], place: str) -> None:
    """Raises AudioTransferError where a collection's spectrograms are others than are wanted."""
    wish = " ".join(f"--spectrogram {name}={value}" for name, value in wanted.items())
    for name, value in wanted.items():
        if there.get(name) != value:
            raise AudioTransferError(
                f"the spectrograms in {place} have {name}={there.get(name)}, not {value}; set "
                f"unpaired.spectrogram.{name}={there.get(name)}, or prepare them again with {wish}"
            )
