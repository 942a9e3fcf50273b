"""Metrics of genre transfer on phrases of MIDI: transfer strength, content, diversity, copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from torch import Tensor

from audiotransfer.evaluation.baselines.midi import RandomPhrases, Transfer
from audiotransfer.evaluation.classifiers.midi_genre import GenreProbabilities, MidiGenreClassifier
from audiotransfer.evaluation.metrics import midi
from audiotransfer.evaluation.report.statistics import (
    Interval,
    bootstrap,
    harmonic,
    interval,
    resampled_means,
    rescaled,
)

MidiClassifiers = Mapping[str, MidiGenreClassifier]
"""Classifiers by the names that their figures carry."""

Figures = dict[str, Interval | float]


@dataclass(frozen=True)
class TransferredPhrases:
    """Phrases of genre ``source`` and a system's outputs for genre ``target``.

    Attributes:
        phrases, outputs: [N, 2, 64, 84].
        back: the outputs transferred back to ``source``; None where no system does that.
        pieces: index of each phrase's piece of music; intervals are over pieces.
    """

    source: str
    target: str
    phrases: Tensor
    outputs: Tensor
    back: Tensor | None = None
    pieces: Sequence[int] | None = None


@dataclass(frozen=True)
class References:
    """Classifiers, real phrases and training phrases that outputs are compared with.

    Attributes:
        classifiers: the last of them gives the style figure.
        real: phrases of each genre that nothing was trained on.
        training: phrases of each genre that were trained on, which are searched for copies.
    """

    classifiers: MidiClassifiers
    real: Mapping[str, Tensor]
    training: Mapping[str, Tensor] = field(default_factory=dict)


def transfer_there_and_back(
    transfer: Transfer,
    phrases: Tensor,
    source: str,
    target: str,
    pieces: Sequence[int] | None = None,
) -> TransferredPhrases:
    """Transfers phrases to a genre, and the outputs back."""
    outputs = transfer(phrases, target)
    back = transfer(outputs, source)
    return TransferredPhrases(source, target, phrases, outputs, back, pieces)


def strengths(
    made: TransferredPhrases,
    before: GenreProbabilities,
    after: GenreProbabilities,
    back: GenreProbabilities | None = None,
) -> Tensor:
    """S_{A→B} of Brunner et al. (2018) for each phrase, [N]; its mean is the published figure.

    Half of the rate at which the source genre, of the two, is predicted before and not after, and
    half of that at which it is predicted again after the way back; without one the first part
    alone. Silence is predicted as the source.
    """
    pair = (made.source, made.target)
    rates = [
        predicted.is_likeliest(made.source, pair).double()
        for predicted in (before, after, back or before)
    ]
    return ((rates[0] - rates[1]) + (rates[2] - rates[1])) / 2


def figures(made: TransferredPhrases, references: References) -> Figures:
    """All metrics of transferred phrases: means with 95 % intervals.

    * ``S NAME``, ``target rate NAME``: `strengths`, and the share of outputs whose likeliest genre
      is the target, by each classifier;
    * ``style``: the last classifier's probability of the target, rescaled from 0 for the source
      phrases to 1 for real phrases of the target; silence has the source's probability;
    * ``content``, ``centred content``, ``note F1``, ``empty bars``, ``copies``: see `metrics.midi`;
    * ``density ratio``: all notes of the outputs / all notes of the sources;
    * ``diversity``: the outputs' spread divided by that of real phrases of the target;
    * ``H``: harmonic mean of style and centred content, the latter rescaled from 0 for random
      phrases of the target to 1 for the source.
    """
    found: Figures = {}
    rates: Figures = {}
    sounds = made.outputs.flatten(1).any(dim=1)
    before = after = on_real = np.zeros(0)
    for name, classifier in references.classifiers.items():
        predicted = classifier.predict(made.phrases), classifier.predict(made.outputs)
        back = None if made.back is None else classifier.predict(made.back)
        found[f"S {name}"] = _mean(strengths(made, *predicted, back), made)
        rates[f"target rate {name}"] = _mean(predicted[1].is_likeliest(made.target) & sounds, made)
        real = classifier.predict(references.real[made.target])
        before, after, on_real = (one.of(made.target).numpy() for one in (*predicted, real))
    after = np.where(sounds.numpy(), after, before)
    found |= rates
    ends = {"zero": float(before.mean()), "one": float(on_real.mean())}
    centred = midi.centred_content(made.phrases, made.outputs).nan_to_num()
    found["style"] = _rescaled(bootstrap(after.tolist(), made.pieces), **ends)
    found["content"] = _mean(midi.content(made.phrases, made.outputs), made)
    found["centred content"] = _mean(centred, made)
    found["note F1"] = _mean(midi.note_f1(made.phrases, made.outputs), made)
    found["density ratio"] = _density(made)
    found["empty bars"] = _mean(midi.empty_bar_rate(made.outputs), made)
    if made.target in references.training:
        copies = midi.copies(made.outputs, references.training[made.target])
        found["copies"] = _mean(copies, made)
    real_spread = midi.spread(references.real[made.target])
    found["diversity"] = midi.spread(made.outputs) / real_spread
    random = RandomPhrases(references.real)(made.phrases, made.target)
    chance = float(midi.centred_content(made.phrases, random).nanmean())
    found["H"] = _harmonic(after, ends, centred.double().numpy(), chance, made.pieces)
    return found


def pair_figures(
    transfer: Transfer,
    phrases: Mapping[str, Tensor],
    pair: tuple[str, str],
    classifiers: MidiClassifiers,
) -> dict[str, float]:
    """`figures` of both directions between two genres, as plain numbers: to select checkpoints by.

    ``phrases`` are held-out ones of each genre. Every figure is the mean of both directions
    (``S NAME`` is S_tot by that classifier); ``jazz>pop S NAME`` and so on are its parts.
    """
    references = References(classifiers, phrases)
    parts = {}
    for source, target in (pair, pair[::-1]):
        made = transfer_there_and_back(transfer, phrases[source], source, target)
        parts[f"{source}>{target}"] = {
            name: value.mean if isinstance(value, Interval) else value
            for name, value in figures(made, references).items()
        }
    one, other = parts.values()
    means = {name: (one[name] + other[name]) / 2 for name in one}
    return means | {
        f"{direction} {name}": value
        for direction, found in parts.items()
        for name, value in found.items()
    }


def _mean(values: Tensor, made: TransferredPhrases) -> Interval:
    return bootstrap(values.double().tolist(), made.pieces)


def _rescaled(found: Interval, *, zero: float, one: float) -> Interval:
    mean, low, high = (
        rescaled(value, zero=zero, one=one) for value in (found.mean, found.low, found.high)
    )
    return Interval(mean, low, high, found.count)


def _density(made: TransferredPhrases) -> Interval:
    """Notes of all outputs / notes of all sources: phrases are weighted by their notes."""
    before, after = (
        midi.note_counts(rolls).double().numpy() for rolls in (made.phrases, made.outputs)
    )
    ratios = resampled_means(after, made.pieces) / resampled_means(before, made.pieces)
    return interval(float(after.sum() / before.sum()), ratios, len(before))


def _harmonic(
    style: npt.NDArray[np.float64],
    ends: Mapping[str, float],
    content: npt.NDArray[np.float64],
    chance: float,
    pieces: Sequence[int] | None,
) -> Interval:
    def h(style_mean: float, content_mean: float) -> float:
        return harmonic(rescaled(style_mean, **ends), rescaled(content_mean, zero=chance, one=1.0))

    means = (resampled_means(values, pieces) for values in (style, content))
    resampled = np.array([h(*pair) for pair in zip(*means, strict=True)])
    return interval(h(float(style.mean()), float(content.mean())), resampled, len(style))
