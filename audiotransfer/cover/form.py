"""Form of an arrangement: choruses, bars with fills, energy of bars, chords of added bars."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.leadsheet import QUALITIES, Chord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from audiotransfer.leadsheet import Key, LeadSheet

CHORUS_BARS = 32  # of a song without a repeated form; the usual theme (76 recordings, JazzSAMBA)
_FEWEST_BARS = 4  # of a section that ends with a fill, and between fills
FILL_EVERY = 8  # bars, counted from the start of the section
_SAME = 0.8  # share of sections that must agree between two passes through a form

#: Roots over the tonic and qualities of I-vi-ii-V, by mode.
TURNAROUND = {
    "major": ((0, "maj7"), (9, "m7"), (2, "m7"), (7, "7")),
    "minor": ((0, "m7"), (9, "m7b5"), (2, "m7b5"), (7, "7b9")),
}


def section_starts(sheet: LeadSheet) -> NDArray[np.int64]:
    """Indices of the bars that begin a section, from 0, sorted; the first bar always is one."""
    beats = np.array([bar.beat for bar in sheet.bars])
    starts = [int(np.argmin(abs(beats - section.beat))) for section in sheet.sections]
    return np.unique([0, *starts])


def choruses(sheet: LeadSheet) -> NDArray[np.int64]:
    """The pass through the form that each bar belongs to, from 0.

    A form that repeats in the names of the sections counts; else a chorus has about 32 bars and
    begins with a section, and a song of 16 bars or more has at least two.
    """
    bars = len(sheet.bars)
    starts = section_starts(sheet)
    names = [section.name for section in sheet.sections if section.name not in ("intro", "outro")]
    intro = bool(sheet.sections) and sheet.sections[0].name == "intro"
    period = _period(names)
    if period and len(starts) == len(sheet.sections):
        first = starts[int(intro) :: period][: len(names) // period]
    else:
        number = max(round(bars / CHORUS_BARS), 2 if bars >= CHORUS_BARS // 2 else 1)
        wanted = np.arange(1, number) * bars / number
        first = np.array([0, *(starts[np.argmin(abs(starts - place))] for place in wanted)])
        # A song of one section is divided by bars.
        if len(np.unique(first)) < number:
            first = np.array([0, *(int(place) // 4 * 4 for place in wanted)])
    counts: NDArray[np.int64] = np.zeros(bars, dtype=np.int64)
    counts[np.unique(first[first > 0])] = 1
    counts = np.cumsum(counts)
    if period and intro and len(first):
        counts[first[0] :] -= counts[first[0]]
    return counts


def _period(names: Sequence[str]) -> int:
    """Number of sections after which their names repeat, at least 2; 0 where they do not."""
    for period in range(2, len(names) // 2 + 1):
        pairs = list(zip(names, names[period:], strict=False))
        # All alike is no form of several sections.
        if len(set(names[:period])) > 1 and np.mean([a == b for a, b in pairs]) >= _SAME:
            return period
    return 0


def fill_bars(sheet: LeadSheet) -> frozenset[int]:
    """Indices of the bars that take a fill: the last of sections of four bars or more, and every
    eighth within one.

    The song's last bar is its ending and takes none.
    """
    bars = len(sheet.bars)
    starts = [*section_starts(sheet).tolist(), bars]
    fills: set[int] = set()
    for start, end in pairwise(starts):
        within = range(start + FILL_EVERY - 1, end - _FEWEST_BARS + 1, FILL_EVERY)
        fills.update(within)
        if end - start >= _FEWEST_BARS:
            fills.add(end - 1)
    return frozenset(fills - {bars - 1})


def energies(sheet: LeadSheet) -> NDArray[np.float64]:
    """Energy 0..1 of each bar, smoothed over three; without any it rises from chorus to chorus."""
    bars = len(sheet.bars)
    if len(sheet.energy) != bars:
        rising: NDArray[np.float64] = np.minimum(0.4 + 0.12 * choruses(sheet), 0.8)
        return rising
    values = np.clip(np.asarray(sheet.energy, dtype=np.float64), 0.0, 1.0)
    padded = np.pad(values, 1, mode="edge")
    smooth: NDArray[np.float64] = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    return smooth


def without_gaps(chords: Sequence[Chord], beats: int) -> tuple[Chord, ...]:
    """Chords that follow each other from beat 0 to ``beats``: each lasts until the next.

    Before the first chord there is none (a root of ``None``).
    """
    chords = sorted((c for c in chords if c.beat < beats), key=lambda chord: chord.beat)
    if not chords or chords[0].beat > 0:
        chords = [Chord(0.0, beats, None), *chords]
    ends = [*(chord.beat for chord in chords[1:]), float(beats)]
    return tuple(
        Chord(c.beat, end - c.beat, c.root, c.quality, c.bass, c.confidence)
        for c, end in zip(chords, ends, strict=True)
        if end > c.beat
    )


def turnaround(key: Key, bars: int, beats: int) -> tuple[Chord, ...]:
    """I-vi-ii-V over ``bars`` bars of ``beats`` beats, in beats from their start.

    One chord a bar where the number of bars is divisible by four; else two, so that the
    turnaround takes two bars. The last chord always is V.
    """
    cycle = TURNAROUND[key.mode]
    halves = bars % 4 != 0 and beats > 1
    length = beats // 2 if halves else beats
    number = bars * (2 if halves else 1)
    chords = []
    for index in range(number):
        root, quality = cycle[(index - number) % 4]
        # Of an odd number of beats the first chord of a bar has one more.
        place = index // 2 * beats + (index % 2) * (beats - length) if halves else index * beats
        long = beats - length if halves and index % 2 == 0 else length
        chords.append(Chord(float(place), float(long), (key.tonic + root) % 12, quality))
    return tuple(chords)


def triads(chords: Sequence[Chord]) -> tuple[Chord, ...]:
    """Chords without sixths, sevenths and ninths; those without a third stay."""
    plain: dict[tuple[int, ...], str] = {(3, 7): "m", (4, 7): "", (3, 6): "dim", (4, 8): "aug"}
    return tuple(
        replace(chord, quality=plain.get(QUALITIES[chord.quality][1:3], chord.quality))
        for chord in chords
    )


def last_chords(sheet: LeadSheet, bars: int, beats: int) -> tuple[Chord, ...]:
    """The chords of the song's last four bars, over ``bars`` bars of ``beats``, from beat 0."""
    total = len(sheet.beats) - 1
    from_bar = max(len(sheet.bars) - 4, 0)
    start = sheet.bars[from_bar].beat
    length = total - start
    inside = [
        Chord(max(c.beat, start) - start, 0.0, c.root, c.quality, c.bass)
        for c in sheet.chords
        if c.beat + c.beats > start
    ]
    wanted = bars * beats
    repeats = -(-wanted // length)
    chords = [
        Chord(c.beat + i * length, 0.0, c.root, c.quality, c.bass)
        for i in range(repeats)
        for c in inside
    ]
    return without_gaps(chords, wanted)
