"""Rhythm patterns as data: strings of slots, chosen bar by bar by metre, energy and seed.

A pattern is a string with equally long slots: ``x...x...`` has eight in a bar. ``.`` rests, ``-``
holds what sounds, ``|`` divides bars, spaces are for the eye; every other symbol is a note whose
meaning the part's writer knows. A bar whose metre has no patterns is put together from other
metres' (5/4 is 3/4 and the first half of 4/4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet import Bar

if TYPE_CHECKING:
    from audiotransfer.cover.plan import Plan

REST, HOLD, OPTIONAL = ".", "-", "?"
_DUPLE, _COMPOUND = 2, 3  # parts of a beat
_LONGEST_PHRASE = 8  # bars, where the song has no sections
_OPTIONAL_SHARE = 0.5
_ALIKE = 0.75  # share of phrases that have the pattern of their section's name
_SALT = 1  # apart from the draws by the phrase's number
_TOGETHER = 2  # bars that keep one pattern at least
#: Velocity of a symbol, as a share of the bar's; a capital is accented, like X.
_SHARES = {"X": 1.0, "x": 0.87, "o": 0.62, OPTIONAL: 0.45}
_ACCENTED, _PLAIN = 1.0, 0.87


@dataclass(frozen=True)
class PatternSet:
    """Alternatives for bars of one metre, played where the song's energy is in a range.

    ``bars`` are strings, or for a kit mappings of a drum's name to a string. ``gate`` is the share
    of its length for which a note sounds.
    """

    bars: tuple[Any, ...]
    metre: str = "4/4"
    energy: tuple[float, float] = (0.0, 1.0)
    gate: float = 1.0


class Step(NamedTuple):
    """A note of a pattern: place and length in beats, its symbol, and the drum that is struck."""

    beat: float
    beats: float
    symbol: str
    line: str
    bar: int
    share: float
    """Of the bar's velocity, 0..1."""


@dataclass(frozen=True)
class Phrase:
    """Bars ``start`` to ``end`` of a plan that share a pattern.

    ``energy`` is their mean, ``name`` that of their section, or the phrase's number without one.
    """

    start: int
    end: int
    energy: float
    name: str


@dataclass(frozen=True)
class _Pattern:
    """A parsed alternative: for each of its bars and lines a string over all slots."""

    metre: Bar
    bars: tuple[Mapping[str, str], ...]
    gate: float


def phrases(plan: Plan) -> list[Phrase]:
    """The bars of a plan in phrases: they end with sections and last eight bars at most."""
    ends = sorted({*(index + 1 for index in plan.fills), *_changes(plan), len(plan.sheet.bars)})
    spans: list[Phrase] = []
    start = 0
    for end in ends:
        while start < end:
            stop = min(end, start + _LONGEST_PHRASE)
            energy = float(np.mean(plan.energy[start:stop]))
            beat = plan.sheet.bars[start].beat
            within = [section.name for section in plan.sheet.sections if section.beat <= beat]
            spans.append(Phrase(start, stop, energy, within[-1] if within else str(len(spans))))
            start = stop
    return spans


