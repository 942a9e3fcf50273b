"""Spans of time, and means of hops from a stream."""

from __future__ import annotations

import numpy as np
import pytest

from audiotransfer.audio.levels import HopMeans, active_power
from audiotransfer.leadsheet.spans import joined, runs


def test_spans_with_a_short_rest_between_them_are_joined() -> None:
    spans = [(3.0, 4.0), (1.0, 2.0), (2.3, 2.5), (3.2, 3.4), (8.0, 8.1)]
    assert joined(spans, 0.6) == [(1.0, 4.0), (8.0, 8.1)]
    assert joined(np.array(spans), 0.0) == [(1.0, 2.0), (2.3, 2.5), (3.0, 4.0), (8.0, 8.1)]
    assert joined([], 1.0) == []


@pytest.mark.parametrize("mask", ["", "0", "1", "0110", "1011", "10001"])
def test_runs_are_where_a_mask_is_true(mask: str) -> None:
    flags = np.array([mark == "1" for mark in mask], dtype=bool)
    again = np.zeros_like(flags)
    for start, end in runs(flags):
        assert not again[max(0, start - 1) : end].any()  # runs don't touch
        again[start:end] = True
    assert (again == flags).all()


def test_means_of_hops_do_not_depend_on_blocks() -> None:
    values = np.random.default_rng(0).random((2, 1007))
    meter = HopMeans(10, 2)
    found = [meter.push(block) for block in np.split(values, [3, 3, 500, 511], axis=1)]
    assert np.allclose(np.concatenate(found, axis=1), values[:, :1000].reshape(2, 100, 10).mean(-1))
    assert (meter.rest == values[:, 1000:]).all()


def test_pauses_do_not_count_in_the_active_power() -> None:
    assert active_power(np.array([1.0, 3.0, 0.0, 1e-4])) == 2.0
    assert active_power(np.zeros(3)) == active_power(np.zeros(0)) == 0.0
