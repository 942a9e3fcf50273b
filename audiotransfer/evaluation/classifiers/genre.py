"""The genre classifier: the probability of each genre for a sound, its training and accuracy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from audiotransfer.audio.reading import read_audio
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.classifiers.audio_classifier import (
    NETWORK,
    AudioClassifier,
    AudioClassifierNetwork,
    AudioClassifierObjective,
    logits_of,
)
from audiotransfer.evaluation.classifiers.genre_data import Clip
from audiotransfer.evaluation.report.statistics import markdown_table
from audiotransfer.training import Objective, Preview, Turn

_SHIPPED = Path(__file__).parent / "shipped" / "genres"

# SpecAugment: stripes for each axis, and their largest share of it.
_MASKS = 2
_WIDEST_BANDS = 0.2
_WIDEST_FRAMES = 0.25
_LABEL_SMOOTHING = 0.05


class GenreClassifier(AudioClassifier):
    """An audio classifier of genres, of which a sound has one.

    It is never used as a discriminator, and never trained on what generators produce.
    """

    kind = "genre-classifier"
    old_kind = "judge"

    def probabilities(self, audio: Tensor, sample_rate: int) -> dict[str, float]:
        """Probability of each genre for a sound [C, T], mean over its 3 s windows.

        Silence gives equal shares.
        """
        logits = self.logits(audio, sample_rate)
        if len(logits) == 0:
            return dict.fromkeys(self.classes, 1.0 / len(self.classes))
        shares = logits.softmax(dim=-1).mean(dim=0)
        return dict(zip(self.classes, shares.tolist(), strict=True))


def shipped_genre_classifier() -> Path:
    """Folder of the genre classifier that ships, for `GenreClassifier.load`."""
    return _SHIPPED


def style_score(classifier: GenreClassifier, audio: Tensor, sample_rate: int, genre: str) -> float:
    """The classifier's probability of one genre for a sound [C, T], 0..1.

    Tables rescale it between two baselines. Raises AudioTransferError for an unknown genre.
    """
    if genre not in classifier.classes:
        raise AudioTransferError(
            f"the genre classifier does not know '{genre}': it knows "
            f"{', '.join(classifier.classes)}"
        )
    return classifier.probabilities(audio, sample_rate)[genre]


class GenreObjective(AudioClassifierObjective):
    """Cross-entropy of genres on masked 3 s windows (SpecAugment, Park et al. 2019).

    A batch is {"features": [B, F, L], "labels": [B]}. Networks and groups: ``classifier``.
    """

    def turns(
        self, batch: dict[str, Tensor], step: int, generator: torch.Generator
    ) -> Iterator[Turn]:
        """One turn: the cross-entropy, and the accuracy as a figure that is only logged."""
        logits = self.network(masked(batch["features"], generator))
        labels = batch["labels"]
        terms = {
            "cross_entropy": F.cross_entropy(logits, labels, label_smoothing=_LABEL_SMOOTHING),
            "accuracy": (logits.detach().argmax(dim=-1) == labels).float().mean(),
        }
        yield Turn(NETWORK, terms, {"accuracy": 0.0})

    def preview(self, batch: dict[str, Tensor], generator: torch.Generator) -> Preview:
        """One window of the batch, and the same with its masks."""
        window = batch["features"][:1]
        return Preview({"window": window[0], "masked": masked(window, generator)[0]}, {})

    def classifier(self, report: dict[str, Any] | None = None) -> GenreClassifier:
        """A copy of the present network on the CPU, as a classifier."""
        network = AudioClassifierNetwork(self.settings)
        network.load_state_dict({k: v.detach().cpu() for k, v in self.network.state_dict().items()})
        return GenreClassifier(network, report)


def masked(features: Tensor, generator: torch.Generator) -> Tensor:
    """Windows [B, F, L] with two stripes of bands and two of frames set to the window's mean."""
    features = features.clone()
    _, bands, frames = features.shape
    for window in features:
        mean = window.mean()
        for _ in range(_MASKS):
            low, high = _stripe(bands, _WIDEST_BANDS, generator)
            window[low:high] = mean
            first, last = _stripe(frames, _WIDEST_FRAMES, generator)
            window[:, first:last] = mean
    return features


def _stripe(size: int, widest: float, generator: torch.Generator) -> tuple[int, int]:
    width = int(torch.randint(round(widest * size) + 1, (1,), generator=generator))
    start = int(torch.randint(size - width + 1, (1,), generator=generator))
    return start, start + width


def window_validation(windows: dict[str, Tensor]) -> Callable[[Objective], dict[str, float]]:
    """A trainer's validation on held-out windows: balanced accuracy (``score``), cross-entropy."""

    def figures(objective: Objective) -> dict[str, float]:
        logits = logits_of(objective.networks[NETWORK], windows["features"])
        labels = windows["labels"]
        right = (logits.argmax(dim=-1) == labels).float()
        per_genre = [float(right[labels == genre].mean()) for genre in labels.unique()]
        return {
            "score": float(np.mean(per_genre)),
            "cross_entropy": float(F.cross_entropy(logits, labels)),
        }

    return figures


@dataclass(frozen=True)
class Confusion:
    """Confusion matrix: clips of each true genre (rows) by predicted genre (columns)."""

    classes: tuple[str, ...]
    counts: npt.NDArray[np.int64]

    @property
    def accuracy(self) -> float:
        """Share of clips whose genre is predicted right."""
        return float(np.trace(self.counts) / max(1, self.counts.sum()))

    @property
    def balanced_accuracy(self) -> float:
        """Accuracy of each genre that has clips, mean over genres."""
        totals = self.counts.sum(axis=1)
        return float((np.diag(self.counts)[totals > 0] / totals[totals > 0]).mean())

    def table(self) -> str:
        """A Markdown table."""
        return markdown_table(
            [
                {
                    "true \\ predicted": genre,
                    **{c: int(n) for c, n in zip(self.classes, row, strict=True)},
                }
                for genre, row in zip(self.classes, self.counts, strict=True)
            ]
        )

    def report(self) -> dict[str, Any]:
        """Plain values for a classifier's card."""
        return {
            "accuracy": round(self.accuracy, 4),
            "balanced_accuracy": round(self.balanced_accuracy, 4),
            "classes": list(self.classes),
            "confusion": self.counts.tolist(),
        }


def confusion(
    classifier: GenreClassifier, clips: Sequence[Clip], max_seconds: float = 60.0
) -> Confusion:
    """Confusion matrix of a classifier on clips that it was not trained on (their first minute)."""
    counts = np.zeros((len(classifier.classes), len(classifier.classes)), dtype=np.int64)
    for clip in clips:
        audio, rate = read_audio(clip.path)
        shares = classifier.probabilities(audio[:, : round(max_seconds * rate)], rate)
        predicted = max(shares, key=lambda genre: shares[genre])
        true = classifier.classes.index(clip.genre)
        counts[true, classifier.classes.index(predicted)] += 1
    return Confusion(classifier.classes, counts)
