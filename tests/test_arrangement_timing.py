"""When the notes of a band sound: swing by instrument and tempo, lags, drift."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from audiotransfer.cover.arranger import ArrangeOptions, arrange
from audiotransfer.cover.band import Band, Role, Timing, read_band
from audiotransfer.cover.instrumentation import instrumented
from audiotransfer.cover.plan import Plan
from audiotransfer.cover.planning import plan_song
from audiotransfer.cover.timing import to_seconds
from audiotransfer.leadsheet import LeadSheet
from audiotransfer.styles.find import SHIPPED

Sheets = Callable[..., LeadSheet]
TEMPOS = (115, 145, 175, 205, 235)
# Counted: jazz trios, and solos of horns.
COUNTED = {
    "drums": (2.64, 2.58, 2.3, 2.0, 1.7),
    "bass": (2.43, 2.38, 2.08, 2.0, 1.78),
    "piano_grand": (2.0, 1.91, 1.62, 1.45, 1.36),
    "sax_tenor": (1.53, 1.47, 1.44, 1.32, 1.24),
}


@pytest.fixture(scope="module")
def band() -> Band:
    return read_band(SHIPPED / "jazz-midi" / "band.yaml")


def plan(sheet: LeadSheet, band: Band) -> Plan:
    return plan_song(sheet, band, 0.5, ArrangeOptions(), np.random.default_rng(0))[0]


def role(band: Band, plan: Plan, name: str, lead: str | None = None) -> Role:
    return next(role for role in instrumented(plan, lead) if role.name == name)


def eighths(places: list[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Notes of half a beat at places in beats."""
    return np.stack([np.full(len(places), v) for v in (0, 0.5, 67, 80)], 1) + np.array(
        [[place, 0, 0, 0] for place in places]
    )


