"""The room that a band leaves to a singer: rests, onsets of syllables, and how far it swings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.cover.melody import is_swung, sung_notes
from audiotransfer.leadsheet.spans import joined

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiotransfer.cover.band import Timing
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
    latest = _latest_off_beat(timing) if plan.swung else 0.5

    def clear(place: float) -> bool:
        off = abs(place % 1.0 - 0.5) < 0.1
        end = np.floor(place) + latest if off else place
        lag = max((delay for _, delay in timing.lag), default=0.0) / 1000.0
        first, last = plan.sheet.time_at([place, end])
        near = (onsets >= first - CLEAR_SECONDS) & (onsets <= last + CLEAR_SECONDS + lag)
        return not np.any(near)

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


def _latest_off_beat(timing: Timing) -> float:
    """Place in the beat of the off-beat at the largest swing ratio of an instrument."""
    ratio = max((ratio for _, ratio in timing.swing), default=1.0)
    return ratio / (1.0 + ratio)
