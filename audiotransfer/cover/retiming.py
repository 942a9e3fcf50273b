"""Lead sheets transposed, at another tempo, in doubled or halved feel, and with bars added."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.leadsheet import Bar, Chord, LeadSheet, Note, Section

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiotransfer.cover.band import Tempo

#: How much longer than usual the last four bars of an added outro last (26 recordings that end
#: together, JazzSAMBA).
SLOWING = (1.0, 1.01, 1.02, 1.03)
NEARBY = 16  # bars at an end of the song whose metre added bars have
_FULL = 0.35  # share of divided beats with sixteenths above which a melody is full of them
_LATER = 1.25  # times the tempo up to which such songs are doubled

Times = Callable[["NDArray[np.float64]"], "NDArray[np.float64]"]


def transposed(sheet: LeadSheet, semitones: int) -> LeadSheet:
    """The lead sheet with all pitches, chords and keys moved by ``semitones``; drums stay."""
    if semitones == 0:
        return sheet

    def moved(notes: tuple[Note, ...]) -> tuple[Note, ...]:
        return tuple(replace(note, pitch=_in_range(note.pitch + semitones)) for note in notes)

    def pitch_class(value: int | None) -> int | None:
        return None if value is None else (value + semitones) % 12

    return replace(
        sheet,
        keys=tuple(replace(key, tonic=(key.tonic + semitones) % 12) for key in sheet.keys),
        chords=tuple(
            replace(chord, root=pitch_class(chord.root), bass=pitch_class(chord.bass))
            for chord in sheet.chords
        ),
        melody=moved(sheet.melody),
        bass=moved(sheet.bass),
        others=moved(sheet.others),
    )


def at_tempo(sheet: LeadSheet, bpm: float | None) -> LeadSheet:
    """The lead sheet with all times scaled to a mean tempo of ``bpm`` beats per minute."""
    if bpm is None:
        return sheet
    beats = sheet.beat_times
    factor = 60.0 * (len(beats) - 1) / (beats[-1] - beats[0]) / bpm
    return _retimed(sheet, lambda times: times * factor)


def median_tempo(sheet: LeadSheet) -> float:
    """The median tempo of all beats, in beats per minute."""
    return float(60.0 / np.median(np.diff(sheet.beat_times)))


def in_quarters(sheet: LeadSheet) -> LeadSheet:
    """The lead sheet with quarters as beats where all its beats are half notes: 2/2 as 4/4."""
    if any(bar.denominator != 2 for bar in sheet.bars):
        return sheet
    bars = tuple(Bar(2 * bar.beat, 2 * bar.numerator, 4) for bar in sheet.bars)
    return replace(_doubled(sheet), bars=bars, energy=sheet.energy)


def feel(sheet: LeadSheet, tempo: Tempo, sixteenths: float = 0.0) -> float:
    """Felt beats a beat of the song: 2 in slow songs, .5 in fast ones, else 1.

    Songs whose melody is full of sixteenths (their share of its divided beats) are doubled up to
    a tempo of a quarter more. Compound metres keep their beats, and bars of an odd number of
    beats are not halved.
    """
    bpm = median_tempo(sheet)
    if any(bar.division != 2 for bar in sheet.bars):
        return 1.0
    if bpm < tempo.double_below * (_LATER if sixteenths > _FULL else 1.0):
        return 2.0
    if bpm > tempo.halve_above and all(bar.beats % 2 == 0 for bar in sheet.bars):
        return 0.5
    return 1.0


def with_feel(sheet: LeadSheet, factor: float) -> LeadSheet:
    """The lead sheet in felt beats: ``factor`` is 2 (doubled), .5 (halved) or 1.

    Times do not change. Doubled, a bar becomes two of the same metre, a bar of two beats one of
    four. Halved, two bars become one; a section's odd last bar has half as many beats.
    """
    if factor == 1.0:
        return sheet
    return _doubled(sheet) if factor == 2.0 else _halved(sheet)


def _doubled(sheet: LeadSheet) -> LeadSheet:
    old = sheet.beat_times
    beats = np.empty(2 * len(old) - 1)
    beats[::2] = old
    beats[1::2] = (old[1:] + old[:-1]) / 2
    bars, energy = [], []
    for index, bar in enumerate(sheet.bars):
        if bar.beats == 2:
            new = [Bar(2 * bar.beat, 4, 4)]
        else:
            new = [replace(bar, beat=2 * bar.beat + i * bar.beats) for i in range(2)]
        bars += new
        energy += [sheet.energy[index]] * len(new) if index < len(sheet.energy) else []
    return replace(
        _in_beats(sheet, 2.0), beats=_floats(beats), bars=tuple(bars), energy=tuple(energy)
    )


def _halved(sheet: LeadSheet) -> LeadSheet:
    beats = sheet.beat_times[::2]
    starts = {section.beat for section in sheet.sections}
    bars, energy = [], []
    index = 0
    while index < len(sheet.bars):
        bar = sheet.bars[index]
        following = sheet.bars[index + 1] if index + 1 < len(sheet.bars) else None
        pair = (
            following is not None
            and following.numerator == bar.numerator
            and following.beat not in starts
        )
        numerator = bar.beats if pair else bar.beats // 2
        bars.append(Bar(bar.beat // 2, numerator, 4))
        energy.append(float(np.mean(sheet.energy[index : index + 1 + pair] or (0.5,))))
        index += 1 + pair
    return replace(
        _in_beats(sheet, 0.5), beats=_floats(beats), bars=tuple(bars), energy=tuple(energy)
    )


def _in_beats(sheet: LeadSheet, factor: float) -> LeadSheet:
    """Keys, sections and chords with places and lengths in beats times ``factor``."""
    return replace(
        sheet,
        keys=tuple(replace(key, beat=key.beat * factor) for key in sheet.keys),
        sections=tuple(
            Section(round(s.beat * factor), round(s.beats * factor), s.name) for s in sheet.sections
        ),
        chords=tuple(
            replace(chord, beat=chord.beat * factor, beats=chord.beats * factor)
            for chord in sheet.chords
        ),
    )


def usual_bar(bars: Sequence[Bar]) -> Bar:
    """A bar of the commonest metre: a song's first may be a pickup."""
    metres = Counter((bar.numerator, bar.denominator) for bar in bars)
    return Bar(0, *metres.most_common(1)[0][0])


