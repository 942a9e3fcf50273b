"""What four voices do, measured on integer pitches [T, 4] in sixteenths (MIDI, -1 for a rest).

These are the measures that the samples of AWS DeepComposer name, as they are meant. As they are
coded there they are not used here: its "empty bar rate" is the share of bars that are not empty;
its "pitch histogram distance" sums cells of -1 and 1, so that silence comes near the data; its
"in-scale ratio" groups seven neighbouring pitches in place of the twelve classes of an octave, and
gives silence and chorales the same 0.58.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray

from audiotransfer.evaluation.report.statistics import Row, summary_row
from audiotransfer.symbolic.accompaniment import voice_leading
from audiotransfer.symbolic.accompaniment.chorales import Chorale
from audiotransfer.symbolic.accompaniment.harmonization import Accompanist, Harmony, harmonise
from audiotransfer.symbolic.accompaniment.masked_voices import phases_from_beat

Voices = NDArray[np.int64]

BAR = 16
BEAT = 4
_WINDOW = 2 * BAR  # the longest stretch that is taken to stay in a key
_MAJOR = np.array([1, 0, 1, 0, 1, 1, 0, 1, 0, 1, 0, 1], dtype=bool)
_CONSONANT = np.array([1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0], dtype=bool)
#: Triads and seventh chords by their steps above a root: whatever is part of one is a chord.
_CHORDS = ((0, 4, 7), (0, 3, 7), (0, 3, 6), (0, 4, 8), (0, 4, 7, 10), (0, 3, 7, 10), (0, 4, 7, 11),
           (0, 3, 6, 10), (0, 3, 6, 9))  # fmt: skip

BARS = ("scale consistency", "polyphony", "consonance", "onsets per bar")
"""What an accompaniment must have in common with chorales."""


def measure(voices: Voices) -> dict[str, float]:
    """All measures of a piece; what is below the first voice counts, beside it where it must."""
    lower = voices[:, 1:]
    return {
        "empty bars": empty_bars(lower),
        "unique pitches per bar": unique_pitches(lower),
        "onsets per bar": onsets_per_bar(lower),
        "scale consistency": scale_consistency(lower),
        "polyphony": polyphony(voices),
        "consonance": consonance(voices),
        "chords": chords(voices),
        "crossing": crossing(voices),
        "parallels per 10 bars": parallels(voices),
    }


def empty_bars(voices: Voices) -> float:
    """Share of bars in which a voice is silent, mean over voices."""
    return float(np.mean([~(bar >= 0).any(0) for bar in _bars(voices)]))


def unique_pitches(voices: Voices) -> float:
    """Different pitches of a voice in a bar, mean over voices and whole bars."""
    counts = [len(np.unique(line[line >= 0])) for bar in _bars(voices) for line in bar.T]
    return float(np.mean(counts))


def onsets_per_bar(voices: Voices) -> float:
    """Notes of a voice that begin in a bar's time; a repeated pitch goes on."""
    return float(begins(voices).sum() / voices.shape[1] / (len(voices) / BAR))


def begins(voices: Voices) -> NDArray[np.bool_]:
    """Where a pitch follows another one or silence: [T, V]."""
    before = np.vstack([np.full_like(voices[:1], -1), voices[:-1]])
    return (voices >= 0) & (voices != before)


def scale_consistency(voices: Voices) -> float:
    """Share of sounding steps inside the best major scale, in windows of two bars.

    Natural minor scales are the same twelve sets. NaN where nothing sounds.
    """
    inside = total = 0.0
    scales = np.stack([np.roll(_MAJOR, key) for key in range(12)])
    for first in range(0, len(voices), _WINDOW):
        part = voices[first : first + _WINDOW]
        classes = np.bincount(part[part >= 0] % 12, minlength=12)
        inside += float((scales * classes).sum(1).max())
        total += float(classes.sum())
    return inside / total if total else float("nan")


def polyphony(voices: Voices) -> float:
    """Voices that sound together, mean over the steps in which the first one sounds."""
    return float((voices[voices[:, 0] >= 0] >= 0).sum(1).mean())


def consonance(voices: Voices) -> float:
    """Share of unisons, thirds, fourths, fifths, sixths and octaves between the first voice and
    each other one, where both sound.
    """
    top, lower = voices[:, :1], voices[:, 1:]
    both = (top >= 0) & (lower >= 0)
    intervals = ((top - lower) % 12)[both]
    return float(_CONSONANT[intervals].mean()) if len(intervals) else float("nan")


