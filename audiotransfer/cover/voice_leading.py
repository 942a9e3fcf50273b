"""Voicings of a plan's chords by dynamic programming: little motion, no parallels, no clashes.

The rules are those of textbooks on part-writing, as costs; their weights are chosen, not counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations, pairwise, product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from audiotransfer.leadsheet import QUALITIES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiotransfer.cover.plan import Plan
    from audiotransfer.leadsheet import Chord

_CANDIDATES = 120  # voicings of a chord that are compared
_PERFECT = (0, 7)
_OCTAVE, _MAJOR_SEVENTH = 12, 11
_MUDDY_BELOW, _MUDDY_GAP = 48, 5  # close intervals are unclear in the low register
#: Cost of a chord without a tone: third, seventh or sixth, root, ninth or fourth, fifth.
_MISSING = {"third": 5.0, "seventh": 4.0, "root": 3.0, "colour": 1.5, "fifth": 1.0}
_JITTER = 0.4  # standard deviation of the costs, so that no two seeds are alike


class Span(NamedTuple):
    """A chord, or the part of it within a bar: places in beats."""

    beat: float
    end: float
    chord: Chord


@dataclass(frozen=True)
class VoicingRules:
    """How chords are voiced.

    ``voices`` are the lowest and highest MIDI pitch of each voice, from low to high. With ``bass``
    the lowest voice has the chord's bass: the root, or an inversion where the line is smoother.
    ``parallels`` is the cost of a parallel fifth or octave, 0 where the style has them. ``plain``
    chords have no major seventh, which would be a semitone from another part's root.
    """

    voices: tuple[tuple[int, int], ...] = ((48, 62), (53, 67), (58, 72))
    bass: bool = False
    parallels: float = 8.0
    plain: bool = False

    def tones(self, quality: str) -> tuple[int, ...]:
        """Tones of a chord quality in semitones above the root, as they are voiced."""
        tones = QUALITIES[quality]
        return tuple(tone for tone in tones if tone != _MAJOR_SEVENTH) if self.plain else tones


@dataclass(frozen=True)
class VoicedChords:
    """``spans`` of chords, and the pitches of their voices from low to high ``[S, V]``; 0 rests."""

    spans: tuple[Span, ...]
    pitches: NDArray[np.int64]
    starts: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "starts", np.array([span.beat for span in self.spans]))

    def index_at(self, beat: float) -> int:
        """Index of the span at a place in beats; the nearest outside of the song."""
        return max(int(np.searchsorted(self.starts, beat + 1e-6, side="right")) - 1, 0)


def chord_spans(plan: Plan) -> tuple[Span, ...]:
    """The plan's chords, cut at bar lines and at the song's ends."""
    bars = plan.sheet.bar_lines
    spans = []
    for chord in plan.chords:
        start, end = max(chord.beat, bars[0]), min(chord.beat + chord.beats, bars[-1])
        inner = bars[(bars > start + 1e-6) & (bars < end - 1e-6)]
        places = [start, *inner.tolist(), end]
        spans += [Span(a, b, chord) for a, b in pairwise(places) if b > a + 1e-6]
    return tuple(spans)


def voicings(plan: Plan, rules: VoicingRules) -> VoicedChords:
    """The cheapest sequence of voicings below the melody.

    Costs are added up for missing and doubled tones, wide gaps, semitones to the melody's notes,
    voices above it, motion and parallels, and the sum over the song is minimised (Viterbi). The
    result depends on ``plan.seed``, not on the part that asks.
    """
    melody = np.ascontiguousarray(plan.melody[np.argsort(plan.melody[:, 0], kind="stable")])
    spans = chord_spans(plan)
    return VoicedChords(spans, _voiced(spans, melody.tobytes(), plan.seed, rules))


@lru_cache(maxsize=16)  # several parts ask for the voices that they share
def _voiced(
    spans: tuple[Span, ...], melody: bytes, seed: int, rules: VoicingRules
) -> NDArray[np.int64]:
    """Pitches of the voices ``[S, V]``; ``melody`` are the bytes of its notes ``[N, 4]``."""
    notes = np.frombuffer(melody).reshape(-1, 4)
    random = np.random.default_rng([seed, len(spans)])
    pitches = np.zeros((len(spans), len(rules.voices)), dtype=np.int64)
    back: list[NDArray[np.int64]] = []
    options: list[NDArray[np.int64]] = []
    total = np.zeros(1)
    run = top = 0  # first span of the present run of chords; the melody's pitch in the last span
    for index, span in enumerate(spans):
        before, chord = top, span.chord
        below = notes[(notes[:, 0] < span.end - 1e-6) & (notes[:, :2].sum(1) > span.beat + 1e-6)]
        top = int(below[0, 2]) if len(below) else 0
        if chord.root is None:
            _trace(pitches, run, options, back, total)
            options, back = [], []
            continue
        chosen, tones, local = _candidates(chord.root, chord.quality, chord.bass, rules)
        cost = local + _against_melody(below, span, chosen, tones, rules)
        cost = cost + random.normal(0.0, _JITTER, len(chosen))
        if options:
            change = _motion(options[-1].tobytes(), chosen.tobytes(), len(rules.voices), rules)
            if rules.parallels and before and top:
                count = _melody_parallels(options[-1], chosen, before, top)
                change = change + rules.parallels * count
            whole = total[:, None] + change
            back.append(whole.argmin(axis=0))
            total = whole.min(axis=0) + cost
        else:
            total, run = cost, index
        options.append(chosen)
    _trace(pitches, run, options, back, total)
    pitches.setflags(write=False)
    return pitches


def power_chords(plan: Plan, register: tuple[int, int]) -> VoicedChords:
    """Root, fifth and octave of each chord, the root as low as the register allows."""
    spans = chord_spans(plan)
    pitches = np.zeros((len(spans), 3), dtype=np.int64)
    for index, (_, _, chord) in enumerate(spans):
        if chord.root is not None:
            root = register[0] + (chord.root - register[0]) % _OCTAVE
            fifth = (tone_of(chord, 5) - chord.root) % _OCTAVE
            pitches[index] = root, root + (fifth or _PERFECT[1]), root + _OCTAVE
    return VoicedChords(spans, pitches)


def tone_of(chord: Chord, degree: int) -> int:
    """Pitch class of the chord's ``degree`` (3, 5, 7), or that of its root.

    Of suspended chords the third is the fourth or second; the seventh of a triad is its root.
    """
    assert chord.root is not None
    near = {3: (3, 4, 5, 2), 5: (7, 6, 8), 7: (10, 11, 9)}.get(degree, (0,))
    tones = QUALITIES[chord.quality]
    return (chord.root + next((interval for interval in near if interval in tones), 0)) % _OCTAVE


def _trace(
    pitches: NDArray[np.int64],
    run: int,
    options: list[NDArray[np.int64]],
    back: list[NDArray[np.int64]],
    total: NDArray[np.float64],
) -> None:
    """Writes the cheapest path through the options of a run of chords into ``pitches``."""
    if not options:
        return
    best = int(total.argmin())
    for place in range(len(options) - 1, -1, -1):
        pitches[run + place] = options[place][best]
        if place:
            best = int(back[place - 1][best])


def _part(interval: int) -> str:
    """The part that a tone plays in its chord, by semitones above the root."""
    names = {0: "root", 3: "third", 4: "third", 6: "fifth", 7: "fifth", 8: "fifth"}
    return names.get(interval, "seventh" if interval >= 9 else "colour")


@lru_cache(maxsize=512)
def _candidates(
    root: int, quality: str, bass: int | None, rules: VoicingRules
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.float64]]:
    """Voicings of a chord ``[K, V]``, which of its tones each has ``[K, tones]``, and costs."""
    intervals = rules.tones(quality)
    classes = [(root + tone) % _OCTAVE for tone in intervals]
    lines = []
    for voice, (low, high) in enumerate(rules.voices):
        wanted = classes if bass is None or voice or not rules.bass else [*classes, bass]
        lines.append([pitch for pitch in range(low, high + 1) if pitch % _OCTAVE in wanted])
    notes = np.array([pitches for pitches in product(*lines) if _ascends(pitches)], dtype=np.int64)
    if not len(notes):
        notes = np.array([[low for low, _ in rules.voices]], dtype=np.int64)
        notes += (root - notes) % _OCTAVE
    tones = np.array([(notes % _OCTAVE == tone).any(axis=1) for tone in classes]).T
    cost = _local_cost(notes, intervals, root, bass, rules)
    missing = np.array([_MISSING[_part(tone)] for tone in intervals])
    keep = np.argsort(cost + (~tones) @ missing, kind="stable")[:_CANDIDATES]
    return notes[keep], tones[keep], cost[keep]


def _ascends(pitches: tuple[int, ...]) -> bool:
    return all(low < high for low, high in pairwise(pitches))


def _local_cost(
    notes: NDArray[np.int64],
    intervals: tuple[int, ...],
    root: int,
    bass: int | None,
    rules: VoicingRules,
) -> NDArray[np.float64]:
    """Costs of voicings by themselves: doublings, gaps, semitones, register, bass."""
    cost = np.zeros(len(notes))
    above = (notes - root) % _OCTAVE
    for interval in intervals:
        doubled = np.maximum((above == interval).sum(axis=1) - 1, 0)
        cost += doubled * {"root": 0.2, "fifth": 0.5, "third": 1.0}.get(_part(interval), 2.0)
    gaps = np.diff(notes, axis=1)
    inner = gaps[:, 1:] if rules.bass else gaps
    cost += 2.0 * (inner > _OCTAVE).sum(axis=1)
    cost += 3.0 * np.isin(gaps, (1, 13)).sum(axis=1)
    cost += 2.0 * ((notes[:, :-1] < _MUDDY_BELOW) & (gaps < _MUDDY_GAP)).sum(axis=1)
    centre = np.array([(low + high) / 2 for low, high in rules.voices])
    cost += 0.06 * np.abs(notes - centre).sum(axis=1)
    if rules.bass:
        wanted = root if bass is None else bass
        lowest = notes[:, 0] % _OCTAVE
        inversion = np.where(above[:, 0] < _PERFECT[1] - 1, 2.5, 6.0)
        cost += np.where(lowest == wanted, 0.0, inversion if bass is None else 8.0)
    return cost


def _against_melody(
    melody: NDArray[np.float64],
    span: Span,
    notes: NDArray[np.int64],
    tones: NDArray[np.bool_],
    rules: VoicingRules,
) -> NDArray[np.float64]:
    """Costs of voicings ``[K]`` below the melody in a span: semitones, crossings, missing tones."""
    top = int(melody[0, 2]) if len(melody) else 0
    intervals = rules.tones(span.chord.quality)
    missing = np.array([_MISSING[_part(interval)] for interval in intervals])
    assert span.chord.root is not None
    sung = np.array(
        [top > 0 and (top - span.chord.root) % _OCTAVE == interval for interval in intervals]
    )
    cost: NDArray[np.float64] = (~(tones | sung)) @ missing
    for start, beats, pitch, _ in melody:
        share = (min(start + beats, span.end) - max(start, span.beat)) / (span.end - span.beat)
        away = pitch - notes
        close = ((away % _OCTAVE == 1) | (away == -1)).sum(axis=1)
        cost = cost + (4.0 + 8.0 * share) * close + (2.0 + 4.0 * share) * (away < 0).sum(axis=1)
        cost = cost + 1.5 * share * (away == 0).sum(axis=1)
    return cost


@lru_cache(maxsize=2048)
def _motion(before: bytes, after: bytes, voices: int, rules: VoicingRules) -> NDArray[np.float64]:
    """Costs of going from each voicing to each next one ``[K, L]``: motion and parallels."""
    old = np.frombuffer(before, dtype=np.int64).reshape(-1, 1, voices)
    new = np.frombuffer(after, dtype=np.int64).reshape(1, -1, voices)
    steps = new - old
    size = np.abs(steps)
    cost = 0.35 * size.sum(axis=2) + 0.4 * np.maximum(size - 4, 0).sum(axis=2)
    if rules.bass:  # fourths, fifths and octaves are the bass's own steps, tritones are not
        leap = size[..., 0]
        cost -= 0.2 * leap + 0.4 * np.maximum(leap - 4, 0)
        cost += 2.0 * (np.isin(leap, (6, 8, 9, 10, 11)) | (leap > _OCTAVE))
    if rules.parallels:
        ways = np.sign(steps)
        for low, high in combinations(range(voices), 2):
            same = (new[..., high] - new[..., low]) % _OCTAVE
            perfect = np.isin(same, _PERFECT) & (same == (old[..., high] - old[..., low]) % _OCTAVE)
            moved = (ways[..., low] == ways[..., high]) & (ways[..., low] != 0)
            cost = cost + rules.parallels * (perfect & moved)
    result: NDArray[np.float64] = cost
    return result


def _melody_parallels(
    old: NDArray[np.int64], new: NDArray[np.int64], before: int, after: int
) -> NDArray[np.int64]:
    """Number of parallels between the melody and the voices ``[K, L]``."""
    way = np.sign(after - before)
    count = np.zeros((len(old), len(new)), dtype=np.int64)
    if way:
        for voice in range(old.shape[1]):
            was, now = old[:, None, voice], new[None, :, voice]
            same = (after - now) % _OCTAVE
            perfect = np.isin(same, _PERFECT) & (same == (before - was) % _OCTAVE)
            count += perfect & (np.sign(now - was) == way)
    return count
