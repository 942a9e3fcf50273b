"""The melody and the bass of a score: by track where there are several, else note by note."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotransfer.leadsheet.slots import overlaps
from audiotransfer.leadsheet.tracks import onset_groups

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from audiotransfer.leadsheet.tracks import TrackNotes

#: Words in the names of tracks that hold the melody, and of those that are sung.
MELODY_WORDS = re.compile(r"melod|vocal|vox|voice|voz|sing|lead|theme|tune|soprano|canto", re.I)
SUNG_WORDS = re.compile(r"vocal|vox|voice|voz|sing|lyric|soprano|canto|choir", re.I)
_OTHER_WORDS = re.compile(r"chord|bass|drum|pad|string|rhythm|accomp|back|harmon|left|lh\b", re.I)
_BASS_WORD = re.compile(r"\bbass", re.I)
_LOW_LINE = 52  # highest mean pitch of a line that is the bass
_LOW_MEDIAN = 48  # median pitch below which a track is a bass
_NAMED = 4.0  # added to a track's score for a word in its name: the odds are about fifty times
_BASS_PROGRAMS = range(32, 40)
_FEWEST, _LEAD = 4, 57  # notes of a lead between two beats, and its least mean pitch
_POLYPHONIC = 0.9  # share of onsets with one note, below which a track's top line is followed
_STEP = 4.0  # beats on each side over which a note's surroundings are averaged


@cache
def melody_model() -> dict[str, Any]:
    """The fitted coefficients that ship with the package."""
    text = (files("audiotransfer.leadsheet") / "melody.json").read_text(encoding="utf-8")
    data: dict[str, Any] = json.loads(text)
    return data


def melody_track(tracks: Sequence[TrackNotes], *, names: bool = True) -> int | None:
    """Index of the track that holds the melody; ``None`` where all are drums.

    With ``names``, words in the tracks' names count too.
    """
    pitched = [index for index, track in enumerate(tracks) if not track.drums]
    if not pitched:
        return None
    # A bass is the melody only where nothing else plays.
    pitched = [index for index in pitched if not _is_bass(tracks[index], names=names)] or pitched
    weights = melody_model()["track"]
    features = track_features([tracks[index] for index in pitched])
    scores = features @ np.array([weights[name] for name in TRACK_FEATURES])
    for row, index in enumerate(pitched):
        track = tracks[index]
        if names and MELODY_WORDS.search(track.name):
            scores[row] += _NAMED
        if names and _OTHER_WORDS.search(track.name):
            scores[row] -= _NAMED
        if len(track.lyrics) > 1:
            scores[row] += _NAMED
    return pitched[int(scores.argmax())]


TRACK_FEATURES = (
    "register",
    "single_notes",
    "overlap",
    "density",
    "coverage",
    "steps",
    "spread",
    "duration",
    "velocity",
    "highest",
)


def track_features(tracks: Sequence[TrackNotes]) -> NDArray[np.float64]:
    """Features ``[K, 10]`` of K pitched tracks of a song, in the order of `TRACK_FEATURES`.

    register: mean pitch over C4 in octaves; single_notes: share of onsets with one note; overlap:
    notes that sound at a time, beyond one; density: onsets a beat; coverage: share of the song's
    bars of four beats with an onset; steps: share of intervals of 1 or 2 semitones; spread:
    standard deviation of the pitch in octaves; duration: mean in beats; velocity: mean over the
    song's, in 32nds of the range; highest: share of onsets with no other track's note above.
    """
    everything = np.concatenate([track.beats for track in tracks])
    mean_velocity = everything[:, 3].mean()
    last = max(float(everything[:, 1].max()), 4.0)
    edges = np.arange(0, np.ceil(last) + 1)
    tops = np.full((len(tracks), len(edges) - 1), -1.0)
    for row, track in enumerate(tracks):
        slot, note, _ = overlaps(track.beats[:, :2], edges)
        np.maximum.at(tops[row], slot, track.beats[note, 2])
    rows = []
    for row, track in enumerate(tracks):
        beats = track.beats
        groups = onset_groups(beats)
        line = _tops(beats, groups)
        covered = len(np.unique(overlaps(beats[:, :2], np.arange(0, last + 0.25, 0.25))[0])) / 4
        length = (beats[:, 1] - beats[:, 0]).sum()
        intervals = np.abs(np.diff(line[:, 2]))
        place = np.clip(line[:, 0].astype(int), 0, len(edges) - 2)
        others = np.delete(tops, row, axis=0).max(axis=0, initial=-1)
        bars = np.floor(line[:, 0] / 4)
        rows.append(
            [
                (beats[:, 2].mean() - 60) / 12,
                float((np.bincount(groups) == 1).mean()),
                min(length / max(covered, 1e-9) - 1, 4.0),
                len(line) / max(covered, 1.0),
                len(np.unique(bars)) / np.ceil(last / 4),
                float(np.isin(intervals, (1, 2)).mean()) if len(intervals) else 0.0,
                beats[:, 2].std() / 12,
                min(length / len(beats), 4.0),
                (beats[:, 3].mean() - mean_velocity) / 32,
                float((line[:, 2] > others[place]).mean()),
            ]
        )
    return np.array(rows)


def lead_in(tracks: Sequence[TrackNotes], first: float, last: float) -> int | None:
    """Index of the track whose line leads between two beats; ``None`` where none is like a lead.

    A lead plays one note at a time, above A3 on average, and in half of the bars of four beats.
    """
    parts: dict[int, TrackNotes] = {}
    for index, track in enumerate(tracks):
        inside = (track.beats[:, 0] >= first) & (track.beats[:, 0] < last)
        beats = track.beats[inside]
        if track.drums or len(beats) < _FEWEST or _is_bass(track, names=True):
            continue
        single = (np.bincount(onset_groups(beats)) == 1).mean()
        bars = len(np.unique(np.floor((beats[:, 0] - first) / 4)))
        if single >= _POLYPHONIC and beats[:, 2].mean() > _LEAD and bars >= (last - first) / 8:
            parts[index] = replace(track, beats=beats - [first, first, 0, 0])
    if not parts:
        return None
    weights = melody_model()["track"]
    features = track_features(list(parts.values()))
    scores = features @ np.array([weights[name] for name in TRACK_FEATURES])
    return list(parts)[int(scores.argmax())]


def melody_line(beats: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices of the melody's notes in its track ``[N, 4]``: all where it has one note at a time,
    else the `top_line`.
    """
    single = (np.bincount(onset_groups(beats)) == 1).mean()
    # Notes that mostly last beyond the next one's start are several voices.
    late = (beats[:-1, 1] > beats[1:, 0] + 0.5).mean() if len(beats) > 1 else 0.0
    return np.arange(len(beats)) if single >= _POLYPHONIC and late <= 0.3 else top_line(beats)


