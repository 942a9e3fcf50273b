"""Keys of a song: weights of pitch classes and a hidden Markov model over bars."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.leadsheet.leadsheet import Key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from audiotransfer.leadsheet.leadsheet import Bar

MODES = ("major", "minor")
_FEWEST_BARS = 8  # a key holds at least so long


@cache
def _model() -> tuple[NDArray[np.float64], float]:
    """Weights of pitch classes a bar ``[2, 12]``, and the probability of a change a bar."""
    text = (files("audiotransfer.leadsheet") / "keys.json").read_text(encoding="utf-8")
    data = json.loads(text)
    weights = np.array([data["weights"][mode] for mode in MODES])
    return data["weight"] * weights, data["change"]


def keys_of(chroma: NDArray[np.float64], bars: Sequence[Bar]) -> tuple[Key, ...]:
    """The keys of a song whose B bars hold pitch classes ``[B, 12]`` (weights of any scale).

    Confidences are mean posterior probabilities. Empty for a song without pitches.
    """
    if not chroma.sum():
        return ()
    logs, posterior = _bar_scores(chroma, np.array([bar.quarters / 4 for bar in bars]))
    path = _smoothed(logs)
    starts = np.flatnonzero(np.diff(path, prepend=-1)).tolist()
    ends = [*starts[1:], len(path)]
    keys = []
    for start, end in zip(starts, ends, strict=True):
        tonic, mode = int(path[start]) % 12, MODES[int(path[start]) // 12]
        sure = float(posterior[start:end, path[start]].mean())
        keys.append(Key(float(bars[start].beat), tonic, mode, round(sure, 3)))
    return tuple(keys)


def _bar_scores(
    chroma: NDArray[np.float64], lengths: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log-likelihoods of 24 keys ``[B, 24]`` (major, then minor), and their posteriors.

    ``lengths`` ``[B]`` are of the bars in whole notes: longer ones weigh more.
    """
    weights, change = _model()
    turned = np.concatenate([[np.roll(own, tonic) for tonic in range(12)] for own in weights])
    shares = chroma / np.maximum(chroma.sum(axis=1, keepdims=True), 1e-9)
    logs = lengths[:, None] * (shares @ turned.T)
    likely = np.exp(logs - logs.max(axis=1, keepdims=True))
    ahead, back = np.full_like(likely, 1 / 24), np.full_like(likely, 1 / 24)
    ahead[0] = likely[0] / likely[0].sum()
    for t in range(1, len(likely)):
        row = ((1 - change) * ahead[t - 1] + change / 24) * likely[t]
        ahead[t] = row / row.sum()
    for t in range(len(likely) - 2, -1, -1):
        row = likely[t + 1] * back[t + 1]
        row = (1 - change) * row + change / 24 * row.sum()
        back[t] = row / row.sum()
    both = ahead * back
    return logs, both / both.sum(axis=1, keepdims=True)


def _smoothed(logs: NDArray[np.float64]) -> NDArray[np.int64]:
    """The likeliest key of each bar ``[B]``; keys of less than 8 bars are left out."""
    _, change = _model()
    cost = np.log(change / 24) - np.log(1 - change)
    score, came = logs[0].copy(), np.zeros(logs.shape, dtype=np.int64)
    own = np.arange(logs.shape[1])
    for t in range(1, len(logs)):
        best = int(score.argmax())
        changed = score[best] + cost > score
        came[t] = np.where(changed, best, own)
        score = np.where(changed, score[best] + cost, score) + logs[t]
    path = np.zeros(len(logs), dtype=np.int64)
    path[-1] = int(score.argmax())
    for t in range(len(logs) - 1, 0, -1):
        path[t - 1] = came[t, path[t]]
    return _without_short(path)


def _without_short(path: NDArray[np.int64]) -> NDArray[np.int64]:
    """The path, where a key shorter than 8 bars takes the key before it (the first, after)."""
    while len(path) >= _FEWEST_BARS:
        starts = np.flatnonzero(np.diff(path, prepend=-1))
        lengths = np.diff([*starts, len(path)])
        if len(starts) == 1 or lengths.min() >= _FEWEST_BARS:
            break
        at = int(lengths.argmin())
        path = path.copy()
        path[starts[at] : starts[at] + lengths[at]] = path[starts[at - 1 if at else 1]]
    return path
