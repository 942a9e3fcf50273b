"""An instrument tagger, from rendered songs, and what it is worth on scores unheard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

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
from audiotransfer.recipes.base import Show, watch
from audiotransfer.training import Objective, Trainer, load_networks

if TYPE_CHECKING:
    from audiotransfer.recipes.base import Training


@dataclass
class InstrumentClassifierRecipe:
    """Folders of ``rendered`` songs, relative to ``data``; subfolders count.

    The share ``held_out`` of the scores is not trained on; ``test_batches`` batches of it say how
    good the tagger is.
    """

    data: str = "data"
    rendered: list[str] = field(default_factory=list)
    held_out: float = 0.15
    batch: int = 16
    width: int = 16
    learning_rate: float = 1e-3
    test_batches: int = 16


def train_instrument_classifier(
    recipe: InstrumentClassifierRecipe, config: Training, folder: Path, show: Show | None
) -> dict[str, float]:
    """Leaves the classifier's files in ``folder``, for `InstrumentClassifier.load`."""
    stems = labelled_stems([Path(recipe.data) / place for place in recipe.rendered])
    trained, unheard = split_scores(stems, recipe.held_out, config.seed)
    hearing = AudioClassifierSettings(FAMILIES, width=recipe.width)
    objective = InstrumentObjective(hearing, learning_rate=recipe.learning_rate, seed=config.seed)
    batches = InstrumentBatches(trained, hearing, batch_size=recipe.batch, seed=config.seed)
    test = InstrumentBatches(unheard, hearing, batch_size=recipe.batch, seed=config.seed + 1)
    drawn = [test.batch(step) for step in range(recipe.test_batches)]
    windows = {name: torch.cat([batch[name] for batch in drawn]) for name in drawn[0]}
    trainer = Trainer(
        objective, batches, config.trainer, folder, _validation(windows), config=recipe
    )
    figures = trainer.run(should_stop=watch(trainer, show))
    if not trainer.first:
        return figures
    objective.network.load_state_dict(load_networks(folder / "checkpoint")[NETWORK])
    areas = _areas(objective, windows)
    tagger = InstrumentClassifier(
        objective.network,
        {
            "stems": len(trained),
            "stems held out": len(unheard),
            "steps": trainer.step,
            "windows held out": len(windows["labels"]),
            "area under curve": areas,
        },
    )
    tagger.save(folder)
    return {**figures, "area_under_curve": float(np.mean(list(areas.values())))}


def split_scores(
    stems: list[LabelledStem], held_out: float, seed: int
) -> tuple[list[LabelledStem], list[LabelledStem]]:
    """Stems to train on and stems held out; no score is in both, whoever plays it."""
    scores = sorted({stem.score for stem in stems})
    if len(scores) < 2:
        raise AudioTransferError(
            f"{len(scores)} scores are too few to hold one out: render songs of two or more"
        )
    count = min(len(scores) - 1, max(1, round(held_out * len(scores))))
    out = set(np.random.default_rng(seed).permutation(scores)[:count].tolist())
    return (
        [stem for stem in stems if stem.score not in out],
        [stem for stem in stems if stem.score in out],
    )


def _validation(windows: dict[str, torch.Tensor]) -> Callable[[Objective], dict[str, float]]:
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
