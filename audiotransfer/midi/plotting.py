"""Plots of scores as piano rolls, one colour per track."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotransfer.atomic import write_bytes
from audiotransfer.midi.grid import Grid
from audiotransfer.midi.percussion import DRUMS, NONE, drums_of
from audiotransfer.midi.score import note_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

#: Bars in a row of the figure, and rows at most: later bars are not drawn.
_ROW_BARS, _MOST_ROWS = 24, 4
#: The same where chord names stand above the bars.
_NAMED_ROW_BARS, _MOST_NAMED_ROWS = 16, 4
#: Height of a semitone, where chord names stand above the bars less.
_INCHES, _NAMED_INCHES = 0.05, 0.04
_NAME_HEIGHT = 10.0  # of the line of chord names, in semitones
_ROW_INCHES = 13.6  # width of the bars of a row
_LETTER_INCHES = 0.062  # width of a letter at the usual size of chord names
_NAME_SIZE, _LEAST_SIZE = 8.0, 5.0
_DRUM_ROW = 2.0  # height of a drum's row in semitones
_STROKE = 1.6  # height in semitones and width in points of a drum hit
_MARGIN = 0.5  # steps on the left, so that a hit on the first step is visible
_GREY = "#666666"
#: Colours of tracks, which further tracks repeat; grey (C7) is that of drums.
_COLOURS = tuple(f"C{index}" for index in range(10) if index != 7)
_MOST_NAMES = 24  # tracks in the legend
_C_STEPS = 12


@dataclass(frozen=True)
class Marks:
    """Chord names, sections and bar lines, at places in quarter notes from a score's beginning.

    ``lines`` are those of the bars and the end of the last; without them the score's metre says
    where bars are. ``added`` is the number of bars in front that the scores beside it lack: those
    are drawn so much further to the right.
    """

    chords: Sequence[tuple[float, str]] = ()
    sections: Sequence[tuple[float, str]] = ()
    added: int = 0
    lines: Sequence[float] = ()


def plot_scores(
    scores: Mapping[str, Any],
    path: str | Path,
    title: str = "",
    overwrite: bool = False,
    marks: Mapping[str, Marks] | None = None,
) -> None:
    """Write piano rolls of scores, keyed by title, one below the other, as PNG.

    A track has one colour in all rolls, more opaque where it is louder; the drums of a kit have a
    row each below. Without ``marks`` time runs in bars of the first score, which the others share.
    With marks, keyed as the scores, each has its own bars and tracks, with chord names and sections
    above. Of long scores the first 96 bars are drawn, with marks the first 64.
    """
    from matplotlib.figure import Figure

    row_bars = _NAMED_ROW_BARS if marks else _ROW_BARS
    rolls = _rolls(scores, marks)
    bars = max(roll.bars for roll in rolls)
    rows = min(_MOST_NAMED_ROWS if marks else _MOST_ROWS, -(-bars // row_bars))
    span = _span([roll.notes for roll in rolls])
    semitone, names = (_NAMED_INCHES, _NAME_HEIGHT) if marks else (_INCHES, 0.0)
    height = 0.6 + (span[-1] - span[0] + names) * semitone
    figure = Figure(figsize=(15, 1.0 + rows * len(rolls) * height), dpi=100, layout="constrained")
    axes = figure.subplots(rows * len(rolls), 1, squeeze=False).flatten()
    for row in range(rows):
        firsts = [roll.edges(row * row_bars, row_bars) for roll in rolls]
        widest = max(edges[1] - edges[0] for roll in rolls for edges in [roll.edges(0, row_bars)])
        for place, (roll, edges) in enumerate(zip(rolls, firsts, strict=True)):
            axis = axes[row * len(rolls) + place]
            seen = (roll.notes[:, 1] >= edges[0]) & (roll.notes[:, 0] < edges[1])
            _draw(axis, roll.notes[seen], span)
            _bars(axis, roll, row * row_bars, edges)
            axis.set_xlim(edges[0] - _MARGIN, edges[0] + widest)
            axis.set_title(roll.name, loc="left", fontsize=10, parse_math=False)
            axis.set_ylabel("pitch", fontsize=9)
            if roll.marks is not None:
                _names(axis, roll, roll.marks, edges, widest, span)
    axes[-1].set_xlabel("bar", fontsize=9)
    shown_bars = min(bars, rows * row_bars)
    cut = f" (bars 1 to {shown_bars} of {bars})" if shown_bars < bars else ""
    figure.suptitle(f"{title}{cut}", fontsize=12, parse_math=False)
    _legend(figure, rolls, several=bool(marks) and len(rolls) > 1)
    image = io.BytesIO()
    with warnings.catch_warnings():
        # The font lacks the letters of some names, which are drawn as boxes.
        warnings.simplefilter("ignore", UserWarning)
        figure.savefig(image, format="png")
    write_bytes(path, image.getvalue(), overwrite=overwrite)


@dataclass(frozen=True)
class _Roll:
    """A score as it is drawn.

    ``notes`` as of `_note_rows`, with colours' numbers for tracks. ``before`` are empty bars in
    front, of as many steps as the first bar has.
    """

    name: str
    score: Any
    grid: Grid
    notes: NDArray[np.float64]
    first_colour: int = 0
    before: int = 0
    marks: Marks | None = None

    @property
    def lines(self) -> NDArray[np.float64]:
        """Steps at which bars begin, and the end; below 0 in empty bars in front."""
        own = self.grid.bars.astype(np.float64)
        if self.marks is not None and len(self.marks.lines):
            own = self.steps_at(self.marks.lines)
        front = own[0] + np.arange(-self.before, 0) * (own[1] - own[0])
        return np.concatenate([front, own])

    @property
    def bars(self) -> int:
        """Number of bars, with the empty ones in front."""
        return len(self.lines) - 1

    def edges(self, first: int, count: int) -> tuple[float, float]:
        """Steps at which a row of so many bars begins and ends."""
        lines = self.lines
        return float(lines[min(first, self.bars)]), float(lines[min(first + count, self.bars)])

    def steps_at(self, quarters: Sequence[float]) -> NDArray[np.float64]:
        """Steps of places in quarter notes; beyond the ends the first and last go on."""
        ticks = self.grid.ticks.astype(np.float64)
        at = np.asarray(quarters) * self.score.tpq
        places = np.interp(at, ticks, np.arange(len(ticks)))
        places += np.minimum(at - ticks[0], 0) / (ticks[1] - ticks[0])
        steps: NDArray[np.float64] = places + np.maximum(at - ticks[-1], 0) / (
            ticks[-1] - ticks[-2]
        )
        return steps


def _rolls(scores: Mapping[str, Any], marks: Mapping[str, Marks] | None) -> list[_Roll]:
    """The scores as they are drawn, on one grid without marks, else each on its own."""
    if not marks:
        grid = Grid.of(next(iter(scores.values())))
        return [_Roll(name, score, grid, _note_rows(score, grid)) for name, score in scores.items()]
    added = max(mark.added for mark in marks.values())
    rolls: list[_Roll] = []
    colour = 0
    for name, score in scores.items():
        grid, own = Grid.of(score, shifted=False), marks.get(name, Marks())
        notes = _note_rows(score, grid)
        rolls.append(_Roll(name, score, grid, notes, colour, added - own.added, own))
        notes[:, 4] += colour
        colour += len(score.tracks)
    return rolls


def _note_rows(score: Any, grid: Grid) -> NDArray[np.float64]:
    """Notes ``[N, 6]``: start and end in steps, pitch, velocity, track, drums or not."""
    tables = []
    for drums in (False, True):
        table = note_table(score, drums=drums).astype(np.float64)
        places = np.arange(grid.steps + 1)
        start = np.interp(table[:, 0], grid.ticks, places)
        end = np.interp(table[:, 0] + table[:, 1], grid.ticks, places)
        flags = np.full(len(table), float(drums))
        tables.append(np.column_stack([start, end, table[:, 2:], flags]))
    return np.concatenate(tables)


def _span(tables: Sequence[NDArray[np.float64]]) -> tuple[float, float, float]:
    """Bottom of the axis, lowest and highest pitch, at least two octaves apart where there are any.

    Drum rows, where there are any, lie between the bottom and the lowest pitch.
    """
    notes = np.concatenate(tables)
    drums = notes[:, 5] > 0
    low = high = 0.0
    if not drums.all():
        low, high = float(notes[~drums, 2].min()), float(notes[~drums, 2].max())
        spare = max(0.0, 24 - (high - low)) / 2
        low, high = low - spare, high + spare
    return low - _DRUM_ROW * len(DRUMS) * bool(drums.any()), low, high


def _draw(axis: Axes, notes: NDArray[np.float64], span: tuple[float, float, float]) -> None:
    bottom, low, high = span
    drums = notes[:, 5] > 0
    ticks: dict[float, str] = {}
    if high > low:
        ticks |= _roll(axis, notes[~drums], low, high)
    if low > bottom:
        ticks |= _kit(axis, notes[drums], bottom)
    axis.set_ylim(bottom - 1, high + 1)
    axis.set_yticks(list(ticks), list(ticks.values()), fontsize=7)


def _roll(axis: Axes, notes: NDArray[np.float64], low: float, high: float) -> dict[float, str]:
    """Draw pitched notes in their tracks' colours; returns heights and names of the octaves."""
    from matplotlib.collections import PolyCollection

    start, end, pitch = notes[:, :3].T
    end = start + 0.96 * np.maximum(end - start, 0.5)
    below, above = pitch - 0.45, pitch + 0.45
    corners = [(start, below), (start, above), (end, above), (end, below)]
    bars = np.stack([np.stack(xy, -1) for xy in corners], axis=1)
    colours = _strong(notes, [_COLOURS[int(track) % len(_COLOURS)] for track in notes[:, 4]])
    axis.add_collection(PolyCollection(list(bars), facecolors=colours, antialiaseds=False))
    octaves = range(math.ceil(low / _C_STEPS) * _C_STEPS, math.floor(high) + 1, _C_STEPS)
    for octave in octaves:
        axis.axhline(octave - 0.5, color="#dddddd", lw=0.5, zorder=0)
    return {float(octave): f"C{octave // _C_STEPS - 1}" for octave in octaves}