def chords(voices: Voices) -> float:
    """Share of beats whose sounding voices are a triad or a seventh chord, or part of one."""
    sets = {frozenset((root + n) % 12 for n in chord) for chord in _CHORDS for root in range(12)}
    beats = [frozenset((beat[beat >= 0] % 12).tolist()) for beat in voices[::BEAT]]
    known = [any(beat <= chord for chord in sets) for beat in beats if beat]
    return float(np.mean(known)) if known else float("nan")


def crossing(voices: Voices) -> float:
    """Share of steps in which a voice is above one that should be above it."""
    return float(voice_leading.crossed(voices).mean())


def parallels(voices: Voices) -> float:
    """Times that two voices leave a fifth or octave together, the same way, for another one of
    its kind; in ten bars.
    """
    return 10 * float(voice_leading.parallels(voices).sum()) / (len(voices) / BAR)


def difference(versions: Sequence[Voices]) -> float:
    """Share of steps and lower voices in which two versions differ, mean over pairs (Hamming)."""
    pairs = combinations([version[:, 1:] for version in versions], 2)
    return float(np.mean([(one != other).mean() for one, other in pairs]))


def deviation(found: Mapping[str, float], aim: Mapping[str, float]) -> float:
    """How far the measures of `BARS` are from what is aimed at, as a share of it, at most."""
    return max(abs(found[name] - aim[name]) / abs(aim[name]) for name in BARS)


def _bars(voices: Voices) -> list[Voices]:
    """Whole bars from the first step on; a shorter piece is one."""
    whole = [voices[first : first + BAR] for first in range(0, len(voices) - BAR + 1, BAR)]
    return whole or [voices]


_OTHERS = "other chorales' voices"
_WORST = "furthest from held out"


def set_below(
    network: Accompanist, chorales: Sequence[Chorale], harmony: Harmony, seed: int
) -> list[Chorale]:
    """The melodies of chorales, set anew."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for chorale in chorales:
        voices = torch.from_numpy(chorale.voices)[None]
        found = harmonise(network, voices[..., 0], phases_from_beat(voices), harmony, generator)
        made.append(Chorale(chorale.name, found[0].numpy()))
    return made


def mean_measures(chorales: Sequence[Chorale]) -> dict[str, float]:
    """Each measure, mean over pieces."""
    found = [measure(chorale.voices) for chorale in chorales]
    return {name: float(np.nanmean([one[name] for one in found])) for name in found[0]}


def compare(
    splits: Mapping[str, Sequence[Chorale]],
    accompanists: Mapping[str, Accompanist],
    *,
    harmony: Harmony,
    versions: int = 2,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> list[Row]:
    """Rows of all measures: the chorales of training, those held out ("test"), the melodies of
    these with another chorale's voices, and with what each accompanist sets below them.

    Of accompanists the measures are of the first version; "difference" is between versions, and
    `furthest from held out` the most that a measure of `BARS` lies beside the held-out chorales'.
    """
    held_out = splits["test"]
    aim = mean_measures(held_out)
    rows: list[Row] = [
        summary_row("chorales of training", [measure(c.voices) for c in splits["train"]]),
        summary_row("held-out chorales", [measure(c.voices) for c in held_out]),
    ]
    strangers = [
        _with_voices_of(chorale, splits["train"][number]) for number, chorale in enumerate(held_out)
    ]
    made = {_OTHERS: [strangers]}
    for number, (name, network) in enumerate(accompanists.items()):
        made[name] = []
        for version in range(versions):
            made[name].append(set_below(network, held_out, harmony, seed + version))
            if progress is not None:
                progress((number + (version + 1) / versions) / len(accompanists))
    for name, found in made.items():
        row = summary_row(name, [measure(chorale.voices) for chorale in found[0]])
        if len(found) > 1:
            same = [difference([one.voices for one in piece]) for piece in zip(*found, strict=True)]
            row["difference"] = float(np.mean(same))
        means = mean_measures(found[0])
        away = {bar: means[bar] / aim[bar] - 1 for bar in BARS}
        worst = max(away, key=lambda bar: abs(away[bar]))
        row[_WORST] = f"{worst} {away[worst]:+.1%}"
        rows.append(row)
    return rows


def _with_voices_of(chorale: Chorale, other: Chorale) -> Chorale:
    """A melody with the lower voices of another piece, again from its start where it is over."""
    lower: Voices = np.resize(other.voices[:, 1:], (len(chorale.voices), 3))
    return Chorale(chorale.name, np.column_stack([chorale.voices[:, 0], lower]))
