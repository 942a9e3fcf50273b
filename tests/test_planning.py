"""Plans of arrangements: feel, tempo, key, added bars, form, the lead's notes, the steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from audiotransfer.cover.arranger import ArrangeOptions, arrange
from audiotransfer.cover.band import Band, read_band
from audiotransfer.cover.form import choruses, fill_bars, without_gaps
from audiotransfer.cover.plan import Plan
from audiotransfer.cover.planning import plan_song
from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet import Bar, Chord, LeadSheet, Note, Section
from audiotransfer.styles.find import SHIPPED

Sheets = Callable[..., LeadSheet]


@pytest.fixture(scope="module")
def band() -> Band:
    return read_band(SHIPPED / "jazz-midi" / "band.yaml")


def plan(sheet: LeadSheet, band: Band, strength: float = 0.5, **options: Any) -> Plan:
    random = np.random.default_rng(0)
    return plan_song(sheet, band, strength, ArrangeOptions(**options), random)[0]


def melody_at(sheet: LeadSheet, places: list[float], sung: bool = False) -> LeadSheet:
    """The lead sheet with short melody notes at places in beats."""
    times = sheet.time_at(places)
    notes = tuple(Note(float(time), 0.05, 67, 80) for time in times)
    return replace(sheet, melody=notes, sung=((0.0, sheet.seconds),) if sung else ())


def test_a_slow_song_is_felt_twice_as_fast(sheet_of: Sheets, band: Band) -> None:
    sheet = sheet_of(bpm=70, bars=16)
    felt = plan(sheet, band)
    assert felt.feel == 2
    assert len(felt.sheet.bars) == 32
    assert {bar.numerator for bar in felt.sheet.bars} == {4}
    assert felt.sheet.beats[-1] == pytest.approx(sheet.seconds)
    assert [c.beat for c in felt.sheet.chords[:3]] == [0, 8, 16]
    assert len(felt.energy) == len(felt.chorus) == 32
    # An eighth of the song is a beat of the plan.
    assert felt.melody[:, 0] == pytest.approx(np.round(felt.melody[:, 0]), abs=1e-6)


def test_two_beats_of_a_slow_song_become_a_bar_of_four(sheet_of: Sheets, band: Band) -> None:
    felt = plan(sheet_of(bpm=70, bars=16, metre="2/4"), band)
    assert [(bar.beat, bar.beats) for bar in felt.sheet.bars[:2]] == [(0, 4), (4, 4)]


def test_a_fast_song_is_felt_half_as_fast(sheet_of: Sheets, band: Band) -> None:
    sheet = sheet_of(bpm=280, bars=32)
    felt = plan(sheet, band)
    assert felt.feel == 0.5
    assert [bar.beats for bar in felt.sheet.bars] == [4] * 16
    assert felt.sheet.beats[-1] == pytest.approx(sheet.seconds)
    assert [section.beat for section in felt.sheet.sections] == [0, 16, 32, 48]


def test_an_odd_last_bar_of_a_section_is_half_as_long(sheet_of: Sheets, band: Band) -> None:
    sheet = sheet_of(bpm=280, bars=10)
    sheet = replace(sheet, sections=(Section(0, 12, "A"), Section(12, 28, "B")))
    assert [bar.beats for bar in plan(sheet, band).sheet.bars] == [4, 2, 4, 4, 4, 2]


@pytest.mark.parametrize("metre", ["3/4", "5/4"])
def test_bars_of_an_odd_number_of_beats_are_not_halved(
    sheet_of: Sheets, band: Band, metre: str
) -> None:
    assert plan(sheet_of(bpm=280, bars=16, metre=metre), band).feel == 1


def test_half_notes_become_quarters(sheet_of: Sheets, band: Band) -> None:
    sheet = sheet_of(bpm=100, bars=16, metre="2/2")
    felt = plan(sheet, band)
    assert felt.feel == 1
    assert [(bar.beat, bar.beats) for bar in felt.sheet.bars[:2]] == [(0, 4), (4, 4)]
    assert felt.sheet.seconds == pytest.approx(sheet.seconds)
    assert [chord.beat for chord in felt.sheet.chords[:2]] == [0, 4]
    three = plan(sheet_of(bpm=100, bars=16, metre="3/2"), band)
    assert {bar.beats for bar in three.sheet.bars} == {6}


def test_notes_beside_the_beats_are_told(sheet_of: Sheets, band: Band) -> None:
    sheet = sheet_of(bpm=120, bars=32)
    free = melody_at(sheet, np.sort(np.random.default_rng(0).uniform(0, 120, 200)).tolist())
    options, random = ArrangeOptions(), np.random.default_rng(0)
    assert any(
        "file's beats" in notice for notice in plan_song(free, band, 0.5, options, random)[2]
    )
    assert not plan_song(sheet, band, 0.5, options, random)[2]


def test_slow_compound_metres_keep_their_beats(sheet_of: Sheets, band: Band) -> None:
    assert plan(sheet_of(bpm=60, bars=16, metre="12/8"), band).feel == 1


def test_sixteenths_double_a_song_of_medium_tempo(sheet_of: Sheets, band: Band) -> None:
    sheet = sheet_of(bpm=100, bars=8)
    full = melody_at(sheet, (np.arange(80) / 4).tolist())
    assert plan(full, band).feel == 2
    assert plan(melody_at(sheet, (np.arange(40) / 2).tolist()), band).feel == 1


def test_tempo_and_key_change_as_asked(sheet_of: Sheets, band: Band) -> None:
    sheet = sheet_of(bpm=120, bars=16)
    asked = plan(sheet, band, tempo=160.0, transpose=3)
    assert asked.sheet.seconds == pytest.approx(sheet.seconds * 120 / 160)
    assert asked.sheet.keys[0].tonic == 3
    assert asked.chords[1].root == 0
    assert asked.melody[:, 2].tolist() == [note.pitch + 3 for note in sheet.melody]
    assert asked.melody[:, 0] == pytest.approx(plan(sheet, band).melody[:, 0])


@pytest.mark.parametrize("bars", [1, 2, 4, 8])
def test_an_intro_leads_to_the_song_by_a_turnaround(
    sheet_of: Sheets, band: Band, bars: int
) -> None:
    sheet = sheet_of(bpm=120, bars=16)
    added = plan(sheet, band, intro=bars)
    assert len(added.sheet.bars) == 16 + bars
    assert added.sheet.seconds == pytest.approx(sheet.seconds + bars * 2.0)
    assert added.melody[0, 0] == pytest.approx(4 * bars + plan(sheet, band).melody[0, 0])
    before = [chord for chord in added.chords if chord.beat < 4 * bars]
    assert before[-1].root == 7  # V of C
    assert sum(chord.beats for chord in before) == 4 * bars
    np.testing.assert_allclose(np.diff(added.sheet.beat_times), 0.5)


def test_an_intro_has_the_songs_metre_and_not_its_pickups(sheet_of: Sheets, band: Band) -> None:
    sheet = sheet_of(bpm=120, bars=16)
    bars = (Bar(0, 1, 4), *(Bar(1 + 4 * index, 4, 4) for index in range(15)), Bar(61, 3, 4))
    added = plan(replace(sheet, bars=bars, energy=()), band, intro=2, outro=2)
    assert [bar.beats for bar in added.sheet.bars[:4]] == [4, 4, 1, 4]
    assert [bar.beats for bar in added.sheet.bars[-3:]] == [3, 4, 4]


def test_only_an_outro_slows_down(sheet_of: Sheets, band: Band) -> None:
    sheet = sheet_of(bpm=120, bars=16)
    added = plan(sheet, band, outro=4)
    lengths = np.diff(added.sheet.beat_times)
    assert lengths[:64] == pytest.approx(0.5)
    assert lengths[64::4] / 0.5 == pytest.approx([1.0, 1.01, 1.02, 1.03])
    assert added.chords[-1].root == 0 and added.chords[-1].beats == 4
    assert plan(sheet, band).sheet.seconds == pytest.approx(sheet.seconds)


def test_without_a_key_the_last_bars_are_repeated(sheet_of: Sheets, band: Band) -> None:
    sheet = replace(sheet_of(bars=16), keys=())
    added = plan(sheet, band, intro=4)
    assert [c.root for c in added.chords[:4]] == [c.root for c in sheet.chords[-4:]]


def test_eighths_are_put_on_the_grid_and_triplets_and_sixteenths_kept(
    sheet_of: Sheets, band: Band
) -> None:
    sheet = sheet_of(bpm=120, bars=4)
    places = [0.02, 0.47, 1.0, 1.34, 1.65, 2.0, 2.25, 2.5, 2.76, 4.0, 4.5]
    wanted = [0, 0.5, 1, 4 / 3, 5 / 3, 2, 2.25, 2.5, 2.75, 4, 4.5]
    assert plan(melody_at(sheet, places), band).melody[:, 0] == pytest.approx(wanted)


def test_grace_notes_stay_before_their_note(sheet_of: Sheets, band: Band) -> None:
    sheet = melody_at(sheet_of(bpm=120, bars=4), [0.0, 0.94, 1.0, 1.44, 1.5, 2.875, 3.0])
    places = plan(sheet, band).melody[:, 0]
    assert places == pytest.approx([0, 0.94, 1, 1.44, 1.5, 2.9, 3], abs=0.01)
    lead = arrange(sheet, band, 1.0, torch.Generator().manual_seed(0)).parts[0]
    assert len(lead.notes) == 7


def test_a_dotted_pair_becomes_eighths_that_can_be_swung(sheet_of: Sheets, band: Band) -> None:
    sheet = melody_at(sheet_of(bpm=120, bars=4), [0, 0.75, 1, 2.25, 2.75])
    assert plan(sheet, band).melody[:, 0].tolist() == [0, 0.5, 1, 2.25, 2.75]
    straight = plan(sheet, band, swing=0.0).melody[:, 0]
    assert straight.tolist() == [0, 0.75, 1, 2.25, 2.75]


def test_a_melody_that_is_swung_already_is_straightened(sheet_of: Sheets, band: Band) -> None:
    places = [beat + off for beat in range(12) for off in (0.0, 0.65)]
    sheet = melody_at(sheet_of(bpm=120, bars=4), places)
    assert set((plan(sheet, band).melody[:, 0] % 1).tolist()) == {0.0, 0.5}
    # A single triplet among straight eighths stays.
    mixed = [0, 1, 1.667, *np.arange(2, 12, 0.5)]
    kept = plan(melody_at(sheet, mixed), band).melody[2, 0]
    assert kept == pytest.approx(5 / 3, abs=1e-3)


def test_sung_notes_keep_their_timing_unless_swing_is_asked_for(
    sheet_of: Sheets, band: Band
) -> None:
    sheet = melody_at(sheet_of(bpm=120, bars=4), [0.06, 0.56, 1.44, 2.1], sung=True)
    assert plan(sheet, band).melody[:, 0] == pytest.approx([0.06, 0.56, 1.44, 2.1])
    assert plan(sheet, band, swing=1.0).melody[:, 0] == pytest.approx([0, 0.5, 1.5, 2])


def test_a_repeated_form_counts_choruses(sheet_of: Sheets) -> None:
    assert choruses(sheet_of(bars=64)).tolist() == [0] * 32 + [1] * 32
    once = replace(sheet_of(bars=32), sections=(Section(0, 48, "A"), Section(48, 80, "B")))
    assert choruses(once).tolist() == [0] * 12 + [1] * 20
    assert choruses(replace(once, sections=())).tolist() == [0] * 16 + [1] * 16
    assert set(choruses(sheet_of(bars=8)).tolist()) == {0}


def test_fills_end_sections_and_come_every_eighth_bar(sheet_of: Sheets) -> None:
    sheet = replace(sheet_of(bars=32), sections=(Section(0, 80, "A"), Section(80, 48, "B")))
    assert fill_bars(sheet) == {7, 15, 19, 27}


def test_chords_follow_each_other_without_gaps() -> None:
    chords = without_gaps([Chord(8, 2, 0), Chord(2, 1, 7), Chord(20, 4, 5)], 16)
    assert [(c.beat, c.beats, c.root) for c in chords] == [(0, 2, None), (2, 6, 7), (8, 8, 0)]


def test_the_end_is_the_tonic_unless_the_melody_forbids_it(sheet_of: Sheets, band: Band) -> None:
    sheet = sheet_of(bars=16)
    last = sheet.bars[-1].beat
    on_five = replace(sheet, chords=(*sheet.chords[:-1], Chord(last, 4, 7, "7")))
    assert plan(on_five, band).chords[-1].root == 0
    for seed in range(20):
        plans = plan_song(sheet, band, 1.0, ArrangeOptions(), np.random.default_rng(seed))[0]
        # The melody ends on C: no major seventh below it.
        assert plans.chords[-1].quality in ("6", "7")
    strange = (*sheet.melody[:-1], replace(sheet.melody[-1], pitch=66))
    assert plan(replace(on_five, melody=strange), band).chords[-1].root == 7


def test_the_band_holds_the_last_chord(sheet_of: Sheets, band: Band) -> None:
    sheet = sheet_of(bpm=120, bars=16)
    arrangement = arrange(sheet, band, 1.0, torch.Generator().manual_seed(0))
    last, end = arrangement.sheet.time_at([arrangement.sheet.bars[-1].beat, 64])
    for part in arrangement.parts:
        late = part.notes[part.notes[:, 0] > last - 0.1]
        if part.name in ("comping", "bass"):
            assert len(late) and np.ptp(late[:, 0]) < 0.1
            assert late[:, 0] + late[:, 1] == pytest.approx(end, abs=0.15)
        if part.name == "bass":
            assert late[:, 2] % 12 == 0
        if part.name == "lead":
            assert late[-1, 1] == pytest.approx(sheet.melody[-1].duration, abs=0.05)


def test_an_intro_belongs_to_the_first_chorus(sheet_of: Sheets, band: Band) -> None:
    added = plan(sheet_of(bars=64), band, intro=4)
    assert added.chorus.tolist() == [0] * 36 + [1] * 32
    assert 3 in added.fills


def test_bands_without_sevenths_end_and_begin_with_triads(sheet_of: Sheets) -> None:
    rock = read_band(SHIPPED / "rock-midi" / "band.yaml")
    added = plan(sheet_of(bars=16), rock, strength=1.0, intro=4, outro=2)
    assert [c.quality for c in added.chords[:4]] == ["", "m", "m", ""]
    assert (added.chords[-1].root, added.chords[-1].quality) == (0, "")


def test_what_is_missing_is_said(sheet_of: Sheets, band: Band) -> None:
    sheet = sheet_of(bars=16)
    options, random = ArrangeOptions(), np.random.default_rng(0)
    bare, _, notices = plan_song(replace(sheet, chords=()), band, 0.5, options, random)
    assert {chord.root for chord in bare.chords} == {0} and "no chords" in notices[0]
    bare, _, notices = plan_song(replace(sheet, chords=(), keys=()), band, 0.5, options, random)
    assert {chord.root for chord in bare.chords} == {None} and "nor a key" in notices[0]
    _, _, notices = plan_song(replace(sheet, melody=()), band, 0.5, options, random)
    assert "no melody" in notices[0]
    with pytest.raises(AudioTransferError, match="no bars"):
        plan_song(LeadSheet((0.0,), ()), band, 0.5, options, random)


def song_with_parts(sheet: LeadSheet) -> LeadSheet:
    beats = np.arange(0, len(sheet.beats) - 1, 0.5)
    times = sheet.time_at(beats)
    others = tuple(Note(float(t), 0.2, pitch, 70) for t in times for pitch in (60, 64))
    bass = tuple(Note(float(t), 0.2, 36, 70) for t in times)
    drums = tuple(Note(float(t), 0.1, 42, 70) for t in times)
    return replace(sheet, others=others, bass=bass, drums=drums)


def test_below_the_first_steps_the_band_has_the_songs_own_notes(
    sheet_of: Sheets, band: Band
) -> None:
    sheet = song_with_parts(sheet_of(bpm=120, bars=16))
    straight = arrange(sheet, band, 0.1, torch.Generator().manual_seed(0))
    swung = arrange(sheet, band, 0.3, torch.Generator().manual_seed(0))
    own = {"lead": sheet.melody, "comping": sheet.others, "bass": sheet.bass, "drums": sheet.drums}
    for arrangement in (straight, swung):
        parts = {part.name: part.notes for part in arrangement.parts}
        assert set(parts) == set(own)
        for name, notes in own.items():
            pitches = parts[name][np.isin(parts[name][:, 2], 51, invert=True), 2]
            assert sorted(pitches % 12) == sorted(note.pitch % 12 for note in notes)
    offs = {}
    for step, arrangement in (("straight", straight), ("swung", swung)):
        bass = next(part.notes for part in arrangement.parts if part.name == "bass")
        phase = arrangement.sheet.beat_at(bass[:, 0]) % 1
        offs[step] = np.median(phase[(phase > 0.35) & (phase < 0.85)])
    assert offs["straight"] == pytest.approx(0.5, abs=0.03)
    assert offs["swung"] == pytest.approx(2.4 / 3.4, abs=0.03)
    rides = []
    for seed in (0, 1):
        parts = arrange(sheet, band, 0.3, torch.Generator().manual_seed(seed)).parts
        drums = next(part.notes for part in parts if part.name == "drums")
        rides.append(drums[drums[:, 2] == 51])
    assert min(len(ride) for ride in rides) > 60
    assert len(rides[0]) != len(rides[1]) or not np.allclose(
        rides[0][:, 0], rides[1][:, 0], atol=0.1
    )


def test_the_same_seed_gives_the_same_notes(sheet_of: Sheets, band: Band) -> None:
    sheet = sheet_of(bars=16)
    first, again, other = (
        arrange(sheet, band, 1.0, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    for one, two in zip(first.parts, again.parts, strict=True):
        np.testing.assert_array_equal(one.notes, two.notes)
    changed = {part.name: part.notes for part in other.parts}
    for part in first.parts:
        assert not np.array_equal(part.notes, changed.get(part.name))


def test_a_lead_is_chosen_by_a_part_of_its_name(sheet_of: Sheets, band: Band) -> None:
    sheet = sheet_of(bars=16)
    for word, lead in (("sax", "sax_tenor"), ("alto", "sax_alto"), ("piano", "piano_grand")):
        parts = arrange(sheet, band, 1.0, None, ArrangeOptions(lead=word)).parts
        instruments = [part.instrument for part in parts]
        assert instruments[0] == lead
        assert len(set(instruments)) == len(instruments)
    with pytest.raises(AudioTransferError, match="trumpet"):
        arrange(sheet, band, 1.0, None, ArrangeOptions(lead="bagpipe"))


def test_ballads_have_brushes(sheet_of: Sheets, band: Band) -> None:
    def kit(bpm: float) -> str:
        parts = arrange(sheet_of(bpm=bpm, bars=16), band, 1.0).parts
        return next(part.instrument for part in parts if part.name == "drums")

    assert (kit(64), kit(80), kit(140)) == (
        "kit_jazz_brushes",
        "kit_jazz_sticks",
        "kit_jazz_sticks",
    )


@pytest.mark.parametrize("metre", ["2/4", "3/4", "5/4", "7/8", "6/8", "9/8", "12/8", "2/2"])
@pytest.mark.parametrize("strength", [0.1, 0.3, 0.5, 1.0])
def test_every_metre_is_arranged(sheet_of: Sheets, band: Band, metre: str, strength: float) -> None:
    sheet = song_with_parts(sheet_of(bpm=120, bars=16, metre=metre))
    parts = arrange(sheet, band, strength, torch.Generator().manual_seed(0)).parts
    assert {"lead", "drums"} <= {part.name for part in parts}
    for part in parts:
        assert np.all(np.diff(part.notes[:, 0]) >= 0)
        assert part.notes[:, 0].min() >= 0 and part.notes[:, 1].min() > 0
        assert part.notes[:, 3].min() >= 1 and part.notes[:, 3].max() <= 127


def test_a_song_that_changes_its_metre_is_arranged(sheet_of: Sheets, band: Band) -> None:
    sheet = sheet_of(bpm=120, bars=12)
    bars = (Bar(0, 4, 4), Bar(4, 3, 4), Bar(7, 2, 4), *(Bar(9 + 3 * i, 9, 8) for i in range(13)))
    mixed = replace(sheet, bars=bars, energy=(), sections=())
    parts = arrange(mixed, band, 1.0, torch.Generator().manual_seed(0)).parts
    assert {"lead", "drums", "bass", "comping"} <= {part.name for part in parts}


def test_own_notes_are_at_most_as_soft_below_the_melody_as_counted(
    sheet_of: Sheets, band: Band
) -> None:
    sheet = song_with_parts(sheet_of(bpm=120, bars=8))
    sheet = replace(
        sheet,
        melody=tuple(replace(note, velocity=100) for note in sheet.melody),
        others=tuple(replace(note, velocity=30 + i % 5) for i, note in enumerate(sheet.others)),
    )
    parts = arrange(sheet, band, 0.1, torch.Generator().manual_seed(0)).parts
    comping = next(part.notes for part in parts if part.name == "comping")
    assert np.median(comping[:, 3]) == 82 and np.ptp(comping[:, 3]) == 4
