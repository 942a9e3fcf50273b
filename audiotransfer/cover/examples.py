"""Training examples of the jazz band's networks: comping rhythms and walking bass lines.

Comping comes from the piano of the Jazz Trio Database, as MIDI of both hands on its beats, bass
lines from the Weimar Jazz Database, with chord symbols as markers. Both are archives of MIDI files
in which a beat is a quarter note, with a list ``metadata.csv``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from audiotransfer.cover.features import (
    FURTHEST,
    SLOTS,
    WIDEST,
    bass_features,
    comping_features,
)
from audiotransfer.cover.harmony import CHORD_TYPES, chord_kind
from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet.chords import parse_symbol
from audiotransfer.midi.archives import contents, list_midi
from audiotransfer.midi.score import note_table, parse_score

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LIST = "metadata.csv"
_FEWEST = 60  # notes of a file that is read
_TOGETHER = 0.1  # beats within which notes are one chord
# The left hand: below the largest gap of a chord, where it is wide and lies in this range, else
# below middle C (higher where the right hand plays far above it), and single notes below A3.
_GAP, _GAPS = 5, (50, 70)
_SINGLE, _BELOW, _BELOW_HIGH, _HIGH = 57.0, 60.5, 62.5, 67
# Fractions of a beat that count as on the beat, and as its swung half.
_ON, _OFF = 0.27, 0.87
_ON_BEAT = 0.3  # beats around a beat within which a bass note counts as on it
_SURE = 0.3  # drums' skip notes on 2 and 4 minus those on 1 and 3: the bar line is right above it


@dataclass(frozen=True)
class Examples:
    """Features ``[N, F]`` and classes ``[N]`` of events, with the musician or piece of each."""

    features: NDArray[np.float32]
    events: NDArray[np.int64]
    groups: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.events)

    def of(self, groups: set[str], *, inside: bool) -> Examples:
        """The examples inside, or outside, some groups."""
        mask = np.isin(self.groups, sorted(groups)) == inside
        return Examples(self.features[mask], self.events[mask], self.groups[mask])


class EventBatches:
    """Random batches of examples; a batch depends on seed and step alone."""

    def __init__(self, examples: Examples, batch_size: int, seed: int) -> None:
        self._features = torch.from_numpy(examples.features)
        self._events = torch.from_numpy(examples.events)
        self.batch_size, self.seed = batch_size, seed

    def batch(self, step: int) -> dict[str, Tensor]:
        """ "features" [B, F] and "events" [B]."""
        random = np.random.default_rng((self.seed, step))
        rows = random.integers(len(self._events), size=self.batch_size)
        return {"features": self._features[rows], "events": self._events[rows]}


def comping_examples(place: str) -> Examples:
    """Half beats of the left hand in 4/4: class 1 where two notes or more begin together.

    Groups are pianists. Files whose bar line is doubtful are left out. Raises AudioTransferError
    for an archive without such files.
    """
    features, events, groups = [], [], []
    for row, score in _pieces(place):
        sure = row["downbeat"] != "auto" or float(row["parity"] or 0) > _SURE
        notes = note_table(score)
        if row["beats_per_bar"] != "4" or not sure or len(notes) < _FEWEST:
            continue
        left = _left_hand(notes[:, 0] / score.tpq, notes[:, 2])
        slots = half_beats(notes[:, 0] / score.tpq)
        length = (slots.max() + 1) // SLOTS * SLOTS
        comping = (np.bincount(slots[left], minlength=length)[:length] >= 2).astype(np.int64)
        melody = (np.bincount(slots[~left], minlength=length)[:length] > 0).astype(np.int64)
        density = comping.mean() * SLOTS
        features.append(
            comping_features(comping, melody, float(row["qpm"]), density, np.arange(length))
        )
        events.append(comping)
        groups.append(np.full(length, row["pianist"]))
    return _examples(features, events, groups, place)


def bass_examples(place: str) -> Examples:
    """Bass notes on beats in 4/4, after one on the beat before: the class is the interval.

    Groups are pieces. Pieces whose chords do not fit the line, and intervals of more than an
    octave, are left out. Raises AudioTransferError for an archive without such files.
    """
    features, events, groups = [], [], []
    for name, line in bass_lines(place):
        pitches = np.array([pitch for pitch, _, _ in line])
        rows = []
        for beat in range(1, len(line)):
            interval = int(pitches[beat] - pitches[beat - 1])
            if not pitches[beat] or not pitches[beat - 1] or abs(interval) > WIDEST:
                continue
            past = np.zeros(4, dtype=np.int64)
            past[-min(beat, 4) :] = pitches[max(beat - 4, 0) : beat]
            _, (root, kind), new = line[beat]
            later = [chord for _, chord, _ in line[beat + 1 : beat + FURTHEST]]
            changes = [n for n, chord in enumerate(later, 1) if chord != (root, kind)]
            until = changes[0] if changes else FURTHEST
            following = later[until - 1][0] if changes else root
            rows.append(bass_features(past, beat, kind, root, following, until, new))
            events.append(np.array([interval + WIDEST]))
            groups.append(np.array([name]))
        if rows:
            features.append(np.stack(rows))
    return _examples(features, events, groups, place)


def bass_lines(place: str) -> Iterator[tuple[str, list[tuple[int, tuple[int, int], bool]]]]:
    """Lines of pieces in 4/4 whose chords fit: the piece's file, and what is on each beat.

    That is the bass's pitch, 0 where there is none, the chord's root and type (an index of
    `CHORD_TYPES`), and whether the chord is new.
    """
    for row, score in _pieces(place):
        if row["chords_usable"] == "1" and row["signature"] == "4/4":
            pitches = _on_beats(note_table(score), score.tpq)
            chords = _chords_on_beats(score, len(pitches))
            new = [True] + [chord != after for chord, after in pairwise(chords)]
            yield row["file"], list(zip(pitches.tolist(), chords, new, strict=True))


def half_beats(beats: NDArray[np.float64]) -> NDArray[np.int64]:
    """The half beat in which each onset (in beats) is meant; swung eighths are second halves."""
    part = beats % 1
    within = np.where(part < _ON, 0, np.where(part < _OFF, 1, 2))
    return (np.floor(beats) * 2 + within).astype(np.int64)


def _pieces(place: str) -> Iterator[tuple[dict[str, str], Any]]:
    """The rows of an archive's list with their scores."""
    names = {name.rpartition("/")[2]: name for name in list_midi(place)}
    folder = next(iter(names.values())).rpartition("/")[0]
    ((_, listed),) = contents(place, [f"{folder}/{_LIST}" if folder else _LIST])
    rows = [row for row in csv.DictReader(io.StringIO(listed.decode())) if row["file"] in names]
    for row, (name, data) in zip(
        rows, contents(place, [names[row["file"]] for row in rows]), strict=True
    ):
        yield row, parse_score(data, name)


