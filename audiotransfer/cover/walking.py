"""A model of walking bass lines: pitches drawn so that counted tones and intervals come out.

The line is a chain of pitches. Each beat weighs its pitch by the chord tone that it is, each step
by its interval and by whether it goes on in the direction of the last one. Lines are drawn exactly
from the product of these weights: forward sums, then draws from the end (forward filtering,
backward sampling).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotransfer.cover.counts import draw_index, read_counts
from audiotransfer.cover.harmony import CHORD_TYPES, chord_kind
from audiotransfer.leadsheet.chords import TONES, tone_index

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.random import Generator
    from numpy.typing import NDArray

    from audiotransfer.leadsheet import Chord

#: Classes of intervals in semitones: the columns of counted tables.
INTERVALS = ("0", "+1", "-1", "+2", "-2", "3-4", "5-7", "8-11", "12")
#: Pitches of the line; counted 5 to 95 %: 33 (A1) to 52 (E3).
PITCHES = np.arange(31, 55)
_MIDDLE, _SPREAD = 42.0, 8.0
# Rows beside the four beats: a new chord, the same within a bar, the second note of two in a bar,
# and the first beat of a bar that the chord before it goes on in.
NEW, INSIDE, TWO, HELD = 4, 5, 6, 7
_STEPS = PITCHES[None, :] - PITCHES[:, None]
_SIGNS = np.sign(_STEPS)
_UP, _DOWN = (_SIGNS > 0).astype(float), (_SIGNS < 0).astype(float)
_TURN = 0.5  # weight of turning against going on; counted: goes on .57
_TRITONE = 0.06  # weight of a tritone that isn't between two tones of one chord
_CLEAR = 0.04  # share of notes moved from foreign tones to the chord's: it is to be recognised
_WITHIN = (-0.19, 0.05, 0.04, 0.03, 0.07)  # of new chords on beat 3: root .34 on it in all
_CHROMATIC = 0.08  # weight of a note outside the chord's scale where the chord is new
_LEFT = 0.3  # weight of leaving a note foreign to the chord by more than a whole step
_PLAIN = np.array([1.0, 1.0, 1.2, 0.8])  # weight of foreign tones under triads, by beat
# Weight of tones at `HELD` beside beat 1: where chords last for bars, the root makes them clear.
# Trios whose lines are counted seldom have such chords.
_AGAIN = np.array([8.0, 0.6, 1.0, 0.4, 0.25])
_SEVENTH = TONES.index("7th or 6th")
_ROUNDS = 12
# Scale of each kind of chord, in semitones above the root.
_SCALES = {
    "dom": (0, 2, 4, 5, 7, 9, 10),
    "min": (0, 2, 3, 5, 7, 9, 10),
    "maj": (0, 2, 4, 5, 7, 9, 11),
    "hdim": (0, 1, 3, 5, 6, 8, 10),
    "dim": (0, 2, 3, 5, 6, 8, 9, 11),
    "sus": (0, 2, 5, 7, 9, 10),
}
# Changes that the weights are fitted on: degree of the root, quality, beats.
_REFERENCE = (
    (2, "m7", 4), (7, "7", 4), (0, "maj7", 8), (9, "7", 4), (2, "m7", 4), (7, "7", 4),
    (4, "m7", 2), (9, "7", 2), (2, "m7", 2), (1, "7", 2), (0, "maj7", 4), (5, "maj7", 4),
    (11, "m7b5", 2), (4, "7b9", 2), (9, "m7", 8), (2, "7", 8), (7, "7", 4), (0, "6", 4),
)  # fmt: skip


@dataclass(frozen=True)
class Slot:
    """A note of the line: its beat (0..3, as in a bar of four) and its chord.

    ``row`` is its row of tone weights: its beat, `NEW` or `INSIDE` where the chord is new, `TWO`
    for the second note of a two-beat bar, `HELD` for the first beat of a bar in which a chord goes
    on. ``fixed`` is the pitch class that it must have, if any.
    """

    beat: int
    row: int
    chord: Chord
    fixed: int | None = None


@dataclass(frozen=True)
class Walking:
    """Weights of a line: tones ``[8, 5]`` and intervals ``[4, 9]``, each by row."""

    tones: NDArray[np.float64]
    intervals: NDArray[np.float64]
    degrees: dict[str, NDArray[np.float64]]
    """Counts of degrees over the root, by kind of chord ``[4 beats, 12]``."""

    def shares(self, quality: str) -> NDArray[np.float64]:
        """Shares of each degree among those of its tone class ``[4 beats, 12]``."""
        if quality not in self._shares:
            values = self.degrees[chord_kind(quality)].copy()
            classes = _by_degree(quality)
            plain = _SEVENTH not in classes
            for index in range(len(TONES)):
                members = classes == index
                if members.any():
                    values[:, members] /= values[:, members].sum(axis=1, keepdims=True)
            if plain:  # so that the share that sevenths lack is spread as the counts ask
                values[:, classes == len(TONES) - 1] *= _PLAIN[:, None]
            self._shares[quality] = values
        return self._shares[quality]

    _shares: dict[str, NDArray[np.float64]] = field(default_factory=dict, repr=False)

    def draw(self, slots: Sequence[Slot], generator: Generator) -> NDArray[np.int64]:
        """Draws the pitches of a line."""
        nodes, edges = self._potentials(slots)
        sums = _forward(nodes, edges)
        pair = draw_index(sums[-1].ravel(), generator)
        before, now = divmod(pair, len(PITCHES))
        line = [now, before]
        for index in range(len(slots) - 2, 0, -1):
            step = _SIGNS[line[-1], line[-2]]
            earlier = sums[index][:, line[-1]] * _turns(_SIGNS[:, line[-1]], step)
            line.append(draw_index(earlier, generator))
        return np.asarray(PITCHES[line[: len(slots)][::-1]], np.int64)

    def log_probability(self, slots: Sequence[Slot], pitches: Sequence[int]) -> float:
        """Natural logarithm of the probability that a line is drawn; pitches as in `PITCHES`."""
        nodes, edges = self._potentials(slots)
        line = np.asarray(pitches, np.int64) - int(PITCHES[0])
        steps = list(zip(line[:-1], line[1:], nodes[1:], edges[1:], strict=True))
        weight = float(np.log(nodes[0][line[0]] / nodes[0].sum()))
        weight += float(sum(np.log(edge[a, b] * node[b]) for a, b, node, edge in steps))
        moves = np.sign(np.diff(line))
        weight += float((moves[:-1] * moves[1:] < 0).sum() * np.log(_TURN))
        return weight - _log_total(nodes, edges)

    def expected(self, slots: Sequence[Slot]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Expected counts of tones ``[8, 5]`` and intervals ``[4, 9]`` of drawn lines."""
        nodes, edges = self._potentials(slots)
        sums, back = _forward(nodes, edges), _backward(nodes, edges)
        tones, intervals = np.zeros_like(self.tones), np.zeros_like(self.intervals)
        for index, slot in enumerate(slots):
            if index == 0:
                continue
            pairs = sums[index] * back[index]
            pairs /= pairs.sum()
            np.add.at(tones[slot.row], _classes(slot.chord), pairs.sum(axis=0))
            np.add.at(intervals[slot.beat], _INTERVALS, pairs)
        return tones, intervals

    def _potentials(
        self, slots: Sequence[Slot]
    ) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
        register = np.exp(-0.5 * ((PITCHES - _MIDDLE) / _SPREAD) ** 2)
        nodes, edges, previous = [], [], None
        chromatic = np.zeros(len(PITCHES), bool)
        within = [self.intervals[row][_INTERVALS] for row in range(4)]
        for slot in slots:
            classes = _classes(slot.chord)
            beat = slot.beat
            degree = (PITCHES - (slot.chord.root or 0)) % 12
            shares = self.shares(slot.chord.quality)[beat][degree]
            node = register * shares * self.tones[slot.row][classes]
            outside = ~np.isin(degree, _SCALES[chord_kind(slot.chord.quality)])
            if slot.row in (NEW, INSIDE):
                node = np.where(outside, _CHROMATIC * node, node)
            if slot.fixed is not None:
                node = register * np.equal(PITCHES % 12, slot.fixed)
            nodes.append(node)
            edge = within[beat]
            if previous is not None:
                other = _classes(previous.chord) == len(TONES) - 1
                inside = ~other[:, None] & (classes != len(TONES) - 1)[None, :]
                same = previous.chord == slot.chord
                edge = np.where((_STEPS % 12 == 6) & ~(inside & same), _TRITONE * edge, edge)
                leap = np.abs(_STEPS) > np.where(chromatic, 1, 2)[:, None]
                edge = np.where(other[:, None] & leap, _LEFT * edge, edge)
            edges.append(edge)
            previous, chromatic = slot, outside
        return nodes, edges


