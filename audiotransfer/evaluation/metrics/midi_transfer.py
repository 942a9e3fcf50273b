"""How well phrases went from one genre to another: strength, content, and how they could cheat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from torch import Tensor

from audiotransfer.evaluation.baselines.midi import RandomPhrases, Transfer
from audiotransfer.evaluation.classifiers.midi_genre import MidiGenreClassifier, Verdict
from audiotransfer.evaluation.metrics import midi
from audiotransfer.evaluation.report.statistics import (
    Interval,
    bootstrap,
    harmonic,
    interval,
    resampled_means,
    rescaled,
)

Judges = Mapping[str, MidiGenreClassifier]
"""Judges by the names that their figures carry."""

Figures = dict[str, Interval | float]


@dataclass(frozen=True)
class Passage:
    """Phrases [N, 2, 64, 84] on their way from genre ``source`` to genre ``target``.

    ``back`` are the outputs transferred back, None where nothing leads back. ``pieces`` says which
    song each phrase is of: intervals are over songs.
    """

    source: str
    target: str
    phrases: Tensor
    outputs: Tensor
    back: Tensor | None = None
    pieces: Sequence[int] | None = None


@dataclass(frozen=True)
class Ground:
    """What passages are measured against: the judges, of which the last has the say on style; real
    phrases of each genre that nothing was trained on; and those that were trained on, which are
    looked through for copies.
    """

    judges: Judges
    real: Mapping[str, Tensor]
    training: Mapping[str, Tensor] = field(default_factory=dict)


def passage(
    transfer: Transfer,
    phrases: Tensor,
    source: str,
    target: str,
    pieces: Sequence[int] | None = None,
) -> Passage:
    """Sends phrases to a genre and back."""
    outputs = transfer(phrases, target)
    return Passage(source, target, phrases, outputs, transfer(outputs, source), pieces)


def strengths(way: Passage, before: Verdict, after: Verdict, back: Verdict | None = None) -> Tensor:
    """S_{A→B} of Brunner et al. (2018) for each phrase, [N]; its mean is the published figure.

    Half of how often the source genre, of the two, was heard before and no longer is, and half of
    how often it is heard again on the way back; without one the first part alone. Silence is heard
    as the source.
    """
    pair = (way.source, way.target)
    heard = [
        verdict.heard_as(way.source, pair).double() for verdict in (before, after, back or before)
    ]
    return ((heard[0] - heard[1]) + (heard[2] - heard[1])) / 2


def figures(way: Passage, ground: Ground) -> Figures:
    """Everything that is measured of a passage: means over its phrases with 95 % intervals.

    ``S`` and ``target rate`` (how often no genre of all is likelier than the target) by each judge;
    ``style``, the last judge's probability of the target, 0 for doing nothing and 1 for real
    phrases of it; ``content``, ``centred content``, ``note F1``, ``density ratio`` (all notes out /
    all notes in), ``empty bars``, ``copies``; ``diversity``, the outputs' spread relative to that
    of real phrases of the target; ``H`` of style and of centred content, where 0 is that of random
    phrases of the target and 1 the source. Silence has done nothing for style.
    """
    found: Figures = {}
    rates: Figures = {}
    sounds = way.outputs.flatten(1).any(dim=1)
    before = after = goal = np.zeros(0)
    for name, judge in ground.judges.items():
        verdicts = judge.listen(way.phrases), judge.listen(way.outputs)
        back = None if way.back is None else judge.listen(way.back)
        found[f"S {name}"] = _mean(strengths(way, *verdicts, back), way)
        rates[f"target rate {name}"] = _mean(verdicts[1].heard_as(way.target) & sounds, way)
        real = judge.listen(ground.real[way.target])
        before, after, goal = (
            verdict.probability(way.target).numpy() for verdict in (*verdicts, real)
        )
    after = np.where(sounds.numpy(), after, before)
    found |= rates
    ends = {"zero": float(before.mean()), "one": float(goal.mean())}
    centred = midi.centred_content(way.phrases, way.outputs).nan_to_num()
    found["style"] = _scaled(bootstrap(after.tolist(), way.pieces), **ends)
    found["content"] = _mean(midi.content(way.phrases, way.outputs), way)
    found["centred content"] = _mean(centred, way)
    found["note F1"] = _mean(midi.note_f1(way.phrases, way.outputs), way)
    found["density ratio"] = _density(way)
    found["empty bars"] = _mean(midi.empty_bar_rate(way.outputs), way)
    if way.target in ground.training:
        found["copies"] = _mean(midi.copies(way.outputs, ground.training[way.target]), way)
    real_spread = midi.spread(ground.real[way.target])
    found["diversity"] = midi.spread(way.outputs) / real_spread
    foreign = RandomPhrases(ground.real)(way.phrases, way.target)
    chance = float(midi.centred_content(way.phrases, foreign).nanmean())
    found["H"] = _harmonic(after, ends, centred.double().numpy(), chance, way.pieces)
    return found


def pair_figures(
    transfer: Transfer, phrases: Mapping[str, Tensor], pair: tuple[str, str], judges: Judges
) -> dict[str, float]:
    """Both ways between two genres on held-out ``phrases`` of each, as plain numbers: for choosing
    among models and checkpoints.

    Every figure is the mean of both ways (``S NAME`` is S_tot by that judge); ``jazz>pop S NAME``
    and so on are its parts.
    """
    ground = Ground(judges, phrases)
    parts = {
        f"{source}>{target}": {
            name: value.mean if isinstance(value, Interval) else value
            for name, value in figures(
                passage(transfer, phrases[source], source, target), ground
            ).items()
        }
        for source, target in (pair, pair[::-1])
    }
    one, other = parts.values()
    means = {name: (one[name] + other[name]) / 2 for name in one}
    return means | {
        f"{way} {name}": value for way, found in parts.items() for name, value in found.items()
    }


def _mean(values: Tensor, way: Passage) -> Interval:
    return bootstrap(values.double().tolist(), way.pieces)


def _scaled(found: Interval, *, zero: float, one: float) -> Interval:
    mean, low, high = (
        rescaled(value, zero=zero, one=one) for value in (found.mean, found.low, found.high)
    )
    return Interval(mean, low, high, found.count)


def _density(way: Passage) -> Interval:
    """Notes out / notes in, of all phrases together: sparse phrases have no more say than notes."""
    before, after = (
        midi.note_counts(found).double().numpy() for found in (way.phrases, way.outputs)
    )
    drawn = resampled_means(after, way.pieces) / resampled_means(before, way.pieces)
    return interval(float(after.sum() / before.sum()), drawn, len(before))


def _harmonic(
    style: npt.NDArray[np.float64],
    ends: Mapping[str, float],
    content: npt.NDArray[np.float64],
    chance: float,
    pieces: Sequence[int] | None,
) -> Interval:
    def h(found: float, kept: float) -> float:
        return harmonic(rescaled(found, **ends), rescaled(kept, zero=chance, one=1.0))

    means = (resampled_means(values, pieces) for values in (style, content))
    drawn = np.array([h(*pair) for pair in zip(*means, strict=True)])
    return interval(h(float(style.mean()), float(content.mean())), drawn, len(style))
