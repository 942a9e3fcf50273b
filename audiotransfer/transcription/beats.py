"""The beats, bars and metre of a song from its activations, with a confidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.leadsheet.leadsheet import Bar
from audiotransfer.transcription.bar_tracking import (
    change_evidence,
    downbeat_evidence,
    is_compound,
    track_bars,
)
from audiotransfer.transcription.beat_fitting import FittedBeats, fit_beats
from audiotransfer.transcription.beat_tracking import (
    FASTEST,
    SLOWEST,
    beat_likelihoods,
    track_beats,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiotransfer.transcription.activations import PitchActivations, RhythmActivations

_CHORD_WEIGHT = 1.5  # log-odds of a complete change of chord
_BAR_WEIGHT = 1.0  # of the bars' log-likelihood, beside the beats'
_BEAT_COST = 0.1  # log-likelihood of each beat more
_FEWEST_BEATS = 4
_FEW_HITS = 0.004  # mean activation of all drums below which there are none
_TOLERANCE = 0.05  # s: what lies this near a beat counts as on it
_ENDS = 0.02  # s by which a beat may lie before the song
_CLEAR = (0.15, 0.65)  # mean activations at the beats of no and of full confidence
_UNEVEN = 0.018  # s: deviation of the beats that halves the confidence
_CONFIDENT_BEATS = 16  # beats from which a song's length costs no confidence


@dataclass(frozen=True)
class BeatGrid:
    """The beats of a song from its start to its end.

    ``beats`` are the times in seconds of the N beats and of the end of the last ``[N + 1]``, and
    ``bars`` its bars; a first or last bar may be cut short. ``confidence`` 0..1 says how far the
    grid can be relied on.
    """

    beats: NDArray[np.float64]
    bars: tuple[Bar, ...]
    confidence: float

    @property
    def downbeats(self) -> NDArray[np.float64]:
        """Times in seconds of the bars' first beats; not that of a first bar cut short."""
        whole = self.bars[1:] if self.bars[0].beats < self.metre else self.bars
        return self.beats[[bar.beat for bar in whole]]

    @property
    def metre(self) -> int:
        """Beats of most of the bars."""
        return int(np.bincount([bar.beats for bar in self.bars]).argmax())

    @property
    def tempo(self) -> float:
        """Median tempo in beats per minute."""
        return 60.0 / float(np.median(np.diff(self.beats)))


def find_beats(rhythm: RhythmActivations, pitch: PitchActivations | None = None) -> BeatGrid | None:
    """The beats and bars of a song, or ``None`` where there are fewer than four beats.

    Beats are tracked by dynamic programming, fitted by local lines, and continued at the nearest
    tempo over a quiet beginning and end. Bars follow from the downbeats' activation and, where
    ``pitch`` is given, from changes of chord, which tell the first from the third of four slow
    beats.
    """
    tracked = track_beats(rhythm.beats, rhythm.rate)
    if len(tracked) < _FEWEST_BEATS:
        return None
    frames, evidence, compound = _likeliest_level(tracked, rhythm, pitch)
    fitted = fit_beats(frames, rhythm.beats, rhythm.rate)
    if pitch is not None:
        evidence += _CHORD_WEIGHT * change_evidence(pitch.chords, pitch.rate, fitted.times)
    places, _ = track_bars(evidence, compound)
    confidence = _confidence(rhythm, fitted)
    return _grid(
        fitted.times, places, 3 if compound else 2, len(rhythm.beats) / rhythm.rate, confidence
    )


