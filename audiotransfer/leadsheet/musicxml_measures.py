"""The measures of a part in MusicXML: attributes, directions, chord symbols, notes and rests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as Xml

import numpy as np

from audiotransfer.leadsheet.chords import NO_CHORD
from audiotransfer.leadsheet.notation import Value
from audiotransfer.leadsheet.percussion import Drum, drum_of, is_foot
from audiotransfer.leadsheet.quantising import DIVISIONS, Unit
from audiotransfer.leadsheet.spelling import signature, spelled, spelled_over

if TYPE_CHECKING:
    from audiotransfer.leadsheet.leadsheet import Bar, Chord, Key, LeadSheet

_TEMPO_CHANGE = 0.04  # share of the tempo from which a change is written
# Quality -> kind of MusicXML, and the degrees it adds or alters (value, semitones, type).
_CHORDS: dict[str, tuple[str, tuple[tuple[int, int, str], ...]]] = {
    "": ("major", ()),
    "m": ("minor", ()),
    "dim": ("diminished", ()),
    "aug": ("augmented", ()),
    "sus2": ("suspended-second", ()),
    "sus4": ("suspended-fourth", ()),
    "5": ("power", ()),
    "6": ("major-sixth", ()),
    "m6": ("minor-sixth", ()),
    "7": ("dominant", ()),
    "maj7": ("major-seventh", ()),
    "m7": ("minor-seventh", ()),
    "mmaj7": ("major-minor", ()),
    "m7b5": ("half-diminished", ()),
    "dim7": ("diminished-seventh", ()),
    "aug7": ("augmented-seventh", ()),
    "7b5": ("dominant", ((5, -1, "alter"),)),
    "7sus4": ("suspended-fourth", ((7, -1, "add"),)),
    "add9": ("major", ((9, 0, "add"),)),
    "69": ("major-sixth", ((9, 0, "add"),)),
    "9": ("dominant-ninth", ()),
    "maj9": ("major-ninth", ()),
    "m9": ("minor-ninth", ()),
    "7b9": ("dominant", ((9, -1, "add"),)),
    "7#9": ("dominant", ((9, 1, "add"),)),
    "13": ("dominant-13th", ()),
}


@dataclass(frozen=True)
class Staff:
    """The voices of a staff, each with values bar by bar."""

    voices: tuple[list[list[Value]], ...]
    clef: str


@dataclass(frozen=True)
class Part:
    """A part as it is written; of a kit its ``drums``."""

    name: str
    staves: tuple[Staff, ...]
    drums: tuple[Drum, ...] = ()


class MeasureWriter:
    """Writes the measures of a part, which has the ``identity`` (``P1``) in its score."""

    def __init__(self, sheet: LeadSheet, units: Sequence[Unit], part: Part, identity: str) -> None:
        self.sheet, self.part, self.identity = sheet, part, identity
        self.lengths = np.bincount([u.bar for u in units], [u.length for u in units]).astype(int)
        self.drums = {drum.key: number for number, drum in enumerate(part.drums, start=1)}

    def measures(self, element: Xml.Element, first: bool, swung: bool) -> None:
        """Adds all measures; those of the score's ``first`` part hold chords and directions."""
        bars = self.sheet.bars
        pickup = len(bars) > 1 and bars[0].quarters < bars[1].quarters
        tempo, key, metre = 0.0, None, None
        for index, bar in enumerate(bars):
            measure = add_element(element, "measure", number=str(index + (not pickup)))
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
            bar_line = add_element(measure, "barline", location="right")
            add_element(bar_line, "bar-style", "light-heavy")

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
        attributes = add_element(measure, "attributes")
        if first_bar:
            add_element(attributes, "divisions", str(DIVISIONS))
        if (first_bar or key is not None) and not kit:
            element = add_element(attributes, "key")
            add_element(element, "fifths", str(signature(key)))
            add_element(element, "mode", "major" if key is None else key.mode)
        if metre is not None:
            element = add_element(attributes, "time")
            add_element(element, "beats", str(metre[0]))
            add_element(element, "beat-type", str(metre[1]))
        if first_bar:
            if len(self.part.staves) > 1:
                add_element(attributes, "staves", str(len(self.part.staves)))
            for number, staff in enumerate(self.part.staves, start=1):
                clef = add_element(attributes, "clef", number=str(number))
                add_element(clef, "sign", staff.clef)
                if staff.clef != "percussion":
                    add_element(clef, "line", "2" if staff.clef == "G" else "4")

    def _directions(self, measure: Xml.Element, bar: Bar, tempo: float, swung: bool) -> float:
        """Adds section, tempo and swing; returns the tempo that holds."""
        for section in self.sheet.sections:
            if section.beat == bar.beat:
                kind = _direction(measure)
                add_element(kind, "rehearsal", section.name)
        times = self.sheet.time_at([bar.beat, bar.beat + bar.beats])
        quarters = 60.0 * bar.quarters / float(times[1] - times[0])
        if not tempo or abs(quarters / tempo - 1) > _TEMPO_CHANGE:
            kind = _direction(measure)
            metronome = add_element(kind, "metronome")
            compound = bar.division != 2
            add_element(metronome, "beat-unit", "quarter")
            if compound:
                add_element(metronome, "beat-unit-dot")
            written = quarters / 1.5 if compound else quarters
            add_element(metronome, "per-minute", f"{written:.0f}")
            add_element(measure[-1], "sound", tempo=f"{quarters:.2f}")
            tempo = quarters
        if swung:
            kind = _direction(measure)
            add_element(kind, "words", "Swing")
            swing = add_element(add_element(measure[-1], "sound"), "swing")
            for name, value in (("first", "2"), ("second", "1"), ("swing-type", "eighth")):
                add_element(swing, name, value)
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
                    backup = add_element(measure, "backup")
                    add_element(backup, "duration", str(self.lengths[index]))
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
            note = add_element(measure, "note")
            if index:
                add_element(note, "chord")
            if pitch is None:
                rest = add_element(note, "rest")
                if whole:
                    rest.set("measure", "yes")
            elif self.part.drums:
                drum = drum_of(pitch)
                unpitched = add_element(note, "unpitched")
                add_element(unpitched, "display-step", drum.step)
                add_element(unpitched, "display-octave", str(drum.octave))
            else:
                letter, alter = spelled(pitch, key)
                element = add_element(note, "pitch")
                add_element(element, "step", letter)
                if alter:
                    add_element(element, "alter", str(alter))
                add_element(element, "octave", str((pitch - alter) // 12 - 1))
            add_element(note, "duration", str(value.length))
            ties = [name for name, tied in zip(("stop", "start"), value.tied, strict=True) if tied]
            if self.part.drums:
                ties = []
            for name in ties:
                add_element(note, "tie", type=name)
            if pitch is not None and self.part.drums:
                add_element(
                    note, "instrument", id=f"{self.identity}-I{self.drums[drum_of(pitch).key]}"
                )
            add_element(note, "voice", where[0])
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
            add_element(note, "type", name)
        for _ in range(dots):
            add_element(note, "dot")
        if value.tuplet:
            modification = add_element(note, "time-modification")
            add_element(modification, "actual-notes", "3")
            add_element(modification, "normal-notes", "2")
        if self.part.drums and pitch is not None:
            add_element(note, "stem", "down" if is_foot(pitch) else "up")
            if drum_of(pitch).head != "normal":
                add_element(note, "notehead", drum_of(pitch).head)
        if where[1]:
            add_element(note, "staff", where[1])
        bracket = value.tuplet if value.tuplet in ("start", "stop") and not index else ""
        if ties or bracket:
            notations = add_element(note, "notations")
            for kind in ties:
                add_element(notations, "tied", type=kind)
            if bracket:
                add_element(notations, "tuplet", type=bracket)


def _harmony(measure: Xml.Element, chord: Chord, offset: int, key: Key | None) -> None:
    """Adds a chord symbol at a place in divisions from the next note."""
    harmony = add_element(measure, "harmony")
    if chord.root is None:
        _step(harmony, "root", ("C", 0))
        harmony[-1][0].set("text", "")
        add_element(harmony, "kind", "none").set("text", NO_CHORD)
    else:
        kind, degrees = _CHORDS[chord.quality]
        _step(harmony, "root", spelled(chord.root, key))
        add_element(harmony, "kind", kind).set("text", chord.quality)
        if chord.bass is not None and chord.bass != chord.root:
            _step(harmony, "bass", spelled_over(chord.bass, chord.root, key))
        for value, alter, change in degrees:
            degree = add_element(harmony, "degree", **{"print-object": "no"})
            add_element(degree, "degree-value", str(value))
            add_element(degree, "degree-alter", str(alter))
            add_element(degree, "degree-type", change)
    if offset:
        add_element(harmony, "offset", str(offset))


def _step(harmony: Xml.Element, name: str, spelling: tuple[str, int]) -> None:
    letter, alter = spelling
    element = add_element(harmony, name)
    add_element(element, f"{name}-step", letter)
    if alter:
        add_element(element, f"{name}-alter", str(alter))


def _direction(measure: Xml.Element) -> Xml.Element:
    direction = add_element(measure, "direction", placement="above")
    return add_element(direction, "direction-type")


def add_element(
    parent: Xml.Element, name: str, text: str | None = None, **attributes: str
) -> Xml.Element:
    """Adds an element with a text and attributes to another, and returns it."""
    element = Xml.SubElement(parent, name, attributes)
    element.text = text
    return element
