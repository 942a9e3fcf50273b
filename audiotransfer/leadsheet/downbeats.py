"""Where beats and bars begin in a score whose time signature says nothing: bass, long notes,
changes of harmony.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotransfer.midi.score import UNPITCHED

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KICKS, _SNARES = (35, 36), (38, 40)
_DRUM_ODDS = 0.5  # by rule of thumb: log-odds of a downbeat for a kick, against it for a snare
_BASS = 52  # pitches below it are bass
_NEAR = 0.15  # of a beat: notes so near to it begin on it
_REACH = 4.0  # beats: longer notes count as such
_MANY = 8.0  # notes that begin together: more count as such
_INSERTED = -6.0  # log-odds of a bar of two beats among bars of four, by search
_TRIPLE = -0.15  # log-odds a beat of three beats a bar against four, by rule of thumb
_FEWEST_BEATS = 16
_UNSURE = 1.0  # log-odds up to which the file's own beats are kept
#: Log-odds from which a file's beats are not believed: of 520 scores in proper metre (jazz, rock,
#: classical, chorales, rags) none reaches 4, of the shifted songs of POP909 96 % exceed it.
SHIFTED = 5.0
_FEATURES = (
    "change",
    "change_two",
    "bass_change",
    "bass_change_two",
    "bass",
    "long",
    "notes",
    "velocity",
)


@cache
def _model() -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Weights of the phase ``[8]``, of a downbeat ``[3, 8]`` and its constant."""
    text = (files("audiotransfer.leadsheet") / "downbeats.json").read_text(encoding="utf-8")
    data = json.loads(text)
    rows = [data["downbeat"][place] for place in ("before", "here", "after")]
    downbeat = np.array([[row[name] for name in _FEATURES] for row in rows])
    return np.array([data["phase"][name] for name in _FEATURES]), downbeat, data["constant"]


def beat_phase(score: Any, offset: float) -> tuple[int, float]:
    """Sixteenths (-1 to 2) by which the beats are shifted against the file's, and its log-odds.

    ``offset`` is the shift of all notes against the file's sixteenths in ticks. Compound metres
    and scores of fewer than 16 beats are not shifted (0, 0).
    """
    weights, _, _ = _model()
    ends = [int(track.notes.numpy()["time"].max()) for track in score.tracks if len(track.notes)]
    beats = max(ends, default=0) // score.tpq + 1
    if beats < _FEWEST_BEATS or any(sign.denominator >= 8 for sign in score.time_signatures):
        return 0, 0.0
    shifts = (0, 1, 2, -1)
    odds = []
    for shift in shifts:
        edges = offset + score.tpq * (shift / 4 + np.arange(beats + 1.0))
        odds.append(float(beat_features(score, edges).mean(axis=0) @ weights))
    best = int(np.argmax(odds))
    margin = odds[best] - odds[0]
    return (shifts[best], margin) if margin > _UNSURE else (0, 0.0)