def _kit(axis: Axes, notes: NDArray[np.float64], bottom: float) -> dict[float, str]:
    """Draw drum hits as strokes, one row per drum; returns heights and names of the rows."""
    from matplotlib.collections import LineCollection

    rows = bottom + _DRUM_ROW * np.arange(len(DRUMS))
    drums = drums_of(notes[:, 2].astype(np.int64))
    notes, places = notes[drums != NONE], rows[drums[drums != NONE]]
    ends = [np.stack([notes[:, 0], places + h], -1) for h in (-_STROKE / 2, _STROKE / 2)]
    strokes = list(np.stack(ends, axis=1))
    colours = _strong(notes, [_GREY] * len(notes))
    axis.add_collection(LineCollection(strokes, colors=colours, linewidths=_STROKE))
    return dict(zip(rows.tolist(), DRUMS, strict=True))


def _strong(notes: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.float64]:
    """Colours of notes, more transparent the softer they are."""
    from matplotlib.colors import to_rgba_array

    colours: NDArray[np.float64] = to_rgba_array(names)
    colours[:, 3] = 0.35 + 0.65 * notes[:, 3] / 127
    return colours


def _bars(axis: Axes, roll: _Roll, first: int, edges: tuple[float, float]) -> None:
    lines = roll.lines[(roll.lines >= edges[0]) & (roll.lines <= edges[1])]
    for line in lines:
        axis.axvline(line, color="#bbbbbb", lw=0.6, zorder=0)
    every = 4 if len(lines) > _NAMED_ROW_BARS + 1 else 1
    numbers = [first + 1 + every * n - roll.before for n in range(len(lines[:-1][::every]))]
    shown = [(line, n) for line, n in zip(lines[:-1][::every], numbers, strict=True) if n > 0]
    axis.set_xticks([line for line, _ in shown], [str(n) for _, n in shown], fontsize=8)


