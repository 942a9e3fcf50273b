"""Velocities as drummers vary around a network's prediction from hits alone.

The predicted location is a median: nearly all backbeats of a plain pattern get 120 to 127, since
half of the drummers of the Groove MIDI Dataset strike as hard as their pads can tell. The
distributions here are those of validation drummers' velocities given the shipped network's
prediction.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from audiotransfer.midi.percussion import DRUMS

_SNARE = DRUMS.index("snare")
# Quantiles of true velocities (of 127) by prediction (0..1), counted on Groove's validation split:
# 10 086 hits of the snare, 27 227 of other drums.
_QUANTILES = np.array([0.02, 0.10, 0.25, 0.50, 0.75, 0.90, 0.98])
_PREDICTED = np.array([0.17, 0.26, 0.35, 0.45, 0.55, 0.65, 0.75, 0.87, 0.99])
_OF_SNARE = np.array([
    [7, 11, 19, 29, 38, 47, 87],
    [9, 17, 28, 36, 47, 74, 118],
    [8, 21, 35, 46, 60, 100, 127],
    [8, 24, 39, 53, 86, 126, 127],
    [8, 30, 45, 70, 105, 127, 127],
    [15, 40, 62, 86, 120, 127, 127],
    [13, 45, 74, 104, 127, 127, 127],
    [16, 62, 94, 124, 127, 127, 127],
    [53, 108, 127, 127, 127, 127, 127],
])  # fmt: skip
_OF_OTHERS = np.array([
    [8, 13, 19, 24, 34, 53, 71],
    [7, 15, 22, 34, 44, 59, 91],
    [12, 23, 34, 43, 58, 82, 127],
    [16, 29, 43, 57, 75, 106, 127],
    [17, 36, 52, 69, 92, 127, 127],
    [20, 43, 61, 79, 110, 127, 127],
    [33, 51, 72, 96, 127, 127, 127],
    [36, 62, 81, 107, 127, 127, 127],
    [56, 84, 100, 126, 127, 127, 127],
])  # fmt: skip
_SHARED = 0.27  # of the variance of ranks is between performances, 0.73 within, same data
# Velocities at the pads' limit are spread over its last part by rank: the limit is the pads'.
_LIMIT, _BELOW = 127.0, 14.0


def draw_strengths(generator: Generator) -> Tensor:
    """Draws how hard each of the nine drums is struck in a performance: standard scores [9]."""
    return torch.randn(len(DRUMS), generator=generator)


def vary_velocities(
    predicted: NDArray[np.float32], strengths: Tensor, temperature: float, generator: Generator
) -> NDArray[np.float32]:
    """Samples velocities (0..1) [S, 9] around predicted ones; at temperature 0 these themselves.

    A rank is drawn for each hit, partly its drum's in the performance (`draw_strengths`), and the
    prediction moves from the median to that quantile. ``temperature`` scales the ranks' scores.
    """
    own = torch.randn(predicted.shape, generator=generator)
    scores = temperature * (_SHARED**0.5 * strengths + (1 - _SHARED) ** 0.5 * own)
    ranks = torch.special.ndtr(scores).numpy().astype(np.float64)
    varied = np.empty(predicted.shape, dtype=np.float32)
    for drum in range(len(DRUMS)):
        table = _OF_SNARE if drum == _SNARE else _OF_OTHERS
        at = predicted[:, drum].astype(np.float64)
        moved = _quantiles(table, at, ranks[:, drum])
        middle = _quantiles(table, at, np.full(len(at), 0.5))
        varied[:, drum] = at + (moved - middle) / _LIMIT
    return np.clip(varied, 1 / _LIMIT, 1.0).astype(np.float32)


def _quantiles(
    table: NDArray[np.int64], predicted: NDArray[np.float64], ranks: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Quantiles of a table at predictions and ranks [S], linear between its entries."""
    spread = _below_limit(table)
    columns = np.stack([np.interp(predicted, _PREDICTED, column) for column in spread.T], 1)
    place = np.interp(ranks, _QUANTILES, np.arange(len(_QUANTILES)))
    lower = np.minimum(place.astype(np.int64), len(_QUANTILES) - 2)
    rows = np.arange(len(place))
    share = place - lower
    return np.asarray((1 - share) * columns[rows, lower] + share * columns[rows, lower + 1])


def _below_limit(table: NDArray[np.int64]) -> NDArray[np.float64]:
    """A table whose entries at the limit rise to it from `_BELOW` below it, by quantile."""
    spread = table.astype(np.float64)
    for row in spread:
        limited = np.flatnonzero(row >= _LIMIT)
        if len(limited) > 1:
            low = max(_LIMIT - _BELOW, row[limited[0] - 1])
            row[limited] = np.linspace(low, _LIMIT, len(limited))
    return spread
