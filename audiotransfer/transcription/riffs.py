"""The repeated line that leads where there is no melody: a riff of the further notes, or the bass.

Tables of notes ``[N, 5]`` are as in `audiotransfer.transcription.lines`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.leadsheet.spans import runs
from audiotransfer.transcription.lines import END, PITCH, START, SURE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_LONG_REST = 6.0  # seconds without a lead from which a riff leads
_FEWEST_BARS = 2
_WINDOW = 4  # bars with a note a bar or fewer, mostly silent, in which a melody is but a trace
_PHRASE = 8  # bars after which another line may lead
_PARTS = 8  # places of a bar, for repetition
_LAGS = (1, 2, 4)  # bars after which riffs come again
_DENSITY = (0.35, 4.0)  # onsets a beat of a line that can lead
_FEWEST_PITCHES = 3  # below which a line is a pedal
_PEDAL = 0.4  # worth of a pedal beside a line that moves
_LEAST = 0.15  # worth below which nothing leads
_BASS_WORTH = 0.8  # of a bass line beside one that can be sung
_CONFIDENCE = 0.5  # highest confidence of a riff's notes
_LOWEST, _HIGHEST = 55, 84  # pitches of a lead
_CHORD = 0.05  # seconds in which notes begin together


@dataclass(frozen=True)
class Line:
    """A line that can lead: notes ``[N, 5]`` one at a time, and what it is worth, 0..1."""

    notes: NDArray[np.float64]
    worth: float


def with_riffs(
    melody: NDArray[np.float64],
    others: NDArray[np.float64],
    bass: NDArray[np.float64],
    bar_times: NDArray[np.float64],
    beats: Sequence[int],
) -> NDArray[np.float64]:
    """The melody with the strongest repeated line where it rests for long, or hardly plays.

    ``bar_times`` are the B bars' edges in seconds ``[B + 1]``, ``beats`` their numbers of beats.
    A riff is the top line of the further notes, or the bass an octave or more up; what comes again
    after one, two or four bars, moves and is sure is worth most. The melody's own notes stay, and
    the riff rests meanwhile. Its notes have at most half the
    confidence of a melody's, so that they can be told apart.
    """
    added, high = [melody], others[others[:, PITCH] >= _LOWEST]
    for first, end in _rests(melody, bar_times):
        for start in range(first, end, _PHRASE):
            stop = min(start + _PHRASE, end)
            edges, count = bar_times[start : stop + 1], sum(beats[start:stop])
            lines = [_line(_top(_between(high, edges)), edges, count, 1.0)]
            if lines[0].worth < _LEAST:
                lines.append(_line(_top(_between(others, edges)), edges, count, 1.0))
            lines.append(_line(_up(_top(_between(bass, edges))), edges, count, _BASS_WORTH))
            best = max(lines, key=lambda line: line.worth)
            if best.worth >= _LEAST:
                notes = _beside(best.notes, melody)
                notes[:, SURE] = np.minimum(notes[:, SURE], 1.0) * _CONFIDENCE * best.worth**0.5
                added.append(notes)
    table = np.concatenate(added)
    return table[np.argsort(table[:, START], kind="stable")]


def _rests(melody: NDArray[np.float64], bar_times: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Spans of whole bars, first and end, in which a melody rests for long."""
    count = len(bar_times) - 1
    busy = np.zeros(count, dtype=bool)
    lengths = melody[:, END] - melody[:, START]
    first = np.searchsorted(bar_times, melody[:, START] + 0.1, side="right") - 1
    last = np.searchsorted(bar_times, melody[:, END] - np.minimum(0.1, lengths / 2)) - 1
    for start, end in zip(first.tolist(), last.tolist(), strict=True):
        busy[max(start, 0) : max(end + 1, 0)] = True
    busy &= ~_sparse(melody, bar_times)
    return [
        (start, end)
        for start, end in runs(~busy).tolist()
        if end - start >= min(_FEWEST_BARS, count)
        and (bar_times[end] - bar_times[start] >= _LONG_REST or end - start == count)
    ]


