"""Chords of a score: fitted probabilities a beat, and the likeliest sequence."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.leadsheet.chords import QUALITIES
from audiotransfer.leadsheet.leadsheet import Chord
from audiotransfer.leadsheet.slots import Slots, chroma_of, normalised

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PLAYED = 0.04  # least share of a seventh among the notes under a chord that has one
_SURE = 0.5  # confidence below which a chord of one beat is left out
_BRIEF = 2.0  # beats up to which a chord gives way to its like
_BASS_SHARE = 0.6  # share of the bass notes from which a bass other than the root is written


@dataclass(frozen=True)
class ChordModel:
    """Multinomial logistic regression over roots and qualities, tied over transpositions.

    ``weights`` ``[Q, 60]`` and ``bias`` ``[Q]`` are of the features of `chord_features`, turned so
    that the root is the first pitch class. ``change`` ``[4]`` are probabilities of a new chord by
    place in the bar (see `Slots`); ``motion`` ``[Q, 12, Q]`` of the next chord's root (semitones
    up) and quality, given that it changes.
    """

    qualities: tuple[str, ...]
    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    change: NDArray[np.float64]
    motion: NDArray[np.float64]
    temper: float = 1.0

    def logits(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log-probabilities ``[S, 12 * Q]`` (root by root) of S slots' features ``[S, 5, 12]``."""
        turned = np.stack([np.roll(features, -root, axis=2) for root in range(12)], axis=1)
        scores = turned.reshape(len(features), 12, -1) @ self.weights.T + self.bias
        scores = scores.reshape(len(features), -1)
        scores -= scores.max(axis=1, keepdims=True)
        logs: NDArray[np.float64] = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        return logs

    def transitions(self) -> NDArray[np.float64]:
        """Probabilities ``[12 Q, 12 Q]`` of the next chord, given that the chord changes."""
        count = len(self.qualities)
        rows = np.stack([np.roll(self.motion, root, axis=1) for root in range(12)])
        matrix = rows.reshape(12 * count, 12 * count).copy()
        np.fill_diagonal(matrix, 0)
        normal: NDArray[np.float64] = matrix / matrix.sum(axis=1, keepdims=True)
        return normal


@cache
def chord_model() -> ChordModel:
    """The fitted model that ships with the package."""
    text = (files("audiotransfer.leadsheet") / "harmony.json").read_text(encoding="utf-8")
    data = json.loads(text)
    names = tuple(data["qualities"])
    motion = np.array([[data["motion"][a][b] for b in names] for a in names])
    return ChordModel(
        qualities=names,
        weights=np.array([np.ravel(data["weights"][name]) for name in names]),
        bias=np.array([data["bias"][name] for name in names]),
        change=np.array(data["change"]),
        motion=motion.transpose(0, 2, 1),
        temper=data["temper"],
    )


def chord_features(notes: NDArray[np.float64], slots: Slots) -> NDArray[np.float64]:
    """Features of S slots ``[S, 5, 12]``: pitch classes of the slot, of its bass, of the slot
    before, the slot after and the whole bar, as square roots of their shares.
    """
    chroma, bass = chroma_of(notes, slots.edges)
    bars = np.zeros((slots.bars[-1] + 1, 12))
    np.add.at(bars, slots.bars, chroma)
    here = normalised(chroma)
    before, after = np.roll(here, 1, axis=0), np.roll(here, -1, axis=0)
    before[0], after[-1] = 0, 0
    groups = [here, normalised(bass), before, after, normalised(bars)[slots.bars]]
    return np.stack(groups, axis=1)


def chords_of(
    notes: NDArray[np.float64], slots: Slots, model: ChordModel | None = None
) -> tuple[Chord, ...]:
    """Chords without gaps over all slots; no chord where nothing sounds.

    ``notes`` ``[N, 4]`` are start and end in beats, pitch and velocity of all pitched notes. The
    confidence of a chord is the mean posterior probability of its root and triad.
    """
    model = model or chord_model()
    chroma, bass = chroma_of(notes, slots.edges)
    silent = chroma.sum(axis=1) < 1e-9
    logs = model.logits(chord_features(notes, slots))
    return chord_sequence(logs, silent, (chroma, bass), slots, model)


def chord_sequence(
    logs: NDArray[np.float64],
    silent: NDArray[np.bool_],
    under: tuple[NDArray[np.float64], NDArray[np.float64]],
    slots: Slots,
    model: ChordModel,
) -> tuple[Chord, ...]:
    """Chords without gaps over S slots, from log-probabilities ``[S, 12 Q]`` of a model's states.

    ``silent`` ``[S]`` are slots without a chord; ``under`` pitch classes of the slots and of their
    bass, each ``[S, 12]``, by which sevenths and inversions are checked.
    """
    chroma, bass = under
    logs = np.where(silent[:, None], 0.0, logs)
    states, posterior = decode(logs, slots.places, model)
    labels = np.where(silent, -1, states)
    # Silence shorter than a bar is a rest under the chord before.
    labels = _bridged(labels, slots.bars)
    starts = np.flatnonzero(np.diff(labels, prepend=-2))
    ends = [*starts[1:], len(labels)]
    chords = []
    for start, end in zip(starts, ends, strict=True):
        beat, until = float(slots.edges[start]), float(slots.edges[end])
        label = int(labels[start])
        if label < 0:
            chords.append(Chord(beat, until - beat, None))
            continue
        root, quality = divmod(label, len(model.qualities))
        named = _reduced(model.qualities[quality], root, chroma[start:end].sum(axis=0))
        low = bass[start:end].sum(axis=0)
        confidence = float(posterior[start:end, root].mean())
        chords.append(
            Chord(beat, until - beat, root, named, _bass_of(low, root, named), round(confidence, 3))
        )
    return _merged(_without_brief(chords))


