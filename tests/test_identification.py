"""Metrics of covers of recordings: identification, agreement of beats, content by sound alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from audiotransfer.evaluation.metrics import cover
from audiotransfer.evaluation.metrics.beats import (
    HALF,
    HALF_BEAT,
    OTHER,
    SAME,
    TWICE,
    beat_agreement,
    is_half_a_beat_off,
    onsets_of,
)
from audiotransfer.evaluation.metrics.cover_content import (
    BEATS,
    CHROMA,
    CHROMA_OFF,
    HALF_BEAT_OFF,
    ROOTS,
    ROOTS_BY_CHANCE,
    content_figures,
    content_of,
    retrieval_figures,
)
from audiotransfer.evaluation.metrics.identification import (
    Fingerprint,
    cross_correlation,
    fingerprint,
    qmax,
    reciprocal_ranks,
    similarities,
)

RATE = 22050
BEAT = 0.5
BARS = 12
STEPS = np.array([0, 4, 7])


def progression(seed: int) -> list[int]:
    """Roots of the bars of a song; two in a row differ."""
    draw = np.random.default_rng(seed)
    steps = draw.choice([2, 3, 5, 7, 9], BARS)
    return [int(root) for root in np.cumsum(steps) % 12]


def band(
    roots: list[int], semitones: int = 0, later: float = 0.0, level: float = 1.0
) -> torch.Tensor:
    """Triads on every beat with a bass and a click, ``[1, T]``; all of it ``later`` by seconds."""
    seconds = len(roots) * 4 * BEAT + 1.0
    sound = np.zeros(round(seconds * RATE))
    noise = np.random.default_rng(0).standard_normal(400) * np.exp(-np.arange(400) / 60)
    times = np.arange(round(0.45 * RATE)) / RATE
    envelope = np.exp(-4 * times) * np.minimum(1, times / 0.005)
    for index, root in enumerate(roots):
        pitches = [60 + (root + semitones + step) % 12 for step in STEPS] + [
            36 + (root + semitones) % 12
        ]
        waves = [np.sin(2 * np.pi * 440 * 2 ** ((p - 69) / 12) * times) for p in pitches]
        for beat in range(4):
            first = round(((4 * index + beat) * BEAT + later) * RATE)
            sound[first : first + len(times)] += 0.2 * level * np.sum(waves, axis=0) * envelope
            sound[first : first + 400] += 0.3 * noise
    return torch.from_numpy(sound[None].astype(np.float32))


@pytest.fixture(scope="module")
def songs() -> list[Fingerprint]:
    """Six songs with chords of their own."""
    return [fingerprint(band(progression(seed)), RATE) for seed in range(6)]


@pytest.mark.parametrize("measure", [qmax, cross_correlation])
def test_a_transposed_song_retrieves_itself_and_another_does_not(songs, measure) -> None:
    own = 2
    transposed = fingerprint(band(progression(own), semitones=5), RATE)
    strange = fingerprint(band(progression(99)), RATE)
    scores = similarities([transposed, strange], songs, measure)
    assert scores.shape == (2, 6)
    assert reciprocal_ranks(scores[:1], [own]) == [1.0]
    assert scores[0, own] > scores[1].max()
    assert scores[0, own] > 1.3 * np.median(scores[1])


def test_qmax_allows_for_twice_the_tempo(songs) -> None:
    own = songs[1]
    middles = (own.beats[1:] + own.beats[:-1]) / 2
    doubled = replace(own, beats=np.sort(np.concatenate([own.beats, middles])))
    assert qmax(doubled, own) > 0.9 * qmax(own, own)


def test_ranks_count_ties_and_undefined_similarities_against_the_source() -> None:
    scores = np.array([[3.0, 2.0, 1.0], [1.0, 1.0, 1.0], [np.nan, 1.0, 0.0]])
    assert reciprocal_ranks(scores, [1, 0, 0]) == [0.5, 1 / 3, 0.0]


def test_a_short_sound_has_no_passage(songs) -> None:
    short = fingerprint(band([0]), RATE)
    assert qmax(replace(short, beats=short.beats[:4]), songs[0]) == 0.0


def test_sound_without_beats_has_a_grid_of_half_seconds() -> None:
    silent = fingerprint(torch.zeros(1, 5 * RATE), RATE)
    assert np.allclose(np.diff(silent.beats), 0.5)
    assert len(onsets_of(torch.zeros(1, RATE), RATE).beats) == 0


@pytest.mark.parametrize(
    ("found", "relation"),
    [
        (np.arange(0.0, 30.0, 0.5), SAME),
        (np.arange(0.25, 30.0, 0.5), HALF_BEAT),
        (np.arange(0.0, 30.0, 0.25), TWICE),
        (np.arange(0.0, 30.0, 1.0), HALF),
        (np.arange(0.5, 30.0, 1.0), HALF),
        (np.arange(0.0, 30.0, 0.37), OTHER),
        (np.zeros(0), OTHER),
    ],
)
def test_relations_of_beats_are_told_apart(found, relation) -> None:
    agreement = beat_agreement(found, np.arange(0.0, 30.0, 0.5))
    assert agreement.relation == relation
    assert (agreement.best > 0.95) == (relation != OTHER)
    if relation == HALF_BEAT:
        assert agreement.f_measure < 0.1


def test_bars_begin_where_chords_change() -> None:
    lines = content_of(band(progression(0)), RATE).bars
    assert len(lines) > 8
    assert np.abs(lines[2:-2, 0] / (4 * BEAT) - np.round(lines[2:-2, 0] / (4 * BEAT))).max() < 0.05


def test_content_is_whole_in_the_song_itself_and_low_with_random_chords() -> None:
    source, *others = (content_of(band(progression(seed)), RATE) for seed in (3, 8, 9, 10))
    same = content_figures(source, source)
    assert same[ROOTS] == 1.0
    assert same[CHROMA] == pytest.approx(1.0)
    assert same[BEATS] > 0.95
    assert same[HALF_BEAT_OFF] == 0.0
    random = [content_figures(other, source) for other in others]
    assert np.mean([one[ROOTS] - one[ROOTS_BY_CHANCE] for one in random]) < 0.25
    assert np.mean([one[CHROMA] for one in random]) < 0.4
    assert same[CHROMA_OFF] < 0.5
    assert same[ROOTS_BY_CHANCE] < 0.3


def test_half_a_beat_off_is_counted() -> None:
    source = content_of(band(progression(3)), RATE)
    late = content_figures(content_of(band(progression(3), later=BEAT / 2), RATE), source)
    assert late[HALF_BEAT_OFF] == 1.0
    assert late[ROOTS] > 0.8, "chords alone don't show it"


def test_each_output_is_ranked_at_its_own_song(songs) -> None:
    own = retrieval_figures(songs, songs)
    others = retrieval_figures([*songs[1:], songs[0]], songs)
    assert [set(figures.values()) for figures in own] == [{1.0}] * 6
    assert all(value <= 0.5 for figures in others for value in figures.values())


def test_double_time_is_not_half_a_beat_off() -> None:
    onsets = onsets_of(band(progression(3)), RATE)
    beats = np.arange(BARS * 4) * BEAT
    assert not is_half_a_beat_off(onsets, beats)
    assert is_half_a_beat_off(onsets, beats + BEAT / 2)
    every_other = beats[1::2] + 0.0  # known beats of half the tempo, off the tracked ones' phase
    doubled = replace(onsets)
    doubled.__dict__["beats"] = beats[::2]
    assert not is_half_a_beat_off(doubled, every_other), "onsets are as strong on the known beats"


def test_detected_roots_are_those_that_were_played() -> None:
    roots = progression(3)
    spans = np.array([[4 * BEAT * k, 4 * BEAT * (k + 1)] for k in range(BARS)])
    sound = cover.spectrum(band(roots), RATE)
    assert np.mean(cover.chord_roots(sound, spans) == roots) == 1.0
