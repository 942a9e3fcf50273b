"""Comping against the counts of jazz trios: rhythms, voicings, anticipation, clashes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from charts import AABA, COUNTS, POP

from audiotransfer.cover.band import Band, Role
from audiotransfer.cover.comping import comping_places, write_comping
from audiotransfer.cover.counts import read_counts, table
from audiotransfer.cover.rhythms import rhythm_table
from audiotransfer.cover.second_voice import write_second_voice
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.metrics import arrangement
from audiotransfer.leadsheet import QUALITIES

PIANO = Role("comping", "comping", ("piano_grand_small",))
Maker = Callable[..., Any]


@pytest.fixture(scope="module")
def songs(chart: Maker, jazz_plan: Maker, tune: Maker) -> list[tuple[Any, Any]]:
    """Plans and their comping: 12 songs of 64 bars."""
    made = []
    for seed in range(6):
        for text, times in ((AABA, 2), (POP, 4)):
            sheet = chart(text, times)
            plan = jazz_plan(sheet, tune(sheet, seed))
            made.append((plan, write_comping(plan, PIANO, np.random.default_rng(seed))))
    return made


def test_counts_name_sources_and_licences() -> None:
    counts = json.loads(COUNTS.read_text(encoding="utf-8"))
    assert set(counts) == {"about", "licence", *counts["licence"]}
    for name, licence in counts["licence"].items():
        assert "source" in counts[name], name
        assert any(word in licence for word in ("ODbL", "MIT", "CC BY", "public-domain")), name
    assert "contains information from the Weimar Jazz Database" in counts["licence"]["walking"]
    for rows in (counts["comping"]["bars"], counts["comping"]["bar_to_bar"]):
        assert rows["n"] > 1000


def test_missing_counts_are_named(tmp_path: Path) -> None:
    with pytest.raises(AudioTransferError, match="counts"):
        table(Band(()), "comping")
    with pytest.raises(AudioTransferError, match="missing"):
        read_counts(tmp_path / "missing.json")
    with pytest.raises(AudioTransferError, match="tempo_table"):
        table(Band((), counts="counts.json", folder=COUNTS.parent), "tempo_table")


def test_onsets_lie_where_they_are_counted(songs: list[tuple[Any, Any]]) -> None:
    counted = read_counts(COUNTS)["comping"]["onsets"]["share"]
    onsets = sum(arrangement.comping_onsets(notes, plan.sheet.bars) for plan, notes in songs)
    assert arrangement.total_variation(onsets, counted) < 0.09
    assert 2.0 < onsets.sum() / sum(len(plan.sheet.bars) for plan, _ in songs) < 3.2


def test_half_bars_have_chords(songs: list[tuple[Any, Any]]) -> None:
    having, halves = 0, 0
    for plan, notes in songs:
        places = {round(2 * group[0, 0]) for group in arrangement.chord_onsets(notes)}
        for bar in plan.sheet.bars[1:-1]:
            for half in (0, 4):
                near = range(2 * bar.beat + half - 1, 2 * bar.beat + half + 3)
                having += any(place in places for place in near)
                halves += 1
    assert having / halves > 0.93


def test_less_fullness_leaves_more_room() -> None:
    empty = []
    for fullness in (0.0, 1.0):
        rhythms = rhythm_table(COUNTS, fullness)
        assert np.allclose(rhythms.weights.sum(axis=1), 1)
        share = np.full(len(rhythms.onsets), 1 / len(rhythms.onsets))
        for _ in range(50):
            share = share @ rhythms.weights
        counted = np.sum(read_counts(COUNTS)["comping"]["onsets"]["share"], axis=0)
        assert arrangement.total_variation(share @ rhythms.onsets, counted) < 0.02
        empty.append(float(share[rhythms.chords == 0].sum()))
    assert empty[0] > 0.15 > 0.03 > empty[1]


def test_voicings_have_the_counted_sizes(songs: list[tuple[Any, Any]]) -> None:
    sizes = sum(arrangement.voicing_sizes(notes) for _, notes in songs)
    counted = read_counts(COUNTS)["comping"]["sizes"]["share"]
    assert arrangement.total_variation(sizes, counted) < 0.08


def test_chords_before_a_change_anticipate_it(songs: list[tuple[Any, Any]]) -> None:
    new, old = np.sum([arrangement.anticipation(n, p.chords) for p, n in songs], axis=0)
    assert new + old > 100
    assert 0.7 < new / (new + old) < 0.9


def test_top_voice_moves_little(songs: list[tuple[Any, Any]]) -> None:
    tops = [
        np.array([group[:, 2].max() for group in arrangement.chord_onsets(notes)])
        for _, notes in songs
    ]
    steps = np.abs(np.concatenate([np.diff(top) for top in tops]))
    assert 0.3 < np.mean(steps <= 2) < 0.55  # counted .40
    assert 0.1 < np.mean(steps == 0) < 0.3  # counted .17
    assert 57 <= np.median(np.concatenate(tops)) <= 65  # counted 62


def test_no_note_is_a_minor_ninth_below_the_melody(songs: list[tuple[Any, Any]]) -> None:
    for plan, notes in songs:
        for place, _, pitch, _ in notes:
            for other in plan.melody_at(place, place + 0.01)[:, 2]:
                assert (other - pitch) % 12 != 1 or other < pitch
                assert abs(other - pitch) != 1


def test_few_semitone_clusters(songs: list[tuple[Any, Any]]) -> None:
    counted = np.sum(
        [
            arrangement.semitone_clusters(np.concatenate([notes, plan.melody]))
            for plan, notes in songs
        ],
        axis=0,
    )
    assert counted[0] / counted[1] < 0.06  # real jazz .08


def test_velocities_and_lengths(songs: list[tuple[Any, Any]]) -> None:
    notes = np.concatenate([notes for _, notes in songs])
    assert 60 < np.median(notes[:, 3]) < 74  # counted 66
    assert 0.3 < np.median(notes[:, 1]) < 0.8  # counted .43
    assert notes[:, 1].min() > 0.1


def test_leaves_room_where_the_melody_is_dense(chart: Maker, jazz_plan: Maker) -> None:
    sheet = chart(POP, 8)
    dense = np.array([(beat / 2, 0.4, 76, 80) for beat in range(0, 4 * 4 * 16)])
    plan = jazz_plan(sheet, dense)  # eighths in the first half, nothing in the second
    places = comping_places(plan, 1.0, np.random.default_rng(0))
    half = 4 * len(sheet.bars) / 2
    assert np.sum(places < half) < 0.85 * np.sum(places >= half)


def test_energy_brings_chords_and_loudness(chart: Maker, jazz_plan: Maker) -> None:
    calm, loud = (
        write_comping(jazz_plan(chart(POP, 4), energy=e), PIANO, np.random.default_rng(0))
        for e in (0.1, 0.9)
    )
    assert len(arrangement.chord_onsets(calm)) < len(arrangement.chord_onsets(loud))
    assert np.median(calm[:, 3]) + 8 < np.median(loud[:, 3])


def test_choruses_and_seeds_differ(chart: Maker, jazz_plan: Maker) -> None:
    plan = jazz_plan(chart(AABA, 2), bars=32)
    first, again, other = (
        write_comping(plan, PIANO, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert first.shape != other.shape or not np.allclose(first, other)
    choruses = [
        {round(2 * place) for place in first[:, 0] - 128 * number if 0 <= place < 128}
        for number in (0, 1)
    ]
    assert len(choruses[0] ^ choruses[1]) > 20


@pytest.mark.parametrize(("numerator", "denominator"), [(3, 4), (5, 4), (7, 4), (6, 8), (12, 8)])
def test_other_metres(chart: Maker, jazz_plan: Maker, numerator: int, denominator: int) -> None:
    sheet = chart(POP, numerator=numerator, denominator=denominator)
    notes = write_comping(jazz_plan(sheet), PIANO, np.random.default_rng(0))
    beats, division = sheet.bars[0].beats, sheet.bars[0].division
    bars = {int(place // beats) for place in notes[:, 0]}
    assert len(bars) >= 15
    parts = notes[:, 0] * division
    assert np.allclose(parts, np.round(parts))
    assert np.all(notes[:, 0] + notes[:, 1] <= len(sheet.beats) - 1 + 1e-6)


def test_every_quality_has_voicings(chart: Maker, jazz_plan: Maker) -> None:
    for quality in QUALITIES:
        sheet = chart(f"D{quality} | D{quality} | D{quality} | D{quality}")
        assert len(write_comping(jazz_plan(sheet), PIANO, np.random.default_rng(0))), quality


def test_no_chord_is_a_rest(chart: Maker, jazz_plan: Maker) -> None:
    plan = jazz_plan(chart(POP))
    silent = replace(plan, chords=tuple(replace(c, root=None) for c in plan.chords))
    assert write_comping(silent, PIANO, np.random.default_rng(0)).shape == (0, 4)


def test_settings_of_an_instrument(chart: Maker, jazz_plan: Maker) -> None:
    guitar = {"lowest": 52, "highest": 67, "sizes": [0.0, 1.0, 0.0, 0.0]}
    role = replace(
        PIANO, instruments=("guitar_jazz",), settings={"of_instrument": {"guitar_jazz": guitar}}
    )
    notes = write_comping(jazz_plan(chart(AABA)), role, np.random.default_rng(0))
    assert 52 <= notes[:, 2].min() <= notes[:, 2].max() <= 67
    sizes = arrangement.voicing_sizes(notes)
    assert sizes[1] > 0.95 * sizes.sum()


def test_second_voice(chart: Maker, jazz_plan: Maker, tune: Maker) -> None:
    sheet = chart(POP, 4)
    melody = tune(sheet, 3)
    melody = melody[melody[:, 0] % 16 < 12]  # rests in which it answers
    plan = jazz_plan(sheet, melody, bars=32)
    role = Role("second", "second_voice", ("guitar_jazz",))
    notes = write_second_voice(plan, role, np.random.default_rng(0))
    assert len(notes) > 20
    assert notes[:, 0].min() >= 4 * 32  # silent in the first chorus
    for place, length, pitch, _ in notes:
        assert 50 <= pitch <= 76
        sounding = plan.melody_at(place, place + min(length, 0.1))[:, 2]
        assert not len(sounding) or pitch < sounding.min()
        if place % 1 == 0:
            chord = plan.chord_at(place)
            assert (pitch - chord.root) % 12 in QUALITIES[chord.quality]
    assert not len(write_second_voice(jazz_plan(sheet), role, np.random.default_rng(0)))


def test_clusters_are_counted() -> None:
    chord = [(0.0, 1.0, 60, 80), (0.0, 1.0, 64, 80), (0.0, 1.0, 67, 80)]
    assert arrangement.semitone_clusters(np.array(chord)) == (0, 1)
    assert arrangement.semitone_clusters(np.array([*chord, (0.5, 1.0, 65, 80)])) == (1, 2)
    assert arrangement.semitone_clusters(np.zeros((0, 4))) == (0, 0)
    with pytest.raises(ValueError, match="cannot be compared"):
        arrangement.total_variation([1, 2], [1, 2, 3])