def _names(
    axis: Axes,
    roll: _Roll,
    marks: Marks,
    edges: tuple[float, float],
    width: float,
    span: tuple[float, float, float],
) -> None:
    """Draw chord names above the notes, and the names of sections where they begin."""
    high = span[-1] + 1
    axis.set_ylim(span[0] - 1, high + _NAME_HEIGHT)
    axis.axhline(high, color="#bbbbbb", lw=0.6)
    chords = _inside(roll, marks.chords, edges)
    chords.append((float(edges[1]), ""))  # where the last one ends
    for (place, name), (after, _) in pairwise(chords):
        room = (after - place) / width * _ROW_INCHES
        size = _NAME_SIZE * min(1.0, room / (_LETTER_INCHES * (len(name) + 0.7)))
        axis.text(
            place + 0.3,
            high + 0.25 * _NAME_HEIGHT,
            name,
            fontsize=max(size, _LEAST_SIZE),
            clip_on=True,
            parse_math=False,
        )
    for place, name in _inside(roll, marks.sections, edges):
        axis.axvline(place, color="#333333", lw=1.2)
        axis.text(
            place + 0.3,
            high + 0.65 * _NAME_HEIGHT,
            name,
            fontsize=8,
            fontweight="bold",
            clip_on=True,
            parse_math=False,
        )


