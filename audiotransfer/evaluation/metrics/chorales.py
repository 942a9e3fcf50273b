"""Metrics of four-part chorales: bars, scales, consonance, chords, voice leading.

Voices are integer pitches [T, 4] in sixteenths (MIDI, -1 for a rest). The metrics are those that
the samples of AWS DeepComposer name, not its code, which does not compute what the names say: its
"empty bar rate" is the share of bars that are not empty; its "pitch histogram distance" sums cells
of -1 and 1, so that silence is close to the data; its "in-scale ratio" groups seven neighbouring
pitches instead of the twelve pitch classes, and is 0.58 for silence as for chorales.
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
_WINDOW = 2 * BAR  # steps in which the key is taken as constant
_MAJOR = np.array([1, 0, 1, 0, 1, 1, 0, 1, 0, 1, 0, 1], dtype=bool)
_CONSONANT = np.array([1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0], dtype=bool)
#: Triads and seventh chords as semitones above the root.
_CHORDS = ((0, 4, 7), (0, 3, 7), (0, 3, 6), (0, 4, 8), (0, 4, 7, 10), (0, 3, 7, 10), (0, 4, 7, 11),
           (0, 3, 6, 10), (0, 3, 6, 9))  # fmt: skip
BARS = ("scale consistency", "polyphony", "consonance", "onsets per bar")
"""Metrics by which an accompaniment is compared with held-out chorales."""

_EXCHANGED = "other chorales' voices"
_FURTHEST = "furthest from held out"


def measure(voices: Voices) -> dict[str, float]:
    """All metrics of a piece: of the voices below the first, and of their relation to it."""
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
    """Number of different pitches of a voice in a bar, mean over voices and whole bars."""
    counts = [len(np.unique(line[line >= 0])) for bar in _bars(voices) for line in bar.T]
    return float(np.mean(counts))


def onsets_per_bar(voices: Voices) -> float:
    """Onsets of a voice per bar; a repeated pitch is one note."""
    return float(begins(voices).sum() / voices.shape[1] / (len(voices) / BAR))


def begins(voices: Voices) -> NDArray[np.bool_]:
    """Onsets: where a pitch follows another one or silence, bool [T, V]."""
    before = np.vstack([np.full_like(voices[:1], -1), voices[:-1]])
    begin: NDArray[np.bool_] = (voices >= 0) & (voices != before)
    return begin


def scale_consistency(voices: Voices) -> float:
    """Share of sounding steps in the best-fitting major scale of each window of two bars.

    Natural minor scales are the same twelve sets of pitches. NaN where nothing sounds.
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
    """Number of sounding voices, mean over the steps in which the first one sounds."""
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
    """Share of beats whose pitch classes are a subset of a triad or seventh chord."""
    sets = {frozenset((root + n) % 12 for n in chord) for chord in _CHORDS for root in range(12)}
    beats = [frozenset((beat[beat >= 0] % 12).tolist()) for beat in voices[::BEAT]]
    known = [any(beat <= chord for chord in sets) for beat in beats if beat]
    return float(np.mean(known)) if known else float("nan")


def crossing(voices: Voices) -> float:
    """Share of steps in which voices cross."""
    return float(voice_leading.crossed(voices).mean())


def parallels(voices: Voices) -> float:
    """Parallel fifths and octaves in ten bars (see `voice_leading.parallels`)."""
    return 10 * float(voice_leading.parallels(voices).sum()) / (len(voices) / BAR)


def difference(versions: Sequence[Voices]) -> float:
    """Share of steps and lower voices in which two versions differ, mean over pairs (Hamming)."""
    pairs = combinations([version[:, 1:] for version in versions], 2)
    return float(np.mean([(one != other).mean() for one, other in pairs]))


def deviation(found: Mapping[str, float], target: Mapping[str, float]) -> float:
    """Largest relative deviation of the metrics in `BARS` from the target values."""
    return max(abs(found[name] - target[name]) / abs(target[name]) for name in BARS)


def _bars(voices: Voices) -> list[Voices]:
    """Whole bars from the first step on; a piece shorter than a bar is one."""
    whole = [voices[first : first + BAR] for first in range(0, len(voices) - BAR + 1, BAR)]
    return whole or [voices]


def harmonise_chorales(
    network: Accompanist, chorales: Sequence[Chorale], harmony: Harmony, seed: int
) -> list[Chorale]:
    """The melodies of chorales, harmonised by a network."""
    generator = torch.Generator().manual_seed(seed)
    pieces = []
    for chorale in chorales:
        voices = torch.from_numpy(chorale.voices)[None]
        harmonised = harmonise(
            network, voices[..., 0], phases_from_beat(voices), harmony, generator
        )
        pieces.append(Chorale(chorale.name, harmonised[0].numpy()))
    return pieces


def mean_measures(chorales: Sequence[Chorale]) -> dict[str, float]:
    """Each metric, mean over pieces."""
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
    """A table of all metrics: training chorales, held-out ones ("test"), and baselines.

    The other rows are the held-out melodies with the lower voices of another chorale, and with
    those of each accompanist, whose metrics are of the first version. "difference" is between
    versions, and "furthest from held out" the largest deviation of a metric in `BARS` from the
    held-out chorales'.
    """
    held_out = splits["test"]
    target = mean_measures(held_out)
    rows: list[Row] = [
        summary_row("chorales of training", [measure(c.voices) for c in splits["train"]]),
        summary_row("held-out chorales", [measure(c.voices) for c in held_out]),
    ]
    exchanged = [
        _with_voices_of(chorale, splits["train"][number]) for number, chorale in enumerate(held_out)
    ]
    made = {_EXCHANGED: [exchanged]}
    for number, (name, network) in enumerate(accompanists.items()):
        made[name] = []
        for version in range(versions):
            made[name].append(harmonise_chorales(network, held_out, harmony, seed + version))
            if progress is not None:
                progress((number + (version + 1) / versions) / len(accompanists))
    for name, found in made.items():
        row = summary_row(name, [measure(chorale.voices) for chorale in found[0]])
        if len(found) > 1:
            same = [difference([one.voices for one in piece]) for piece in zip(*found, strict=True)]
            row["difference"] = float(np.mean(same))
        means = mean_measures(found[0])
        deviations = {bar: means[bar] / target[bar] - 1 for bar in BARS}
        worst = max(deviations, key=lambda bar: abs(deviations[bar]))
        row[_FURTHEST] = f"{worst} {deviations[worst]:+.1%}"
        rows.append(row)
    return rows


def _with_voices_of(chorale: Chorale, other: Chorale) -> Chorale:
    """A melody with the lower voices of another piece, which is repeated where it is shorter."""
    lower: Voices = np.resize(other.voices[:, 1:], (len(chorale.voices), 3))
    return Chorale(chorale.name, np.column_stack([chorale.voices[:, 0], lower]))
