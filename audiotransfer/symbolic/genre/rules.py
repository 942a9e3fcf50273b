"""Rules that a network's notes are held to: melody kept, notes in key and chord, no clusters.

All functions work on tables ``[N, 5]`` (start and length in ticks, MIDI pitch, velocity, track; see
`note_table`): ``before`` is the song's, ``after`` what a network made of it.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotransfer.leadsheet.melody import melody_line, melody_track
from audiotransfer.leadsheet.metre import timeline_of
from audiotransfer.leadsheet.tracks import has_part, tracks_of
from audiotransfer.midi.piano_rolls import LOWEST, PITCHES, in_range
from audiotransfer.symbolic.genre.edits import without_overlaps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiotransfer.midi.grid import Grid

    Table = NDArray[np.int64]
    Mask = NDArray[np.bool_]

_START, _LENGTH, _PITCH, _VELOCITY, _TRACK = range(5)
_OCTAVE = 12
_MAJOR = np.array([0, 2, 4, 5, 7, 9, 11])
_LEGATO = 0.5  # sixteenths that notes may overlap without sounding together
_UNCOVERED = 0.75  # share of a note before which a lower one is no part of the top line
_NEAR_BARS = 8  # bars on both sides from which a bar's scale is estimated
_FURTHEST = 3  # semitones that a note is moved at most
_CLUSTER = (-1, 1)  # intervals that new notes do not form
_MELODY_CLASH = (-13, -1, 0, 1)  # intervals that new notes do not form with the melody above them


def constrained(before: Table, after: Table, grid: Grid, melody: Mask | None = None) -> Table:
    """The notes ``after`` a network, held to the rules against those ``before``.

    In this order: the ``melody`` (mask over ``before``; ``None`` lets it change) is put back, and
    new notes above it are left out; new notes move to the pitch classes of their bar's chord and
    scale; they form no semitone with what sounds with them (else they move by up to three
    semitones, or are left out); notes that were held longer than their bar are restruck where the
    song strikes chords. Notes that did not change are never touched.
    """
    if melody is None:
        melody = np.zeros(len(before), dtype=np.bool_)
    tune = before[melody]
    old = np.isin(_keys(after), _keys(before))
    # Of the melody's notes neither pitch nor onset, length or velocity changes.
    kept = after[old & ~np.isin(_keys(after), _keys(tune))]
    fixed = np.concatenate([tune, _with_own_lengths(kept, before, grid)])
    new = _below_melody(after[~old], tune)
    new = _without_clusters(_in_scale(new, before, grid), fixed, tune, before, grid)
    table = np.concatenate([fixed, new])
    fresh = np.concatenate([np.zeros(len(fixed), np.bool_), np.ones(len(new), np.bool_)])
    table, fresh = _restruck(table, fresh | ~_unchanged(table, before), before, melody, grid)
    return without_overlaps(table, fresh)


def melody_of(score: Any, notes: Table) -> Mask:
    """Mask ``[N]`` of the melody in a score's pitched ``notes`` (see `note_table`).

    It is found as for lead sheets; of a track with several notes at a time the top line is added.
    """
    mask = np.zeros(len(notes), dtype=np.bool_)
    if not len(notes):
        return mask
    tracks = tracks_of(score, timeline_of(score))
    chosen = melody_track(tracks)
    if chosen is None:
        return mask
    sounding = [i for i, track in enumerate(score.tracks) if has_part(track)]
    own = np.flatnonzero(notes[:, _TRACK] == sounding[chosen])
    line = melody_line(tracks[chosen].beats)
    mask[own[line]] = True
    if len(line) < len(own):
        mask[own[top_line(notes[own])]] = True
    return mask


def top_line(notes: Table) -> Mask:
    """Mask ``[N]`` of the highest notes: those that do not begin below a sounding higher one.

    A note that begins in a rest of the line, an octave and more below the median pitch, is no part
    of it.
    """
    mask = np.zeros(len(notes), dtype=np.bool_)
    lowest = float(np.median(notes[:, _PITCH])) - _OCTAVE if len(notes) else 0.0
    until, height = 0.0, -1
    order = np.lexsort((-notes[:, _PITCH], notes[:, _START]))
    for index in order.tolist():
        start, length, pitch = notes[index, :3].tolist()
        # The end of a note may be covered by a legato.
        if (start >= until or pitch > height) and pitch >= lowest:
            mask[index] = True
            until, height = start + _UNCOVERED * length, pitch
    return mask


def scales(notes: Table, grid: Grid) -> Mask:
    """Pitch classes ``[bars, 12]`` in the reach of each bar: its own, and the scale around it.

    The scale is the major one (or its relative minor) that holds most of the sound of the eight
    bars before and after.
    """
    bars = len(grid.bars) - 1
    sound = np.zeros((bars, _OCTAVE))
    lines = grid.ticks[grid.bars]
    for shift in range(2):  # a note sounds in its first bar and the next one
        bar = np.clip(np.searchsorted(lines, notes[:, _START], side="right") - 1 + shift, 0, None)
        inside = bar < bars
        start = np.maximum(notes[inside, _START], lines[bar[inside]])
        end = np.minimum(notes[inside, :2].sum(axis=1), lines[bar[inside] + 1])
        at = (bar[inside], notes[inside, _PITCH] % _OCTAVE)
        np.add.at(sound, at, np.maximum(end - start, 0))
    total = np.concatenate([np.zeros((1, _OCTAVE)), np.cumsum(sound, axis=0)])
    places = np.arange(bars)
    around = (
        total[np.minimum(places + _NEAR_BARS + 1, bars)] - total[np.maximum(places - _NEAR_BARS, 0)]
    )
    degrees = (_MAJOR + np.arange(_OCTAVE)[:, None]) % _OCTAVE  # [tonic, 7]
    tonic = around[:, degrees].sum(axis=2).argmax(axis=1)
    reach = sound > 0
    np.put_along_axis(reach, degrees[tonic], True, axis=1)
    return reach


def _keys(table: Table) -> Table:
    """A number for the onset, pitch and track of each note."""
    return (table[:, _START] * 128 + table[:, _PITCH] << 16) + table[:, _TRACK]


def _unchanged(table: Table, before: Table) -> Mask:
    """Mask of notes that have the length that they had before."""
    known = dict(zip(_keys(before).tolist(), before[:, _LENGTH].tolist(), strict=True))
    return np.array(
        [
            known.get(key) == length
            for key, length in zip(_keys(table).tolist(), table[:, _LENGTH].tolist(), strict=True)
        ],
        dtype=np.bool_,
    ).reshape(len(table))


def _with_own_lengths(kept: Table, before: Table, grid: Grid) -> Table:
    """Notes of the song; a longer one gets its own length back where it would last longer than a
    bar, or sound together with a note of the song that is a semitone off.
    """
    known = dict(zip(_keys(before).tolist(), before[:, _LENGTH].tolist(), strict=True))
    own = np.array([known[key] for key in _keys(kept).tolist()], dtype=np.int64).reshape(len(kept))
    kept = kept.copy()
    spans, bars = _Spans(before, _slack(grid)), _bar_lengths(kept, grid)
    for index in np.flatnonzero(kept[:, _LENGTH] > own).tolist():
        start, length, pitch = kept[index, :3].tolist()
        end, added = start + length, start + int(own[index])
        if length > bars[index] or any(spans.sounds(pitch + i, added, end) for i in _CLUSTER):
            kept[index, _LENGTH] = own[index]
    return kept


def _slack(grid: Grid) -> float:
    """Ticks that notes may overlap without sounding together."""
    return _LEGATO * float(np.diff(grid.ticks).min())


def _bar_lengths(notes: Table, grid: Grid) -> NDArray[np.float64]:
    """Length in ticks of the bar in which each note begins."""
    lines = grid.ticks[grid.bars]
    bar = np.clip(np.searchsorted(lines, notes[:, _START], side="right") - 1, 0, len(lines) - 2)
    lengths: NDArray[np.float64] = np.diff(lines)[bar].astype(np.float64)
    return lengths


def _below_melody(new: Table, tune: Table) -> Table:
    """The new notes without those that begin above a sounding note of the melody."""
    if not len(new) or not len(tune):
        return new
    order = np.argsort(tune[:, _START], kind="stable")
    tune = tune[order]
    at = np.searchsorted(tune[:, _START], new[:, _START], side="right") - 1
    sounding = tune[np.maximum(at, 0)]
    covered = (
        (at >= 0)
        & (sounding[:, :2].sum(axis=1) > new[:, _START])
        & (new[:, _PITCH] >= sounding[:, _PITCH])
    )
    left: Table = new[~covered]
    return left


def _in_scale(new: Table, before: Table, grid: Grid) -> Table:
    """The new notes, each at the nearest pitch of its bar's reach (the lower of two)."""
    if not len(new):
        return new
    lines = grid.ticks[grid.bars]
    reach = scales(before, grid)
    bar = np.clip(np.searchsorted(lines, new[:, _START], side="right") - 1, 0, len(reach) - 1)
    moved = new.copy()
    left = np.ones(len(new), dtype=np.bool_)
    for step in (0, -1, 1, -2, 2):
        fits = left & reach[bar, (new[:, _PITCH] + step) % _OCTAVE]
        moved[fits, _PITCH] = new[fits, _PITCH] + step
        left &= ~fits
    inside: Table = moved[in_range(moved)]
    return inside


