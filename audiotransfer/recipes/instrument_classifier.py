"""The recipe of an instrument classifier, trained on rendered songs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.classifiers.audio_classifier import (
    NETWORK,
    AudioClassifierSettings,
    logits_of,
)
from audiotransfer.evaluation.classifiers.instruments import (
    FAMILIES,
    InstrumentBatches,
    InstrumentClassifier,
    InstrumentObjective,
    LabelledStem,
    areas_under_curve,
    labelled_stems,
)
from audiotransfer.recipes.base import Figures, Run, restore
from audiotransfer.renamed import present_folder
from audiotransfer.training import Objective


@dataclass
class InstrumentClassifierRecipe:
    """Folders of ``rendered`` songs, relative to ``data``; subfolders count.

    The share ``held_out`` of the scores is not trained on; the classifier is tested on
    ``test_batches`` batches of it.
    """

    data: str = "data"
    rendered: list[str] = field(default_factory=list)
    held_out: float = 0.15
    batch: int = 16
    width: int = 16
    learning_rate: float = 1e-3
    test_batches: int = 16

    def train(self, run: Run) -> dict[str, float]:
        """Trains a classifier, and saves it in the run's folder for `InstrumentClassifier.load`."""
        stems = labelled_stems([present_folder(Path(self.data) / p) for p in self.rendered])
        trained, held_out = split_by_score(stems, self.held_out, run.seed)
        settings = AudioClassifierSettings(FAMILIES, width=self.width)
        objective = InstrumentObjective(settings, learning_rate=self.learning_rate, seed=run.seed)
        test = InstrumentBatches(held_out, settings, batch_size=self.batch, seed=run.seed + 1)
        tested = [test.batch(step) for step in range(self.test_batches)]
        windows = {name: torch.cat([batch[name] for batch in tested]) for name in tested[0]}
        fit = run.fit(
            objective,
            InstrumentBatches(trained, settings, batch_size=self.batch, seed=run.seed),
            self,
            validation=_validation(windows),
        )
        if not fit.exports:
            return fit.figures
        restore(fit.last, objective.networks)
        areas = _areas(objective, windows)
        report = {
            "stems": len(trained),
            "stems held out": len(held_out),
            "steps": fit.steps,
            "windows held out": len(windows["labels"]),
            "area under curve": areas,
        }
        InstrumentClassifier(objective.network, report).save(run.folder)
        return {**fit.figures, "area_under_curve": float(np.mean(list(areas.values())))}


def split_by_score(
    stems: list[LabelledStem], held_out: float, seed: int
) -> tuple[list[LabelledStem], list[LabelledStem]]:
    """Stems to train on, and stems held out. No score is in both, by whatever instruments."""
    scores = sorted({stem.score for stem in stems})
    if len(scores) < 2:
        raise AudioTransferError(
            f"{len(scores)} scores are too few to hold one out: render songs of two or more"
        )
    count = min(len(scores) - 1, max(1, round(held_out * len(scores))))
    chosen = set(np.random.default_rng(seed).permutation(scores)[:count].tolist())
    return (
        [stem for stem in stems if stem.score not in chosen],
        [stem for stem in stems if stem.score in chosen],
    )


def _validation(windows: dict[str, torch.Tensor]) -> Figures:
    def figures(objective: Objective) -> dict[str, float]:
        return {"score": float(np.mean(list(_areas(objective, windows).values())))}

    return figures


def _areas(objective: Objective, windows: dict[str, torch.Tensor]) -> dict[str, float]:
    """Area under the curve of each family that plays in some windows and not in others."""
    logits = logits_of(objective.networks[NETWORK], windows["features"])
    areas = areas_under_curve(logits.double().numpy(), windows["labels"].double().numpy())
    return {
        name: round(float(area), 4)
        for name, area in zip(FAMILIES, areas, strict=True)
        if not np.isnan(area)
    }