@lru_cache(maxsize=4)
def walking_model(path: Path) -> Walking:
    """Weights fitted to the counted tables of tones and intervals, on common changes."""
    counts = read_counts(path)["walking"]
    target = np.vstack(
        [
            _clearer(counts["tones"]["on_beat"]),
            _clearer([[counts["new_chord"][name] for name in TONES]]),
            [counts["new_chord"][name] + less for name, less in zip(TONES, _WITHIN, strict=True)],
            [0.15, 0.25, 0.55, 0.05, 0.0],  # two-beat feel: root and fifth, a rule of thumb
        ]
    )
    steps = np.array(counts["intervals"]["into_beat"])
    degrees = _degrees(counts["steps"]["rows"])
    tones, intervals = target / target.sum(axis=1, keepdims=True), steps / _SIZES
    slots = _reference()
    for _ in range(_ROUNDS):
        got_tones, got_steps = Walking(tones, intervals, degrees).expected(slots)
        beats = got_tones[:4].copy()
        beats[0] += got_tones[NEW]
        beats[2] += got_tones[INSIDE]
        tones = tones.copy()
        tones[:4] *= _ratio(target[:4], beats)
        tones[NEW:TWO] *= _ratio(target[NEW:TWO], got_tones[NEW:TWO])
        intervals = intervals * _ratio(steps, got_steps)
    tones = np.vstack([tones, tones[0] * _AGAIN])
    again = [replace(slot, row=HELD) if slot.row == 0 else slot for slot in slots]
    for _ in range(_ROUNDS // 3):  # the steps into and out of these roots too
        intervals = intervals * _ratio(steps, Walking(tones, intervals, degrees).expected(again)[1])
    return Walking(tones, intervals, degrees)


def _clearer(shares: list[list[float]]) -> NDArray[np.float64]:
    """Tones of beats with fewer foreign ones; on beats 3 and 4, which lead on, they stay."""
    values = np.array(shares, np.float64)
    values /= values.sum(axis=1, keepdims=True)
    moved = np.where(np.arange(len(values)) >= 2, 0.0, _CLEAR)
    inside = values[:, :-1] / values[:, :-1].sum(axis=1, keepdims=True)
    values[:, :-1] += moved[:, None] * inside
    values[:, -1] -= moved
    return values


def _ratio(target: NDArray[np.float64], got: NDArray[np.float64]) -> NDArray[np.float64]:
    """Damped factor towards a target, row by row."""
    wanted = target / target.sum(axis=1, keepdims=True)
    has = got / np.maximum(got.sum(axis=1, keepdims=True), 1e-9)
    ratio: NDArray[np.float64] = np.clip((wanted + 1e-3) / (has + 1e-3), 0.25, 4.0) ** 0.8
    return ratio


def _reference() -> list[Slot]:
    from audiotransfer.leadsheet.leadsheet import Chord

    slots, beat = [], 0
    for root, quality, beats in _REFERENCE:
        chord = Chord(beat, beats, root, quality)
        for number in range(beat, beat + beats):
            row = number % 4 if number > beat else INSIDE if beat % 4 else NEW
            slots.append(Slot(number % 4, row, chord))
        beat += beats
    return slots


def _degrees(rows: list[list[Any]]) -> dict[str, NDArray[np.float64]]:
    """Counts of degrees over the root, by kind of chord; single beats are smoothed by all."""
    counted = {kind: np.full((4, 12), 0.3) for kind in CHORD_TYPES}
    for beat, kind, degree, _, _, count in rows:
        if kind in counted:
            counted[kind][beat - 1, degree] += count
    return {kind: values + 0.3 * values.sum(axis=0) for kind, values in counted.items()}


def interval_index(step: int) -> int:
    """Index in `INTERVALS` of a step in semitones."""
    if abs(step) <= 2:
        return (0, 1, 3)[abs(step)] + (step < 0)
    return 5 + int(np.searchsorted([4, 7, 11, 24], abs(step)))


_INTERVALS = np.vectorize(interval_index)(_STEPS)
_SIZES = np.array([1, 1, 1, 1, 1, 4, 5, 8, 3], np.float64)  # steps in each class; tritones are rare


def _classes(chord: Chord) -> NDArray[np.int64]:
    """Tone classes of all pitches under a chord."""
    by_degree = _by_degree(chord.quality)
    return by_degree[(PITCHES - (chord.root or 0)) % 12]


@lru_cache(maxsize=64)
def _by_degree(quality: str) -> NDArray[np.int64]:
    return np.array([tone_index(degree, quality) for degree in range(12)], np.int64)


def _turns(before: NDArray[np.int64], after: int) -> NDArray[np.float64]:
    """Weights of a step's direction after the one before it."""
    return np.where(before * after < 0, _TURN, 1.0)


def _forward(
    nodes: list[NDArray[np.float64]], edges: list[NDArray[np.float64]]
) -> list[NDArray[np.float64]]:
    """Weights of all lines that end with each pair of pitches ``[before, now]``, for each slot."""
    pairs = np.diag(nodes[0] / nodes[0].sum())
    sums = [pairs]
    for node, edge in zip(nodes[1:], edges[1:], strict=True):
        pairs = _continued(pairs, node, edge)
        pairs /= pairs.sum()
        sums.append(pairs)
    return sums


def _continued(
    pairs: NDArray[np.float64], node: NDArray[np.float64], edge: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weights of all lines one note longer, by their last two pitches."""
    total, up, down = pairs.sum(axis=0), (pairs * _UP).sum(axis=0), (pairs * _DOWN).sum(axis=0)
    lost = _UP * down[:, None] + _DOWN * up[:, None]  # lines that turn
    longer: NDArray[np.float64] = (total[:, None] - (1 - _TURN) * lost) * edge * node
    return longer


def _log_total(nodes: list[NDArray[np.float64]], edges: list[NDArray[np.float64]]) -> float:
    """Logarithm of the weights of all lines, the first pitch's being normalised."""
    pairs, total = np.diag(nodes[0] / nodes[0].sum()), 0.0
    for node, edge in zip(nodes[1:], edges[1:], strict=True):
        pairs = _continued(pairs, node, edge)
        total += float(np.log(pairs.sum()))
        pairs /= pairs.sum()
    return total


def _backward(
    nodes: list[NDArray[np.float64]], edges: list[NDArray[np.float64]]
) -> list[NDArray[np.float64]]:
    """Weights of all lines that go on from each pair of pitches, for each slot."""
    pairs = np.ones_like(_STEPS, np.float64)
    sums = [pairs]
    for node, edge in zip(nodes[:0:-1], edges[:0:-1], strict=True):
        going = pairs * edge * node
        total, up, down = going.sum(axis=1), (going * _UP).sum(axis=1), (going * _DOWN).sum(axis=1)
        pairs = total - (1 - _TURN) * (_UP * down + _DOWN * up)
        pairs = pairs / pairs.sum()
        sums.append(pairs)
    return sums[::-1]