def _examples(
    features: list[NDArray[np.float32]],
    events: list[NDArray[np.int64]],
    groups: list[NDArray[np.str_]],
    place: str,
) -> Examples:
    if not features:
        raise AudioTransferError(f"{place} holds no pieces in 4/4 that can be learned from")
    return Examples(np.concatenate(features), np.concatenate(events), np.concatenate(groups))


def _left_hand(beats: NDArray[np.float64], pitches: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mask of the notes of the left hand, by register and by the gap between the hands."""
    left = np.zeros(len(beats), dtype=bool)
    first = 0
    while first < len(beats):
        last = int(np.searchsorted(beats, beats[first] + _TOGETHER))
        chord = np.sort(pitches[first:last])
        left[first:last] = pitches[first:last] < _split(chord)
        first = last
    return left


def _split(chord: NDArray[np.int64]) -> float:
    """The pitch that divides the hands in a chord of sorted pitches."""
    if len(chord) == 1:
        return _SINGLE
    if chord[-1] < _BELOW:  # too low for the right hand
        return _BELOW
    gaps = np.where((chord[:-1] >= _GAPS[0]) & (chord[:-1] <= _GAPS[1]), np.diff(chord), 0)
    widest = len(gaps) - 1 - int(np.argmax(gaps[::-1]))
    if gaps[widest] >= _GAP:
        return float(chord[widest]) + 0.5
    return _BELOW_HIGH if chord[-1] > _HIGH else _BELOW


def _on_beats(notes: NDArray[np.int64], quarter: int) -> NDArray[np.int64]:
    """The first pitch on each beat, 0 where there is none."""
    places = notes[:, 0] / quarter
    beats = np.rint(places).astype(np.int64)
    close = np.abs(places - beats) < _ON_BEAT
    pitches = np.zeros(beats.max() + 1, dtype=np.int64)
    pitches[beats[close][::-1]] = notes[close][::-1, 2]  # of two the earlier is written last
    return pitches


def _chords_on_beats(score: Any, beats: int) -> list[tuple[int, int]]:
    """Root and kind (index of `CHORD_TYPES`) of the chord on each beat; the last one goes on."""
    known = []
    for mark in score.markers:
        root, quality, _ = parse_symbol(mark.text)
        if root is not None:
            known.append((mark.time / score.tpq, (root, CHORD_TYPES.index(chord_kind(quality)))))
    starts = np.array([beat for beat, _ in known])
    places = np.searchsorted(starts, np.arange(beats) + _ON_BEAT, side="right") - 1
    return [known[max(int(place), 0)][1] for place in places]