def top_line(beats: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices of the notes of the melody in one polyphonic track, in order.

    ``beats`` ``[N, 4]`` are start and end in beats, pitch and velocity, sorted by start. At each
    onset one note or none is taken: the sequence with the largest sum of the notes' fitted
    log-odds, less a cost for each semitone between neighbours.
    """
    if not len(beats):
        return np.zeros(0, dtype=np.int64)
    model = melody_model()
    groups = onset_groups(beats)
    odds = note_features(beats) @ np.array([model["note"][name] for name in NOTE_FEATURES])
    return _best_sequence(beats, groups, odds, float(model["leap"]))


NOTE_FEATURES = ("constant", "top", "above", "register", "gap", "duration", "velocity", "strong")


def note_features(beats: NDArray[np.float64]) -> NDArray[np.float64]:
    """Features ``[N, 8]`` of the notes ``[N, 4]`` of a track, in the order of `NOTE_FEATURES`.

    constant: 1; top: whether no note of the same onset is higher; above: whether a note that still
    sounds is; register: pitch over the mean of the top notes within 4 beats, in octaves; gap:
    semitones over the next note that sounds, up to an octave; duration: beats up to 2; velocity:
    over the mean of the notes within 4 beats, in 32nds of the range; strong: whether on a beat.
    """
    groups = onset_groups(beats)
    start, end, pitch, velocity = beats.T
    first = np.searchsorted(groups, groups, side="left")
    top = np.zeros(groups[-1] + 1)
    np.maximum.at(top, groups, pitch)
    above, gap = np.zeros(len(beats)), np.full(len(beats), 12.0)
    reach = np.maximum.accumulate(end)
    for i in range(len(beats)):
        # The earliest note that may still sound.
        low = int(np.searchsorted(reach, start[i] + 1e-6, side="right"))
        high = int(np.searchsorted(start, start[i] + 0.03, side="right"))
        sounding = low + np.flatnonzero(end[low:high] > start[i] + 0.06)
        others = pitch[sounding[sounding != i]]
        above[i] = float((pitch[sounding[sounding < first[i]]] > pitch[i]).any())
        lower = others[others <= pitch[i]]
        gap[i] = min(12.0, pitch[i] - lower.max()) if len(lower) else 12.0
    tops = top[groups]
    return np.stack(
        [
            np.ones(len(beats)),
            pitch >= tops,
            above,
            (pitch - _around(start, tops)) / 12,
            gap / 12,
            np.minimum(end - start, 2.0),
            (velocity - _around(start, velocity)) / 32,
            np.abs(start - np.rint(start)) < 0.1,
        ],
        axis=1,
    )


def _around(start: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of the values of the notes within 4 beats of each note."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    low = np.searchsorted(start, start - _STEP)
    high = np.searchsorted(start, start + _STEP, side="right")
    mean: NDArray[np.float64] = (total[high] - total[low]) / (high - low)
    return mean


def _best_sequence(
    beats: NDArray[np.float64],
    groups: NDArray[np.int64],
    odds: NDArray[np.float64],
    leap: float,
) -> NDArray[np.int64]:
    """The sequence of notes, at most one an onset, of the largest sum; the state is the last note.

    A sequence may rest at an onset, at no gain. ``leap`` is the cost of a semitone.
    """
    scores = np.zeros(len(beats))
    came = np.full(len(beats), -1)
    last: list[int] = []  # the states: notes that may have been the last one
    edges = np.searchsorted(groups, np.arange(groups[-1] + 2))
    for low, high in pairwise(edges.tolist()):
        if last:
            known = np.array(last)
            leaps = np.abs(beats[low:high, 2][:, None] - beats[known, 2][None, :])
            # A leap costs less after a rest.
            wait = 1 + np.maximum(beats[low, 0] - beats[known, 1], 0.0)
            through = scores[known][None, :] - leap * np.minimum(leaps, 12) / wait[None, :]
            best = through.argmax(axis=1)
            scores[low:high] = odds[low:high] + np.maximum(through.max(axis=1), 0)
            came[low:high] = np.where(through.max(axis=1) > 0, known[best], -1)
        else:
            scores[low:high] = odds[low:high]
        last = _states([*last, *range(low, high)], scores)
    path: list[int] = []
    at = int(scores.argmax())
    while at >= 0:
        path.append(at)
        at = int(came[at])
    return np.array(path[::-1], dtype=np.int64)


def _states(notes: list[int], scores: NDArray[np.float64]) -> list[int]:
    """The best sixteen of the notes that may have been the last one."""
    return sorted(notes, key=lambda note: -scores[note])[:16]


def _tops(beats: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """The highest note of each onset."""
    last = np.searchsorted(groups, np.arange(groups[-1] + 1), side="right") - 1
    return beats[last]


def bass_track(tracks: Sequence[TrackNotes], melody: int | None) -> int | None:
    """Index of the bass's track: a bass program or name, else the lowest line of single notes."""
    others = [i for i, track in enumerate(tracks) if i != melody and not track.drums]
    named = [
        i
        for i in others
        if tracks[i].program in _BASS_PROGRAMS or _BASS_WORD.search(tracks[i].name)
    ]
    if named:
        return max(named, key=lambda i: len(tracks[i].beats))
    lines = [
        i
        for i in others
        if tracks[i].beats[:, 2].mean() < _LOW_LINE
        and (np.bincount(onset_groups(tracks[i].beats)) == 1).mean() >= _POLYPHONIC
    ]
    return min(lines, key=lambda i: tracks[i].beats[:, 2].mean()) if lines else None


def _is_bass(track: TrackNotes, *, names: bool) -> bool:
    """Whether a track is a bass by its program, name or register."""
    named = names and bool(_BASS_WORD.search(track.name))
    low = float(np.median(track.beats[:, 2])) < _LOW_MEDIAN
    return named or track.program in _BASS_PROGRAMS or low


def bottom_line(beats: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices of the notes below ``_LOW_LINE + 8`` with nothing below them at their onset."""
    if not len(beats):
        return np.zeros(0, dtype=np.int64)
    groups = onset_groups(beats)
    first = np.searchsorted(groups, np.arange(groups[-1] + 1))
    kept = []
    for i in first:
        held = beats[max(0, i - 24) : i]
        lower = held[(held[:, 1] > beats[i, 0] + 0.1) & (held[:, 2] < beats[i, 2])]
        if beats[i, 2] < _LOW_LINE + 8 and not len(lower):
            kept.append(i)
    return np.array(kept, dtype=np.int64)
