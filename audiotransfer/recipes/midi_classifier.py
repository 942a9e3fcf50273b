"""The recipe of a genre classifier of MIDI phrases."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiotransfer.errors import AudioTransferError
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
from audiotransfer.recipes.base import Run, restore
from audiotransfer.symbolic.genre.data import Archives, GenreBatches, genre_phrases
from audiotransfer.symbolic.genre.phrases import PhraseSet


@dataclass
class MidiClassifierRecipe:
    """A classifier of the genres of MIDI ``archives``, relative to ``data``.

    ``network`` is its kind: "octaves", as the paper's classifier, "counts" or "beats" (see
    `MidiGenreClassifier`). ``genres`` names its classes, all where it is empty. With ``transpose``
    every phrase comes in any of twelve keys, whatever its genre.
    """

    archives: Archives = field(default_factory=dict)
    data: str = "data"
    genres: list[str] = field(default_factory=list)
    network: str = "octaves"
    width: int = 64
    batch: int = 96
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    weight_decay: float = 0.0
    transpose: bool = True

    def train(self, run: Run) -> dict[str, float]:
        """Trains a classifier, and saves it in the run's folder for `MidiGenreClassifier.load`.

        It has the weights that did best on the validation pieces, and is calibrated on these; all
        its figures are of the test pieces.
        """
        genres = self._genres()
        archives = {genre: self.archives[genre] for genre in genres}
        parts = genre_phrases(archives, self.data, run.folder / "phrases")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(run.seed)
            classifier = MidiGenreClassifier(self.network, genres, self.width)
        objective = MidiGenreObjective(
            classifier,
            learning_rate=self.learning_rate,
            betas=self.betas,
            weight_decay=self.weight_decay,
        )
        validation = [_tensor(parts["validation"][genre]) for genre in genres]
        fit = run.fit(
            objective,
            GenreBatches(parts["train"], self.batch, run.seed, transpose=self.transpose),
            self,
            validation=phrase_validation(validation),
        )
        if not fit.exports:
            return fit.figures
        restore(fit.best, objective.networks)
        classifier.network.eval()
        temperature = fitting_temperature(classifier.network, validation)
        classifier.temperature = round(temperature, 2)
        classifier.save(run.folder)
        classifier.report = _report(classifier, parts, fit.steps)
        classifier.save(run.folder)
        return {**fit.figures, "accuracy": classifier.report["test"]["balanced_accuracy"]}

    def _genres(self) -> tuple[str, ...]:
        genres = tuple(self.genres or self.archives)
        missing = [genre for genre in genres if genre not in self.archives]
        if missing or len(genres) < 2:
            raise AudioTransferError(
                f"a classifier of {', '.join(genres) or 'no genres'} needs archives of two genres"
                f" or more; there are {', '.join(self.archives) or 'none'}"
            )
        return genres


def _report(
    classifier: MidiGenreClassifier, parts: dict[str, dict[str, PhraseSet]], steps: int
) -> dict[str, Any]:
    """The figures on a classifier's card. ``held out`` are the pieces that nothing may train on."""
    test = {genre: _tensor(parts["test"][genre]) for genre in classifier.genres}
    report: dict[str, Any] = {
        "steps": steps,
        "phrases": {
            part: {genre: len(found[genre]) for genre in classifier.genres}
            for part, found in parts.items()
        },
        "test": confusion(classifier, test).report(),
        "calibration error": round(calibration_error(classifier, test), 4),
        "probes": probes(classifier, test),
        "held out": sorted(
            Path(parts["test"][genre].names[piece]).stem
            for genre in classifier.genres
            for piece in set(parts["test"][genre].pieces.tolist())
        ),
    }
    noises = NOISES if classifier.architecture == "octaves" else (0.0,)
    report["pairs"] = {
        str(noise): {
            pair: round(share, 4)
            for pair, share in pair_accuracies(classifier, test, noise).items()
        }
        for noise in noises
    }
    return report


def _tensor(phrases: PhraseSet) -> Tensor:
    return torch.from_numpy(phrases.rolls).float()
