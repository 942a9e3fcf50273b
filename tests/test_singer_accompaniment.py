"""The room that a band leaves to a singer: rests of the lead, onsets of chords, fills, swing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from audiotransfer.cover import singer
from audiotransfer.cover.arranger import Arrangement, ArrangeOptions, arrange
from audiotransfer.cover.band import Band, read_band
from audiotransfer.cover.plan import Plan
from audiotransfer.cover.planning import plan_song
from audiotransfer.leadsheet import LeadSheet, Note
from audiotransfer.styles.find import SHIPPED

Sheets = Callable[..., LeadSheet]


@pytest.fixture(scope="module")
def band() -> Band:
    return read_band(SHIPPED / "jazz-midi" / "band.yaml")


@pytest.fixture
def song(sheet_of: Sheets) -> LeadSheet:
    """64 bars, of which six in eight are sung; in the other two an instrument has the melody."""
    sheet = sheet_of(bpm=120, bars=64)
    sung = tuple((sheet.beats[32 * n], sheet.beats[32 * n + 24]) for n in range(8))
    return replace(sheet, sung=sung)


def arranged(sheet: LeadSheet, band: Band, strength: float = 0.7, **options: object) -> Arrangement:
    generator = torch.Generator().manual_seed(3)
    return arrange(sheet, band, strength, generator, ArrangeOptions(**options))  # type: ignore[arg-type]


def notes_of(arrangement: Arrangement, name: str) -> NDArray[np.float64]:
    found = [part.notes for part in arrangement.parts if part.name == name]
    return found[0] if found else np.zeros((0, 4))


def planned(sheet: LeadSheet, band: Band) -> Plan:
    options = ArrangeOptions(singer=True)
    return plan_song(sheet, band, 0.7, options, np.random.default_rng(0))[0]


def on_syllables(sheet: LeadSheet, chords: NDArray[np.float64]) -> float:
    """Share of chord onsets, but the last, within 45 ms of a sung note's onset."""
    sung = [n.start for n in sheet.melody if any(a <= n.start < b for a, b in sheet.sung)]
    onsets = np.unique(chords[:, 0])[:-1]
    return float(np.mean(np.abs(onsets[:, None] - np.array(sung)).min(axis=1) < 0.045))


def sung_at(sheet: LeadSheet, seconds: NDArray[np.float64]) -> NDArray[np.bool_]:
    spans = np.array(sheet.sung)
    inside: NDArray[np.bool_] = np.any(
        (seconds[:, None] >= spans[:, 0]) & (seconds[:, None] < spans[:, 1]), axis=1
    )
    return inside


@pytest.mark.parametrize("strength", [0.1, 0.3, 0.7, 1.0])
def test_the_lead_rests_while_somebody_sings(song: LeadSheet, band: Band, strength: float) -> None:
    without = notes_of(arranged(song, band, strength), "lead")
    assert sung_at(song, without[:, 0] + 0.05).mean() > 0.6
    lead = notes_of(arranged(song, band, strength, singer=True), "lead")
    assert len(lead) >= 20  # the song's own lead notes where nobody sings
    assert not sung_at(song, lead[:, 0] + 0.05).any()
    assert not sung_at(song, lead[:, 0] + lead[:, 1] - 0.06).any()


def test_no_chord_is_struck_on_a_syllable(song: LeadSheet, band: Band) -> None:
    alone = notes_of(arranged(song, band), "comping")
    chords = notes_of(arranged(song, band, singer=True), "comping")
    assert on_syllables(song, alone) > 0.08
    assert on_syllables(song, chords) < 0.02
    # Few chords are left below dense syllables, but all harmonies are sounded where there is room.
    assert len(np.unique(chords[:, 0])) > 0.5 * len(np.unique(alone[:, 0]))


def test_chords_below_singing_are_held(song: LeadSheet, band: Band) -> None:
    alone = notes_of(arranged(song, band), "comping")
    chords = notes_of(arranged(song, band, singer=True), "comping")
    below = sung_at(song, chords[:, 0])
    assert np.median(chords[below, 1]) > 1.3 * np.median(alone[sung_at(song, alone[:, 0]), 1])


def test_second_voice_and_fills_wait_for_rests(song: LeadSheet, band: Band) -> None:
    second = notes_of(arranged(song, band, singer=True), "second")
    assert not len(second) or not sung_at(song, second[:, 0]).any()
    plan = planned(song, band)
    assert 3 in plan.fills or 7 in plan.fills
    kept = singer.with_fills_in_rests(replace(plan, fills=frozenset({1, 5, 7, 15, 20}))).fills
    assert kept == {7, 15}


