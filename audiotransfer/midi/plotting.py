"""Plots of scores as piano rolls, one colour per track."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Mapping, Sequence
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
_DRUM_ROW = 2.0  # height of a drum's row in semitones
_STROKE = 1.6  # height in semitones and width in points of a drum hit
_MARGIN = 0.5  # steps on the left, so that a hit on the first step is visible
_GREY = "#666666"
_COLOURS = 10  # of the palette; further tracks repeat them
_C_STEPS = 12


def plot_scores(
    scores: Mapping[str, Any], path: str | Path, title: str = "", overwrite: bool = False
) -> None:
    """Write piano rolls of scores, keyed by title, one below the other, as PNG.

    Time runs in bars of the first score; a track has one colour in all rolls, more opaque where it
    is louder; the drums of a kit have a row each below. Of long scores the first 96 bars are drawn.
    """
    from matplotlib.figure import Figure

    first = next(iter(scores.values()))
    grid = Grid.of(first)
    bars = len(grid.bars) - 1
    rows = min(_MOST_ROWS, -(-bars // _ROW_BARS))
    shown_bars = min(bars, rows * _ROW_BARS)
    notes = {name: _note_rows(score, grid) for name, score in scores.items()}
    span = _span(list(notes.values()))
    height = 0.6 + (span[-1] - span[0]) * 0.05
    figure = Figure(figsize=(15, 1.0 + rows * len(scores) * height), dpi=100, layout="constrained")
    axes = figure.subplots(rows * len(scores), 1, squeeze=False).flatten()
    breaks = grid.bars[[*range(0, shown_bars, _ROW_BARS), shown_bars]]
    widest = np.diff(breaks).max()
    for row, edges in enumerate(pairwise(breaks)):
        for place, (name, found) in enumerate(notes.items()):
            axis = axes[row * len(scores) + place]
            seen = (found[:, 1] >= edges[0]) & (found[:, 0] < edges[1])
            _draw(axis, found[seen], span)
            _bars(axis, grid, row * _ROW_BARS, edges)
            axis.set_xlim(edges[0] - _MARGIN, edges[0] + widest)
            axis.set_title(name, loc="left", fontsize=10, parse_math=False)
    cut = f" (bars 1 to {shown_bars} of {bars})" if shown_bars < bars else ""
    figure.suptitle(f"{title}{cut}", fontsize=12, parse_math=False)
    _legend(figure, list(scores.values()))
    image = io.BytesIO()
    with warnings.catch_warnings():
        # The font lacks the letters of some names, which are drawn as boxes.
        warnings.simplefilter("ignore", UserWarning)
        figure.savefig(image, format="png")
    write_bytes(path, image.getvalue(), overwrite=overwrite)


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
    colours = _strong(notes, [f"C{int(track) % _COLOURS}" for track in notes[:, 4]])
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


def _bars(axis: Axes, grid: Grid, first: int, edges: tuple[int, int]) -> None:
    lines = grid.bars[(grid.bars >= edges[0]) & (grid.bars <= edges[1])]
    for line in lines:
        axis.axvline(line, color="#bbbbbb", lw=0.6, zorder=0)
    every = 4 if len(lines) > 8 else 1
    numbered = lines[:-1][::every]
    axis.set_xticks(
        numbered, [str(first + 1 + every * n) for n in range(len(numbered))], fontsize=8
    )


def _legend(figure: Figure, scores: Sequence[Any]) -> None:
    from matplotlib.patches import Patch

    named: dict[int, tuple[Patch, str]] = {}
    for score in scores:
        for index, track in enumerate(score.tracks):
            if len(track.notes):
                colour = _GREY if track.is_drum else f"C{index % _COLOURS}"
                named.setdefault(index, (Patch(color=colour), _label(track, index)))
    patches, labels = zip(*named.values(), strict=True)
    shown = ["track"] * len(labels)
    legend = figure.legend(patches, shown, loc="outside lower center", ncols=6, prop={"size": 8})
    for text, label in zip(legend.get_texts(), labels, strict=True):
        # Names are arbitrary: no mathematics, and matplotlib omits labels that begin with "_".
        text.set_parse_math(False)
        text.set_text(label)


def _label(track: Any, index: int) -> str:
    letters = "".join(letter for letter in track.name if letter.isprintable())
    name = letters.strip() or f"track {index + 1}"
    return name if len(name) <= 24 else f"{name[:23]}…"
