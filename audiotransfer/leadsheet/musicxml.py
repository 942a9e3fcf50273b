"""Lead sheets and arrangements as MusicXML 4.0 (partwise)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as Xml

import numpy as np

from audiotransfer.atomic import write_bytes
from audiotransfer.leadsheet.chords import MUSICXML_CHORDS, NO_CHORD
from audiotransfer.leadsheet.notation import Value, voice
from audiotransfer.leadsheet.percussion import Drum, drum_of, is_foot
from audiotransfer.leadsheet.quantising import (
    DIVISIONS,
    Unit,
    is_straight,
    quantised,
    swing_phase,
    units_of,
)
from audiotransfer.leadsheet.spelling import signature, spelled, spelled_over

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiotransfer.leadsheet.leadsheet import Bar, Chord, Key, LeadSheet
    from audiotransfer.synthesis.ensemble import EnsemblePart

_DOCTYPE = (
    '<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n'
    '<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 Partwise//EN" '
    '"http://www.musicxml.org/dtds/partwise.dtd">\n'
)
_SPLIT = 60  # lowest pitch of the upper of two staves
_BASS_CLEF = 58  # mean pitch below which a staff has the bass clef
_TWO_STAVES = (50, 67)  # 10th and 90th percentile of the pitches of a part on two staves
_TEMPO_CHANGE = 0.04  # share of the tempo from which a change is written
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


@dataclass(frozen=True)
class _Staff:
    """The voices of a staff, each with values bar by bar."""

    voices: tuple[list[list[Value]], ...]
    clef: str


@dataclass(frozen=True)
class _Part:
    name: str
    staves: tuple[_Staff, ...]
    drums: tuple[Drum, ...] = ()


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
        _add(_add(root, "work"), "work-title", sheet.title)
    _add(_add(_add(root, "identification"), "encoding"), "software", "audiotransfer")
    names = _add(root, "part-list")
    for number, part in enumerate(pitched, start=1):
        _list_part(names, part, f"P{number}")
    for number, part in enumerate(pitched, start=1):
        element = _add(root, "part", id=f"P{number}")
        first = number == 1
        words = first and any(phase is not None for phase in swung)
        _Writer(sheet, units, part, f"P{number}").measures(element, first, words)
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


def _pitched(name: str, table: NDArray[np.float64], feel: _Feel) -> _Part:
    pitches = table[:, 2]
    low, high = np.percentile(pitches, [10, 90]) if len(pitches) else (60, 72)
    if low < _TWO_STAVES[0] and high > _TWO_STAVES[1]:
        halves = [table[pitches >= _SPLIT], table[pitches < _SPLIT]]
        clefs = ["G", "F"]
    else:
        mean = float(pitches.mean()) if len(pitches) else 72.0
        halves, clefs = [table], ["F" if mean < _BASS_CLEF else "G"]
    staves = [
        _Staff((voice(*feel.notes(half)),), clef) for half, clef in zip(halves, clefs, strict=True)
    ]
    return _Part(name, tuple(staves))


def _kit(name: str, table: NDArray[np.float64], feel: _Feel) -> _Part:
    """Drums on one staff: hands above, feet below."""
    feet = np.array([is_foot(int(key)) for key in table[:, 2]], dtype=bool)
    short = table.copy()
    short[:, 1] = short[:, 0] + 0.25
    voices = [voice(*feel.notes(half)) for half in (short[~feet], short[feet]) if len(half)] or [
        voice(*feel.notes(short))
    ]
    drums = {drum_of(int(key)).key: drum_of(int(key)) for key in np.unique(table[:, 2])}
    return _Part(name, (_Staff(tuple(voices), "percussion"),), tuple(drums.values()))


class _Writer:
    """Writes the measures of a part."""

    def __init__(self, sheet: LeadSheet, units: Sequence[Unit], part: _Part, identity: str) -> None:
        self.sheet, self.part, self.identity = sheet, part, identity
        self.lengths = np.bincount([u.bar for u in units], [u.length for u in units]).astype(int)
        self.drums = {drum.key: number for number, drum in enumerate(part.drums, start=1)}

    def measures(self, element: Xml.Element, first: bool, swung: bool) -> None:
        """Adds all measures; those of the score's ``first`` part hold chords and directions."""
        bars = self.sheet.bars
        pickup = len(bars) > 1 and bars[0].quarters < bars[1].quarters
        tempo, key, metre = 0.0, None, None
        for index, bar in enumerate(bars):
            measure = _add(element, "measure", number=str(index + (not pickup)))
            if index == 0 and pickup:
                measure.set("implicit", "yes")
            current = self._key(bar)
            sign = (bar.numerator, bar.denominator)
            self._attributes(
                measure,
                first_bar=index == 0,
                key=current if index == 0 or current != key else None,
                metre=sign if sign != metre else None,
            )
            key, metre = current, sign
            if first:
                tempo = self._directions(measure, bar, tempo, swung and index == 0)
            self._staves(measure, index, current, self._chords(index) if first else [])
        if len(bars):
            bar_line = _add(measure, "barline", location="right")
            _add(bar_line, "bar-style", "light-heavy")

    def _key(self, bar: Bar) -> Key | None:
        end = bar.beat + bar.beats
        sounding = [key for key in self.sheet.keys if key.beat < end - 1e-6]
        return sounding[-1] if sounding else None

    def _attributes(
        self,
        measure: Xml.Element,
        first_bar: bool,
        key: Key | None,
        metre: tuple[int, int] | None,
    ) -> None:
        kit = self.part.staves[0].clef == "percussion"
        if not first_bar and metre is None and (key is None or kit):
            return
        attributes = _add(measure, "attributes")
        if first_bar:
            _add(attributes, "divisions", str(DIVISIONS))
        if (first_bar or key is not None) and not kit:
            element = _add(attributes, "key")
            _add(element, "fifths", str(signature(key)))
            _add(element, "mode", "major" if key is None else key.mode)
        if metre is not None:
            element = _add(attributes, "time")
            _add(element, "beats", str(metre[0]))
            _add(element, "beat-type", str(metre[1]))
        if first_bar:
            if len(self.part.staves) > 1:
                _add(attributes, "staves", str(len(self.part.staves)))
            for number, staff in enumerate(self.part.staves, start=1):
                clef = _add(attributes, "clef", number=str(number))
                _add(clef, "sign", staff.clef)
                if staff.clef != "percussion":
                    _add(clef, "line", "2" if staff.clef == "G" else "4")

    def _directions(self, measure: Xml.Element, bar: Bar, tempo: float, swung: bool) -> float:
        """Adds section, tempo and swing; returns the tempo that holds."""
        for section in self.sheet.sections:
            if section.beat == bar.beat:
                kind = _direction(measure)
                _add(kind, "rehearsal", section.name)
        times = self.sheet.time_at([bar.beat, bar.beat + bar.beats])
        quarters = 60.0 * bar.quarters / float(times[1] - times[0])
        if not tempo or abs(quarters / tempo - 1) > _TEMPO_CHANGE:
            kind = _direction(measure)
            metronome = _add(kind, "metronome")
            compound = bar.division != 2
            _add(metronome, "beat-unit", "quarter")
            if compound:
                _add(metronome, "beat-unit-dot")
            written = quarters / 1.5 if compound else quarters
            _add(metronome, "per-minute", f"{written:.0f}")
            _add(measure[-1], "sound", tempo=f"{quarters:.2f}")
            tempo = quarters
        if swung:
            kind = _direction(measure)
            _add(kind, "words", "Swing")
            swing = _add(_add(measure[-1], "sound"), "swing")
            for name, value in (("first", "2"), ("second", "1"), ("swing-type", "eighth")):
                _add(swing, name, value)
        return tempo

    def _chords(self, index: int) -> list[tuple[int, Chord]]:
        """Chords that begin in a bar, with their place in divisions from its start."""
        bar = self.sheet.bars[index]
        beat = self.lengths[index] / bar.beats
        return [
            (round((chord.beat - bar.beat) * beat), chord)
            for chord in self.sheet.chords
            if bar.beat - 1e-6 <= chord.beat < bar.beat + bar.beats - 1e-6
        ]

    def _staves(
        self, measure: Xml.Element, index: int, key: Key | None, chords: list[tuple[int, Chord]]
    ) -> None:
        number = 0
        for place, staff in enumerate(self.part.staves, start=1):
            for values in staff.voices:
                number += 1
                if number > 1:
                    backup = _add(measure, "backup")
                    _add(backup, "duration", str(self.lengths[index]))
                for value in values[index]:
                    while chords and chords[0][0] < value.start + value.length:
                        at, chord = chords.pop(0)
                        _harmony(measure, chord, at - value.start, key)
                    where = (str(number), str(place) if len(self.part.staves) > 1 else "")
                    self._value(measure, value, where, key, whole=len(values[index]) == 1)

    def _value(
        self,
        measure: Xml.Element,
        value: Value,
        where: tuple[str, str],
        key: Key | None,
        whole: bool,
    ) -> None:
        """Adds a note, a chord or a rest."""
        for index, pitch in enumerate(value.pitches or (None,)):
            note = _add(measure, "note")
            if index:
                _add(note, "chord")
            if pitch is None:
                rest = _add(note, "rest")
                if whole:
                    rest.set("measure", "yes")
            elif self.part.drums:
                drum = drum_of(pitch)
                unpitched = _add(note, "unpitched")
                _add(unpitched, "display-step", drum.step)
                _add(unpitched, "display-octave", str(drum.octave))
            else:
                letter, alter = spelled(pitch, key)
                element = _add(note, "pitch")
                _add(element, "step", letter)
                if alter:
                    _add(element, "alter", str(alter))
                _add(element, "octave", str((pitch - alter) // 12 - 1))
            _add(note, "duration", str(value.length))
            ties = [name for name, tied in zip(("stop", "start"), value.tied, strict=True) if tied]
            if self.part.drums:
                ties = []
            for name in ties:
                _add(note, "tie", type=name)
            if pitch is not None and self.part.drums:
                _add(note, "instrument", id=f"{self.identity}-I{self.drums[drum_of(pitch).key]}")
            _add(note, "voice", where[0])
            self._shape(note, value, where, whole and pitch is None, ties, pitch, index)

    def _shape(
        self,
        note: Xml.Element,
        value: Value,
        where: tuple[str, str],
        whole_rest: bool,
        ties: Sequence[str],
        pitch: int | None,
        index: int,
    ) -> None:
        """Adds how a note is written: value, dots, tuplet, notehead, staff, ties."""
        name, dots = value.written if not whole_rest else ("", 0)
        if name:
            _add(note, "type", name)
        for _ in range(dots):
            _add(note, "dot")
        if value.tuplet:
            modification = _add(note, "time-modification")
            _add(modification, "actual-notes", "3")
            _add(modification, "normal-notes", "2")
        if self.part.drums and pitch is not None:
            _add(note, "stem", "down" if is_foot(pitch) else "up")
            if drum_of(pitch).head != "normal":
                _add(note, "notehead", drum_of(pitch).head)
        if where[1]:
            _add(note, "staff", where[1])
        bracket = value.tuplet if value.tuplet in ("start", "stop") and not index else ""
        if ties or bracket:
            notations = _add(note, "notations")
            for kind in ties:
                _add(notations, "tied", type=kind)
            if bracket:
                _add(notations, "tuplet", type=bracket)


def _harmony(measure: Xml.Element, chord: Chord, offset: int, key: Key | None) -> None:
    """Adds a chord symbol at a place in divisions from the next note."""
    harmony = _add(measure, "harmony")
    if chord.root is None:
        _step(harmony, "root", ("C", 0))
        harmony[-1][0].set("text", "")
        _add(harmony, "kind", "none").set("text", NO_CHORD)
    else:
        kind, degrees = MUSICXML_CHORDS[chord.quality]
        _step(harmony, "root", spelled(chord.root, key))
        _add(harmony, "kind", kind).set("text", chord.quality)
        if chord.bass is not None and chord.bass != chord.root:
            _step(harmony, "bass", spelled_over(chord.bass, chord.root, key))
        for value, alter, change in degrees:
            degree = _add(harmony, "degree", **{"print-object": "no"})
            _add(degree, "degree-value", str(value))
            _add(degree, "degree-alter", str(alter))
            _add(degree, "degree-type", change)
    if offset:
        _add(harmony, "offset", str(offset))


def _step(harmony: Xml.Element, name: str, spelling: tuple[str, int]) -> None:
    letter, alter = spelling
    element = _add(harmony, name)
    _add(element, f"{name}-step", letter)
    if alter:
        _add(element, f"{name}-alter", str(alter))


def _direction(measure: Xml.Element) -> Xml.Element:
    direction = _add(measure, "direction", placement="above")
    return _add(direction, "direction-type")


def _list_part(names: Xml.Element, part: _Part, identity: str) -> None:
    element = _add(names, "score-part", id=identity)
    _add(element, "part-name", part.name)
    for number, drum in enumerate(part.drums, start=1):
        instrument = _add(element, "score-instrument", id=f"{identity}-I{number}")
        _add(instrument, "instrument-name", drum.name)
    for number, drum in enumerate(part.drums, start=1):
        instrument = _add(element, "midi-instrument", id=f"{identity}-I{number}")
        _add(instrument, "midi-channel", "10")
        _add(instrument, "midi-unpitched", str(drum.key + 1))


def _add(parent: Xml.Element, name: str, text: str | None = None, **attributes: str) -> Xml.Element:
    element = Xml.SubElement(parent, name, attributes)
    element.text = text
    return element
