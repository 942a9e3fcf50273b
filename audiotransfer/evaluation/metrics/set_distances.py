"""Distances of two sets of songs in an embedding: Fréchet, kernel, and relative improvement."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.report.statistics import Interval

Embeddings = npt.NDArray[np.float64]
"""Embeddings of N windows of sound: [N, D]."""

_RESAMPLES = 100


def frechet_distance(one: Embeddings, other: Embeddings) -> float:
    """Fréchet distance of two sets [N, D] and [M, D], each taken as a normal distribution.

    ‖m₁ − m₂‖² + tr(C₁ + C₂ − 2 (C₁C₂)^½) (Kilgour et al. 2019, FAD); biased upwards for small
    sets.
    Raises AudioTransferError for a set of fewer than two windows.
    """
    first, second = (_centred(windows) for windows in (one, other))
    # tr (C₁C₂)^½ is the sum of singular values of R₁R₂ᵀ where C = RᵀR: no root of a matrix that
    # few windows leave singular.
    cross = np.linalg.norm(first @ second.T, "nuc")
    shift = np.square(one.mean(axis=0) - other.mean(axis=0)).sum()
    distance = shift + np.square(first).sum() + np.square(second).sum() - 2 * cross
    return float(max(distance, 0.0))


def kernel_distance(one: Embeddings, reference: Embeddings) -> float:
    """Squared maximum mean discrepancy of two sets [N, D] and [M, D], unbiased: 0 for equal ones.

    Gaussian kernel whose width is the median distance within the reference (KAD, Chung et al.
    2025). Unlike the Fréchet distance it assumes no distribution and is unbiased for small sets;
    it can be slightly negative. Raises AudioTransferError for a set of fewer than two windows.
    """
    _centred(one)
    _centred(reference)
    within = _squared_distances(reference, reference)
    apart = within[np.triu_indices(len(reference), 1)]
    width = float(np.median(apart)) or 1.0
    inside, outside = (
        np.exp(-found / (2 * width)) for found in (_squared_distances(one, one), within)
    )
    across = np.exp(-_squared_distances(one, reference) / (2 * width))
    return float(_off_diagonal(inside) + _off_diagonal(outside) - 2 * across.mean())


def gain(
    outputs: Sequence[Embeddings],
    sources: Sequence[Embeddings],
    target: Embeddings,
    distance: Callable[[Embeddings, Embeddings], float],
    *,
    seed: int = 0,
    resamples: int = _RESAMPLES,
) -> Interval:
    """1 − distance(outputs, target) / distance(sources, target), with 95 % bootstrap over songs.

    ``outputs`` and ``sources`` have an array [N, D] for each song, in the same order. 1: as the
    target set; 0: as far away as the sources; below 0: further. NaN where the sources are at
    distance 0.
    """
    if not outputs or len(outputs) != len(sources):
        raise AudioTransferError(
            f"no gain from {len(outputs)} outputs and {len(sources)} sources: measure both"
        )

    def of(chosen: npt.NDArray[np.int64]) -> float:
        after, before = (
            distance(np.concatenate([songs[index] for index in chosen]), target)
            for songs in (outputs, sources)
        )
        return 1 - after / before if before > 0 else float("nan")

    count = len(outputs)
    draws = np.random.default_rng(seed).integers(0, count, size=(resamples, count))
    low, high = np.nanquantile([of(draw) for draw in draws], [0.025, 0.975])
    return Interval(of(np.arange(count)), float(low), float(high), count)


def _centred(windows: Embeddings) -> Embeddings:
    """R [≤ D, D] with RᵀR the covariance of windows [N, D]."""
    if len(windows) < 2:
        raise AudioTransferError(
            f"no distance from a set of {len(windows)} windows of sound: give at least two"
        )
    deviations = (windows - windows.mean(axis=0)) / np.sqrt(len(windows) - 1)
    root: Embeddings = np.asarray(np.linalg.qr(deviations, mode="r"))
    return root


def _squared_distances(one: Embeddings, other: Embeddings) -> Embeddings:
    squares = np.square(one).sum(axis=1)[:, None] + np.square(other).sum(axis=1)
    found: Embeddings = np.maximum(squares - 2 * one @ other.T, 0.0)
    return found


def _off_diagonal(kernel: Embeddings) -> float:
    count = len(kernel)
    return float((kernel.sum() - np.trace(kernel)) / (count * (count - 1)))