def _likeliest_level(
    tracked: NDArray[np.int64], rhythm: RhythmActivations, pitch: PitchActivations | None
) -> tuple[NDArray[np.int64], NDArray[np.float64], bool]:
    """Beats at the tracked level, twice or half its tempo, or between its beats.

    With them come the evidence of downbeats, and whether they are divided in three. By their own
    likelihood alone syncopations are taken for beats: bars decide with them.
    """
    middles = (tracked[1:] + tracked[:-1]) // 2
    doubled = np.sort(np.concatenate([tracked, middles]))
    ways = [tracked, middles, doubled, tracked[::2], tracked[1::2]]
    tempi = [60 * rhythm.rate / float(np.median(np.diff(w))) if len(w) > 1 else 0.0 for w in ways]
    ways = [
        way
        for way, tempo in zip(ways, tempi, strict=True)
        if way is tracked or (SLOWEST <= tempo <= FASTEST and len(way) >= _FEWEST_BEATS)
    ]
    strengths, rate = rhythm.drums.sum(1), rhythm.rate
    if pitch is not None and strengths.mean() < _FEW_HITS:
        strengths, rate = pitch.note_onsets.astype(np.float32).sum(1), pitch.rate
    best, found = -np.inf, None
    beat_scores = beat_likelihoods(ways, rhythm.beats, rhythm.rate)
    for way, beat_score in zip(ways, beat_scores, strict=True):
        evidence = downbeat_evidence(rhythm.beats, rhythm.downbeats, way)
        compound = is_compound(strengths, rate, way / rhythm.rate)
        _, bar_score = track_bars(evidence, compound)
        score = beat_score + _BAR_WEIGHT * bar_score - _BEAT_COST * len(way)
        if score > best:
            best, found = score, (way, evidence, compound)
    assert found is not None
    return found


def _grid(
    times: NDArray[np.float64],
    places: NDArray[np.int64],
    parts: int,
    seconds: float,
    confidence: float,
) -> BeatGrid:
    """The grid of a song of ``seconds`` from its tracked beats and their places in bars.

    A beat has ``parts`` equal parts.
    """
    before = np.arange(1, np.floor((times[0] + _ENDS) / (first := times[1] - times[0])) + 1)
    last = times[-1] - times[-2]
    after = np.arange(1, max(np.ceil((seconds - times[-1]) / last), 0) + 1)
    beats = np.concatenate([times[0] - before[::-1] * first, times, times[-1] + after * last])
    place, metre = (int(value) for value in places[0])
    start = [((place - int(n)) % metre, metre) for n in before[::-1]]
    place, metre = (int(value) for value in places[-1])
    end = [((place + int(n)) % metre, metre) for n in after]
    whole = np.array([*start, *places.tolist(), *end])
    kept = beats >= -_ENDS
    beats, whole = np.maximum(beats[kept], 0.0), whole[kept]
    count = max(int(np.searchsorted(beats, seconds)), 1)
    if count >= len(beats):
        beats = np.append(beats, beats[-1] + last)
    return BeatGrid(beats[: count + 1], _bars(whole[:count], parts), confidence)


def _bars(places: NDArray[np.int64], parts: int) -> tuple[Bar, ...]:
    """Bars of beats by their places in bars ``[N, 2]``, of ``parts`` parts each."""
    firsts = sorted({0, *np.flatnonzero(places[:, 0] == 0).tolist()})
    ends = [*firsts[1:], len(places)]
    lengths = zip(firsts, ends, strict=True)
    # One dotted quarter, as 3/8, would be three beats: a bar cut to one beat is a simple one.
    return tuple(
        Bar(first, 3 * (end - first), 8)
        if parts == 3 and end - first > 1
        else Bar(first, end - first)
        for first, end in lengths
    )


def _confidence(rhythm: RhythmActivations, fitted: FittedBeats) -> float:
    """How far the grid can be relied on, 0..1: how clear and how even its beats are.

    Clear is the mean activation at the beats, even their deviation from the fitted times. Both
    scales were set on excerpts with known beats, of which 95 % get more than 0.4, and on noise
    and singing alone, which get less than 0.25. Songs of few beats get less.
    """
    reach = max(1, round(_TOLERANCE * rhythm.rate))
    padded = np.pad(rhythm.beats.astype(np.float64), reach)
    frames = np.clip(np.rint(fitted.times * rhythm.rate).astype(int), 0, len(rhythm.beats) - 1)
    on = padded[frames[:, None] + np.arange(2 * reach + 1)].max(1)
    least, most = _CLEAR
    clear = np.clip((on.mean() - least) / (most - least), 0.0, 1.0)
    even = 1 / (1 + (fitted.deviation / _UNEVEN) ** 4)
    return float(clear * even * min(1.0, len(frames) / _CONFIDENT_BEATS))
