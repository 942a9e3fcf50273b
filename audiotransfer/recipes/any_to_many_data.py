"""Prepared songs of several genres, as one generator for all of them learns and is judged."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audiotransfer.data.manifest import Manifest, load_manifest
from audiotransfer.data.unpaired import ANY, PreparedWindows
from audiotransfer.evaluation.checkpoint_metric import (
    CheckpointMetric,
    CheckpointMetricSettings,
    some_of_each,
    validation_classifier,
)
from audiotransfer.evaluation.classifiers.genre_data import Clip
from audiotransfer.evaluation.validation_samples import (
    ValidationSample,
    ValidationSamples,
    prepared_samples,
)
from audiotransfer.spectral.models.base import SpectrogramModel
from audiotransfer.spectral.models.unet import STEMS
from audiotransfer.training import Objective
from vocoder import SpectrogramSettings

_LINES = 2  # of each stem, that are heard where none are judged
logger = logging.getLogger(__name__)


@dataclass
class ManySongs:
    """What `audiotransfer prepare` made, of which every style is a genre.

    ``source`` is the genre, or any other than the target's, that songs come from. Windows have
    ``frames`` frames.
    """

    prepared: str = ""
    source: str = ANY
    frames: int = 256
    batch: int = 8
    seed: int = 0
    every: int = 1


class SongWindows:
    """Windows whose ``stem`` is an index into `STEMS`, whatever the collection has."""

    def __init__(self, windows: PreparedWindows) -> None:
        self.windows = windows
        self._stems = torch.tensor([STEMS.index(stem) for stem in windows.stems])

    def batch(self, step: int) -> dict[str, Tensor]:
        """See `PreparedWindows`."""
        drawn = self.windows.batch(step)
        return {**drawn, "stem": self._stems[drawn["stem"]]}


@dataclass(frozen=True)
class SongGround:
    """Batches of songs and, from those that are not trained on, lines to hear and to judge."""

    manifest: Manifest
    styles: tuple[str, ...]
    stems: tuple[str, ...]
    batches: SongWindows
    every: int

    @property
    def spectrogram(self) -> SpectrogramSettings:
        """The spectrograms that were prepared."""
        return SpectrogramSettings.from_dict(dict(self.manifest.spectrogram))

    @property
    def corpora(self) -> list[dict[str, Any]]:
        """What a card says of the songs."""
        found = []
        for genre in self.manifest.genres:
            songs = [s for s in self.manifest.songs if s.genre == genre and s.split == "train"]
            licence = "; ".join(sorted({song.licence for song in songs}))
            name = f"{genre} ({self.manifest.kind})"
            found.append({"name": name, "licence": licence, "songs": len(songs)})
        return found

    def trial(
        self,
        generators: Callable[[str], dict[str, SpectrogramModel]],
        settings: CheckpointMetricSettings,
        folder: Path,
    ) -> tuple[ValidationSamples, Callable[[Objective], dict[str, float]] | None]:
        """Lines of validation songs, as the generators play them; and H, one for each style.

        A style's H is of songs of all other genres.
        """
        count = settings.songs or _LINES
        heard = self._lines("validation", self.manifest.genres, count)
        heard = heard or self._lines("train", self.manifest.genres, count)
        audition = ValidationSamples(heard, self.spectrogram, generators)
        kept = {style: self._lines("validation", (style,), count) for style in self.styles}
        if not settings.songs:
            return audition, None
        if not all(kept.values()):
            logger.warning(
                "no H, so that the last weights are taken: %s has no validation songs of %s; add"
                " songs by other artists and prepare again",
                self.manifest.folder,
                ", ".join(style for style, lines in kept.items() if not lines),
            )
            return audition, None
        clips = [
            Clip(self.manifest.folder / song.files[stem], song.genre, song.artist or song.id)
            for song in self.manifest.songs
            for stem in self.stems
            if song.split == "train" and stem in song.files
        ]
        judge = partial(
            validation_classifier,
            some_of_each(clips, settings.classifier_songs * len(self.stems)),
            folder,
            settings,
        )

        def headline(style: str) -> CheckpointMetric:
            lines = self._lines("validation", set(self.manifest.genres) - {style}, count)

            def alone(stem: str) -> dict[str, SpectrogramModel]:
                return {style: generators(stem)[style]}

            return CheckpointMetric(
                ValidationSamples(lines, self.spectrogram, alone), {style: kept[style]}, judge
            )

        headlines = {style: headline(style) for style in self.styles}

        def figures(of: Objective) -> dict[str, float]:
            found = {style: one(of) for style, one in headlines.items()}
            told = [said for said in found.values() if said]
            if not told:
                return {}
            means = {name: float(np.mean([said[name] for said in told])) for name in told[0]}
            return means | {f"H/{style}": said["H"] for style, said in found.items() if said}

        return audition, figures

    def _lines(self, split: str, genres: Collection[str], count: int) -> list[ValidationSample]:
        songs = [s for s in self.manifest.songs if s.genre in genres and s.split == split]
        return [
            line
            for stem in self.stems
            for line in prepared_samples(self.manifest, songs, stem, count)
        ]


def song_ground(
    wish: ManySongs, data: str, styles: Sequence[str], stems: Sequence[str]
) -> SongGround:
    """Raises AudioTransferError for genres and stems that the collection has not."""
    manifest = load_manifest(Path(data) / wish.prepared)
    genres = (wish.source, *styles)
    windows = PreparedWindows(manifest, genres, wish.frames, wish.batch, wish.seed, stems=stems)
    return SongGround(manifest, tuple(styles), tuple(stems), SongWindows(windows), wish.every)