def with_intro(sheet: LeadSheet, bars: int, chords: Sequence[Chord]) -> LeadSheet:
    """The lead sheet with ``bars`` bars in front, in the metre and tempo of its first ones.

    ``chords`` are those of the added bars, in beats from their start.
    """
    if bars <= 0:
        return sheet
    first, times = usual_bar(sheet.bars[:NEARBY]), sheet.beat_times
    added = bars * first.beats
    period = float(np.median(np.diff(times[:9])))
    later = _retimed(sheet, lambda seconds: seconds + added * period)
    start = later.beats[0] - added * period
    level = 0.8 * float(np.mean(sheet.energy[:4] or (0.5,)))
    return replace(
        later,
        beats=(*(start + period * i for i in range(added)), *later.beats),
        bars=(
            *(replace(first, beat=i * first.beats) for i in range(bars)),
            *(replace(bar, beat=bar.beat + added) for bar in sheet.bars),
        ),
        keys=tuple(
            replace(key, beat=key.beat + added if index else 0.0)
            for index, key in enumerate(sheet.keys)
        ),
        sections=(
            Section(0, added, "intro"),
            *(replace(section, beat=section.beat + added) for section in sheet.sections),
        ),
        chords=(*chords, *(replace(c, beat=c.beat + added) for c in sheet.chords)),
        energy=((level,) * bars + sheet.energy) if sheet.energy else (),
    )


def with_outro(sheet: LeadSheet, bars: int, chords: Sequence[Chord]) -> LeadSheet:
    """The lead sheet with ``bars`` bars behind, in the metre and tempo of its last ones.

    ``chords`` are those of the added bars, in beats from their start. The last four bars slow
    down as counted.
    """
    if bars <= 0:
        return sheet
    last, times = usual_bar(sheet.bars[-NEARBY:]), sheet.beat_times
    start = len(times) - 1
    period = float(np.median(np.diff(times[-9:])))
    slower = np.ones(bars)
    slower[-4:] = SLOWING[-min(bars, 4) :]
    ends = times[-1] + np.cumsum(np.repeat(slower * period, last.beats))
    return replace(
        sheet,
        beats=(*sheet.beats, *_floats(ends)),
        bars=(
            *sheet.bars,
            *(replace(last, beat=start + i * last.beats) for i in range(bars)),
        ),
        sections=(*sheet.sections, Section(start, bars * last.beats, "outro")),
        chords=(*sheet.chords, *(replace(c, beat=c.beat + start) for c in chords)),
        energy=(*sheet.energy, *(sheet.energy[-1:] * bars)),
    )


def _retimed(sheet: LeadSheet, times: Times) -> LeadSheet:
    """The lead sheet with every time in seconds mapped by ``times``."""

    def moved(notes: tuple[Note, ...]) -> tuple[Note, ...]:
        if not notes:
            return ()
        start = np.array([note.start for note in notes])
        end = times(start + [note.duration for note in notes])
        start = times(start)
        return tuple(
            Note(float(a), float(b - a), note.pitch, note.velocity, note.confidence)
            for a, b, note in zip(start, end, notes, strict=True)
        )

    sung = times(np.asarray(sheet.sung, dtype=np.float64).reshape(-1, 2))
    return replace(
        sheet,
        beats=_floats(times(sheet.beat_times)),
        melody=moved(sheet.melody),
        bass=moved(sheet.bass),
        others=moved(sheet.others),
        drums=moved(sheet.drums),
        sung=tuple((float(a), float(b)) for a, b in sung),
    )


def _floats(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _in_range(pitch: int) -> int:
    """A MIDI pitch within 0..127, moved by octaves."""
    while pitch > 127:
        pitch -= 12
    while pitch < 0:
        pitch += 12
    return pitch