def _sparse(melody: NDArray[np.float64], bar_times: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each bar is one of some in which the melody has hardly any notes."""
    count = len(bar_times) - 1
    sparse = np.zeros(count, dtype=bool)
    onsets = np.searchsorted(melody[:, START], bar_times - _CHORD)
    sounding = np.maximum.accumulate(np.append(0.0, melody[:, END]))  # until when, after n notes
    lengths = np.append(0.0, np.cumsum(melody[:, END] - melody[:, START]))
    sounds = lengths[onsets] - np.maximum(sounding[onsets] - bar_times, 0) * (onsets > 0)
    for first in range(count - _WINDOW + 1):
        end = first + _WINDOW
        few = onsets[end] - onsets[first] <= _WINDOW
        length = bar_times[end] - bar_times[first]
        if few and sounds[end] - sounds[first] < length / 2:
            sparse[first:end] = True
    return sparse


def _beside(notes: NDArray[np.float64], melody: NDArray[np.float64]) -> NDArray[np.float64]:
    """The notes that do not sound together with a melody whose notes do not overlap."""
    after = np.searchsorted(melody[:, START], notes[:, END] - _CHORD)
    last = np.append(-np.inf, melody[:, END])[after]
    return notes[last <= notes[:, START] + _CHORD].copy()


def _between(notes: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """The notes that begin between the first and the last edge."""
    begun, ended = np.searchsorted(notes[:, START], edges[[0, -1]] - _CHORD)
    return notes[begun:ended]


def _top(notes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The highest notes of those that begin together, each ending where the next one begins."""
    if not len(notes):
        return notes
    notes = notes[np.argsort(notes[:, START], kind="stable")]
    group = np.cumsum(np.diff(notes[:, START], prepend=notes[0, START]) > _CHORD)
    order = np.lexsort((-notes[:, PITCH], group))
    top = notes[order[np.unique(group[order], return_index=True)[1]]].copy()
    top[:-1, END] = np.minimum(top[:-1, END], top[1:, START])
    return top[top[:, END] - top[:, START] > _CHORD]


def _up(notes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The line as many octaves higher as bring its middle above `_LOWEST`."""
    if not len(notes):
        return notes
    octaves = max(0, int(np.ceil((_LOWEST - np.median(notes[:, PITCH])) / 12)))
    notes = notes.copy()
    notes[:, PITCH] += 12 * octaves
    return notes


def _line(
    notes: NDArray[np.float64], edges: NDArray[np.float64], beats: int, weight: float
) -> Line:
    """A line and what it is worth: repetition, movement, density and confidence."""
    low, high = _DENSITY
    if len(notes) < max(2, low * beats) or len(notes) > high * beats:
        return Line(notes, 0.0)
    pitches = notes[:, PITCH]
    if not _LOWEST - 12 <= np.median(pitches) <= _HIGHEST:
        return Line(notes, 0.0)
    moves = 1.0 if len(np.unique(np.rint(pitches))) >= _FEWEST_PITCHES else _PEDAL
    sure = float(notes[:, SURE].mean())
    return Line(notes, weight * moves * sure * (0.3 + 0.7 * _repetition(notes, edges)))


def _repetition(notes: NDArray[np.float64], edges: NDArray[np.float64]) -> float:
    """How much of the bars comes again after one, two or four bars, 0..1 (F measure of onsets)."""
    count = len(edges) - 1
    bar = np.clip(np.searchsorted(edges, notes[:, START] + 0.03, side="right") - 1, 0, count - 1)
    place = (notes[:, START] - edges[bar]) / (edges[bar + 1] - edges[bar]) * _PARTS
    roll = np.zeros((count, _PARTS, 12))
    pitch_class = np.rint(notes[:, PITCH]).astype(np.int64) % 12
    roll[bar, np.clip(np.rint(place), 0, _PARTS - 1).astype(np.int64), pitch_class] = 1
    rows = roll.reshape(count, -1)
    best = 0.0
    for lag in _LAGS:
        if lag >= count:
            break
        both = (rows[lag:] * rows[:-lag]).sum()
        total = rows[lag:].sum() + rows[:-lag].sum()
        best = max(best, float(2 * both / total) if total else 0.0)
    return best