def ratios(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Long to short of eighths in pairs, of which the first is on the beat."""
    first, second, third = seconds[:-2:2], seconds[1:-1:2], seconds[2::2]
    return (second - first) / (third - second)


@pytest.mark.parametrize("bpm", TEMPOS)
@pytest.mark.parametrize("instrument", COUNTED)
def test_eighths_are_swung_as_counted(
    sheet_of: Sheets, band: Band, instrument: str, bpm: int
) -> None:
    song = plan(sheet_of(bpm=bpm, bars=32), band)
    name = instrument if instrument in ("drums", "bass") else "lead"
    chosen = role(band, song, name, instrument if name == "lead" else None)
    notes = eighths(np.arange(1, 100, 0.5))
    timed = to_seconds(notes, song, chosen, np.random.default_rng(1))
    wanted = COUNTED[instrument][TEMPOS.index(bpm)]
    assert np.median(ratios(timed[:, 0])) == pytest.approx(wanted, rel=0.1)


@pytest.mark.parametrize("bpm", [100, 120, 150, 180, 200])
@pytest.mark.parametrize("lead", ["sax_tenor", "piano_grand"])
def test_off_beats_of_ride_and_lead_lie_in_the_swung_place(
    sheet_of: Sheets, band: Band, bpm: int, lead: str
) -> None:
    options = ArrangeOptions(lead=lead)
    generator = torch.Generator().manual_seed(bpm)
    arrangement = arrange(sheet_of(bpm=bpm, bars=32), band, 1.0, generator, options)
    for part in arrangement.parts:
        notes = part.notes if part.name == "lead" else part.notes[part.notes[:, 2] == 51]
        if part.name in ("lead", "drums"):
            phase = arrangement.sheet.beat_at(notes[:, 0]) % 1
            off = phase[(phase > 0.35) & (phase < 0.85)]
            assert len(off) > 15
            assert np.mean((off >= 0.55) & (off <= 0.77)) >= 0.8


def exactly(song: Plan, swing: float = 2.0) -> Role:
    """A lead that swings by one ratio, without lag and spread."""
    timing = Timing(swing=((100, swing), (200, swing)))
    return Role("lead", "melody", ("sax_tenor",), timing=timing)


def test_triplets_and_sixteenths_stay(sheet_of: Sheets, band: Band) -> None:
    song = plan(sheet_of(bpm=120, bars=4), band)
    places = [0, 0.5, 1, 4 / 3, 5 / 3, 2, 2.5, 2.75, 3.5, 4.25, 4.5, 4.75]
    wanted = [0, 2 / 3, 1, 4 / 3, 5 / 3, 2, 2.5, 2.75, 3 + 2 / 3, 4.25, 4.5, 4.75]
    notes = eighths(places)
    timed = to_seconds(notes, song, exactly(song), np.random.default_rng(0))
    assert timed[:, 0] * 2 == pytest.approx(wanted)


def test_lengths_follow_their_ends(sheet_of: Sheets, band: Band) -> None:
    song = plan(sheet_of(bpm=120, bars=4), band)
    timed = to_seconds(eighths([0, 0.5, 1]), song, exactly(song), np.random.default_rng(0))
    ends = (timed[:, 0] + timed[:, 1]) * 2
    assert ends == pytest.approx([2 / 3, 1, 1 + 2 / 3])


def test_swing_is_scaled(sheet_of: Sheets, band: Band) -> None:
    song = plan(sheet_of(bpm=120, bars=4), band)
    middle = {
        swing: to_seconds(eighths([0.5]), song, exactly(song), np.random.default_rng(0), swing)[
            0, 0
        ]
        for swing in (0.0, 0.5, 1.0)
    }
    assert [2 * value for value in middle.values()] == pytest.approx([0.5, 0.6, 2 / 3])


def test_sung_notes_and_compound_metres_are_not_swung(sheet_of: Sheets, band: Band) -> None:
    song = plan(sheet_of(bpm=120, bars=4), band)
    sung = replace(song, sheet=replace(song.sheet, sung=((0.4, 1.1),)))
    notes = eighths([0.5, 1.5, 2.5])
    timed = to_seconds(notes, sung, exactly(song), np.random.default_rng(0))
    assert timed[:, 0] * 2 == pytest.approx([2 / 3, 1.5, 2 + 2 / 3])
    timed = to_seconds(notes, sung, exactly(song), np.random.default_rng(0), swing=1.0)
    assert timed[1, 0] * 2 == pytest.approx(1 + 2 / 3)
    twelve = plan(sheet_of(bpm=120, bars=4, metre="12/8"), band)
    timed = to_seconds(notes, twelve, exactly(song), np.random.default_rng(0))
    assert timed[:, 0] * 2 == pytest.approx([0.5, 1.5, 2.5])


def test_instruments_lag_and_spread_as_counted(sheet_of: Sheets, band: Band) -> None:
    song = plan(sheet_of(bpm=145, bars=200), band)
    beats = np.arange(4.0, 780.0)
    off: dict[str, NDArray[np.float64]] = {}
    for seed, name in enumerate(("drums", "bass", "comping", "lead")):
        notes = eighths(beats)
        notes[:, 2] = 51
        timed = to_seconds(notes, song, role(band, song, name), np.random.default_rng(seed))
        off[name] = 1000 * (timed[:, 0] - song.sheet.time_at(beats))
    pairs = {
        ("bass", "drums"): (5, 19),
        ("comping", "drums"): (13, 26),
        ("comping", "bass"): (8, 27),
    }
    for (one, two), (mean, spread) in pairs.items():
        difference = off[one] - off[two]
        assert difference.mean() == pytest.approx(mean, abs=4)
        assert difference.std() == pytest.approx(spread, rel=0.2)
    assert off["lead"].mean() == pytest.approx(16, abs=3)
    # Drift: neighbours deviate together.
    assert np.corrcoef(off["comping"][1:], off["comping"][:-1])[0, 1] > 0.2


def test_the_foot_precedes_the_ride(sheet_of: Sheets, band: Band) -> None:
    song = plan(sheet_of(bpm=145, bars=8), band)
    notes = np.concatenate([eighths(np.arange(1.0, 30.0)) for _ in range(2)])
    notes[:29, 2], notes[29:, 2] = 44, 51
    timed = to_seconds(notes, song, role(band, song, "drums"), np.random.default_rng(0))
    foot, ride = (timed[timed[:, 2] == key, 0] for key in (44, 51))
    assert 1000 * (ride - foot) == pytest.approx(15)


@pytest.mark.parametrize("bpm", [60, 140, 240])
def test_order_is_kept_and_nothing_begins_before_the_song(
    sheet_of: Sheets, band: Band, bpm: int
) -> None:
    song = plan(sheet_of(bpm=bpm, bars=8), band)
    chosen = Role("x", "x", ("y",), timing=Timing(((100, 2.6),), ((100, -90),), 30.0))
    places = np.arange(0, 20, 0.125)
    notes = eighths(places)
    notes[:, 2] = np.arange(len(places)) % 120
    timed = to_seconds(notes, song, chosen, np.random.default_rng(3))
    assert timed[0, 0] == 0.0
    assert timed[:, 1].min() > 0
    assert np.all(np.diff(timed[:, 0]) >= 0)
    order = timed[timed[:, 0] > 0, 2]
    assert order.tolist() == notes[-len(order) :, 2].tolist()
    assert len(to_seconds(np.empty((0, 4)), song, chosen, np.random.default_rng(0))) == 0
