"""The most likely bars of a song's beats: a Viterbi search over places in bars of 2 to 4 beats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import maximum_filter1d

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Beats of a bar, with the log-probability of the metre.
METRES = {4: 0.0, 3: -1.0, 2: -2.5}
_SHORT_BAR = -0.8  # log-probability of each bar of two beats: most are halves of bars of four
_SLIP = -7.0  # log-probability that a bar is cut short
_AROUND = 0.025  # s around a place in a beat in which an onset lies there
_THIRD = 1.2  # by which the onsets on each third exceed those on the half in compound metres
_ENOUGH = 0.25  # onsets on each third, of those on the beat
_SWITCH = -14.0  # log-probability that the metre changes at a bar line


def track_bars(
    evidence: NDArray[np.float64], compound: bool = False
) -> tuple[NDArray[np.int64], float]:
    """Each beat's place in its bar, and its bar's beats, ``[N, 2]``; and their log-likelihood.

    ``evidence`` ``[N]`` is the log-odds that a beat begins a bar. Bars follow each other in one
    metre; a bar that is cut short, or another metre, costs as much as several beats' evidence.
    ``compound`` beats are divided in three, where bars of two beats are usual.
    """
    places = [(metre, place) for metre in METRES for place in range(metre)]
    index = {state: number for number, state in enumerate(places)}
    moves = np.full((len(places), len(places)), -np.inf)
    for (metre, place), number in index.items():
        following = index[metre, (place + 1) % metre]
        moves[number, following] = 0.0
        for other in METRES:
            first = index[other, 0]
            cost = _SLIP if other == metre else _SWITCH + METRES[other] - METRES[metre]
            moves[number, first] = max(moves[number, first], cost)
    begins = np.array([place == 0 for _, place in places])
    # log p(downbeat) and log p(none), from the log-odds.
    odds = np.where(
        begins, -np.logaddexp(0, -evidence[:, None]), -np.logaddexp(0, evidence[:, None])
    )
    odds[:, index[2, 0]] += 0.0 if compound else _SHORT_BAR
    score = np.array([METRES[metre] - np.log(metre) for metre, _ in places]) + odds[0]
    came = np.zeros((len(evidence), len(places)), dtype=np.int64)
    for beat in range(1, len(evidence)):
        ways = score[:, None] + moves
        came[beat] = ways.argmax(0)
        score = ways.max(0) + odds[beat]
    state, best = int(score.argmax()), float(score.max())
    found = np.zeros((len(evidence), 2), dtype=np.int64)
    for beat in range(len(evidence) - 1, -1, -1):
        metre, place = places[state]
        found[beat] = place, metre
        state = int(came[beat, state])
    return found, best


def downbeat_evidence(
    beats: NDArray[np.float32], downbeats: NDArray[np.float32], frames: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Log-odds ``[N]`` that the beats at ``frames`` begin bars, from both activations ``[L]``.

    What counts is the downbeat's share of the beat: where nothing sounds it is a bar's first in
    one case of four.
    """
    reach = np.arange(-2, 3)
    around = np.clip(frames[:, None] + reach, 0, len(beats) - 1)
    beat = beats[around].max(1).astype(np.float64)
    first = downbeats[around].max(1).astype(np.float64)
    share = np.clip((first + 0.02) / (np.maximum(beat, first) + 0.08), 0.03, 0.97)
    odds: NDArray[np.float64] = np.log(share / (1 - share))
    return odds


def change_evidence(
    distributions: NDArray[np.floating[Any]], rate: float, beats: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How much a distribution over time, ``[L, classes]`` at ``rate``, changes at each beat.

    It is the total variation between the means of the beats before and after ``[N]``, less its
    mean over the song, so that a change in every beat says nothing.
    """
    edges = np.clip(np.rint(beats * rate).astype(np.int64), 0, len(distributions))
    sums = np.concatenate(
        [np.zeros((1, distributions.shape[1])), np.cumsum(distributions, axis=0, dtype=np.float64)]
    )
    lengths = np.maximum(np.diff(edges), 1)[:, None]
    means = np.diff(sums[edges], axis=0) / lengths
    changes = np.zeros(len(beats))
    if len(means) > 1:
        changes[1:-1] = 0.5 * np.abs(np.diff(means, axis=0)).sum(1)
        changes -= changes.mean()
    return changes


def is_compound(
    strengths: NDArray[np.floating[Any]], rate: float, beats: NDArray[np.float64]
) -> bool:
    """Whether the beats are divided in three, from the onsets' strength ``[L]`` at ``rate``.

    Both thirds of a beat then bear more onsets than its half. A swung eighth lies on the second
    third only.
    """
    period = np.diff(beats)
    reach = max(1, round(_AROUND * rate))
    widest = maximum_filter1d(strengths.astype(np.float64), 2 * reach + 1)

    def mean_at(place: float) -> float:
        frames = np.rint((beats[:-1] + place * period) * rate).astype(np.int64)
        return float(widest[frames[(frames >= 0) & (frames < len(widest))]].mean())

    on, half = mean_at(0.0), mean_at(0.5)
    thirds = mean_at(1 / 3), mean_at(2 / 3)
    return min(thirds) > max(_THIRD * half, _ENOUGH * on)
