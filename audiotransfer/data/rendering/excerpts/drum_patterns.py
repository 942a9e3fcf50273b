"""Drum parts: bars of performances, and patterns of metres and styles that those lack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.data.rendering.excerpts.pieces import Piece, no_rows

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]

KICK, SNARE, RIM, CLAP, CLOSED, PEDAL, OPEN, CRASH, RIDE = 36, 38, 37, 39, 42, 44, 46, 49, 51
LOW_TOM, MID_TOM, HIGH_TOM = 43, 47, 50

#: Style -> beats of its bar and, for each key, its steps in the bar: ``X`` loud, ``x`` middle,
#: ``o`` soft, ``?`` at times.
PATTERNS: dict[str, tuple[int, dict[int, str]]] = {
    "rock": (4, {KICK: "X...?...X.?.....", SNARE: "....X.......X..o", CLOSED: "x.x.x.x.x.x.x.x."}),
    "rock 2": (4, {KICK: "X.....X.?.X.....", SNARE: "....X.......X...",
        CLOSED: "X...X...X...X..."}),
    "ballad": (4, {KICK: "X.........x.....", RIM: "....x.......x...", CLOSED: "x.o.x.o.x.o.x.o."}),
    "half time": (4, {KICK: "X.....?...?.....", SNARE: "........X.......",
        RIDE: "x...x...x...x..."}),
    "punk": (4, {KICK: "X...X...X...X...", SNARE: "..X...X...X...X.", CLOSED: "x.x.x.x.x.x.x.x."}),
    "dance": (4, {KICK: "X...X...X...X...", CLAP: "....X.......X...", OPEN: "..x...x...x...x.",
        CLOSED: "?o?o?o?o?o?o?o?o"}),
    "house": (4, {KICK: "X...X...X...X...", OPEN: "..X...X...X...X.", SNARE: "....x.......x..?"}),
    "techno": (4, {KICK: "X...X...X...X...", CLOSED: "..x...x...x...xx", RIM: "...?..?....?..?."}),
    "disco": (4, {KICK: "X...X...X...X...", SNARE: "....X.......X...", CLOSED: "x.o.x.o.x.o.x.o.",
        OPEN: "..x...x...x...x."}),
    "breakbeat": (4, {KICK: "X.X.......XX....", SNARE: "....X..o.o..X..o",
        CLOSED: "x.x.x.x.x.x.x.x."}),
    "boom bap": (4, {KICK: "X......?.xX.....", SNARE: "....X.......X...",
        CLOSED: "x.x.x.x.x.x.x.x?"}),
    "trap": (4, {KICK: "X.....x...?x....", CLAP: "........X.......", CLOSED: "xxx?xx??xxx?xxxx"}),
    "sparse": (4, {KICK: "X.........x.....", SNARE: "....X.......X..."}),
    "reggae": (4, {KICK: "........X.......", RIM: "........X.......", CLOSED: "x.x.x.x.x.x.x.x."}),
    "bossa": (4, {KICK: "X..xX..xX..xX..x", RIM: "x..x..x...x..x..", CLOSED: "x.x.x.x.x.x.x.x."}),
    "hat": (4, {CLOSED: "x.o.x.o.x.o.x.o."}),
    "shuffle": (4, {KICK: "X.....X.?...", SNARE: "...X.....X..", CLOSED: "x.xx.xx.xx.x"}),
    "swing": (4, {RIDE: "x..x.xx..x.x", PEDAL: "...x.....x..", KICK: "?.....?.....",
        SNARE: "..?..?..?..?"}),
    "waltz": (3, {KICK: "X...........", SNARE: "....x...x...", CLOSED: "x.o.x.o.x.o."}),
    "waltz 2": (3, {KICK: "X.....?.....", SNARE: "........X...", RIDE: "x...x...x.o."}),
    "waltz 3": (3, {KICK: "X...........", CLOSED: "....x...x..."}),
    "jazz waltz": (3, {RIDE: "x..x.xx..", PEDAL: "...x.....", KICK: "X........",
        SNARE: "..?..?..x"}),
    "six eight": (2, {KICK: "X....?", SNARE: "...X..", CLOSED: "xxxxxx"}),
    "slow six": (2, {KICK: "X....x......", SNARE: "......X....?", CLOSED: "x.x.x.x.x.x."}),
    "six ride": (2, {KICK: "X.?..?", RIM: "...x..", RIDE: "x.xx.x"}),
}  # fmt: skip
_STRENGTH = {"X": 108.0, "x": 84.0, "o": 52.0, "?": 66.0}


def patterns_for(beats: int, division: int) -> list[str]:
    """Names of the patterns that fit bars of so many beats, each of so many parts."""

    def fits(name: str) -> bool:
        length, lines = PATTERNS[name]
        steps = len(next(iter(lines.values()))) // length
        compound = length == 2
        return length == beats and compound == (division == 3 and beats == 2) and steps > 0

    return [name for name in PATTERNS if fits(name)]


def pattern_drums(piece: Piece, name: str, random: Generator, fills: float = 0.12) -> Rows:
    """A pattern in every bar ``[N, 3]``, with fills and a crash behind them.

    Bars of another length get as much of it as fits, or it again.
    """
    length, lines = PATTERNS[name]
    swap = {key: key for key in lines}
    if CLOSED in swap and random.random() < 0.2:
        swap[CLOSED] = RIDE
    rows: list[tuple[float, float, float]] = []
    crash = random.random() < 0.3
    for start, stop in piece.spans():
        # An incomplete bar at the beginning gets the end of the pattern.
        upbeat = start < 1e-6 and piece.bars[0] > 1e-6
        shift = (length - (stop - start)) % length if upbeat else 0.0
        fill = random.random() < fills and stop - start >= 2
        for key, line in lines.items():
            grid = length / len(line)
            count = round((stop - start) / grid)
            for step in range(count):
                mark = line[(step + round(shift / grid)) % len(line)]
                here = start + step * grid
                if mark == "." or (mark == "?" and random.random() < 0.6):
                    continue
                if fill and here >= stop - 1 and key != KICK:
                    continue
                rows.append((here, swap[key], _STRENGTH[mark] + random.normal(0, 6)))
        if fill:
            steps = 3 if piece.division == 3 else 4
            keys = [SNARE, HIGH_TOM, MID_TOM, LOW_TOM]
            rows += [(stop - 1 + s / steps, keys[s * 4 // steps], 88 + 6 * s) for s in range(steps)]
        if crash:
            rows.append((start, CRASH, 100.0))
        crash = fill
    return np.array(sorted(rows)) if rows else no_rows(3)


def performed_drums(piece: Piece, performance: Rows, random: Generator) -> Rows:
    """Bars of a performance ``[N, 3]`` in 4/4 (beats) in every bar, from one of its bars on.

    Bars of another length get its first or, before the first downbeat, its last beats.
    """
    last = int(performance[:, 0].max() // 4) + 1
    number = int(random.integers(last))
    rows = []
    for start, stop in piece.spans():
        first = 4.0 * (number % last)
        begin, end = first, first + min(4.0, stop - start)
        if start < 1e-6 and piece.bars[0] > 1e-6:
            begin, end = first + 4.0 - min(4.0, stop - start), first + 4.0
        hits = performance[(performance[:, 0] >= begin - 0.06) & (performance[:, 0] < end - 0.06)]
        hits = hits.copy()
        hits[:, 0] += start - begin
        rows.append(hits[hits[:, 0] >= 0])
        number += 1
    hits = np.concatenate(rows) if rows else no_rows(3)
    return hits[np.argsort(hits[:, 0], kind="stable")]