def bar_lengths(score: Any, edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """Lengths of the bars in beats, the first and last perhaps shorter.

    ``edges`` ``[N + 1]`` are the ticks of N beats and of their end. Bars have four beats, among
    them perhaps some of two, or three beats throughout: the likelier sequence of downbeats.
    """
    _, weights, constant = _model()
    features = beat_features(score, edges)
    scaled = (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-6)
    padded = np.pad(scaled, ((1, 1), (0, 0)))
    odds = constant + sum(padded[i : i + len(scaled)] @ weights[i] for i in range(3))
    odds = odds + _DRUM_ODDS * _drum_accents(score, edges)
    four, three = _downbeats(odds, 4), _downbeats(odds, 3)
    triple = three[1] + _TRIPLE * len(odds) > four[1]
    starts = np.flatnonzero(three[0] if triple else four[0])
    places = np.unique(np.concatenate([[0], starts, [len(odds)]]))
    return np.diff(places)


def beat_features(score: Any, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Features ``[N, 8]`` of beats, whose ticks are ``edges`` ``[N + 1]``.

    Changes of pitch classes (1 - cosine) from the beat before, and from the two before to the next
    two; the same below MIDI 52; the longest bass note and the longest note that begin on the beat
    (in 4 beats); how many begin (in 8); the loudest's velocity over the mean of all beats'.
    """
    beats = len(edges) - 1
    chroma, bass_chroma = np.zeros((beats, 12)), np.zeros((beats, 12))
    bass, long, notes, velocity = np.zeros((4, beats))
    length = np.diff(edges)
    for track in score.tracks:
        if track.is_drum or track.program >= UNPITCHED or not len(track.notes):
            continue
        own = track.notes.numpy()
        at, near = _on_beats(own["time"], edges)
        pitch = own["pitch"].astype(np.int64)
        span = np.minimum(own["duration"] / length[at], _REACH)
        low = pitch < _BASS
        np.add.at(chroma, (at, pitch % 12), np.minimum(span, 1.0))
        np.add.at(bass_chroma, (at[low], pitch[low] % 12), np.minimum(span[low], 1.0))
        np.maximum.at(bass, at[near & low], span[near & low])
        np.maximum.at(long, at[near], span[near])
        np.add.at(notes, at[near], 1.0)
        np.maximum.at(velocity, at[near], own["velocity"][near] / 127.0)
    struck = velocity > 0
    return np.stack(
        [
            _change(chroma, 1),
            _change(chroma, 2),
            _change(bass_chroma, 1),
            _change(bass_chroma, 2),
            bass / _REACH,
            long / _REACH,
            np.minimum(notes, _MANY) / _MANY,
            velocity - (velocity[struck].mean() if struck.any() else 0.0),
        ],
        axis=1,
    )


def _on_beats(
    ticks: NDArray[np.int32], edges: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Beat of each note ``[M]``, and whether it begins on it."""
    early = _NEAR * (edges[1] - edges[0])
    at = np.searchsorted(edges, ticks + early, side="right") - 1
    at = np.clip(at, 0, len(edges) - 2)
    return at, np.abs(ticks - edges[at]) < _NEAR * np.diff(edges)[at]


def _change(chroma: NDArray[np.float64], beats: int) -> NDArray[np.float64]:
    """How much the pitch classes of some beats differ from as many before: 1 - cosine ``[N]``."""
    sums = np.concatenate([np.zeros((1, 12)), np.cumsum(chroma, axis=0)])
    here = np.arange(len(chroma))
    before = sums[here] - sums[np.maximum(here - beats, 0)]
    after = sums[np.minimum(here + beats, len(chroma))] - sums[here]
    norms = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    change: NDArray[np.float64] = 1 - (before * after).sum(axis=1) / np.maximum(norms, 1e-9)
    if beats == 1:
        change[0] = 0.0
    return change


def _drum_accents(score: Any, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 on beats with a kick, -1 with a snare ``[N]``."""
    accents = np.zeros(len(edges) - 1)
    for track in score.tracks:
        if track.is_drum and len(track.notes):
            own = track.notes.numpy()
            at, near = _on_beats(own["time"], edges)
            for keys, value in ((_KICKS, 1.0), (_SNARES, -1.0)):
                accents[np.unique(at[near & np.isin(own["pitch"], keys)])] += value
    return accents


def _downbeats(odds: NDArray[np.float64], length: int) -> tuple[NDArray[np.bool_], float]:
    """The likeliest downbeats ``[N]`` with bars of ``length`` beats, and their sum of log-odds.

    Of bars of four some may be cut to two.
    """
    scores = np.zeros(length)
    scores[0] = odds[0]
    before = (np.arange(length) - 1) % length
    came = np.zeros((len(odds), length), dtype=np.int64)
    for t in range(1, len(odds)):
        came[t] = before
        if length == 4 and scores[1] + _INSERTED > scores[before[0]]:
            came[t, 0] = 1
            scores = np.concatenate([[scores[1] + _INSERTED], scores[before[1:]]])
        else:
            scores = scores[before]
        scores[0] += odds[t]
    path = np.zeros(len(odds), dtype=np.int64)
    path[-1] = int(scores.argmax())
    for t in range(len(odds) - 1, 0, -1):
        path[t - 1] = came[t, path[t]]
    return path == 0, float(scores.max())
