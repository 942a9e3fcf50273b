"""The training data of one generator for several genres, from a prepared collection."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audiotransfer.data.manifest import Manifest, load_manifest
from audiotransfer.data.unpaired import ANY, PreparedWindows
from audiotransfer.evaluation.checkpoint_metric import CheckpointMetric, CheckpointMetricSettings
from audiotransfer.evaluation.validation_samples import ValidationSample, ValidationSamples
from audiotransfer.recipes.base import Figures
from audiotransfer.recipes.prepared import card_corpora, song_classifier, song_samples
from audiotransfer.spectral.models.base import STEMS, SpectrogramModel
from audiotransfer.training import Objective
from vocoder import SpectrogramSettings

_SAMPLES = 2  # of each stem for the log, where H is not measured
logger = logging.getLogger(__name__)


@dataclass
class ManySongs:
    """A prepared collection of which every style is a genre.

    ``source`` is the genre that songs come from, or any other than the target's. Windows have
    ``frames`` frames.
    """

    prepared: str = ""
    source: str = ANY
    frames: int = 256
    batch: int = 8
    seed: int = 0
    every: int = 1


class SongWindows:
    """Windows whose ``stem`` is an index into `STEMS`, whatever stems the collection has."""

    def __init__(self, windows: PreparedWindows) -> None:
        self.windows = windows
        self._stems = torch.tensor([STEMS.index(stem) for stem in windows.stems])

    def batch(self, step: int) -> dict[str, Tensor]:
        """See `PreparedWindows`."""
        batch = self.windows.batch(step)
        return {**batch, "stem": self._stems[batch["stem"]]}


@dataclass(frozen=True)
class ManySongsData:
    """Batches of training songs, and validation samples of the others."""

    manifest: Manifest
    styles: tuple[str, ...]
    stems: tuple[str, ...]
    batches: SongWindows
    every: int

    @property
    def spectrogram(self) -> SpectrogramSettings:
        """The settings of the prepared spectrograms."""
        return SpectrogramSettings.from_dict(dict(self.manifest.spectrogram))

    @property
    def corpora(self) -> list[dict[str, Any]]:
        """The collection's entries for a card."""
        return card_corpora(self.manifest, self.manifest.genres)

    def validation(
        self,
        generators: Callable[[str], dict[str, SpectrogramModel]],
        settings: CheckpointMetricSettings,
        folder: Path,
    ) -> tuple[ValidationSamples, Figures | None]:
        """Samples of validation songs by the generators; and H, one for each style.

        A style's H is of songs of all other genres.
        """
        count = settings.songs or _SAMPLES
        shown = self._samples("validation", self.manifest.genres, count)
        shown = shown or self._samples("train", self.manifest.genres, count)
        samples = ValidationSamples(shown, self.spectrogram, generators)
        real = {style: self._samples("validation", (style,), count) for style in self.styles}
        if not settings.songs:
            return samples, None
        if not all(real.values()):
            logger.warning(
                "no H, so that the last weights are taken: %s has no validation songs of %s; add"
                " songs by other artists and prepare again",
                self.manifest.folder,
                ", ".join(style for style, found in real.items() if not found),
            )
            return samples, None
        genres = self.manifest.genres
        classifier = song_classifier(self.manifest, genres, self.stems, settings, folder)

        def metric(style: str) -> CheckpointMetric:
            sources = self._samples("validation", set(self.manifest.genres) - {style}, count)

            def alone(stem: str) -> dict[str, SpectrogramModel]:
                return {style: generators(stem)[style]}

            return CheckpointMetric(
                ValidationSamples(sources, self.spectrogram, alone),
                {style: real[style]},
                classifier,
            )

        metrics = {style: metric(style) for style in self.styles}

        def figures(of: Objective) -> dict[str, float]:
            found = {style: measured for style, one in metrics.items() if (measured := one(of))}
            if not found:
                return {}
            names = next(iter(found.values()))
            means = {name: float(np.mean([one[name] for one in found.values()])) for name in names}
            return means | {f"H/{style}": one["H"] for style, one in found.items()}

        return samples, figures

    def _samples(self, split: str, genres: Collection[str], count: int) -> list[ValidationSample]:
        return song_samples(self.manifest, split, genres, self.stems, count)


def many_songs_data(
    settings: ManySongs, data: str, styles: Sequence[str], stems: Sequence[str]
) -> ManySongsData:
    """Opens the collection. Raises AudioTransferError for genres and stems that it lacks."""
    manifest = load_manifest(Path(data) / settings.prepared)
    genres = (settings.source, *styles)
    windows = PreparedWindows(
        manifest, genres, settings.frames, settings.batch, settings.seed, stems=stems
    )
    return ManySongsData(
        manifest, tuple(styles), tuple(stems), SongWindows(windows), settings.every
    )