def _inside(
    roll: _Roll, places: Sequence[tuple[float, str]], edges: tuple[float, float]
) -> list[tuple[float, str]]:
    """Names with their places in steps, of those that begin between the edges."""
    steps = roll.steps_at([place for place, _ in places])
    return [
        (step, name)
        for step, (_, name) in zip(steps.tolist(), places, strict=True)
        if edges[0] <= step + 1e-6 < edges[1]
    ]


def _legend(figure: Figure, rolls: Sequence[_Roll], *, several: bool) -> None:
    from matplotlib.patches import Patch

    most = _MOST_NAMES // (len(rolls) if several else 1)
    named: dict[int, tuple[Patch, str]] = {}
    for roll in rolls:
        prefix = f"{roll.name}: " if several else ""
        played = [index for index, track in enumerate(roll.score.tracks) if len(track.notes)]
        shown = played if len(played) <= most else played[: most - 1]
        for index in shown:
            track, number = roll.score.tracks[index], index + roll.first_colour
            colour = _GREY if track.is_drum else _COLOURS[number % len(_COLOURS)]
            named.setdefault(number, (Patch(color=colour), prefix + _label(track, index)))
        if len(shown) < len(played):
            rest = f"{prefix}{len(played) - len(shown)} more"
            named.setdefault(played[-1] + roll.first_colour, (Patch(alpha=0.0), rest))
    patches, labels = zip(*named.values(), strict=True)
    blanks = ["track"] * len(labels)
    legend = figure.legend(patches, blanks, loc="outside lower center", ncols=6, prop={"size": 8})
    for text, label in zip(legend.get_texts(), labels, strict=True):
        # Names are arbitrary: no mathematics, and matplotlib omits labels that begin with "_".
        text.set_parse_math(False)
        text.set_text(label)


def _label(track: Any, index: int) -> str:
    letters = "".join(letter for letter in track.name if letter.isprintable())
    name = letters.strip() or f"track {index + 1}"
    return name if len(name) <= 24 else f"{name[:23]}…"
