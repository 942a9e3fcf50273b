"""Ends of a melody's phrases, from the lengths of its notes, its rests and its bars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audiotransfer.symbolic.accompaniment.chorales import BEAT, Voices

Steps = NDArray[np.int64]
_SHORTEST, _LONGEST = 6.0, 17.0  # beats: lengths of phrases that are as good as any other
_SHORTEST_IN_BARS = 7.5  # the same where bars are known: an upbeat less than two bars of 4/4
_OUT_OF_RANGE = 2.0  # cost of a phrase half or twice as long as these
_BOUNDARY = 0.9  # evidence that an end of a phrase needs, in doublings of the median note
_STRONGEST = 2.5  # evidence of the longest notes
_REST = 1.0  # evidence of a rest of half a beat or more
_GROUP = 0.5  # evidence of the end of two bars, and again of four
_BEFORE_UPBEAT = 0.8  # of that evidence, for the end before an upbeat
_SHORT = BEAT // 2  # steps


@dataclass(frozen=True)
class PhraseEnd:
    """The last note of a phrase, in steps: ``start`` to ``end`` (exclusive); ``approach`` is the
    first step of the beat before it, and ``last`` is True at the end of the melody.
    """

    approach: int
    start: int
    end: int
    last: bool


def phrase_ends(melody: Voices, onsets: Steps, bars: Steps | None = None) -> list[PhraseEnd]:
    """The ends of a melody's phrases, chosen so that their evidence less the cost of too short or
    too long phrases is largest (dynamic programming over notes).

    Evidence is a note longer than the median, a rest after it, and the end of two or four bars; a
    note shorter than a beat without a rest ends no phrase. The last note always ends one.

    Args:
        melody: MIDI pitch of each sixteenth, -1 in rests, [T].
        onsets: steps at which notes begin, sorted, [N].
        bars: steps at which bars begin; ``None`` where they are unknown.
    """
    onsets = np.unique(onsets[(onsets >= 0) & (onsets < len(melody))])
    onsets = onsets[melody[onsets] >= 0]
    if not len(onsets):
        return []
    following = np.append(onsets[1:], len(melody))
    sounding = np.array(
        [_sounding(melody[a:b]) for a, b in zip(onsets, following, strict=True)], dtype=np.int64
    )
    evidence = _evidence(following - onsets, following - onsets - sounding)
    if bars is not None and len(bars) > 1:
        evidence = evidence + _of_groups(following, int(onsets[0]), bars)
    possible = (sounding >= BEAT) | (following - onsets - sounding >= _SHORT)
    possible[-1] = True
    shortest = _SHORTEST if bars is None else _SHORTEST_IN_BARS
    chosen = _best(onsets, following, np.where(possible, evidence, -np.inf), shortest)
    return [
        PhraseEnd(
            max(0, int(onsets[n]) - BEAT),
            int(onsets[n]),
            int(onsets[n] + sounding[n]),
            n == len(onsets) - 1,
        )
        for n in chosen
    ]


def onsets_of(melody: Voices) -> Steps:
    """Steps at which a melody [T] changes its pitch: its onsets but for repeated notes."""
    edges = np.concatenate([[0], np.flatnonzero(np.diff(melody)) + 1]).astype(np.int64)
    onsets: Steps = edges[melody[edges] >= 0]
    return onsets


def _sounding(pitches: Voices) -> int:
    silent = np.flatnonzero(pitches < 0)
    return int(silent[0]) if len(silent) else len(pitches)


def _evidence(lengths: Steps, rests: Steps) -> NDArray[np.float64]:
    longer = np.log2(lengths / max(1.0, float(np.median(lengths))))
    # A note is an end where it is longer than its neighbours too.
    after = np.append(lengths[1:], lengths[-1])
    before = np.append(lengths[0], lengths[:-1])
    beside = np.log2(lengths / np.maximum(1, np.maximum(after, before)))
    evidence = np.clip(longer + 0.5 * np.clip(beside, -1, 1), -1.0, _STRONGEST)
    return np.asarray(evidence + _REST * (rests >= _SHORT))


def _of_groups(following: Steps, first: int, bars: Steps) -> NDArray[np.float64]:
    """Evidence of notes that end with two or four bars, or with an upbeat before the next one.

    Bars count from the first one that is no upbeat.
    """
    width = float(np.median(np.diff(bars)))
    bars = bars[bars >= first - width / 4]
    if not len(bars):
        return np.zeros(len(following))
    bar = np.maximum(0, np.searchsorted(bars, following, "right") - 1)
    into = following - bars[bar]
    # The bar in which the next phrase begins, if not with an upbeat of up to half a bar.
    nearest = np.where(into > width / 2, bar + 1, bar)
    ends = (into == 0) | (into > width / 2)
    evidence = _GROUP * (ends & (nearest % 2 == 0)) + _GROUP * (ends & (nearest % 4 == 0))
    return np.asarray(np.where(into == 0, 1.0, _BEFORE_UPBEAT) * evidence)


def _best(
    onsets: Steps, following: Steps, evidence: NDArray[np.float64], shortest: float
) -> list[int]:
    """Indices of the notes that end phrases; the last is the last note."""
    count = len(onsets)
    ends = following / BEAT
    total = np.full(count, -np.inf)
    before = np.full(count, -1)
    for n in range(count):
        if evidence[n] == -np.inf:
            continue
        begins = np.concatenate([[onsets[0] / BEAT], ends[:n]])
        beats = ends[n] - begins
        cost = np.maximum(np.log2(shortest / beats), np.log2(beats / _LONGEST))
        scores = np.concatenate([[0.0], total[:n]]) - _OUT_OF_RANGE * np.maximum(0.0, cost)
        place = int(scores.argmax())
        total[n] = scores[place] + evidence[n] - _BOUNDARY
        before[n] = place - 1
    chosen = [count - 1]
    while before[chosen[-1]] >= 0:
        chosen.append(int(before[chosen[-1]]))
    return chosen[::-1]
