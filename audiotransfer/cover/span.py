"""Lead sheets of parts of a song, and lead sheets prolonged to the span of its sound."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet import Bar, Chord, LeadSheet, Note, Section

if TYPE_CHECKING:
    from collections.abc import Sequence

_NEAR = 0.02  # s by which a beat may lie before a cut
_NEARBY = 9  # beats whose median period added beats have
_QUIET = 0.3  # highest energy of added bars

_Span = TypeVar("_Span", Chord, Section)


def part_of_sheet(sheet: LeadSheet, start: float, seconds: float) -> LeadSheet:
    """The lead sheet of ``seconds`` of a song from ``start`` on, with times from 0.

    A bar that is cut holds the beats that are left of it.

    Raises AudioTransferError where fewer than two beats are in that part.
    """
    times = sheet.beat_times
    inside = np.flatnonzero((times >= start - _NEAR) & (times <= start + seconds + _NEAR))
    if len(inside) < 2:
        raise AudioTransferError(
            f"the lead sheet has no beats from {start:g} s to {start + seconds:g} s"
        )
    first, last = int(inside[0]), int(inside[-1])
    bars, energy = [], []
    for index, bar in enumerate(sheet.bars):
        begin, end = max(bar.beat, first), min(bar.beat + bar.beats, last)
        if begin < end:
            bars.append(replace(_of_beats(bar, end - begin), beat=begin - first))
            energy += [sheet.energy[index]] if index < len(sheet.energy) else []

    def moved(notes: Sequence[Note]) -> tuple[Note, ...]:
        return tuple(
            replace(note, start=max(note.start - start, 0.0))
            for note in notes
            if start - _NEAR <= note.start < start + seconds
        )

    sung = np.asarray(sheet.sung, dtype=np.float64).reshape(-1, 2) - start
    sung = np.clip(sung, 0.0, seconds)
    before = [key for key in sheet.keys if key.beat <= first]
    later = [key for key in sheet.keys if first < key.beat < last]
    keys = [*(replace(key, beat=0.0) for key in before[-1:] or sheet.keys[:1]), *later]
    keys[1:] = [replace(key, beat=key.beat - first) for key in keys[1:]]
    return replace(
        sheet,
        beats=tuple((times[first : last + 1] - start).clip(0.0).tolist()),
        bars=tuple(bars),
        keys=tuple(keys),
        sections=_spans(sheet.sections, first, last),
        chords=_spans(sheet.chords, first, last),
        melody=moved(sheet.melody),
        bass=moved(sheet.bass),
        others=moved(sheet.others),
        drums=moved(sheet.drums),
        energy=tuple(energy),
        sung=tuple((float(a), float(b)) for a, b in sung if b > a),
    )


def prolonged(sheet: LeadSheet, start: float, end: float) -> LeadSheet:
    """The lead sheet with beats added before and behind, so that they cover ``start`` to ``end`` s.

    Added beats go on in the tempo of the nearest ones, with the nearest chord. No beat is before
    0 s; the song's own beats keep their times.
    """
    times = sheet.beat_times
    periods = [float(np.median(np.diff(part))) for part in (times[:_NEARBY], times[-_NEARBY:])]
    before = int((times[0] - max(start, 0.0)) / periods[0] + 0.05)
    behind = int((end - times[-1]) / periods[1] + 0.05)
    before, behind = max(before, 0), max(behind, 0)
    if not before and not behind:
        return sheet
    first, last = sheet.bars[0], sheet.bars[-1]
    early = times[0] - periods[0] * np.arange(before, 0, -1)
    late = times[-1] + periods[1] * np.arange(1, behind + 1)
    bars = _bars_before(first, before) + [
        replace(bar, beat=bar.beat + before) for bar in sheet.bars
    ]
    added_before = len(bars) - len(sheet.bars)
    bars += _bars_behind(last, behind, before + len(times) - 1)
    added_behind = len(bars) - len(sheet.bars) - added_before
    energy: tuple[float, ...] = ()
    if sheet.energy:
        levels = [min(_QUIET, sheet.energy[0]), min(_QUIET, sheet.energy[-1])]
        energy = (levels[0],) * added_before + sheet.energy + (levels[1],) * added_behind
    return replace(
        sheet,
        beats=tuple([*early.clip(0.0).tolist(), *sheet.beats, *late.tolist()]),
        bars=tuple(bars),
        keys=tuple(
            replace(key, beat=key.beat + before if index else 0.0)
            for index, key in enumerate(sheet.keys)
        ),
        sections=_wider(sheet.sections, before, behind),
        chords=_wider(sheet.chords, before, behind),
        energy=energy,
    )


def _of_beats(bar: Bar, beats: int) -> Bar:
    """The bar with so many beats."""
    if beats == bar.beats:
        return bar
    return replace(bar, numerator=beats * bar.numerator // bar.beats)


def _bars_before(first: Bar, beats: int) -> list[Bar]:
    """Bars of ``beats`` beats that end where the song begins; the first may be a pickup."""
    pickup, whole = beats % first.beats, beats // first.beats
    bars = [replace(_of_beats(first, pickup), beat=0)] if pickup else []
    return bars + [replace(first, beat=pickup + index * first.beats) for index in range(whole)]


def _bars_behind(last: Bar, beats: int, start: int) -> list[Bar]:
    """Bars of ``beats`` beats from beat ``start`` on; the last may be shorter."""
    whole, rest = divmod(beats, last.beats)
    bars = [replace(last, beat=start + index * last.beats) for index in range(whole)]
    end = start + whole * last.beats
    return bars + ([replace(_of_beats(last, rest), beat=end)] if rest else [])


def _spans(spans: Sequence[_Span], first: int, last: int) -> tuple[_Span, ...]:
    """Chords or sections between two beats, with places from the first of them."""
    cut = []
    for span in spans:
        begin, end = max(span.beat, first), min(span.beat + span.beats, last)
        if begin < end:
            cut.append(replace(span, beat=begin - first, beats=end - begin))
    return tuple(cut)


def _wider(spans: Sequence[_Span], before: int, behind: int) -> tuple[_Span, ...]:
    """Chords or sections moved by ``before`` beats, the first and last one longer."""
    moved = [replace(span, beat=span.beat + before) for span in spans]
    if moved:
        moved[0] = replace(moved[0], beat=0, beats=moved[0].beats + before)
        moved[-1] = replace(moved[-1], beats=moved[-1].beats + behind)
    return tuple(moved)
