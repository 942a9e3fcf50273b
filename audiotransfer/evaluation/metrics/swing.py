"""Swing of an arrangement's parts, patterns of its ride cymbal, and how alike its bars are.

Notes are ``[N, 4]``: place and length in beats of the felt tempo, MIDI pitch, velocity.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.evaluation.metrics.arrangement import slot

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiotransfer.leadsheet import Bar

#: Phases of a beat: of off-beats, and of the swung and the straight ones among them.
OFF_BEATS, SWUNG, STRAIGHT = (0.35, 0.85), (0.55, 0.77), (0.47, 0.53)
#: General MIDI keys that keep time on a cymbal: ride, ride bell, second ride.
RIDE = (51, 53, 59)
_ON_BEAT = 0.12  # beats around a beat that belong to it
_EIGHTHS = 8


def off_beat_phases(notes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Phases of the onsets that lie in `OFF_BEATS`; notes that start together count once."""
    onsets = _onsets(notes)
    phases = onsets % 1.0
    low, high = OFF_BEATS
    found: NDArray[np.float64] = phases[(phases >= low) & (phases <= high)]
    return found


def swung_counts(notes: NDArray[np.float64]) -> tuple[int, int, int]:
    """Numbers of off-beats that are swung, that are straight, and of all."""
    phases = off_beat_phases(notes)
    swung, straight = (
        int(np.sum((phases >= low) & (phases <= high))) for low, high in (SWUNG, STRAIGHT)
    )
    return swung, straight, len(phases)


def swing_ratios(notes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ratios of the long to the short eighth, of beats that hold one onset between two beats' own.

    1 is straight, 2 a triplet. Measured from the part's own onsets, as the counts of real trios
    are, so that a part that plays late as a whole has the same ratio.
    """
    onsets = _onsets(notes)
    if not len(onsets):
        return np.zeros(0)
    beats = np.round(onsets)
    near = np.abs(onsets - beats) <= _ON_BEAT
    on = dict(zip(beats[near].astype(int).tolist(), onsets[near].tolist(), strict=True))
    between: dict[int, list[float]] = {}
    for onset in onsets[~near].tolist():
        between.setdefault(int(np.floor(onset)), []).append(onset)
    ratios = [
        (inside[0] - on[beat]) / (on[beat + 1] - inside[0])
        for beat, inside in between.items()
        if len(inside) == 1 and beat in on and beat + 1 in on
    ]
    return np.array([ratio for ratio in ratios if 1 / 4 <= ratio <= 4])


def ride_patterns(notes: NDArray[np.float64], bars: Sequence[Bar]) -> Counter[str]:
    """Rhythms of the ride cymbal in bars of four, as ``x.xxx.xx`` (1 & 2 & 3 & 4 &)."""
    ride = notes[np.isin(notes[:, 2], RIDE)]
    slots = {slot(place) for place in ride[:, 0].tolist()}
    return Counter(
        "".join("x" if 2 * bar.beat + k in slots else "." for k in range(_EIGHTHS))
        for bar in bars
        if bar.beats == _EIGHTHS // 2
    )


def pattern_distance(found: Counter[str], counted: Counter[str]) -> float:
    """Total variation distance of two tables of patterns, 0 (equal) to 1."""
    of, to = found.total(), counted.total()
    if not of or not to:
        raise ValueError("a table of patterns is empty")
    return sum(abs(found[k] / of - counted[k] / to) for k in found.keys() | counted.keys()) / 2


def alike(
    notes: NDArray[np.float64], other: NDArray[np.float64], bars: Iterable[tuple[Bar, Bar]]
) -> tuple[int, int]:
    """Pairs of bars with the same notes (places in swung eighths, and pitches), and all pairs.

    Each pair is a bar of ``notes`` and one of ``other``. Pairs of empty bars are left out.
    """
    first, second = _by_bar(notes), _by_bar(other)
    same, pairs = 0, 0
    for one, two in bars:
        a, b = _bar(first, one), _bar(second, two)
        if a or b:
            same, pairs = same + (a == b), pairs + 1
    return same, pairs


def _onsets(notes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sorted onsets in beats; those within 0.04 beat of the one before are left out."""
    onsets = np.sort(notes[:, 0])
    keep = np.diff(onsets, prepend=-np.inf) > 0.04
    found: NDArray[np.float64] = onsets[keep]
    return found


def _by_bar(notes: NDArray[np.float64]) -> dict[int, set[int]]:
    slots: dict[int, set[int]] = {}
    for place, _, pitch, _ in notes.tolist():
        slots.setdefault(slot(place), set()).add(int(pitch))
    return slots


def _bar(slots: dict[int, set[int]], bar: Bar) -> frozenset[tuple[int, int]]:
    first = 2 * bar.beat
    return frozenset((k, p) for k in range(2 * bar.beats) for p in slots.get(first + k, ()))
