"""Jazz drums against the counts they are drawn from; fills, brushes, metres, endings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from audiotransfer.cover import tablature
from audiotransfer.cover.band import Band, read_band
from audiotransfer.cover.counts import table
from audiotransfer.cover.drums import CRASH, FOOT_HAT, KICK, RIDE, SNARE, STIR, jazz_drums
from audiotransfer.cover.instrumentation import instrumented
from audiotransfer.cover.plan import ArrangeOptions, Plan
from audiotransfer.cover.planning import plan_song
from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet import LeadSheet, Section
from audiotransfer.styles.find import SHIPPED

Sheets = Callable[..., LeadSheet]
Rows = NDArray[np.float64]


@pytest.fixture(scope="module")
def band() -> Band:
    return read_band(SHIPPED / "jazz-midi" / "band.yaml")


def planned(sheet: LeadSheet, band: Band) -> Plan:
    return plan_song(sheet, band, 0.5, ArrangeOptions(), np.random.default_rng(0))[0]


def drums(plan: Plan, seed: int = 0, **settings: Any) -> Rows:
    role = next(role for role in instrumented(plan) if role.name == "drums")
    role = replace(role, settings={**role.settings, **settings})
    return jazz_drums(plan, role, np.random.default_rng(seed))


def of_bar(notes: Rows, plan: Plan, index: int) -> Rows:
    """A bar's notes, places from its start."""
    bar = plan.sheet.bars[index]
    inside = (notes[:, 0] > bar.beat - 0.01) & (notes[:, 0] < bar.beat + bar.beats - 0.01)
    return notes[inside] - [bar.beat, 0, 0, 0]


@pytest.fixture(scope="module")
def song(band: Band) -> tuple[Plan, list[Rows]]:
    """A plan of 64 bars and what eight seeds make of it."""
    beats = tuple((np.arange(257) * 0.4).tolist())
    from audiotransfer.leadsheet import Bar, Chord

    sheet = LeadSheet(
        beats,
        tuple(Bar(4 * index) for index in range(64)),
        sections=tuple(Section(32 * index, 32, "AABA"[index % 4]) for index in range(8)),
        chords=(Chord(0, 256, 0),),
        energy=tuple((0.5 + 0.3 * np.sin(np.arange(64) / 5)).tolist()),
    )
    plan = planned(sheet, band)
    return plan, [drums(plan, seed) for seed in range(8)]


def slots(bar: Rows, *keys: int) -> set[int]:
    return {round(2 * place) for place in bar[np.isin(bar[:, 2], keys), 0]}


def test_ride_bars_are_as_counted(song: tuple[Plan, list[Rows]], band: Band) -> None:
    plan, made = song
    rhythms: Counter[str] = Counter()
    for notes in made:
        for index in range(63):
            ride = slots(of_bar(notes, plan, index), RIDE, CRASH)
            rhythms["".join("x" if slot in ride else "." for slot in range(8))] += 1
    counted = table(band, "ride")["bars"]
    total = sum(counted.values())
    assert sum(rhythms.values()) > 300
    differences = [
        abs(rhythms[name] / sum(rhythms.values()) - counted.get(name, 0) / total)
        for name in rhythms.keys() | counted.keys()
    ]
    assert sum(differences) / 2 < 0.15


def test_foot_kick_and_snare_are_as_counted(song: tuple[Plan, list[Rows]], band: Band) -> None:
    plan, made = song
    counted = table(band, "ride")
    foot, kick, snare = np.zeros(4), np.zeros(4), np.zeros(4)
    for notes in made:
        for index in range(63):
            bar = of_bar(notes, plan, index)
            foot += [2 * beat in slots(bar, FOOT_HAT) for beat in range(4)]
            kick[min(len(slots(bar, KICK)), 3)] += 1
            snare[min(len(slots(bar, SNARE) & set(range(8))), 3)] += 1
    bars = 63 * len(made)
    assert foot / bars == pytest.approx(counted["foot_hat"]["on_beat"], abs=0.1)
    assert kick / bars == pytest.approx(counted["kick"]["per_bar"], abs=0.12)
    assert snare / bars == pytest.approx(counted["snare"]["per_bar"], abs=0.1)


def test_velocities_are_as_counted(song: tuple[Plan, list[Rows]]) -> None:
    notes = np.concatenate(song[1])
    ride = notes[notes[:, 2] == RIDE]
    beat, off = ride[:, 0] % 4, ride[:, 0] % 1 > 0.1
    two_four = ride[~off & (beat % 2 == 1), 3].mean()
    one_three = ride[~off & (beat % 2 == 0), 3].mean()
    assert [two_four, one_three, ride[off, 3].mean()] == pytest.approx([89, 71, 66], abs=5)
    snare = notes[notes[:, 2] == SNARE, 3]
    assert np.percentile(snare, [25, 50, 75]) == pytest.approx([19, 36, 65], abs=10)


def test_neither_choruses_nor_seeds_are_alike(song: tuple[Plan, list[Rows]]) -> None:
    plan, made = song
    assert set(plan.chorus.tolist()) == {0, 1}
    for notes in made:
        first = notes[notes[:, 0] < 127.9]
        second = notes[(notes[:, 0] > 127.9) & (notes[:, 0] < 251.9)] - [128, 0, 0, 0]
        rows = [
            {tuple(row) for row in part[:, [0, 2]].round(3).tolist()} for part in (first, second)
        ]
        assert len(rows[0] & rows[1]) < 0.8 * len(rows[0])
    assert not np.array_equal(made[0], made[1])
    assert np.array_equal(made[0], drums(plan, 0))