def steps(
    plan: Plan, sets: Sequence[PatternSet], vary: float = 0.25, symbols: str = ""
) -> list[Step]:
    """The notes of the patterns that a part plays, in order.

    Each phrase has one pattern, drawn among those for its metre and energy, mostly as the other
    phrases of sections with its name; two bars leave it with the probability ``vary``. The draw
    depends on ``plan.seed`` alone: parts whose lists are equally long play what stands at the same
    place in them together.

    Raises AudioTransferError for a pattern that is not understood, or has others than ``symbols``.
    """
    alternatives = [
        (wanted, _parsed(bars, wanted, symbols)) for wanted in sets for bars in wanted.bars
    ]
    lines: dict[str, list[Step]] = {}
    for number, phrase in enumerate(phrases(plan)):
        random = np.random.default_rng([plan.seed, number])
        base, draws = random.random(), random.random((phrase.end - phrase.start, 2))
        if random.random() < _ALIKE:
            base = np.random.default_rng([plan.seed, *phrase.name.encode(), _SALT]).random()
        for index in range(phrase.start, phrase.end):
            place = index - phrase.start
            leaves, other = draws[place // _TOGETHER]
            draw = other if place >= _TOGETHER and leaves < vary else base
            bar = plan.sheet.bars[index]
            _play_bar(alternatives, bar, index, place, phrase, float(draw), lines)
    return sorted(step for line in lines.values() for step in line)


def metre_of(text: str) -> Bar:
    """A metre such as ``6/8`` as a bar. Raises AudioTransferError where it is none."""
    try:
        numerator, denominator = (int(part) for part in text.split("/"))
        if numerator < 1 or denominator < 1:
            raise ValueError
    except ValueError:
        raise AudioTransferError(f"metre {text!r}: write it as 4/4, 3/4, 6/8") from None
    return Bar(0, numerator, denominator)


def kept_steps(steps: Sequence[Step], random: np.random.Generator) -> list[Step]:
    """Steps without those optional ones that are left out: each is played half of the time."""
    kept = random.random(len(steps)) < _OPTIONAL_SHARE
    return [s for s, play in zip(steps, kept, strict=True) if s.symbol != OPTIONAL or play]


def _changes(plan: Plan) -> list[int]:
    """Indices of the bars at which another chorus begins."""
    return [int(index) + 1 for index in np.flatnonzero(np.diff(plan.chorus))]


def _parsed(bars: Any, wanted: PatternSet, symbols: str) -> _Pattern:
    """An alternative of a set; a string is the one line of a pitched part."""
    lines = bars if isinstance(bars, Mapping) else {"": bars}
    metre = metre_of(wanted.metre)
    parts = {name: str(text).replace(" ", "").split("|") for name, text in lines.items()}
    count = max(map(len, parts.values()))
    for name, texts in parts.items():
        for text in texts:
            if not text or len(text) % metre.beats:
                raise AudioTransferError(
                    f"pattern {text!r}{f' of {name}' if name else ''}: a bar of {wanted.metre}"
                    f" has {metre.beats} beats, its slots must be a multiple of them"
                )
            unknown = set(text) - set(symbols + REST + HOLD)
            if symbols and unknown:
                raise AudioTransferError(
                    f"pattern {text!r} has the symbol {min(unknown)!r}: there are {symbols},"
                    f" {REST} for a rest and {HOLD} to hold"
                )
    whole = tuple(
        {name: texts[number % len(texts)] for name, texts in parts.items()}
        for number in range(count)
    )
    return _Pattern(metre, whole, wanted.gate)


def _play_bar(
    alternatives: Sequence[tuple[PatternSet, _Pattern]],
    bar: Bar,
    index: int,
    place: int,
    phrase: Phrase,
    draw: float,
    lines: dict[str, list[Step]],
) -> None:
    """Adds one bar's steps: the drawn pattern of its metre, or pieces of other metres'."""
    beat = float(bar.beat)
    for length, division in _pieces(bar, [pattern.metre for _, pattern in alternatives]):
        fitting = _fitting(alternatives, length, division, phrase.energy)
        if not fitting:
            return
        pattern = fitting[int(draw * len(fitting))]
        # A bar in three squeezed into one beat of a compound metre.
        squeezed = bar.division == _COMPOUND and pattern.metre.division != _COMPOUND
        scale = 1.0 / pattern.metre.beats if squeezed else 1.0
        taken = pattern.metre.beats if squeezed else length
        # Bars half as long as the pattern's play its halves in turn.
        halves = 2 if pattern.metre.beats == 2 * bar.beats else 1
        part, first = place // halves, place % halves * taken
        for name, text in pattern.bars[part % len(pattern.bars)].items():
            slots = len(text) // pattern.metre.beats
            line = lines.setdefault(name, [])
            cut = text[first * slots : (first + taken) * slots]
            line_steps(cut, name, beat, scale / slots, index, pattern.gate, line)
        beat += length


def _pieces(bar: Bar, metres: Sequence[Bar]) -> list[tuple[int, int]]:
    """Lengths in beats, and division, of the patterns that fill a bar."""
    lengths = sorted({metre.beats for metre in metres if metre.division == bar.division})
    if not lengths:  # a compound bar without patterns: one squeezed bar for each beat
        return [(1, 2)] * bar.beats
    left, pieces = bar.beats, []
    while left:
        length = max((count for count in lengths if count <= left), default=left)
        if left - length == 1 and left > length and length - 1 in lengths:
            length -= 1  # 5 is 3 and 2
        pieces.append(length)
        left -= length
    return [(length, bar.division) for length in pieces]


def _fitting(
    alternatives: Sequence[tuple[PatternSet, _Pattern]], length: int, division: int, energy: float
) -> list[_Pattern]:
    """Patterns of the nearest sufficient length whose range of energy is nearest."""
    same = [(w, p) for w, p in alternatives if p.metre.division == division]
    same = [(w, p) for w, p in same if p.metre.beats >= length] or same
    if not same:
        return []
    # Squeezed into one beat, a bar in three is wanted; half a bar of four is better than a part of
    # one in three.
    wanted = 3 if length == 1 and division == _DUPLE else length

    def far(metre: Bar) -> tuple[bool, int]:
        return metre.beats % wanted > 0, abs(metre.beats - wanted)

    nearest = min(far(p.metre) for _, p in same)
    same = [(w, p) for w, p in same if far(p.metre) == nearest]
    away = [max(w.energy[0] - energy, energy - w.energy[1], 0.0) for w, _ in same]
    return [p for (_, p), far in zip(same, away, strict=True) if far == min(away)]


def line_steps(
    text: str,
    name: str,
    beat: float,
    slot: float,
    index: int,
    gate: float = 1.0,
    line: list[Step] | None = None,
) -> list[Step]:
    """The notes of one string in bar ``index`` from ``beat`` on, each slot ``slot`` beats long.

    They are added to ``line``; a leading hold lengthens its last note where that is near.
    """
    line = [] if line is None else line
    sounds = bool(line) and line[-1].bar >= index - 1
    for number, symbol in enumerate(text):
        if symbol == HOLD:
            if sounds:
                line[-1] = line[-1]._replace(beats=line[-1].beats + slot * gate)
        elif symbol == REST:
            sounds = False
        else:
            share = _SHARES.get(symbol, _ACCENTED if symbol.isupper() else _PLAIN)
            line.append(Step(beat + number * slot, slot * gate, symbol, name, index, share))
            sounds = True
    return line
