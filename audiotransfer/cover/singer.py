"""The room that a band leaves to a singer: rests, onsets of syllables, and how far it swings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from audiotransfer.cover.melody import is_swung, sung_notes
from audiotransfer.leadsheet.spans import joined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from audiotransfer.cover.band import Timing
    from audiotransfer.cover.patterns import Step
    from audiotransfer.cover.plan import Notes, Plan
    from audiotransfer.leadsheet import LeadSheet

#: Beats without singing below which the singer takes breath, and nobody else leads.
SHORTEST_REST = 2.0
#: Seconds from a syllable's onset within which no chord is struck.
CLEAR_SECONDS = 0.08
#: Share of the counted swing that a band has below a singer who sings straight eighths.
LIGHT_SWING = 0.5
_BREATH = 0.25  # beats by which other leads end before the singer begins
_SHORTEST = 0.25  # beats of what is left of a note
_SOFTLY = 0.75  # of its velocity, a chord that has to be struck on a syllable
_WAYS = (0.5, -0.5, 1.0, -1.0)  # beats by which a chord moves away from a syllable, best first


def sung_spans(sheet: LeadSheet, shortest_rest: float = SHORTEST_REST) -> NDArray[np.float64]:
    """Where somebody sings, in beats ``[S, 2]``, sorted; shorter rests are closed."""
    spans = sheet.beat_at(np.asarray(sheet.sung, dtype=np.float64).reshape(-1, 2))
    return np.array(joined(spans, shortest_rest), dtype=np.float64).reshape(-1, 2)


def syllables(plan: Plan) -> NDArray[np.float64]:
    """Onsets of syllables in beats, sorted: sung notes, and the starts of sung spans."""
    starts = plan.melody[:, 0]
    spans = sung_spans(plan.sheet, 0.0)
    return np.unique(np.concatenate([starts[sung_notes(plan.sheet, starts)], spans[:, 0]]))


def in_rests(notes: Notes, sheet: LeadSheet) -> Notes:
    """Notes ``[N, 4]`` in beats that begin while nobody sings; they end before somebody does."""
    spans = sung_spans(sheet)
    if not len(notes) or not len(spans):
        return notes
    place = notes[:, 0] + 1e-6
    following = np.searchsorted(spans[:, 0], place, side="right")
    before = np.maximum(following - 1, 0)
    inside = (following > 0) & (place < spans[before, 1])
    limits = np.append(spans[:, 0], np.inf)[following] - _BREATH
    notes = notes.copy()
    notes[:, 1] = np.minimum(notes[:, 1], limits - notes[:, 0])
    kept: Notes = notes[~inside & (notes[:, 1] >= _SHORTEST)]
    return kept


def with_fills_in_rests(plan: Plan) -> Plan:
    """The plan with fills only in bars whose second half is mostly not sung."""
    spans = sung_spans(plan.sheet, 0.0)
    lines = plan.sheet.bar_lines

    def free(bar: int) -> bool:
        start, end = (lines[bar] + lines[bar + 1]) / 2, lines[bar + 1]
        overlap = np.minimum(spans[:, 1], end) - np.maximum(spans[:, 0], start)
        return bool(np.maximum(overlap, 0).sum() <= 0.25 * (end - start))

    return replace(plan, fills=frozenset(bar for bar in plan.fills if free(bar)))


def band_swing(plan: Plan) -> float | None:
    """How far the band swings with a singer where nothing else was asked for.

    As counted (``None``) where the sung off-beats are swung themselves. Below straight singing half
    as far: then a ride's off-beat falls where soloists have theirs, and the beat still is swung,
    but not against the singer.
    """
    sung = plan.melody[sung_notes(plan.sheet, plan.melody[:, 0])]
    return None if is_swung(sung) else LIGHT_SWING


def clear_of_syllables(
    plan: Plan, places: NDArray[np.float64], timing: Timing
) -> NDArray[np.float64]:
    """Places of chords in beats, moved by half beats to where no syllable begins, else left out.

    A chord stays within its harmony. Off-beats, which swing makes later, are clear from where they
    stand to where they are at most.
    """
    onsets = plan.sheet.time_at(syllables(plan))
    if not len(onsets):
        return places

    def clear(place: float) -> bool:
        return _is_clear(plan, onsets, place, timing)

    kept: list[float] = []
    for place in places:
        if place >= plan.sheet.bars[-1].beat:
            kept.append(float(place))  # the song's last chord comes with the singer's last note
            continue
        chord = plan.chord_at(place)
        ways = [place + way for way in _WAYS]
        within = [p for p in ways if chord.beat <= p < chord.beat + chord.beats - 1e-6]
        kept += [float(p) for p in (place, *within) if clear(p)][:1]
    return np.unique(kept)


def steps_beside_syllables(
    plan: Plan, line: Sequence[Step], timing: Timing, way: Literal["move", "hold"]
) -> list[Step]:
    """Steps of chords by patterns, sorted, without those that are struck where a syllable begins.

    With ``move`` a chord goes to the half beat before or after it where nothing else is struck,
    within its harmony; single tones stay. What cannot move, or with ``hold`` all, is left out where
    the harmony has been struck already, and what was struck before is held instead. A new harmony
    is struck in any case: softly where it should have moved.
    """
    onsets = plan.sheet.time_at(syllables(plan))
    if not len(onsets):
        return list(line)
    struck = np.array([step.beat for step in line])
    kept: list[Step] = []
    for step in line:
        alone = step.symbol.isdigit() and way == "move"
        closing = step.beat >= plan.sheet.bars[-1].beat
        if alone or closing or _is_clear(plan, onsets, step.beat, timing):
            kept.append(step)
            continue
        chord = plan.chord_at(step.beat)
        moved = [step.beat + by for by in _WAYS[:2] if way == "move"]
        moved = [
            place
            for place in moved
            if chord.beat <= place < chord.beat + chord.beats - 1e-6
            and np.abs(struck - place).min() > _SHORTEST
            and _is_clear(plan, onsets, place, timing)
        ]
        if moved:
            beats = max(step.beat + step.beats - moved[0], _SHORTEST)
            kept.append(step._replace(beat=moved[0], beats=beats))
        elif kept and plan.chord_index(kept[-1].beat) == plan.chord_index(step.beat):
            kept[-1] = kept[-1]._replace(beats=step.beat + step.beats - kept[-1].beat)
        else:
            kept.append(step._replace(share=step.share * (_SOFTLY if way == "move" else 1.0)))
    return _one_after_another(kept)


def _one_after_another(line: list[Step]) -> list[Step]:
    """Steps in order, each ending where the next begins at the latest."""
    line = sorted(line)
    limits = [step.beat for step in line[1:]] + [np.inf]
    return [
        step._replace(beats=min(step.beats, limit - step.beat))
        for step, limit in zip(line, limits, strict=True)
    ]


def _is_clear(plan: Plan, onsets: NDArray[np.float64], place: float, timing: Timing) -> bool:
    """Whether no syllable (``onsets`` in s) begins where a chord at a place in beats is struck."""
    latest = _latest_off_beat(timing) if plan.swung else 0.5
    off = abs(place % 1.0 - 0.5) < 0.1
    end = np.floor(place) + latest if off else place
    lag = max((delay for _, delay in timing.lag), default=0.0) / 1000.0
    first, last = plan.sheet.time_at([place, end])
    near = (onsets >= first - CLEAR_SECONDS) & (onsets <= last + CLEAR_SECONDS + lag)
    return not np.any(near)


def _latest_off_beat(timing: Timing) -> float:
    """Place in the beat of the off-beat at the largest swing ratio of an instrument."""
    ratio = max((ratio for _, ratio in timing.swing), default=1.0)
    return ratio / (1.0 + ratio)
