"""The song's own accompaniment where no sure melody leads: its figures for comping, its groove.

By riffs, bass lines and grooves one knows a song that has no melody. A recording whose lead was
hardly heard says so by the confidence of its notes; lead sheets of MIDI files are sure.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.cover.form import section_starts
from audiotransfer.cover.melody import notes_in_beats, quantised
from audiotransfer.leadsheet.spans import runs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from audiotransfer.cover.plan import Notes, Plan
    from audiotransfer.leadsheet import LeadSheet

_SURE = 0.5  # confidence above which a note is a melody's: riffs have less
_WHOLE = 0.4  # unsure share of a song's lead from which none of it leads
_LONGEST = 8  # bars that are asked together where sections are longer
_FEWEST = 0.2  # onsets a beat from which further notes are a figure
_OCTAVE = 12
_AHEAD, _AFTER = 0.3, 0.6  # beats before and after a figure's onset in which no chord is struck
_SOFTER, _OWN = 2.0, 0.4  # velocity of figures below chords, and share of their own dynamics
_HELD = 3.0  # beats that a figure's note is held at most
_USUAL = 0.5  # share of bars with a hit at a place, from which it is the groove's
_MOST = 3  # hits of one drum in two bars of it


def riff_bars(sheet: LeadSheet) -> frozenset[int]:
    """Indices of the bars that no sure melody leads: most of their lead, by duration, is unsure.

    Asked of sections, and of eight bars of longer ones; all bars are such where two fifths of the
    song's whole lead are unsure. Where the lead rests altogether there is no riff either.
    """
    edges = [*section_starts(sheet).tolist(), len(sheet.bars)]
    lines = sheet.bar_lines
    if not sheet.melody:
        return frozenset()
    begins = sheet.beat_at(np.array([note.start for note in sheet.melody]))
    lengths = np.array([note.duration for note in sheet.melody])
    sign = np.where([note.confidence > _SURE for note in sheet.melody], 1.0, -1.0)
    if lengths[sign < 0].sum() >= _WHOLE * lengths.sum():
        return frozenset(range(len(sheet.bars)))
    found: set[int] = set()
    for first, end in pairwise(edges):
        for start in range(first, end, _LONGEST):
            stop = min(start + _LONGEST, end)
            inside = (begins >= lines[start] - 0.1) & (begins < lines[stop] - 0.1)
            if float((sign * lengths)[inside].sum()) < 0.0:
                found.update(range(start, stop))
    return frozenset(found)


def own_figures(plan: Plan, lowest: int, highest: int) -> Notes:
    """The song's further notes in the bars that no melody leads, as comping between two pitches.

    Notes ``[N, 4]`` in beats on the grid of their beats, eighths straight where they are swung;
    none where they are too few for a figure.
    """
    sheet = plan.sheet
    if not plan.riffs or not sheet.others:
        return np.zeros((0, 4))
    notes = notes_in_beats(sheet, sheet.others)
    if plan.swung:
        notes = quantised(sheet, notes, swung=True, dotted=plan.feel >= 1)
    bar = sheet.bar_at(notes[:, 0] + 0.01)
    figures = [np.zeros((0, 4))]
    for start, stop in _spans(plan):
        inside = notes[(bar >= start) & (bar < stop)]
        beats = sheet.bar_lines[stop] - sheet.bar_lines[start]
        if len(np.unique(np.round(inside[:, 0], 2))) >= _FEWEST * beats:
            figures.append(inside)
    table = np.concatenate(figures)
    pitch = table[:, 2]
    pitch += _OCTAVE * np.ceil(np.maximum(lowest - pitch, 0) / _OCTAVE)
    pitch -= _OCTAVE * np.ceil(np.maximum(pitch - highest, 0) / _OCTAVE)
    table[:, 1] = np.minimum(table[:, 1], _HELD)
    _, kept = np.unique(np.round(table[:, [0, 2]], 2), axis=0, return_index=True)
    return table[kept]


def beside_figures(places: NDArray[np.float64], figures: Notes) -> NDArray[np.float64]:
    """The places in beats at which no figure has a note a moment before or after."""
    if not len(figures):
        return places
    onsets = figures[:, 0]
    near = np.searchsorted(onsets, places - _AFTER) < np.searchsorted(onsets, places + _AHEAD)
    kept: NDArray[np.float64] = places[~near]
    return kept


def as_comping(figures: Notes, velocity: float) -> Notes:
    """Figures at about the velocity of chords, with some of their own dynamics."""
    notes = figures.copy()
    if len(notes):
        own = _OWN * (notes[:, 3] - np.median(notes[:, 3]))
        notes[:, 3] = np.clip(np.round(velocity - _SOFTER + own), 30, 110)
    return notes


def groove(plan: Plan, keys: Sequence[int]) -> dict[int, dict[int, list[float]]]:
    """The song's usual hits of drums in the bars that no melody leads: bar -> key -> places.

    Places are in beats from the bar's start, on the parts of its beats. A place belongs to the
    groove of a span of such bars where at least half of every second bar have it; of a drum with
    more than three such places in two bars those stay that most bars have.
    """
    found: dict[int, dict[int, list[float]]] = {}
    sheet = plan.sheet
    if not plan.riffs or not sheet.drums:
        return found
    notes = notes_in_beats(sheet, sheet.drums)
    division = sheet.bars[0].division
    places = np.round(notes[:, 0] * division).astype(np.int64)
    bars = sheet.bar_at((places + 0.1) / division)
    slots = places - division * np.asarray(sheet.bar_lines)[bars].astype(np.int64)
    for start, stop in _spans(plan):
        for key in keys:
            of = (notes[:, 2] == key) & (bars >= start) & (bars < stop)
            hits = np.unique(np.stack([bars[of], slots[of]]), axis=1)
            cells, count = np.unique(
                np.stack([(hits[0] - start) % 2, hits[1]]), axis=1, return_counts=True
            )
            often = count >= _USUAL * (stop - start) / 2
            cells, count = cells[:, often], count[often]
            cells = cells[:, np.argsort(-count, kind="stable")[:_MOST]]
            for bar in range(start, stop):
                of_bar = cells[1][cells[0] == (bar - start) % 2]
                found.setdefault(bar, {})[key] = sorted((of_bar / division).tolist())
    return found


def _spans(plan: Plan) -> list[tuple[int, int]]:
    """Spans of bars, first and end, that no melody leads."""
    led = np.isin(np.arange(len(plan.sheet.bars)), sorted(plan.riffs))
    return [(int(start), int(end)) for start, end in runs(led)]
