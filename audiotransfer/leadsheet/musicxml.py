"""Lead sheets and arrangements as MusicXML 4.0 (partwise)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as Xml

import numpy as np

from audiotransfer.atomic import write_bytes
from audiotransfer.leadsheet.musicxml_measures import MeasureWriter, Part, Staff, add_element
from audiotransfer.leadsheet.notation import voice
from audiotransfer.leadsheet.percussion import drum_of, is_foot
from audiotransfer.leadsheet.quantising import (
    Unit,
    is_straight,
    quantised,
    swing_phase,
    units_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiotransfer.leadsheet.leadsheet import LeadSheet
    from audiotransfer.synthesis.ensemble import EnsemblePart

_DOCTYPE = (
    '<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n'
    '<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 Partwise//EN" '
    '"http://www.musicxml.org/dtds/partwise.dtd">\n'
)
_SPLIT = 60  # lowest pitch of the upper of two staves
_BASS_CLEF = 58  # mean pitch below which a staff has the bass clef
_TWO_STAVES = (50, 67)  # 10th and 90th percentile of the pitches of a part on two staves
_FAST = 150.0  # quarters a minute from which sixteenths are rare
_KITS = ("kit", "drum")


@dataclass(frozen=True)
class _Feel:
    """What a part's notes are quantised by."""

    units: Sequence[Unit]
    swing: float | None
    fast: bool

    def notes(
        self, table: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], Sequence[Unit], frozenset[int]]:
        """The arguments of `voice` for notes in beats ``[N, 4]``."""
        notes, triplets = quantised(table, self.units, self.swing, self.fast)
        return notes, self.units, triplets


def write_musicxml(
    path: str | Path,
    sheet: LeadSheet,
    parts: Sequence[EnsemblePart] | None = None,
    overwrite: bool = False,
) -> None:
    """Writes a lead sheet, or the parts of an arrangement of it, as MusicXML, atomically.

    Raises AudioTransferError where it cannot be written, or exists already.
    """
    write_bytes(path, musicxml(sheet, parts).encode(), overwrite=overwrite)


def musicxml(sheet: LeadSheet, parts: Sequence[EnsemblePart] | None = None) -> str:
    """The lead sheet as the text of a MusicXML file.

    Without ``parts``, its melody with chord symbols. Parts (in seconds) are quantised to the
    sheet's beats; swung eighths are written as plain ones with the direction "Swing". All sound as
    written; kits are unpitched; a part that covers both clefs is on two staves.
    """
    units = units_of(sheet.bars)
    tables = _tables(sheet, parts)
    swung = _swing(sheet, [table for _, table, _ in tables])
    quarters = sum(bar.quarters for bar in sheet.bars)
    fast = 60.0 * quarters / (sheet.beats[-1] - sheet.beats[0]) > _FAST
    pitched = [
        (_kit if kit else _pitched)(name, table, _Feel(units, phase, fast))
        for (name, table, kit), phase in zip(tables, swung, strict=True)
    ]
    root = Xml.Element("score-partwise", version="4.0")
    if sheet.title:
        add_element(add_element(root, "work"), "work-title", sheet.title)
    add_element(
        add_element(add_element(root, "identification"), "encoding"), "software", "audiotransfer"
    )
    names = add_element(root, "part-list")
    for number, part in enumerate(pitched, start=1):
        _list_part(names, part, f"P{number}")
    for number, part in enumerate(pitched, start=1):
        element = add_element(root, "part", id=f"P{number}")
        first = number == 1
        words = first and any(phase is not None for phase in swung)
        MeasureWriter(sheet, units, part, f"P{number}").measures(element, first, words)
    Xml.indent(root, " ")
    return _DOCTYPE + Xml.tostring(root, encoding="unicode") + "\n"


def _tables(
    sheet: LeadSheet, parts: Sequence[EnsemblePart] | None
) -> list[tuple[str, NDArray[np.float64], bool]]:
    """Name, notes in beats ``[N, 4]`` and whether it is a kit, of each part."""
    if not parts:  # as in a cover that keeps all the song's own notes
        notes = [(n.start, n.duration, n.pitch, n.velocity) for n in sheet.melody]
        return [("Melody", _in_beats(sheet, np.array(notes, dtype=float).reshape(-1, 4)), False)]
    return [
        (
            _part_name(part),
            _in_beats(sheet, part.notes),
            part.instrument.lower().startswith(_KITS),
        )
        for part in parts
    ]


def _part_name(part: EnsemblePart) -> str:
    instrument = part.instrument.replace("_", " ")
    return part.name.capitalize() + (f" ({instrument})" if instrument else "")


def _in_beats(sheet: LeadSheet, notes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Notes of start and duration in seconds as start and end in beats."""
    start, end = sheet.beat_at(notes[:, 0]), sheet.beat_at(notes[:, 0] + notes[:, 1])
    return np.column_stack([start, end, notes[:, 2:4]])


def _swing(sheet: LeadSheet, tables: Sequence[NDArray[np.float64]]) -> list[float | None]:
    """The place of swung eighths in the beat, of each part; ``None`` for straight ones.

    Parts with few notes off the beat take that of all.
    """
    if not any(bar.division == 2 for bar in sheet.bars):
        return [None] * len(tables)
    overall = swing_phase(np.concatenate([table[:, 0] for table in tables]))
    phases = []
    for table in tables:
        own = swing_phase(table[:, 0])
        phases.append(overall if own is None and not is_straight(table[:, 0]) else own)
    return phases


def _pitched(name: str, table: NDArray[np.float64], feel: _Feel) -> Part:
    pitches = table[:, 2]
    low, high = np.percentile(pitches, [10, 90]) if len(pitches) else (60, 72)
    if low < _TWO_STAVES[0] and high > _TWO_STAVES[1]:
        halves = [table[pitches >= _SPLIT], table[pitches < _SPLIT]]
        clefs = ["G", "F"]
    else:
        mean = float(pitches.mean()) if len(pitches) else 72.0
        halves, clefs = [table], ["F" if mean < _BASS_CLEF else "G"]
    staves = [
        Staff((voice(*feel.notes(half)),), clef) for half, clef in zip(halves, clefs, strict=True)
    ]
    return Part(name, tuple(staves))


def _kit(name: str, table: NDArray[np.float64], feel: _Feel) -> Part:
    """Drums on one staff: hands above, feet below."""
    feet = np.array([is_foot(int(key)) for key in table[:, 2]], dtype=bool)
    short = table.copy()
    short[:, 1] = short[:, 0] + 0.25
    voices = [voice(*feel.notes(half)) for half in (short[~feet], short[feet]) if len(half)] or [
        voice(*feel.notes(short))
    ]
    drums = {drum_of(int(key)).key: drum_of(int(key)) for key in np.unique(table[:, 2])}
    return Part(name, (Staff(tuple(voices), "percussion"),), tuple(drums.values()))


def _list_part(names: Xml.Element, part: Part, identity: str) -> None:
    element = add_element(names, "score-part", id=identity)
    add_element(element, "part-name", part.name)
    for number, drum in enumerate(part.drums, start=1):
        instrument = add_element(element, "score-instrument", id=f"{identity}-I{number}")
        add_element(instrument, "instrument-name", drum.name)
    for number, drum in enumerate(part.drums, start=1):
        instrument = add_element(element, "midi-instrument", id=f"{identity}-I{number}")
        add_element(instrument, "midi-channel", "10")
        add_element(instrument, "midi-unpitched", str(drum.key + 1))
