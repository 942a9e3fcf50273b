"""Distances between sets of embeddings, on sets whose distance is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.metrics.set_distances import (
    Embeddings,
    frechet_distance,
    gain,
    kernel_distance,
)


def cloud(count: int, size: int, seed: int, shift: float = 0.0, spread: float = 1.0) -> Embeddings:
    return spread * np.random.default_rng(seed).normal(size=(count, size)) + shift


def test_frechet_distance_by_hand() -> None:
    # Two points each, one dimension: means 1 and 5, variances 2 and 8:
    # (1 - 5)² + 2 + 8 - 2·√(2·8) = 18.
    one, other = np.array([[0.0], [2.0]]), np.array([[3.0], [7.0]])
    assert frechet_distance(one, other) == pytest.approx(18.0)
    assert frechet_distance(other, one) == pytest.approx(18.0)
    assert frechet_distance(one, one) == pytest.approx(0.0, abs=1e-12)


def test_frechet_distance_is_that_of_the_matrix_root() -> None:
    one, other = cloud(60, 5, 0), cloud(80, 5, 1, shift=0.7, spread=1.6)
    first, second = np.cov(one.T), np.cov(other.T)
    root = np.trace(np.real(sqrtm(first @ second)))
    expected = np.square(one.mean(0) - other.mean(0)).sum() + np.trace(first + second) - 2 * root
    assert frechet_distance(one, other) == pytest.approx(float(expected), rel=1e-8)
    # Fewer windows than dimensions: the covariance is singular, the distance is not.
    assert 0 < frechet_distance(cloud(4, 30, 2), cloud(5, 30, 3)) < np.inf


def test_kernel_distance_by_hand() -> None:
    # The reference's only distance is 2, squared 4: the kernel is exp(-d²/8).
    one, reference = np.array([[0.0], [4.0]]), np.array([[0.0], [2.0]])
    k = lambda apart: np.exp(-(apart**2) / 8)  # noqa: E731
    across = (k(0) + k(2) + k(4) + k(2)) / 4
    assert kernel_distance(one, reference) == pytest.approx(k(4) + k(2) - 2 * across)


def test_kernel_distance_is_unbiased_and_grows_with_the_shift() -> None:
    near = [kernel_distance(cloud(30, 4, n), cloud(30, 4, 100 + n)) for n in range(40)]
    assert abs(np.mean(near)) < 0.01
    reference = cloud(50, 4, 7)
    far = [kernel_distance(cloud(50, 4, 8, shift), reference) for shift in (0.0, 0.5, 1.0, 2.0)]
    assert far == sorted(far)


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_too_small_a_set_is_refused(distance: object) -> None:
    for one, other in ((1, 5), (5, 1)):
        with pytest.raises(AudioTransferError, match="set of 1 windows"):
            distance(cloud(one, 3, 0), cloud(other, 3, 1))  # type: ignore[operator]


def test_gain_is_the_share_of_the_way() -> None:
    target = cloud(200, 3, 0)
    sources = [cloud(20, 3, 10 + n, shift=2.0) for n in range(8)]
    assert gain(sources, sources, target, frechet_distance).mean == 0.0
    # Half of the way leaves a quarter of a squared distance.
    halfway = [song - 1.0 for song in sources]
    found = gain(halfway, sources, target, frechet_distance)
    assert found.mean == pytest.approx(0.75, abs=0.05)
    assert found.low < found.mean < found.high
    assert found.count == 8
    assert gain(halfway, sources, target, frechet_distance) == found
    away = gain([song + 1.0 for song in sources], sources, target, frechet_distance)
    assert away.mean < -0.5
    assert gain(halfway, sources, target, kernel_distance).mean > 0.3
    with pytest.raises(AudioTransferError, match="0 outputs"):
        gain([], [], target, frechet_distance)
