"""Rhythms of comping chords, drawn bar by bar from counts of which rhythm follows which."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.cover.counts import SLOTS, draw_index, read_counts, slots

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.random import Generator
    from numpy.typing import NDArray

#: Rhythms in other metres, in parts of a beat: rules of thumb, nobody counted them. In three:
#: dotted quarters, the Charleston and its off-beat forms; in compound metres by beats of three.
OTHER_METRES: dict[tuple[int, int], tuple[str, ...]] = {
    (3, 2): ("x..x..", "x..x..", "...x.x", ".x..x.", "...x..", "x....x", "..x..x", "x..x.x"),
    (5, 2): ("x..x..x...", "x..x...x..", "...x..x..x", "x.....x..x", "...x..x...", "x..x..x..x"),
    (2, 3): ("x..x..", "..x..x", "x....x", "x..x.x", "..xx..", "x....."),
    (3, 3): ("x..x..x..", "x....x...", "..x..x..x", "x..x....."),
    (4, 3): ("x..x..x..x..", "x....x..x...", "..x..x..x..x", "x.....x....."),
    (2, 2): ("x..x", "x...", ".x.x", "...x", "x.x.", ".x.."),
}
_BACKOFF = 4.0  # weight of the plain counts of bars beside those of which bar follows which
_ROUNDS = 60  # iterations of the fit; the histogram is then within .01
_UNCOVERED = 0.02  # weight of a bar for each of its halves that would have no chord


@dataclass(frozen=True)
class RhythmTable:
    """Rhythms of bars in four: onsets ``[R, 8]``, and weights of each after each ``[R, R]``."""

    onsets: NDArray[np.bool_]
    weights: NDArray[np.float64]

    @property
    def chords(self) -> NDArray[np.int64]:
        """Number of chords in each rhythm."""
        return np.asarray(self.onsets.sum(axis=1), np.int64)


@lru_cache(maxsize=16)
def rhythm_table(path: Path, fullness: float) -> RhythmTable:
    """Weights of rhythms after each other, fitted to the counted histogram of onsets.

    Bars are counted with the bar before. With more ``fullness`` (0..1) fewer half bars are left
    without a chord: the half around beat 1, from the last off-beat on, and that around beat 3. A
    weight for each slot, fitted iteratively (as in iterative proportional fitting), then brings the
    shares of the eight slots back to those counted: only the number of chords rises.
    """
    comping = read_counts(path)["comping"]
    names = list(comping["bars"]["count"])
    onsets = np.array([slots(name) for name in names])
    weights = np.tile(
        _BACKOFF * np.array([*comping["bars"]["count"].values()], float), (len(names), 1)
    )
    weights /= weights[0].sum()
    index = {name: row for row, name in enumerate(names)}
    for before, after, count in comping["bar_to_bar"]["rows"]:
        if before in index and after in index:
            weights[index[before], index[after]] += count / comping["bars"]["count"][before]
    first = onsets[:, None, -1] | onsets[None, :, :3].any(axis=2)
    second = np.broadcast_to(onsets[None, :, 3:7].any(axis=2), first.shape)
    weights *= _UNCOVERED ** (fullness * (2.0 - first - second))
    target = np.array(comping["onsets"]["share"]).sum(axis=0)
    target /= target.sum()
    scale = np.zeros(SLOTS)
    share = np.full(len(names), 1 / len(names))
    for _ in range(_ROUNDS):
        fitted = weights * np.exp(onsets @ scale)
        fitted /= fitted.sum(axis=1, keepdims=True)
        for _ in range(4):
            share = share @ fitted
        measured = share @ onsets
        scale += 0.7 * np.log(target * measured.sum() / measured)
        scale -= scale.mean()  # the number of chords is left to the counts
    return RhythmTable(onsets, fitted)


def draw_rhythm(
    rhythms: RhythmTable, before: int, preference: NDArray[np.float64], generator: Generator
) -> int:
    """The index of a rhythm after another; ``preference`` ``[R]`` scales the weights."""
    return draw_index(rhythms.weights[before] * preference, generator)


def other_rhythm(beats: int, division: int, generator: Generator) -> NDArray[np.float64]:
    """Places in beats of the chords of a bar that isn't of four straight beats."""
    rhythms = OTHER_METRES.get((beats, division))
    if rhythms is None:  # by groups of three and two beats
        if beats < 4:
            return np.zeros(1)
        first = other_rhythm(3, division, generator)
        return np.concatenate([first, 3 + other_rhythm(beats - 3, division, generator)])
    rhythm = rhythms[int(generator.integers(len(rhythms)))]
    return np.flatnonzero(slots(rhythm)) / division