def _without_clusters(new: Table, fixed: Table, tune: Table, before: Table, grid: Grid) -> Table:
    """The new notes, moved within their bar's reach where they form a semitone, else left out."""
    if not len(new):
        return new
    slack = _slack(grid)
    reach = scales(before, grid)
    lines = grid.ticks[grid.bars].tolist()
    others, melody = _Spans(fixed, slack), _Spans(tune, slack)
    until = np.full(128 + 2 * (_OCTAVE + 1), -1.0)  # end of what was put in, by pitch
    kept = []
    order = np.lexsort((new[:, _PITCH], new[:, _START]))
    for row in new[order].tolist():
        start, length, pitch = row[:3]
        end = start + length
        allowed = reach[min(max(bisect_left(lines, start + 1) - 1, 0), len(reach) - 1)]
        for step in (0, *(side * n for n in range(1, _FURTHEST + 1) for side in (-1, 1))):
            height = pitch + step
            if not LOWEST <= height < LOWEST + PITCHES or not allowed[height % _OCTAVE]:
                continue
            clash = (
                any(others.sounds(height + i, start, end) for i in _CLUSTER)
                or any(melody.sounds(height - i, start, end) for i in _MELODY_CLASH)
                or any(until[height + i] > start + slack for i in (*_CLUSTER, 0))
                or others.sounds(height, start, end)
            )
            if not clash:
                row[_PITCH] = height
                until[height] = max(until[height], end)
                kept.append(row)
                break
    return np.array(kept, dtype=np.int64).reshape(-1, 5)


