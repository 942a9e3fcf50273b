"""The bands of the shipped styles, on lead sheets of several metres, without chords or melody."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audiotransfer.cover.band import Band, Role, read_band
from audiotransfer.cover.plan import Plan
from audiotransfer.cover.writers import WRITERS
from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet import Bar, Chord, Key, LeadSheet, Section
from audiotransfer.styles.find import SHIPPED

BANDS = ("classical", "rock", "electronic", "bossa")
METRES = ("4/4", "3/4", "6/8", "5/4", "2/4", "12/8", "7/8")
# C major, four bars and four bars: root, quality, bass.
CHANGES = [(0, "", None), (9, "m", None), (5, "", None), (7, "", None),
           (0, "", 4), (2, "m", None), (7, "7", None), (0, "", None)]  # fmt: skip
TUNE = [64, 67, 72, 71, 69, 67, 65, 62, 64, 60, 65, 69, 71, 74, 72, 67]


def lead_sheet(metre: str = "4/4", bars: int = 16, **changes: Any) -> LeadSheet:
    """Two sections of different energy; a chord a bar, two in every fourth bar; a melody."""
    numerator, denominator = map(int, metre.split("/"))
    length = Bar(0, numerator, denominator).beats
    chords = []
    for index in range(bars):
        root, quality, bass = CHANGES[index % len(CHANGES)]
        beats = length / 2 if index % 4 == 3 and length % 2 == 0 else length
        chords.append(Chord(index * length, beats, root, quality, bass))
        if beats < length:
            chords.append(Chord(index * length + beats, beats, 7, "7"))
    half = bars // 2 * length
    sheet = LeadSheet(
        beats=tuple((0.5 * np.arange(bars * length + 1)).tolist()),
        bars=tuple(Bar(index * length, numerator, denominator) for index in range(bars)),
        keys=(Key(0, 0),),
        sections=(Section(0, half, "A"), Section(half, bars * length - half, "B")),
        chords=tuple(chords),
        energy=tuple(np.linspace(0.2, 0.95, bars).tolist()),
    )
    return dataclasses.replace(sheet, **changes)


def plan_of(sheet: LeadSheet, band: Band, seed: int = 0, melody: bool = True) -> Plan:
    """A plan as planning makes them, from a lead sheet by hand."""
    beats = len(sheet.beats) - 1
    places = np.arange(0, beats, 0.5 if sheet.bars[0].division == 2 else 1 / 3)[::2]
    tune = np.array([(beat, 0.5, TUNE[i % 16] + 5, 80) for i, beat in enumerate(places)])
    ends = {section.beat + section.beats for section in sheet.sections}
    return Plan(
        sheet=sheet,
        band=band,
        chords=sheet.chords,
        melody=tune if melody else np.zeros((0, 4)),
        energy=np.array(sheet.energy),
        fills=frozenset(i for i, bar in enumerate(sheet.bars) if bar.beat + bar.beats in ends),
        chorus=np.zeros(len(sheet.bars), dtype=np.int64),
        swung=False,
        seed=seed,
    )
