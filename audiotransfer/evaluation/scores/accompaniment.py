"""Accompanists at the melodies of chorales, measured beside the chorales themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from audiotransfer.evaluation.scores.chorale_measures import BARS, difference, measure
from audiotransfer.evaluation.table import Row, summary_row
from audiotransfer.symbolic.bach.accompanist import Accompanist, Harmony, harmonise
from audiotransfer.symbolic.bach.chorales import Chorale, Voices
from audiotransfer.symbolic.bach.hiding import phases_from_beat

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
