"""Corrections of a lead sheet on the page: chords, sections, and times of bar lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet import Chord, LeadSheet, Section, parse_symbol, symbol
from audiotransfer.leadsheet.spelling import key_name

_NEAR = 1e-3  # beats within which a chord begins at a place
_LEAST_SECONDS = 0.1  # of a bar, however far its line is moved


def edited(sheet: LeadSheet, edits: Sequence[Mapping[str, Any]]) -> LeadSheet:
    """The lead sheet with edits, one after the other.

    Raises AudioTransferError for an unknown chord, a place outside of the song, a bar line that
    would pass its neighbours, and a section that does not begin where it is to end.
    """
    for edit in edits:
        if edit["kind"] == "chord":
            sheet = with_chord(sheet, edit["beat"], edit["symbol"])
        elif edit["kind"] == "section":
            sheet = with_section(sheet, edit["bar"], edit["name"])
        else:
            sheet = with_bar_line(sheet, edit["bar"], edit["seconds"])
    return sheet


def with_chord(sheet: LeadSheet, beat: float, text: str) -> LeadSheet:
    """The lead sheet with another chord from a beat on, until the next one begins."""
    root, quality, bass = parse_symbol(text)
    total = len(sheet.beats) - 1
    if not 0 <= beat < total:
        raise AudioTransferError(f"beat {beat:g} is outside of the song, which has {total}")
    chords = list(sheet.chords) or [Chord(0.0, float(total), None)]
    index = max(n for n, chord in enumerate(chords) if chord.beat <= beat + _NEAR)
    old = chords[index]
    new = Chord(old.beat, old.beats, root, quality, bass)
    before = beat - old.beat
    if before > _NEAR:  # its first part stays
        new = replace(new, beat=beat, beats=old.beats - before)
        chords[index : index + 1] = [replace(old, beats=before), new]
    else:
        chords[index] = new
    return replace(sheet, chords=tuple(chords))


def with_section(sheet: LeadSheet, bar: int, name: str) -> LeadSheet:
    """The lead sheet with a section of this name from a bar on; without a name none begins there,
    and the one before goes on.
    """
    _check_bar(sheet, bar)
    total = len(sheet.beats) - 1
    starts = {section.beat: section.name for section in sheet.sections} or {0: "A"}
    beat = int(sheet.bar_lines[bar])
    if name:
        starts[beat] = name
    elif beat in starts and beat > min(starts):
        del starts[beat]
    else:
        raise AudioTransferError(f"no section but the first begins at bar {bar + 1}: give a name")
    beats = [*sorted(starts), total]
    sections = (Section(start, end - start, starts[start]) for start, end in pairwise(beats))
    return replace(sheet, sections=tuple(sections))


def with_bar_line(sheet: LeadSheet, bar: int, seconds: float) -> LeadSheet:
    """The lead sheet with a bar that begins at another time; the beats of this bar and of the one
    before keep their proportions. Notes stay where they sound.
    """
    _check_bar(sheet, bar)
    lines = [int(line) for line in sheet.bar_lines]
    times = sheet.beat_times.copy()
    here, after = lines[bar], lines[bar + 1]
    before = lines[bar - 1] if bar else None
    low = times[before] + _LEAST_SECONDS if before is not None else 0.0
    high = times[after] - _LEAST_SECONDS
    if not low <= seconds <= high:
        raise AudioTransferError(
            f"bar {bar + 1} cannot begin at {seconds:.2f} s: give {low:.2f} to {high:.2f} s"
        )
    old = [times[here], times[after]]
    new = [seconds, times[after]]
    start = here
    if before is not None:
        old, new, start = [times[before], *old], [times[before], *new], before
    times[start : after + 1] = np.interp(times[start : after + 1], old, new)
    return replace(sheet, beats=tuple(times.tolist()))


def _check_bar(sheet: LeadSheet, bar: int) -> None:
    if not 0 <= bar < len(sheet.bars):
        raise AudioTransferError(f"there is no bar {bar}: the song has {len(sheet.bars)}")


def sheet_view(sheet: LeadSheet) -> dict[str, Any]:
    """Bars, sections and chords of a lead sheet as the page shows them, in seconds."""

    def time(beat: float) -> float:
        return round(float(sheet.time_at(beat)), 4)

    return {
        "key": key_name(sheet.keys[0]) if sheet.keys else "",
        "end": time(len(sheet.beats) - 1),
        "bars": [
            {"beat": bar.beat, "beats": bar.beats, "seconds": time(bar.beat)} for bar in sheet.bars
        ],
        "sections": [
            {"name": section.name, "seconds": time(section.beat)} for section in sheet.sections
        ],
        "chords": [
            {
                "beat": round(chord.beat, 4),
                "seconds": time(chord.beat),
                "symbol": symbol(chord, sheet.key_at(chord.beat)),
            }
            for chord in sheet.chords
        ],
    }
