"""Spans of time: those that short rests part are joined, and the runs of a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


def joined(spans: Iterable[Iterable[float]], shortest_rest: float) -> list[tuple[float, float]]:
    """Spans (start, end) in order, those with a shorter rest than that between them as one."""
    found: list[tuple[float, float]] = []
    for start, end in sorted((float(start), float(end)) for start, end in spans):
        if found and start - found[-1][1] < shortest_rest:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def runs(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """First places of the runs of true values in ``[L]``, and those behind them: ``[R, 2]``."""
    return np.flatnonzero(np.diff(np.pad(mask, 1).astype(np.int8))).reshape(-1, 2)
