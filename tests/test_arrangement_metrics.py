"""Metrics of arrangements' notes on notes whose figures are known."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from audiotransfer.cover.walking import INTERVALS
from audiotransfer.evaluation.metrics import arrangement as counts
from audiotransfer.evaluation.metrics import swing
from audiotransfer.leadsheet import Bar, Chord

BARS = tuple(Bar(4 * k) for k in range(4))


def notes(*rows: tuple[float, float]) -> np.ndarray:
    """Notes of half a beat by place and pitch."""
    return np.array([(place, 0.5, pitch, 80) for place, pitch in rows]).reshape(-1, 4)


def eighths(phase: float, beats: int = 16, pitch: int = 60) -> np.ndarray:
    """Eighths with their off-beats at a phase."""
    return notes(*[(b + p, pitch) for b in range(beats) for p in (0.0, phase)])


@pytest.mark.parametrize(("phase", "swung", "straight"), [(2 / 3, 1, 0), (0.5, 0, 1), (0.8, 0, 0)])
def test_off_beats_are_swung_or_straight_by_their_phase(
    phase: float, swung: int, straight: int
) -> None:
    assert swing.swung_counts(eighths(phase)) == (16 * swung, 16 * straight, 16)


def test_notes_of_a_chord_are_one_off_beat() -> None:
    assert swing.swung_counts(notes((0.66, 60), (0.66, 64), (0.67, 67))) == (1, 0, 1)
    assert swing.swung_counts(np.zeros((0, 4))) == (0, 0, 0)


@pytest.mark.parametrize("ratio", [1.0, 1.5, 2.0, 2.6])
def test_swing_ratio_is_that_of_long_to_short(ratio: float) -> None:
    late = eighths(ratio / (1 + ratio))
    late[:, 0] += 0.04  # the part plays late as a whole
    assert np.median(swing.swing_ratios(late)) == pytest.approx(ratio)


def test_triplets_and_lone_off_beats_have_no_swing_ratio() -> None:
    assert not len(swing.swing_ratios(notes(*[(k / 3, 60) for k in range(12)])))
    assert not len(swing.swing_ratios(notes((0.66, 60), (1.66, 60))))


def test_ride_patterns_are_read_from_swung_onsets() -> None:
    bar = [(0, 51), (1, 51), (1.66, 51), (2, 51), (3, 51), (3.7, 51)]
    drums = notes(*bar, *[(4 + place, pitch) for place, pitch in bar], (8, 36), (12, 59))
    assert swing.ride_patterns(drums, BARS) == Counter(
        {"x.xxx.xx": 2, "........": 1, "x.......": 1}
    )
    assert not swing.ride_patterns(drums, (Bar(0, 3),))


def test_distance_of_patterns_is_half_the_sum_of_differences() -> None:
    one, two = Counter({"a": 3, "b": 1}), Counter({"a": 1, "c": 1})
    assert swing.pattern_distance(one, one) == 0
    assert swing.pattern_distance(one, two) == pytest.approx((0.25 + 0.25 + 0.5) / 2)
    with pytest.raises(ValueError, match="empty"):
        swing.pattern_distance(one, Counter())


def test_bars_are_alike_by_places_and_pitches() -> None:
    one = notes((0, 60), (1.66, 62), (4, 60), (5.5, 62), (8, 64))
    pairs = [(BARS[0], BARS[1]), (BARS[0], BARS[2]), (BARS[3], BARS[3])]
    assert swing.alike(one, one, pairs) == (1, 2)


def test_total_variation_of_histograms() -> None:
    assert counts.total_variation([1, 1], [5, 5]) == 0
    assert counts.total_variation([1, 0], [0, 1]) == 1
    with pytest.raises(ValueError, match="cannot be compared"):
        counts.total_variation([1, 0], [0, 0])


def test_clusters_are_counted_among_chords_of_three() -> None:
    struck = notes((0, 60), (0, 61), (0, 67), (1, 60), (1, 64), (1, 67), (2, 60), (2, 61))
    assert counts.struck_clusters(struck) == (1, 2)
    held = np.array([(0, 4, 60, 80), (0, 4, 64, 80), (2, 1, 61, 80)], dtype=float)
    assert counts.struck_clusters(held) == (0, 0)
    assert counts.semitone_clusters(held) == (1, 1)


def test_the_bass_has_roots_on_new_chords() -> None:
    chords = (Chord(0, 4, 0), Chord(4, 4, 5), Chord(8, 4, 5), Chord(12, 4, 7, "7"))
    bass = notes((0, 36), (4, 41), (8, 36), (12, 35))
    assert counts.new_chord_tones(bass, chords).tolist() == [1, 1, 0, 0, 0]
    tones = counts.bass_tones(bass, chords, BARS)
    assert tones[0].tolist() == [2, 1, 1, 0, 0]
    assert not tones[1:].any()


def test_bass_intervals_are_counted_by_the_beat_reached() -> None:
    bass = notes((0, 36), (1, 38), (2, 38), (3, 37), (4, 49))
    found = counts.bass_intervals(bass, BARS)
    named = dict(zip(INTERVALS, range(9), strict=True))
    assert found[1, named["+2"]] == found[2, named["0"]] == found[3, named["-1"]] == 1
    assert found[0, named["12"]] == 1
    assert found.sum() == 4


def test_comping_is_counted_over_two_bars_and_by_size() -> None:
    comping = notes(
        (0, 60), (0, 64), (3.66, 62), (3.66, 65), (3.66, 69), (4.6, 60), (4.6, 64), (5, 70)
    )
    found = counts.comping_onsets(comping, BARS)
    assert found[0].tolist() == [1, 0, 0, 0, 0, 0, 0, 1]
    assert found[1].tolist() == [0, 1, 0, 0, 0, 0, 0, 0]
    assert counts.voicing_sizes(comping).tolist() == [2, 1, 0, 0]


def test_anticipation_counts_chords_that_fit_the_new_chord() -> None:
    chords = (Chord(0, 4, 0), Chord(4, 4, 2, "m"), Chord(8, 8, 7))
    comping = notes((3.66, 62), (3.66, 65), (7.66, 62), (7.66, 65), (1.66, 60), (1.66, 64))
    assert counts.anticipation(comping, chords) == (1, 1)
