"""A judge of scores, from genres of MIDI, and what it is worth on pieces unheard."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.classifiers.audio_classifier import NETWORK
from audiotransfer.evaluation.classifiers.midi_diagnostics import (
    NOISES,
    calibration_error,
    confusion,
    pair_accuracies,
    probes,
)
from audiotransfer.evaluation.classifiers.midi_genre import (
    MidiGenreClassifier,
    MidiGenreObjective,
    fitting_temperature,
    phrase_validation,
)
from audiotransfer.recipes.base import Show, Training, watch
from audiotransfer.symbolic.genre.data import Archives, GenreBatches, genre_phrases
from audiotransfer.symbolic.genre.phrases import PhraseSet
from audiotransfer.training import Trainer, load_networks


@dataclass
class MidiClassifierRecipe:
    """Genres of MIDI ``packs``, relative to ``data``, for a judge that hears ``octaves``, as the
    paper's classifier does, or ``counts``.

    ``genres`` names those that it tells apart, all where it is empty. With ``transpose`` every
    phrase comes in any of twelve keys, whatever its genre.
    """

    packs: Archives = field(default_factory=dict)
    data: str = "data"
    genres: list[str] = field(default_factory=list)
    hearing: str = "octaves"
    width: int = 64
    batch: int = 96
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    weight_decay: float = 0.0
    transpose: bool = True


def train_midi_classifier(
    recipe: MidiClassifierRecipe, config: Training, folder: Path, show: Show | None
) -> dict[str, float]:
    """Leaves the classifier's files in ``folder``, for `MidiGenreClassifier.load`.

    The weights that did best on the validation pieces, calibrated on these; all figures are of the
    test pieces.
    """
    genres = tuple(recipe.genres or recipe.packs)
    missing = [genre for genre in genres if genre not in recipe.packs]
    if missing or len(genres) < 2:
        raise AudioTransferError(
            f"a judge of {', '.join(genres) or 'no genres'} needs packs of two genres or more; "
            f"there are {', '.join(recipe.packs) or 'none'}"
        )
    packs = {genre: recipe.packs[genre] for genre in genres}
    parts = genre_phrases(packs, recipe.data, folder / "phrases")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        judge = MidiGenreClassifier(recipe.hearing, genres, recipe.width)
    objective = MidiGenreObjective(
        judge,
        learning_rate=recipe.learning_rate,
        betas=recipe.betas,
        weight_decay=recipe.weight_decay,
    )
    batches = GenreBatches(parts["train"], recipe.batch, config.seed, transpose=recipe.transpose)
    validation = [_tensor(parts["validation"][genre]) for genre in genres]
    trainer = Trainer(
        objective, batches, config.trainer, folder, phrase_validation(validation), config=recipe
    )
    figures = trainer.run(should_stop=watch(trainer, show))
    if not trainer.first:
        return figures
    best = folder / "best" if (folder / "best").is_dir() else folder / "checkpoint"
    judge.network.load_state_dict(load_networks(best)[NETWORK])
    judge.network.eval()
    judge.temperature = round(fitting_temperature(judge.network, validation), 2)
    judge.save(folder)
    judge.report = _report(judge, parts, trainer.step)
    judge.save(folder)
    return {**figures, "accuracy": judge.report["test"]["balanced_accuracy"]}


def _report(
    judge: MidiGenreClassifier, parts: dict[str, dict[str, PhraseSet]], steps: int
) -> dict[str, Any]:
    """What the judge's card says of it. ``held out`` are the pieces that no training may hear."""
    test = {genre: _tensor(parts["test"][genre]) for genre in judge.genres}
    report: dict[str, Any] = {
        "steps": steps,
        "phrases": {
            part: {genre: len(found[genre]) for genre in judge.genres}
            for part, found in parts.items()
        },
        "test": confusion(judge, test).report(),
        "calibration error": round(calibration_error(judge, test), 4),
        "probes": probes(judge, test),
        "held out": sorted(
            Path(parts["test"][genre].names[piece]).stem
            for genre in judge.genres
            for piece in set(parts["test"][genre].pieces.tolist())
        ),
    }
    noises = NOISES if judge.architecture == "octaves" else (0.0,)
    report["pairs"] = {
        str(noise): {
            pair: round(share, 4) for pair, share in pair_accuracies(judge, test, noise).items()
        }
        for noise in noises
    }
    return report


def _tensor(phrases: PhraseSet) -> Tensor:
    return torch.from_numpy(phrases.rolls).float()
