"""Diagnostics of a MIDI classifier: confusion, calibration, and accuracy on ablated phrases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations

import torch
from torch import Tensor

from audiotransfer.evaluation.baselines.midi import transpose
from audiotransfer.evaluation.classifiers.genre import Confusion
from audiotransfer.evaluation.classifiers.midi_genre import MidiGenreClassifier
from audiotransfer.midi.piano_rolls import LOWEST, ONSET, SOUND

#: Standard deviations of the noise on what is -1 and +1, as published.
NOISES = (0.0, 0.01, 0.1, 0.2, 0.3, 0.5)
_OCTAVE = 12
_MIDDLE = 48  # MIDI; lower notes are bass
_BEAT = 4
_BINS = 10


def confusion(classifier: MidiGenreClassifier, phrases: Mapping[str, Tensor]) -> Confusion:
    """Confusion matrix on phrases [N, 2, 64, 84] of each genre."""
    rows = [
        classifier.predict(phrases[genre])
        .shares.argmax(dim=1)
        .bincount(minlength=len(classifier.genres))
        for genre in classifier.genres
    ]
    return Confusion(classifier.genres, torch.stack(rows).numpy())


def pair_accuracies(
    classifier: MidiGenreClassifier,
    phrases: Mapping[str, Tensor],
    noise: float = 0.0,
    seed: int = 0,
) -> dict[str, float]:
    """Balanced accuracy on each pair of genres, where only these two can be predicted.

    ``noise`` is the standard deviation of Gaussian noise on cells of -1 and +1, as in the paper.
    """
    generator = torch.Generator().manual_seed(seed)
    predicted = {
        genre: classifier.predict(
            given + noise / 2 * torch.randn(given.shape, generator=generator) if noise else given
        )
        for genre, given in phrases.items()
    }
    return {
        f"{one}-{other}": sum(
            float(predicted[genre].is_likeliest(genre, (one, other)).double().mean())
            for genre in (one, other)
        ) / 2
        for one, other in combinations(classifier.genres, 2)
    }  # fmt: skip


def calibration_error(classifier: MidiGenreClassifier, phrases: Mapping[str, Tensor]) -> float:
    """Expected calibration error (Guo et al. 2017) over ten bins, all genres weighted alike.

    The mean distance between the probability of the likeliest genre and its accuracy.
    """
    confidences, hits, weights = [], [], []
    for index, genre in enumerate(classifier.genres):
        shares, predicted = classifier.predict(phrases[genre]).shares.max(dim=1)
        confidences.append(shares)
        hits.append((predicted == index).double())
        weights.append(torch.full_like(shares, 1 / len(shares)))
    confidence, hit, weight = torch.cat(confidences), torch.cat(hits), torch.cat(weights)
    bins = (confidence * _BINS).long().clamp(max=_BINS - 1)
    gaps = torch.zeros(_BINS, dtype=torch.float64)
    gaps.index_add_(0, bins, weight * (hit - confidence))
    return float(gaps.abs().sum() / len(classifier.genres))


def probes(
    classifier: MidiGenreClassifier, phrases: Mapping[str, Tensor], seed: int = 0
) -> dict[str, dict[str, float]]:
    """Accuracy on ablated phrases (`PROBES`): probe -> genre -> accuracy.

    An ablation that costs no accuracy takes away what the classifier does not use.
    """
    found: dict[str, dict[str, float]] = {}
    for name, probe in PROBES.items():
        generator = torch.Generator().manual_seed(seed)
        found[name] = {}
        for genre in classifier.genres:
            right = classifier.predict(probe(phrases[genre], generator)).is_likeliest(genre)
            found[name][genre] = round(float(right.double().mean()), 3)
    return found


def _octave_up(phrases: Tensor, generator: torch.Generator) -> Tensor:
    return transpose(phrases, torch.full((len(phrases),), _OCTAVE))


def _octave_down(phrases: Tensor, generator: torch.Generator) -> Tensor:
    return transpose(phrases, torch.full((len(phrases),), -_OCTAVE))


def _eighth_late(phrases: Tensor, generator: torch.Generator) -> Tensor:
    return phrases.roll(_BEAT // 2, dims=2)


def _bars_shuffled(phrases: Tensor, generator: torch.Generator) -> Tensor:
    bars: Tensor = phrases.unflatten(2, (4, -1))
    return bars[:, :, torch.randperm(4, generator=generator)].flatten(2, 3)


def _on_the_beat(phrases: Tensor, generator: torch.Generator) -> Tensor:
    """Moves every note to the start of its beat, which removes the rhythm within beats."""
    beats: Tensor = phrases.unflatten(2, (-1, _BEAT)).amax(dim=3, keepdim=True)
    spread = beats.expand(-1, -1, -1, _BEAT, -1).clone()
    spread[:, ONSET, :, 1:] = 0
    return spread.flatten(2, 3)


def _pitches_exchanged(phrases: Tensor, generator: torch.Generator) -> Tensor:
    """Permutes the twelve pitch classes: removes harmony, keeps rhythm and register."""
    order = torch.randperm(_OCTAVE, generator=generator)
    octaves: Tensor = phrases.unflatten(3, (-1, _OCTAVE))
    return octaves[..., order].flatten(3)


def _top_voice(phrases: Tensor, generator: torch.Generator) -> Tensor:
    """Keeps the highest sounding note of each step."""
    above = phrases[:, SOUND].flip(-1).cumsum(dim=-1).flip(-1)
    return phrases * (above <= 1)[:, None]


def _no_bass(phrases: Tensor, generator: torch.Generator) -> Tensor:
    kept = phrases.clone()
    kept[..., : _MIDDLE - LOWEST] = 0
    return kept


Probe = Callable[[Tensor, torch.Generator], Tensor]

PROBES: dict[str, Probe] = {
    "as it is": lambda phrases, generator: phrases,
    "an octave up": _octave_up,
    "an octave down": _octave_down,
    "an eighth late": _eighth_late,
    "bars shuffled": _bars_shuffled,
    "on the beat": _on_the_beat,
    "pitch classes exchanged": _pitches_exchanged,
    "top voice alone": _top_voice,
    "without bass": _no_bass,
}
"""Name of an ablation -> the ablation: phrases [N, 2, 64, 84] -> phrases without something."""
