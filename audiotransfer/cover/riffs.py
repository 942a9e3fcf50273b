"""The song's own bass line as a riff, in the phrases where it has one."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from audiotransfer.cover.melody import notes_in_beats
from audiotransfer.cover.patterns import Step, phrases

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from audiotransfer.cover.pattern_parts import PartSettings
    from audiotransfer.cover.plan import Plan

_Note = TypeVar("_Note", bound="Sequence[float]")
#: Onsets a beat from which a bass line is a riff, and one that is repeated.
_BUSY, _BUSY_REPEATED = 0.9, 0.5
_MOVING, _MOVING_LED = 3, 2  # different pitches of a phrase, and of all where no melody leads
_ROOTS = 0.4  # share of roots; broken chords, as of a piano's left hand, have fewer
_FIFTH, _OCTAVE = 7, 12
_COVERED = 0.75  # share of a phrase's bars with notes
# Mean share of notes that a bar has in common with one of those before it; the lower where no
# melody leads, in whose bars onsets are compared on eighths: a recording's are not exact.
_ALIKE, _ALIKE_LED = 0.6, 0.3
_BEFORE, _BEFORE_LED = 2, 4  # bars, of which one may be the same again
_SALT = 7  # apart from the draws of patterns, which have the same seed


def riff_steps(
    plan: Plan, share: float, *, repeated: bool = False
) -> tuple[list[Step], list[tuple[float, float]]]:
    """Steps of the song's bass line, and the spans in beats that they fill.

    A phrase has its riff with the probability ``share`` if its bass line has about a note a
    beat, three pitches, and is no broken chord; or, with ``repeated``, if a figure of one or two
    bars with three pitch classes comes again and again, by which one knows the song. Where no
    melody leads a bass line is a riff in all such bars if it moves and comes again with changes.
    Symbols are MIDI pitches as text; places are on sixteenths, or sixths of a compound beat. The
    draw is the same for all parts of a plan.
    """
    if not share or not plan.sheet.bass:
        return [], []
    starts = plan.sheet.bar_lines
    notes = notes_in_beats(plan.sheet, plan.sheet.bass)
    grid = 2 * max(bar.division for bar in plan.sheet.bars)
    onsets = np.round(notes[:, 0] * grid) / grid
    leads = repeated and _leads(plan, onsets, notes[:, 2])
    line, spans = [], []
    busy = _BUSY_REPEATED if repeated else _BUSY
    for number, phrase in enumerate(phrases(plan)):
        random = np.random.default_rng([plan.seed, number, _SALT])
        inside = (onsets >= starts[phrase.start]) & (onsets < starts[phrase.end])
        bars = np.searchsorted(starts, onsets[inside], side="right") - 1
        length = phrase.end - phrase.start
        led = leads and set(range(phrase.start, phrase.end)) <= plan.riffs
        slow = max(plan.feel, 1.0) if led else 1.0
        is_line = (
            len(bars) >= busy / slow * (starts[phrase.end] - starts[phrase.start])
            and len(np.unique(bars)) >= _COVERED / slow * length
        )
        moves = led or len(np.unique(notes[inside, 2])) >= _MOVING
        if not (random.random() < share and is_line and moves):
            continue
        riff = _steps(onsets[inside], notes[inside], bars, starts[phrase.end], grid)
        if led:
            fits = True
        elif repeated:
            places, pitches = onsets[inside] - starts[bars], notes[inside, 2]
            fits = _moves(pitches, bars) and _alike(places, pitches, bars, _BEFORE) >= _ALIKE
        else:
            fits = bool(np.mean([_is_root(plan, step) for step in riff]) >= _ROOTS)
        if fits:
            spans.append((float(starts[phrase.start]), float(starts[phrase.end])))
            line += riff
    return line, spans


def with_riffs(
    notes: Sequence[Sequence[float]],
    plan: Plan,
    settings: PartSettings,
    lowest: int,
    loudness: Callable[[Step], float],
    power: bool = False,
) -> list[Sequence[float]]:
    """Notes with the song's own bass line in some phrases, in the octave from ``lowest`` on.

    With ``power`` its notes are doubled an octave above, and roots of chords have their fifth.
    """
    line, spans = riff_steps(plan, settings.riffs)
    kept = outside(notes, spans)
    for step in line:
        pitch = lowest + (int(step.symbol) - lowest) % _OCTAVE
        added = [0] if not power else [0, _FIFTH, _OCTAVE] if _is_root(plan, step) else [0, _OCTAVE]
        velocity = loudness(step)
        kept += [[step.beat, step.beats, float(pitch + tone), velocity] for tone in added]
    return kept


def outside(notes: Sequence[_Note], spans: Sequence[tuple[float, float]]) -> list[_Note]:
    """The notes that begin in none of the spans, in beats."""
    return [note for note in notes if not any(start <= note[0] < end for start, end in spans)]


def _leads(plan: Plan, onsets: NDArray[np.float64], pitches: NDArray[np.float64]) -> bool:
    """Whether the bass line is a riff in the bars that no melody leads, all taken together."""
    bars = np.searchsorted(plan.sheet.bar_lines, onsets + 1e-6, side="right") - 1
    inside = np.isin(bars, sorted(plan.riffs))
    onsets, pitches, bars = onsets[inside], pitches[inside], bars[inside]
    if len(np.unique(pitches % _OCTAVE)) < _MOVING_LED:
        return False
    places = np.round(2 * (onsets - plan.sheet.bar_lines[bars]))
    return _alike(places, pitches, bars, _BEFORE_LED) >= _ALIKE_LED


def _moves(pitches: NDArray[np.float64], bars: NDArray[np.int64]) -> bool:
    """Whether most of a line's bars have three pitch classes."""
    classes = pitches.astype(np.int64) % _OCTAVE
    return bool(np.median([len(set(classes[bars == bar])) for bar in np.unique(bars)]) >= _MOVING)


def _alike(
    places: NDArray[np.float64],
    pitches: NDArray[np.float64],
    bars: NDArray[np.int64],
    before: int,
) -> float:
    """Mean share of notes, by places in their bars, that bars have in common with one of those
    before them; 0 for too few bars.
    """
    figures = [
        {
            (float(place), int(pitch) % _OCTAVE)
            for place, pitch in zip(places[at], pitches[at], strict=True)
        }
        for at in (bars == bar for bar in np.unique(bars))
    ]
    alike = [
        max(len(figures[n] & other) / len(figures[n] | other) for other in figures[n - before : n])
        for n in range(before, len(figures))
    ]
    return float(np.mean(alike)) if alike else 0.0


def _is_root(plan: Plan, step: Step) -> bool:
    return plan.chord_at(step.beat).root == int(step.symbol) % _OCTAVE


def _steps(
    onsets: NDArray[np.float64],
    notes: NDArray[np.float64],
    bars: NDArray[np.int64],
    end: float,
    grid: int,
) -> list[Step]:
    """Notes of a line, one at a time, as steps: on the same place the lowest."""
    order = np.lexsort((notes[:, 2], onsets))
    order = order[np.diff(onsets[order], prepend=-1.0) > 0]
    after = np.append(onsets[order][1:], end)
    line = []
    for index, stop in zip(order, after, strict=True):
        beats = min(max(float(notes[index, 1]), 1.0 / grid), float(stop - onsets[index]))
        line.append(
            Step(float(onsets[index]), beats, str(int(notes[index, 2])), "", int(bars[index]), 0.95)
        )
    return line
