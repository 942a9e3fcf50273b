"""The recipe of a style without pairs, by any objective for two sets of spectrograms."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import Any, cast

from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.checkpoint_metric import CheckpointMetric, CheckpointMetricSettings
from audiotransfer.evaluation.validation_samples import ValidationSamples
from audiotransfer.recipes.base import Run, restore
from audiotransfer.recipes.export import write_style
from audiotransfer.recipes.unpaired_data import prepared, recorded
from audiotransfer.spectral.models.base import STEMS, SpectrogramModel
from audiotransfer.spectral.objectives import registry
from audiotransfer.spectral.objectives.registry import NetworkFactory
from audiotransfer.styles.card import Card

logger = logging.getLogger(__name__)


@dataclass
class UnpairedStyleRecipe:
    """Two sets of songs, an objective by name, and the networks that it trains.

    ``prepared`` is the folder of a prepared collection, of which ``source`` (or any) and
    ``target`` are genres; without it they are folders of recordings of the ``stem``, relative to
    ``data``. Windows have ``frames`` frames of the ``spectrogram`` (settings of
    `vocoder.SpectrogramSettings`; a prepared collection brings its own). ``generator`` and
    ``discriminators`` are kinds of networks with their settings (see
    `spectral.objectives.registry.NetworkFactory`), ``settings`` those of the objective.
    ``checkpoint_metric`` says how H is measured on the validation songs of a prepared collection;
    the style has the best weights by it, without it the last.
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
    checkpoint_metric: CheckpointMetricSettings = field(default_factory=CheckpointMetricSettings)
    corpora: list[dict[str, Any]] = field(default_factory=list)

    def train(self, run: Run) -> dict[str, float]:
        """Trains the networks, and writes a style into ``NAME`` in the run's folder.

        Where its spectrograms cannot be inverted to sound, the card says so.
        """
        self._check()
        if self.prepared is None:
            data = recorded(self, run.folder)
        else:
            data = prepared(self, self.prepared, run.folder)
        if data.silent:
            logger.warning("%s will play no songs: %s", self.name, data.silent)
        bins = int(data.settings["bins"])
        factory = NetworkFactory(bins, self.frames, self.generator, self.discriminators)
        objective = registry.create(self.objective, factory, self.settings)
        generator = cast(SpectrogramModel, objective.networks["generator"])
        samples = metric = None
        if data.spectrogram is not None:
            samples = ValidationSamples(
                data.samples, data.spectrogram, lambda _: {self.target: generator}
            )
            if data.classifier is not None:
                metric = CheckpointMetric(samples, {self.target: data.targets}, data.classifier)
        plain = CheckpointMetricSettings()
        fit = run.fit(
            objective,
            data.batches,
            replace(self, description="", corpora=[], checkpoint_metric=plain),
            validation=metric,
            samples=samples,
            averaged=("generator",),
        )
        if fit.exports:
            restore(fit.best_by_h, {"generator": generator})
            description = f"The {data.stem} of {self.source} after {self.target}."
            about = replace(
                self,
                description=self.description or description,
                corpora=self.corpora or data.corpora,
            )
            write_style(about, run, fit, generator, data.settings, (data.stem,), data.silent)
        return fit.figures

    def _check(self) -> None:
        """Raises AudioTransferError, before the work, for invalid settings."""
        Card(self.name, self.description, {}, {})  # refuses a name that no card takes
        if self.stem not in STEMS:
            raise AudioTransferError(f"no style changes {self.stem!r}; take {', '.join(STEMS)}")
        for name in ("frames", "batch"):
            if getattr(self, name) < 1:
                raise AudioTransferError(
                    f"unpaired.{name} is {getattr(self, name)}; give 1 or more"
                )