def test_sections_end_with_fills_and_begin_with_a_cymbal(song: tuple[Plan, list[Rows]]) -> None:
    plan, made = song
    fills = sorted(plan.fills)
    for notes in made:
        for index in fills:
            bar = of_bar(notes, plan, index)
            late = bar[bar[:, 0] >= 2]
            assert not np.isin(late[:, 2], (RIDE, CRASH)).any()
            assert np.isin(late[:, 2], (SNARE, 45, 48, KICK)).sum() >= 1
            first = of_bar(notes, plan, index + 1)
            assert np.isin(first[first[:, 0] < 0.1, 2], (RIDE, CRASH)).any()
    shapes = {tuple(of_bar(notes, plan, i)[:, [0, 2]].ravel()) for notes in made for i in fills}
    assert len(shapes) > 0.8 * len(made) * len(fills)


def test_crashes_need_energy(sheet_of: Sheets, band: Band) -> None:
    for energy, number in ((0.2, 0), (0.9, 3)):
        plan = planned(replace(sheet_of(bars=32), energy=(energy,) * 32), band)
        notes = drums(plan)
        assert np.sum((notes[:, 2] == CRASH) & (notes[:, 0] < 124)) == number


def test_dynamics_follow_the_energy(sheet_of: Sheets, band: Band) -> None:
    means = []
    for energy in (0.3, 0.9):
        notes = drums(planned(replace(sheet_of(bars=32), energy=(energy,) * 32), band))
        means.append(notes[notes[:, 2] == RIDE, 3].mean())
    assert means[1] > means[0] + 10


def test_the_last_bar_is_a_cymbal_with_the_kick(sheet_of: Sheets, band: Band) -> None:
    plan = planned(sheet_of(bars=16), band)
    last = of_bar(drums(plan), plan, 15)
    assert last[:, 0].tolist() == [0, 0]
    assert KICK in last[:, 2] and np.isin(last[:, 2], (RIDE, CRASH)).any()


def test_brushes_are_stirred(sheet_of: Sheets, band: Band) -> None:
    sheet = replace(sheet_of(bpm=60, bars=32), energy=(0.3,) * 16 + (0.6,) * 16)
    plan = planned(sheet, band)
    notes = drums(plan)
    stir = notes[notes[:, 2] == STIR]
    assert len(stir) > len(plan.sheet.bars)
    assert np.median(stir[:, 1]) > 1.5
    # The calm first chorus is tapped on the snare, later ones have the cymbal.
    first = plan.sheet.bars[int(np.argmax(plan.chorus > 0))].beat
    assert not (notes[notes[:, 0] < first, 2] == RIDE).any()
    assert (notes[notes[:, 0] > first, 2] == RIDE).any()
    assert STIR not in drums(planned(sheet_of(bpm=140), band))[:, 2]


@pytest.mark.parametrize(
    ("metre", "usual"),
    [("3/4", {(0, 1, 2, 2.5), (0, 1.5, 2)}), ("5/4", {(0, 1, 1.5, 2, 3, 4, 4.5)})],
)
def test_other_metres_have_their_ride(
    sheet_of: Sheets, band: Band, metre: str, usual: set[tuple[float, ...]]
) -> None:
    plan = planned(sheet_of(bars=64, metre=metre), band)
    notes = drums(plan)
    rhythms: Counter[tuple[float, ...]] = Counter()
    for index in set(range(63)) - plan.fills:
        bar = of_bar(notes, plan, index)
        rhythms[tuple(sorted(bar[np.isin(bar[:, 2], (RIDE, CRASH)), 0].round(2).tolist()))] += 1
    assert {rhythm for rhythm, _ in rhythms.most_common(3)} & usual


@pytest.mark.parametrize("metre", ["6/8", "12/8"])
def test_compound_metres_are_divided_by_three(sheet_of: Sheets, band: Band, metre: str) -> None:
    plan = planned(sheet_of(bpm=100, bars=32, metre=metre), band)
    parts = drums(plan)[:, 0] * 3
    whole = abs(parts - parts.round()) < 0.01
    assert whole.mean() > 0.95


def test_patterns_are_read_as_written() -> None:
    assert list(tablature.hits("S. hhl .K")) == [
        (0, 38, True),
        (1, 48, False),
        (pytest.approx(4 / 3), 48, False),
        (pytest.approx(5 / 3), 45, False),
        (2.5, 36, True),
    ]
    assert tablature.onsets("x. xx") == [0, 1, 1.5]
    assert tablature.beats("x. xx") == 2
    with pytest.raises(AudioTransferError, match="unknown letter q"):
        list(tablature.hits("q."))


def test_every_fill_of_the_band_is_readable(band: Band) -> None:
    settings = band.role("drums").settings
    for name in ("fills", "compound_fills"):
        lengths = {tablature.beats(pattern) for pattern in settings[name]}
        assert {1, 2} <= lengths
        for pattern in settings[name]:
            assert list(tablature.hits(pattern))
    for part in (2, 3):
        for beats, patterns in settings["compound" if part == 3 else "rides"].items():
            for pattern in patterns:
                assert len(pattern.replace(" ", "")) == part * beats