class _Spans:
    """The spans in which each pitch of a table sounds."""

    def __init__(self, notes: Table, slack: float) -> None:
        self.slack = slack
        self.spans: dict[int, tuple[list[int], list[int]]] = {}
        notes = notes[np.argsort(notes[:, _START], kind="stable")]
        for pitch in np.unique(notes[:, _PITCH]).tolist():
            own = notes[notes[:, _PITCH] == pitch]
            ends = np.maximum.accumulate(own[:, :2].sum(axis=1))
            self.spans[pitch] = (own[:, _START].tolist(), ends.tolist())

    def sounds(self, pitch: int, start: int, end: int) -> bool:
        """Whether a pitch sounds between two ticks for longer than the slack."""
        if pitch not in self.spans:
            return False
        starts, ends = self.spans[pitch]
        at = bisect_left(starts, end - self.slack) - 1
        return at >= 0 and ends[at] > start + self.slack


def _restruck(
    table: Table, changed: Mask, before: Table, melody: Mask, grid: Grid
) -> tuple[Table, Mask]:
    """Notes that changed and last longer than a bar are cut where the song strikes chords.

    Where it strikes none in their time, they are cut at bar lines. Returns the table and the mask
    of changed notes.
    """
    held = changed & (table[:, _LENGTH] > _bar_lengths(table, grid))
    if not held.any():
        return table, changed
    onsets, counts = np.unique(before[~melody, _START], return_counts=True)
    chords, lines = onsets[counts > 1], grid.ticks[grid.bars]
    pieces = []
    for row in table[held].tolist():
        start, end = row[_START], row[_START] + row[_LENGTH]
        cuts = chords[(chords > start) & (chords < end)]
        if not len(cuts):
            cuts = lines[(lines > start) & (lines < end)]
        edges = [start, *cuts.tolist(), end]
        pieces += [[a, b - a, *row[2:]] for a, b in pairwise(edges)]
    cut = np.array(pieces, dtype=np.int64).reshape(-1, 5)
    return (
        np.concatenate([table[~held], cut]),
        np.concatenate([changed[~held], np.ones(len(cut), dtype=np.bool_)]),
    )
