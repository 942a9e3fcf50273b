"""Chord sheets in text: bars of chord symbols that a musician reads and corrects."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.atomic import write_bytes
from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet.chords import UnknownChord, parse_symbol, symbol
from audiotransfer.leadsheet.leadsheet import Chord, Key, Section
from audiotransfer.leadsheet.spelling import key_name

if TYPE_CHECKING:
    from audiotransfer.leadsheet.leadsheet import Bar, LeadSheet

_LINE = 4  # bars on a line
_HOLD, _REPEAT = ".", "%"
_FIELDS = ("title", "key", "metre", "tempo")
_HELP = """\
# A bar stands between bars of |; its chords share it evenly. A dot holds the chord before for as
# long as each of the others lasts (| C . . G7 |), % repeats the bar before, N.C. is no chord.
# [A] begins a section, key: a key. Lines that begin with # are notes; metre, tempo: for you only.
"""


def write_chord_sheet(sheet: LeadSheet, path: str | Path, overwrite: bool = False) -> None:
    """Writes the chords of a lead sheet as text, atomically.

    Raises AudioTransferError where it cannot be written, or exists already.
    """
    write_bytes(path, chord_sheet(sheet).encode(), overwrite=overwrite)


def chord_sheet(sheet: LeadSheet) -> str:
    """The chords of a lead sheet as text: title, key, metre, tempo, sections, bars of symbols."""
    tempo = 60.0 * (len(sheet.beats) - 1) / (sheet.beats[-1] - sheet.beats[0])
    lines = [_HELP, f"title: {sheet.title}"]
    if sheet.keys:
        lines.append(f"key: {key_name(sheet.keys[0])}")
    metre = _metre(sheet.bars[0])
    lines += [f"metre: {metre}", f"tempo: {tempo:.1f}"]
    sections = {section.beat: section.name for section in sheet.sections}
    keys = {key.beat: key for key in sheet.keys[1:]}
    row: list[str] = []

    def end_row() -> None:
        if row:
            lines.append(f"| {' | '.join(row)} |")
            row.clear()

    for index, bar in enumerate(sheet.bars):
        heads = []
        if bar.beat in sections:
            heads.append(f"\n[{sections[bar.beat]}]")
        if (key := keys.get(float(bar.beat))) is not None:
            heads.append(f"key: {key_name(key)}")
        if index and _metre(bar) != _metre(sheet.bars[index - 1]):
            heads.append(f"metre: {_metre(bar)}")
        if heads or len(row) == _LINE:
            end_row()
        lines += heads
        row.append(_bar_text(bar, sheet))
    end_row()
    return "\n".join(lines) + "\n"


def read_chord_sheet(text: str, sheet: LeadSheet, name: str = "the chord sheet") -> LeadSheet:
    """The lead sheet with chords, sections, keys and title from a text.

    All that the text does not hold stays, also the confidence of chords that stay; that of others
    is 1. Raises AudioTransferError with the line's number for a
    line that cannot be read, and where the text has not as many bars as the song.
    """
    reader = _Reader(sheet.bars)
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            reader.read(line.strip())
        except UnknownChord as error:
            raise AudioTransferError(f"{name}, line {number}: {error}") from None
    count = len(sheet.bars)
    if reader.bar != count:
        raise AudioTransferError(
            f"{name} has {reader.bar} bars, but the song has {count}; write one for each"
        )
    return replace(
        sheet,
        chords=_with_confidence(_joined(reader.chords), sheet.chords),
        sections=reader.section_spans(len(sheet.beats) - 1) or sheet.sections,
        keys=tuple(reader.keys) or sheet.keys,
        title=sheet.title if reader.title is None else reader.title,
    )


@dataclass
class _Reader:
    """What has been read of a chord sheet."""

    bars: Sequence[Bar]
    bar: int = 0
    title: str | None = None
    chords: list[Chord] = field(default_factory=list)
    sections: list[tuple[int, str]] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)
    last: tuple[str, ...] = ()

    def read(self, line: str) -> None:
        """Reads one line; raises UnknownChord for what is none."""
        if not line or line.startswith("#"):
            return
        if match := re.fullmatch(r"\[(.+)\]", line):
            self._section(match[1].strip())
        elif line.startswith("|"):
            self._bars(line)
        elif match := re.fullmatch(r"(\w+)\s*:\s*(.*)", line):
            self._field(match[1].lower(), match[2])
        else:
            raise UnknownChord(
                f"{line!r} is no bar, section or field; write | Dm7 G7 |, [A] or key: C major"
            )

    def section_spans(self, total: int) -> tuple[Section, ...]:
        """The sections up to the song's end in beats; none where none was named."""
        if not self.sections:
            return ()
        starts = [0, *(beat for beat, _ in self.sections[1:])]
        ends = [*starts[1:], total]
        names = [name for _, name in self.sections]
        return tuple(
            Section(start, end - start, name)
            for start, end, name in zip(starts, ends, names, strict=True)
            if end > start
        )

    def _beat(self) -> int:
        return self.bars[self.bar].beat if self.bar < len(self.bars) else -1

    def _section(self, name: str) -> None:
        if self._beat() >= 0:
            self.sections.append((self._beat(), name))

    def _field(self, name: str, value: str) -> None:
        if name == "title":
            self.title = value
        elif name == "key":
            if self._beat() >= 0:
                tonic, mode = _key(value)
                self.keys.append(Key(float(self._beat()), tonic, mode))
        elif name not in _FIELDS:
            raise UnknownChord(f"field {name!r} is unknown; there are {', '.join(_FIELDS)}")

    def _bars(self, line: str) -> None:
        cells = re.sub(r"[:\]\[]", " ", line.replace("||", "|").strip("|")).split("|")
        for cell in cells:
            words = tuple(cell.replace("-|", "|").split())
            if words in ((_REPEAT,), ("/",)):
                words = self.last
            if not words:
                raise UnknownChord("a bar is empty; write its chords, % for the bar before or N.C.")
            if self.bar >= len(self.bars):
                raise UnknownChord(f"bar {self.bar + 1} is beyond the song's end")
            self._chords(words, self.bars[self.bar])
            self.last = words
            self.bar += 1

    def _chords(self, words: tuple[str, ...], bar: Bar) -> None:
        """Chords of a bar that share it evenly."""
        count = len(words)
        if bar.beats * 4 % count and count != 1:
            raise UnknownChord(
                f"bar {self.bar + 1} has {count} chords for {bar.beats} beats; "
                f"fill up with dots, as | C {' '.join(_HOLD * (bar.beats - 1))} |"
            )
        length = bar.beats / count
        for index, word in enumerate(words):
            beat = bar.beat + index * length
            if word in (_HOLD, "/"):
                if not self.chords:
                    raise UnknownChord("the first bar begins with a dot; write a chord or N.C.")
                before = self.chords[-1]
                self.chords[-1] = replace(before, beats=before.beats + length)
            else:
                root, quality, bass = parse_symbol(word)
                self.chords.append(Chord(beat, length, root, quality, bass))


