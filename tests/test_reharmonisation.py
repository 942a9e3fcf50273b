"""Reharmonisation by strength: sevenths, ii-V's, substitutes, and the melody that limits them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from audiotransfer.cover.band import Harmony
from audiotransfer.cover.harmony import (
    CHORD_TYPES,
    add_sevenths,
    chord_kind,
    chord_tones,
    clashes,
    exposed,
)
from audiotransfer.cover.reharmonisation import other_roots, reharmonise
from audiotransfer.leadsheet import QUALITIES, Chord

POP = "C | G | Am | F | C | G | F | F | Am | F | C | G | F | G | C | C"
TIN_PAN = (
    "C | Am | Dm | G7 | C | C | Dm | G7 | C | Am | Dm | G7 | C | C | C | C | "
    "E7 | E7 | Am | Am | D7 | D7 | G7 | G7 | C | Am | Dm | G7 | C | Dm G7 | C | C"
)
Maker = Callable[..., Any]


def _reharmonised(chart: Maker, tune: Maker, strength: float) -> list[tuple[Any, Any, Any, Any]]:
    found = []
    for seed in range(4):
        for text, times in ((POP, 4), (TIN_PAN, 2)):
            sheet = chart(text, times)
            melody = tune(sheet, seed)
            chords, bars = reharmonise(sheet, melody, strength, np.random.default_rng(seed))
            found.append((sheet, melody, chords, bars))
    return found


def test_kinds_of_chords() -> None:
    assert {chord_kind(quality) for quality in QUALITIES} == set(CHORD_TYPES)
    for quality, kind in (
        ("7", "dom"),
        ("9", "dom"),
        ("7b9", "dom"),
        ("aug7", "dom"),
        ("m7", "min"),
        ("m6", "min"),
        ("maj7", "maj"),
        ("6", "maj"),
        ("", "maj"),
        ("m7b5", "hdim"),
        ("dim7", "dim"),
        ("7sus4", "sus"),
    ):
        assert chord_kind(quality) == kind, quality


def test_sevenths_follow_the_function(chart: Maker) -> None:
    major = chart("C | Dm | Em | F | G | Am | Bdim | A | D | Bb | C7 | G5 | Gsus4 | C")
    chords = add_sevenths(major, major.chords, np.zeros((0, 4)))
    assert [chord.quality for chord in chords] == [
        *("maj7", "m7", "m7", "maj7", "7", "m7", "m7b5"),
        *("7", "7", "7", "7", "7", "7sus4", "6"),
    ]
    minor = chart("Am | Bdim | C | Dm | E | F | G | Am", tonic=9, mode="minor")
    chords = add_sevenths(minor, minor.chords, np.zeros((0, 4)))
    assert [chord.quality for chord in chords] == [
        *("m7", "m7b5", "maj7", "m7", "7b9", "maj7", "7", "m6")
    ]


def test_melody_forbids_clashing_sevenths(chart: Maker) -> None:
    sheet = chart("C | C | Am | F | C")
    long_tonic = np.array([(0.0, 4.0, 72, 80)])
    assert add_sevenths(sheet, sheet.chords, long_tonic)[0].quality == "6"  # no B below a C
    passing = np.array([(0.5, 0.5, 72, 80)])  # short and off the beat
    assert add_sevenths(sheet, sheet.chords, passing)[0].quality == "maj7"
    both = np.array([(0.0, 2.0, 72, 80), (2.0, 2.0, 70, 80)])  # no A below a B flat either
    assert add_sevenths(sheet, sheet.chords, both)[0].quality == ""


def test_exposed_notes() -> None:
    melody = np.array([(0.0, 0.5, 60, 80), (0.5, 0.5, 61, 80), (1.5, 1.5, 62, 80)])
    assert exposed(melody, 0, 4) == {0, 2}
    assert exposed(melody, 2, 4) == {2}
    assert exposed(melody, 2.8, 4) == frozenset()
    assert clashes(Chord(0, 4, 11, "maj7"), melody)
    assert not clashes(Chord(0, 4, 0, "6"), melody)


@pytest.mark.parametrize("strength", [0.0, 0.45, 0.59])
def test_little_strength_keeps_the_chords(chart: Maker, tune: Maker, strength: float) -> None:
    for sheet, _, chords, bars in _reharmonised(chart, tune, strength):
        assert chords == sheet.chords
        assert not bars


def test_roots_stay_below_two_fives(chart: Maker, tune: Maker) -> None:
    for sheet, _, chords, bars in _reharmonised(chart, tune, 0.7):
        assert [c.root for c in chords] == [c.root for c in sheet.chords]
        assert np.mean([len(QUALITIES[c.quality]) > 3 for c in chords]) > 0.9
        assert not bars


@pytest.mark.parametrize(
    ("strength", "least", "most"), [(0.75, 0.03, 0.14), (0.9, 0.08, 0.2), (1.0, 0.15, 0.3)]
)
def test_share_of_new_roots_grows(
    chart: Maker, tune: Maker, strength: float, least: float, most: float
) -> None:
    songs = _reharmonised(chart, tune, strength)
    share = [len(bars) / len(sheet.bars) for sheet, _, _, bars in songs]
    assert least <= np.mean(share)
    assert max(share) <= most
    for sheet, _, chords, bars in songs:
        assert bars == other_roots(sheet, chords)


def test_chords_follow_without_gaps(chart: Maker, tune: Maker) -> None:
    for sheet, _, chords, _ in _reharmonised(chart, tune, 1.0):
        assert chords[0].beat == 0
        for chord, following in pairwise(chords):
            assert chord.beats > 0
            assert chord.beat + chord.beats == pytest.approx(following.beat)
        assert chords[-1].beat + chords[-1].beats == pytest.approx(len(sheet.beats) - 1)
        assert chords[0].root == sheet.chords[0].root
        assert chords[-1].root == sheet.chords[-1].root


def test_no_new_chord_clashes_with_the_melody(chart: Maker, tune: Maker) -> None:
    checked = 0
    for sheet, melody, chords, _ in _reharmonised(chart, tune, 1.0):
        for chord in chords:
            of_song = [c for c in sheet.chords if c.beat <= chord.beat + 0.01][-1]
            besides = chord_tones(of_song) if of_song.root == chord.root else frozenset()
            notes = exposed(melody, chord.beat, chord.beat + chord.beats)
            assert not {(tone + 1) % 12 for tone in chord_tones(chord) - besides} & notes
            checked += of_song.root != chord.root
    assert checked > 50


def test_two_fives_and_substitutes_come_with_strength(chart: Maker) -> None:
    silence = np.zeros((0, 4))
    sheet = chart(TIN_PAN, 4)
    two_fives, tritones = {}, {}
    for strength in (0.7, 0.8, 1.0):
        chords, _ = reharmonise(sheet, silence, strength, np.random.default_rng(0))
        steps = [(b.root - a.root) % 12 for a, b in pairwise(chords)]
        types = [chord_kind(c.quality) for c in chords]
        two_fives[strength] = sum(
            step == 5 and first in ("min", "hdim") and second == "dom"
            for step, (first, second) in zip(steps, pairwise(types), strict=True)
        )
        tritones[strength] = sum(
            step == 11 and kind == "dom" for step, kind in zip(steps, types, strict=False)
        )
    assert two_fives[0.7] < two_fives[0.8]
    assert tritones[0.8] == tritones[0.7] == 0 < tritones[1.0]


def test_changes_stay_near_the_counted_density(chart: Maker, tune: Maker) -> None:
    songs = _reharmonised(chart, tune, 1.0)
    changes = sum(len(chords) for _, _, chords, _ in songs)
    assert 0.74 < changes / sum(len(sheet.bars) for sheet, *_ in songs) < 1.33  # counted, by solo


def test_same_seed_same_chords(chart: Maker, tune: Maker) -> None:
    sheet = chart(TIN_PAN, 2)
    melody = tune(sheet, 0)
    first, again, other = (
        reharmonise(sheet, melody, 1.0, np.random.default_rng(seed))[0] for seed in (1, 1, 2)
    )
    assert first == again != other


def test_settings_limit_it(chart: Maker, tune: Maker) -> None:
    sheet = chart(POP, 4)
    melody = tune(sheet, 0)
    none = reharmonise(sheet, melody, 1.0, np.random.default_rng(0), Harmony(share=0.0))
    assert not none[1]
    triads = reharmonise(
        sheet, melody, 1.0, np.random.default_rng(0), Harmony(sevenths=False, share=0.0)
    )
    assert [c.quality for c in triads[0]] == [c.quality for c in sheet.chords]


@pytest.mark.parametrize(("numerator", "denominator"), [(3, 4), (6, 8), (5, 4)])
def test_other_metres_and_slash_chords(
    chart: Maker, tune: Maker, numerator: int, denominator: int
) -> None:
    sheet = chart(POP + " | C/E | F | G | C", 2, numerator=numerator, denominator=denominator)
    chords, bars = reharmonise(sheet, tune(sheet, 1), 1.0, np.random.default_rng(0))
    assert bars
    assert sum(chord.beats for chord in chords) == pytest.approx(len(sheet.beats) - 1)
    assert all(chord.beat == round(chord.beat) for chord in chords)
    slashes = [chord for chord in chords if chord.bass is not None]
    assert len(slashes) == 2