def decode(
    logs: NDArray[np.float64], places: NDArray[np.int64], model: ChordModel
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The likeliest states ``[S]`` and posterior probabilities of roots ``[S, 12]``.

    ``logs`` ``[S, 12 Q]`` are log-probabilities of states, ``places`` ``[S]`` places in the bar.
    """
    moves = model.transitions()
    posterior = _posterior(logs, places, model, moves)
    # The evidence of neighbouring slots is not independent, yet firmer decisions were right more
    # often on held-out songs; the posterior stays untempered.
    logs = model.temper * logs
    log_moves = np.log(np.maximum(moves, 1e-9))
    stay, change = np.log(1 - model.change), np.log(model.change)
    count, states = logs.shape
    best = np.zeros((count, states), dtype=np.int64)
    score = logs[0].copy()
    own = np.arange(states)
    for t in range(1, count):
        through = score[:, None] + log_moves
        came = through.argmax(axis=0)
        changed = through[came, own] + change[places[t]]
        stayed = score + stay[places[t]]
        best[t] = np.where(changed > stayed, came, own)
        score = np.maximum(changed, stayed) + logs[t]
    path = np.zeros(count, dtype=np.int64)
    path[-1] = int(score.argmax())
    for t in range(count - 1, 0, -1):
        path[t - 1] = best[t, path[t]]
    return path, posterior.reshape(count, 12, -1).sum(axis=2)


def _posterior(
    logs: NDArray[np.float64],
    places: NDArray[np.int64],
    model: ChordModel,
    moves: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Posterior probabilities of states ``[S, 12 Q]`` by the forward-backward algorithm."""
    likely = np.exp(logs - logs.max(axis=1, keepdims=True))
    count = len(likely)
    ahead, back = np.empty_like(likely), np.ones_like(likely)
    ahead[0] = likely[0] / likely[0].sum()
    for t in range(1, count):
        p = model.change[places[t]]
        row = ((1 - p) * ahead[t - 1] + p * (ahead[t - 1] @ moves)) * likely[t]
        ahead[t] = row / row.sum()
    for t in range(count - 2, -1, -1):
        p = model.change[places[t + 1]]
        row = likely[t + 1] * back[t + 1]
        row = (1 - p) * row + p * (moves @ row)
        back[t] = row / row.sum()
    both = ahead * back
    normal: NDArray[np.float64] = both / both.sum(axis=1, keepdims=True)
    return normal


def _without_brief(chords: list[Chord]) -> list[Chord]:
    """Chords, without brief ones that are unsure or add a tone to a neighbour's triad only.

    A brief chord (one beat) of less than half confidence takes the name of the chord before. Where
    root and triad stay, the longer of two chords names both when the other lasts two beats at most.
    """
    kept: list[Chord] = []
    for chord in chords:
        last = kept[-1] if kept else None
        if last is None or last.root is None or chord.root is None:
            kept.append(chord)
            continue
        brief = chord.beats <= 1 and chord.confidence < _SURE
        if brief or (_triad(last) == _triad(chord) and min(last.beats, chord.beats) <= _BRIEF):
            name = last if brief or last.beats >= chord.beats else chord
            kept[-1] = _joined(last, chord, name)
        else:
            kept.append(chord)
    return kept


def _joined(first: Chord, second: Chord, name: Chord) -> Chord:
    """One chord over two that follow each other, with root, quality and bass of ``name``.

    Its confidence is the mean of theirs, weighted by beats.
    """
    beats = first.beats + second.beats
    sure = (first.beats * first.confidence + second.beats * second.confidence) / beats
    return Chord(first.beat, beats, name.root, name.quality, name.bass, round(sure, 3))


def _triad(chord: Chord) -> tuple[int | None, tuple[int, ...], int | None]:
    return chord.root, QUALITIES[chord.quality][:3], chord.bass


def _bridged(labels: NDArray[np.int64], bars: NDArray[np.int64]) -> NDArray[np.int64]:
    """Labels where a rest of less than a whole bar takes the chord before, else the one after."""
    whole = np.ones(int(bars[-1]) + 1, dtype=bool)
    whole[bars[labels >= 0]] = False
    rest = (labels < 0) & ~whole[bars]
    filled = labels.copy()
    for at in np.flatnonzero(rest):
        if at and filled[at - 1] >= 0:
            filled[at] = filled[at - 1]
    for at in np.flatnonzero(rest)[::-1]:
        if filled[at] < 0 and at + 1 < len(filled):
            filled[at] = filled[at + 1]
    return filled


def _reduced(quality: str, root: int, under: NDArray[np.float64]) -> str:
    """The quality, without its seventh where that is not played under the chord."""
    tones = QUALITIES[quality]
    if len(tones) < 4 or under[(root + tones[3]) % 12] >= _PLAYED * under.sum():
        return quality
    triad = tones[:3]
    return next((name for name, own in QUALITIES.items() if own == triad), quality)


def _bass_of(low: NDArray[np.float64], root: int, quality: str) -> int | None:
    """The bass of an inversion: a chord tone that is most of the bass."""
    lowest = int(low.argmax())
    tone = (lowest - root) % 12 in QUALITIES[quality]
    sure = low[lowest] >= _BASS_SHARE * low.sum()
    return lowest if lowest != root and tone and sure else None


def _merged(chords: list[Chord]) -> tuple[Chord, ...]:
    """Chords of which neighbours with one name are joined."""
    joined: list[Chord] = []
    for chord in chords:
        last = joined[-1] if joined else None
        same = last and (last.root, last.quality) == (chord.root, chord.quality)
        if last and same and last.bass == chord.bass:
            joined[-1] = _joined(last, chord, last)
        else:
            joined.append(chord)
    return tuple(joined)