def _metre(bar: Bar) -> str:
    return f"{bar.numerator}/{bar.denominator}"


def _key(text: str) -> tuple[int, str]:
    """Tonic and mode of ``Bb major``, ``C# minor``, ``Dm`` or ``F``."""
    match = re.fullmatch(r"([A-Ga-g][#b♯♭]*)\s*(major|maj|minor|min|m|dur|moll)?\.?", text.strip())
    if match is None:
        raise UnknownChord(f"{text!r} is no key; write C major or A minor")
    root, _, _ = parse_symbol(match[1])
    mode = "minor" if (match[2] or "").startswith(("min", "mol")) or match[2] == "m" else "major"
    return int(root or 0), mode


def _bar_text(bar: Bar, sheet: LeadSheet) -> str:
    """The chords of a bar: shared evenly where they are, else with a dot for each held part."""
    start, end = bar.beat, bar.beat + bar.beats
    inside = [
        (max(c.beat, start), c) for c in sheet.chords if c.beat < end and c.beat + c.beats > start
    ]
    inside = [(beat, c) for beat, c in inside if min(c.beat + c.beats, end) - beat > 1e-6]
    if not inside:
        return symbol(Chord(0, 1, None))
    key = sheet.key_at(start)
    places = np.array([beat - start for beat, _ in inside])
    for parts in _parts(bar.beats, len(inside)):
        slots = np.rint(places * parts / bar.beats).astype(int)
        if np.abs(slots * bar.beats / parts - places).max() < 1e-3:
            break
    # Of chords that fall into one part the last is written.
    words = [_HOLD] * parts
    for slot, (_, chord) in zip(slots, inside, strict=True):
        words[min(int(slot), parts - 1)] = symbol(chord, key)
    return " ".join(words)


def _parts(beats: int, chords: int) -> list[int]:
    """Numbers of parts a bar may be divided into, simplest first."""
    even = [chords] if chords == 1 or beats % chords == 0 else []
    return [*even, beats, 2 * beats, 4 * beats]


def _with_confidence(chords: Sequence[Chord], before: Sequence[Chord]) -> tuple[Chord, ...]:
    """Chords, of which those that are as ``before`` keep their confidence."""
    known = {_same(chord): chord.confidence for chord in before}
    return tuple(replace(c, confidence=known.get(_same(c), 1.0)) for c in chords)


def _same(chord: Chord) -> tuple[float, int | None, str, int | None]:
    return round(chord.beat, 3), chord.root, chord.quality, chord.bass


def _joined(chords: Sequence[Chord]) -> tuple[Chord, ...]:
    """Chords of which equal neighbours are joined."""
    joined: list[Chord] = []
    for chord in chords:
        if joined and replace(joined[-1], beat=0, beats=0) == replace(chord, beat=0, beats=0):
            joined[-1] = replace(joined[-1], beats=joined[-1].beats + chord.beats)
        else:
            joined.append(chord)
    return tuple(joined)