def test_short_rests_belong_to_the_singer(sheet_of: Sheets) -> None:
    sheet = sheet_of(bpm=120, bars=8)
    at = sheet.beats
    sheet = replace(sheet, sung=((at[4], at[8]), (at[9], at[12]), (at[20], at[24])))
    assert singer.sung_spans(sheet).tolist() == [[4, 12], [20, 24]]
    assert singer.sung_spans(sheet, 0.0).tolist() == [[4, 8], [9, 12], [20, 24]]
    notes = np.array([[2.0, 4, 60, 80], [8.2, 0.5, 60, 80], [13, 1, 60, 80], [19.9, 1, 60, 80]])
    left = singer.in_rests(notes, sheet)
    assert left[:, 0].tolist() == [2, 13]
    assert left[0, 1] == pytest.approx(1.75)


def test_the_band_swings_lightly_below_straight_singing(song: LeadSheet, band: Band) -> None:
    plan = planned(song, band)
    assert singer.band_swing(plan) == singer.LIGHT_SWING
    swung = replace(song, melody=tuple(_swung(song, note) for note in song.melody))
    assert singer.band_swing(planned(swung, band)) is None

    def off_beats(**options: object) -> float:
        """Median place of off-beat hits of the ride within the beat."""
        drums = notes_of(arranged(song, band, **options), "drums")
        place = song.beat_at(drums[drums[:, 2] == 51, 0]) % 1.0
        return float(np.median(place[(place > 0.4) & (place < 0.85)]))

    assert off_beats() > 0.68
    assert 0.6 < off_beats(singer=True) < 0.66
    assert off_beats(singer=True, swing=0.0) == pytest.approx(0.5, abs=0.03)
    assert off_beats(singer=True, swing=1.0) > 0.68


def _swung(sheet: LeadSheet, note: Note) -> Note:
    place = float(sheet.beat_at(note.start))
    if abs(place % 1 - 0.5) > 0.01:
        return note
    return replace(note, start=float(sheet.time_at(place + 0.16)))


def test_a_song_that_nobody_sings_is_arranged_as_ever(sheet_of: Sheets, band: Band) -> None:
    sheet = sheet_of()
    one, other = arranged(sheet, band), arranged(sheet, band, singer=True)
    for a, b in zip(one.parts, other.parts, strict=True):
        assert np.array_equal(a.notes, b.notes)


def strummed(sheet: LeadSheet, style: str, name: str, singer: bool) -> NDArray[np.float64]:
    """Notes of a part of a style's band, which plays patterns."""
    arrangement = arranged(sheet, read_band(SHIPPED / style / "band.yaml"), 0.7, singer=singer)
    return notes_of(arrangement, name)


def test_strummed_chords_leave_room_for_syllables(song: LeadSheet) -> None:
    alone = strummed(song, "bossa-midi", "guitar", singer=False)
    chords = strummed(song, "bossa-midi", "guitar", singer=True)
    before, after = on_syllables(song, alone), on_syllables(song, chords)
    assert before > 0.25
    assert after < 0.35 * before
    # Where nobody sings nothing changes, and below the singer most chords move, and few go.
    free = ~sung_at(song, alone[:, 0] + 0.3) & ~sung_at(song, alone[:, 0] - 0.3)
    away = np.abs(alone[free, :1] - chords[:, 0]).min(axis=1)
    assert away.max() < 0.05  # but for the spread of onsets
    below, before_below = sung_at(song, chords[:, 0]).sum(), sung_at(song, alone[:, 0]).sum()
    assert 0.5 * before_below < below < before_below


def test_driving_chords_are_held_below_a_singer(song: LeadSheet) -> None:
    alone = strummed(song, "rock-midi", "riff guitar", singer=False)
    chords = strummed(song, "rock-midi", "riff guitar", singer=True)

    def sounding(notes: NDArray[np.float64]) -> float:
        """Seconds with a sounding chord while somebody sings."""
        times = np.concatenate([np.arange(a, b, 0.02) for a, b in song.sung])
        starts, ends = notes[:, 0], notes[:, 0] + notes[:, 1]
        return float(np.mean([np.any((starts <= t) & (t < ends)) for t in times]))

    assert on_syllables(song, chords) < 0.7 * on_syllables(song, alone)
    assert sounding(chords) >= sounding(alone)  # no holes
    # Every harmony is struck still.
    assert len(np.unique(chords[:, 2] % 12)) == len(np.unique(alone[:, 2] % 12))
