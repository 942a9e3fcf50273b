"""The lead: all of the melody, in the instrument's range, one note at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from audiotransfer.cover.arranger import ArrangeOptions, arrange
from audiotransfer.cover.band import Band, Role, read_band
from audiotransfer.cover.instrumentation import instrumented
from audiotransfer.cover.lead import in_range, melody, phrase_numbers
from audiotransfer.cover.plan import Plan
from audiotransfer.cover.planning import plan_song
from audiotransfer.leadsheet import LeadSheet, Note
from audiotransfer.styles.find import SHIPPED

Sheets = Callable[..., LeadSheet]


@pytest.fixture(scope="module")
def band() -> Band:
    return read_band(SHIPPED / "jazz-midi" / "band.yaml")


def plan_and_role(sheet: LeadSheet, band: Band, lead: str | None = None) -> tuple[Plan, Role]:
    plan = plan_song(sheet, band, 0.5, ArrangeOptions(), np.random.default_rng(0))[0]
    return plan, instrumented(plan, lead)[0]


def notes_of(*rows: tuple[float, float, float, float]) -> NDArray[np.float64]:
    return np.array(rows, dtype=np.float64)


def kept(sheet: LeadSheet, notes: NDArray[np.float64], semitones: int = 0) -> float:
    """Share of melody notes with their pitch class above MIDI 54 within 0.23 of a beat."""
    places = sheet.beat_at([note.start for note in sheet.melody])
    high = notes[notes[:, 2] > 54]
    onsets = sheet.beat_at(high[:, 0])
    near = abs(onsets - places[:, None]) < 0.23
    wanted = np.array([note.pitch + semitones for note in sheet.melody])[:, None]
    return float(np.mean(np.any(near & ((high[:, 2] - wanted) % 12 == 0), axis=1)))


@pytest.mark.parametrize("bpm", [60, 100, 140, 200, 280])
def test_the_melody_is_kept(sheet_of: Sheets, band: Band, bpm: int) -> None:
    sheet = sheet_of(bpm=bpm, bars=32)
    for lead in band.role("lead").instruments:
        parts = arrange(
            sheet, band, 1.0, torch.Generator().manual_seed(0), ArrangeOptions(lead=lead)
        ).parts
        notes = next(part.notes for part in parts if part.name == "lead")
        assert kept(sheet, notes) >= 0.97
        assert kept(sheet, notes, 1) < 0.05
        low, high = band.role("lead").settings["ranges"][lead]
        assert notes[:, 2].min() >= low - 1 and notes[:, 2].max() <= high


def test_one_note_sounds_at_a_time(sheet_of: Sheets, band: Band) -> None:
    sheet = sheet_of(bpm=140, bars=16)
    legato = tuple(replace(note, duration=2 * note.duration) for note in sheet.melody)
    plan, role = plan_and_role(replace(sheet, melody=legato), band)
    notes = melody(plan, role, np.random.default_rng(0))
    assert np.all(notes[:-1, 0] + notes[:-1, 1] <= notes[1:, 0] + 1e-9)
    assert notes[:, 1].min() > 0


def test_of_notes_that_start_together_the_highest_leads(sheet_of: Sheets, band: Band) -> None:
    sheet = sheet_of(bpm=120, bars=4)
    double = tuple(Note(0.5 * i, 0.4, pitch, 80) for i in range(8) for pitch in (60, 67))
    plan, role = plan_and_role(replace(sheet, melody=double), band)
    assert melody(plan, role, np.random.default_rng(0))[:, 2].tolist() == [67] * 8


def test_a_melody_moves_by_octaves_as_a_whole() -> None:
    phrases = np.array([0, 0, 0, 1, 1])
    low = np.array([40.0, 43, 47, 41, 45])
    assert in_range(low, phrases, 55, 79).tolist() == [64, 67, 71, 65, 69]
    fitting = np.array([60.0, 62, 64, 65, 67])
    assert in_range(fitting, phrases, 55, 79).tolist() == fitting.tolist()
    # Only the second phrase is too high: it moves, the first stays.
    apart = np.array([60.0, 62, 64, 84, 86])
    assert in_range(apart, phrases, 55, 79).tolist() == [60, 62, 64, 72, 74]
    wide = np.array([50.0, 60, 70, 80, 90])
    moved = in_range(wide, np.zeros(5, dtype=np.int64), 60, 74)
    assert moved.min() >= 60 and moved.max() <= 74
    assert ((moved - wide) % 12 == 0).all()


def test_rests_divide_phrases() -> None:
    notes = notes_of((0, 1, 60, 80), (1, 1, 62, 80), (4, 1, 64, 80), (5, 1, 65, 80))
    assert phrase_numbers(notes).tolist() == [0, 0, 1, 1]


def test_phrases_grow_to_their_peak_and_end_softly(sheet_of: Sheets, band: Band) -> None:
    sheet = replace(sheet_of(bpm=120, bars=16), energy=(0.5,) * 16)
    rise = [60, 64, 67, 72, 67, 64, 60]
    tune = tuple(
        Note(4.0 * phrase + 0.5 * i, 0.45, pitch, 80)
        for phrase in range(8)
        for i, pitch in enumerate(rise)
    )
    plan, role = plan_and_role(replace(sheet, melody=tune), band)
    velocity = melody(plan, role, np.random.default_rng(0))[:56, 3].reshape(8, 7).mean(0)
    assert velocity.argmax() == 3
    assert velocity.argmin() == 6
    assert velocity.mean() == pytest.approx(role.settings["velocity"], abs=4)


def test_velocity_follows_the_songs_energy(sheet_of: Sheets, band: Band) -> None:
    means = []
    for energy in (0.1, 0.9):
        sheet = replace(sheet_of(bars=16), energy=(energy,) * 16)
        plan, role = plan_and_role(sheet, band)
        means.append(melody(plan, role, np.random.default_rng(0))[:, 3].mean())
    assert means[1] - means[0] > 10


def test_grace_notes_are_few_and_lead_to_their_note(sheet_of: Sheets, band: Band) -> None:
    sheet = sheet_of(bpm=120, bars=64)
    tune = tuple(Note(1.0 * i, 0.7, 67, 80) for i in range(120))
    plan, role = plan_and_role(replace(sheet, melody=tune), band)
    counts = []
    for seed in range(5):
        notes = melody(plan, role, np.random.default_rng(seed))
        graces = np.flatnonzero(notes[:, 2] == 66)
        assert notes[graces + 1, 2].tolist() == [67] * len(graces)
        assert np.all(notes[graces, 0] + notes[graces, 1] <= notes[graces + 1, 0] + 1e-9)
        counts.append(len(graces))
    assert 1 <= np.mean(counts) <= 15


def test_two_seeds_differ(sheet_of: Sheets, band: Band) -> None:
    plan, role = plan_and_role(sheet_of(bars=16), band)
    one, two = (melody(plan, role, np.random.default_rng(seed)) for seed in (0, 1))
    assert not np.array_equal(one, two)


def test_a_single_note_outside_does_not_move_its_phrase() -> None:
    phrase = np.array([60.0, 64, 67, 72, 81, 72, 67, 64])
    moved = in_range(phrase, np.zeros(8, dtype=np.int64), 55, 78)
    assert moved.tolist() == [60, 64, 67, 72, 69, 72, 67, 64]


def test_a_high_fill_does_not_move_the_song() -> None:
    tune = np.array([60.0, 62, 64, 65, 67, 65, 64, 62, 60, 62])
    fill = np.array([84.0, 86, 88])
    phrases = np.repeat([0, 1], [10, 3])
    moved = in_range(np.r_[tune, fill], phrases, 55, 79)
    assert moved[:10].tolist() == tune.tolist() and (moved[10:] == fill - 12).all()


def test_lines_do_not_break_by_octaves_in_a_phrase() -> None:
    """As in a song with a low note in every phrase, or one that climbs out of the range."""
    phrases = np.repeat(np.arange(8), 8)
    below = np.tile([62.0, 60, 62, 64, 67, 65, 62, 60], 8)  # the violin's lowest is D4, 62
    moved = in_range(below, phrases, 62, 93)
    assert (moved == below + 12).all()
    above = np.tile([79.0, 81, 77, 79, 76, 72, 74, 72], 8)
    assert (in_range(above, phrases, 55, 79) == above - 12).all()
    random = np.random.default_rng(0)
    for _ in range(20):
        tune = 66 + np.cumsum(random.integers(-4, 5, 64)).astype(float)
        tune = np.clip(tune, 50, 84)
        moved = in_range(tune, phrases, 55, 79)
        assert moved.min() >= 55 and moved.max() <= 79 and not ((moved - tune) % 12).any()
        inside = np.diff(phrases) == 0
        breaks = int((np.diff(moved - tune) != 0)[inside].sum())
        folded = np.where(tune < 55, tune + 12, np.where(tune > 79, tune - 12, tune))
        assert breaks <= int((np.diff(folded - tune) != 0)[inside].sum())


def test_a_melody_that_is_mostly_too_low_in_some_phrases_moves_as_one() -> None:
    """A low line whose first phrases just fit, and whose later ones do not."""
    first, later = [57.0, 60, 60, 57, 60, 54, 57], [55.0, 64, 59, 52, 52, 67]
    tune = np.array(4 * first + 4 * later)
    phrases = np.repeat(np.arange(8), 4 * [7] + 4 * [6])
    assert (in_range(tune, phrases, 53, 80) == tune + 12).all()
    # A phrase far outside stays apart.
    apart = np.r_[79.0, tune]
    moved = in_range(apart, np.r_[0, phrases + 1], 53, 80)
    assert moved.tolist() == [79.0, *(tune + 12)]
