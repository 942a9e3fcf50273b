"""The form of a song: bars that repeat, and the sections they make."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.leadsheet.leadsheet import Section, bar_lines
from audiotransfer.leadsheet.slots import overlaps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from audiotransfer.leadsheet.leadsheet import Bar

_ONSETS = 8  # parts of a bar in which onsets are compared
_UNIT = 4  # bars: sections begin on multiples of it, counted from the first full bar
_ALIKE = 0.6  # least share of similarity, between unrelated bars (0) and equal ones (1)
# What a section of so many units costs against the standardised novelty of its start, by rule of
# thumb: sections of 8 and 16 bars are usual, of 4 and 12 less so.
_COSTS = {1: 1.0, 2: 0.0, 3: 0.6, 4: 0.1, 6: 0.9, 8: 0.8}
_FEWEST_BEATS = 3  # bars of fewer beats count as half bars


def bar_features(
    melody: NDArray[np.float64],
    chroma: NDArray[np.float64],
    onsets: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Features ``[B, F]`` of bars: pitch classes of the melody ``[B, 12]`` and of all notes
    ``[B, 12]``, and onsets in parts of the bar ``[B, P]``; each group has length 1, or 0.
    """
    groups = [0.8 * _unit(melody), _unit(np.sqrt(chroma)), 0.6 * _unit(np.sqrt(onsets))]
    return np.concatenate(groups, axis=1)


def sections_of_notes(
    melody: NDArray[np.float64],
    notes: NDArray[np.float64],
    chroma: NDArray[np.float64],
    bars: Sequence[Bar],
) -> tuple[Section, ...]:
    """Sections of a song (see `sections_of`) by melody, harmony and rhythm.

    ``melody`` and all pitched ``notes`` ``[N, >=3]`` are start and end in beats, and pitch;
    ``chroma`` ``[B, 12]`` are the weights of pitch classes a bar.
    """
    edges = bar_lines(bars)
    slot, note, share = overlaps(melody[:, :2], edges)
    tune = np.zeros((len(bars), 12))
    np.add.at(tune, (slot, melody[note, 2].astype(int) % 12), share)
    onsets = np.zeros((len(bars), _ONSETS))
    bar = np.clip(np.searchsorted(edges, notes[:, 0] + 0.02, side="right") - 1, 0, len(bars) - 1)
    part = (notes[:, 0] - edges[bar]) / (edges[bar + 1] - edges[bar]) * _ONSETS
    np.add.at(onsets, (bar, np.clip(np.rint(part), 0, _ONSETS - 1).astype(int)), 1.0)
    return sections_of(bar_features(tune, chroma, onsets), bars)


def sections_of(features: NDArray[np.float64], bars: Sequence[Bar]) -> tuple[Section, ...]:
    """Sections of a song without gaps; those that are alike have one name (A, B, ...).

    ``features`` ``[B, F]`` are of its B bars. Boundaries are where a checkerboard kernel on the
    bars' self-similarity has its peaks (Foote 2000), on multiples of four bars
    (of eight where a bar has two beats).
    """
    count = len(bars)
    features = _unit(features)
    first = 1 if count > 1 and bars[0].quarters < bars[1].quarters else 0
    usual = sorted(bar.beats for bar in bars)[count // 2]
    boundaries = _boundaries(features, first, _UNIT if usual >= _FEWEST_BEATS else 2 * _UNIT)
    edges = [0, *boundaries, count]
    names = _names(features, edges)
    return tuple(
        Section(bars[start].beat, bars[end - 1].beat + bars[end - 1].beats - bars[start].beat, name)
        for (start, end), name in zip(pairwise(edges), names, strict=True)
    )


def _unit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    unit: NDArray[np.float64] = values / np.maximum(norms, 1e-9)
    return unit


def _boundaries(features: NDArray[np.float64], first: int, unit: int) -> list[int]:
    """Bars at which sections begin, apart from the first bar, by the bars' unit features.

    The set with the largest sum of novelty (in standard deviations) less the lengths' costs.
    """
    count = len(features)
    places = [first, *range(first + unit, count - unit // 2, unit)]
    if len(places) < 2:
        return []
    novelty = np.array([_novelty(features, at, unit) for at in places[1:]])
    novelty = (novelty - novelty.mean()) / max(float(novelty.std()), 1e-9)
    gains = np.concatenate([[0.0], novelty, [0.0]])
    best, came = np.full(len(gains), -np.inf), np.zeros(len(gains), dtype=np.int64)
    best[0] = 0.0
    for at in range(1, len(gains)):
        for length, cost in _COSTS.items():
            # The last section is as long as it is.
            price = 0.0 if at == len(gains) - 1 else cost
            if length <= at and best[at - length] + gains[at] - price > best[at]:
                best[at], came[at] = best[at - length] + gains[at] - price, at - length
    found: list[int] = []
    at = int(came[-1])
    while at > 0:
        found.append(places[at])
        at = int(came[at])
    return found[::-1]


def _novelty(features: NDArray[np.float64], at: int, reach: int) -> float:
    """How much the bars before a boundary differ from those after it, and are alike among them."""
    low = max(at - reach, 0)
    near = features[low : at + reach]
    similar, at = near @ near.T, at - low
    before, after = similar[:at, :at], similar[at:, at:]
    return float((before.mean() + after.mean()) / 2 - similar[:at, at:].mean())


def _names(features: NDArray[np.float64], edges: Sequence[int]) -> list[str]:
    """One name for each section: that of the earlier one whose bars are most alike in order."""
    # That of all pairs of bars, without a matrix of them.
    mean = float(np.square(features.mean(axis=0)).sum())
    spans = list(pairwise(edges))
    lengths = np.array([end - start for start, end in spans])
    alike_ones = {
        length: (numbers, np.stack([features[slice(*spans[n])] for n in numbers]))
        for length in np.unique(lengths).tolist()
        for numbers in [np.flatnonzero(lengths == length)]
    }
    names: list[str] = []
    for index, (start, end) in enumerate(spans):
        best, name = _ALIKE, ""
        for other, (numbers, bars) in alike_ones.items():
            length = min(end - start, other)
            earlier = int(np.searchsorted(numbers, index))
            if max(end - start, other) > 2 * length or not earlier:
                continue
            own = features[start : start + length]
            pairs = np.einsum("nlf,lf->n", bars[:earlier, :length], own) / length
            alike = np.round((pairs - mean) / max(1 - mean, 1e-9), 9)
            if (most := float(alike.max())) > best:
                best, name = most, names[numbers[int(alike.argmax())]]
        names.append(name or _letter(len(set(names))))
    return names


def _letter(index: int) -> str:
    """A, B, ... Z, A2, B2, ..."""
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[index % 26] + (str(index // 26 + 1) if index > 25 else "")
