"""The walking bass against the counts of real lines: tones, intervals, range, feel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from charts import AABA, COUNTS, POP

from audiotransfer.cover.band import Role
from audiotransfer.cover.bass import two_beat_bars, write_walking_bass
from audiotransfer.cover.counts import read_counts
from audiotransfer.cover.walking import INTERVALS
from audiotransfer.evaluation.metrics import arrangement
from audiotransfer.leadsheet import QUALITIES, Chord, Note
from audiotransfer.leadsheet.chords import TONES, tone_index

BASS = Role("bass", "walking_bass", ("bass_upright_pizz",))
Maker = Callable[..., Any]


@pytest.fixture(scope="module")
def lines(chart: Maker, jazz_plan: Maker) -> list[tuple[Any, Any]]:
    """Plans and their bass lines: 20 songs of 64 bars, walking."""
    plans = [jazz_plan(chart(text, times)) for text, times in ((AABA, 2), (POP, 4))]
    return [
        (plan, write_walking_bass(plan, BASS, np.random.default_rng(seed)))
        for seed in range(10)
        for plan in plans
    ]


def test_tones_are_as_counted(lines: list[tuple[Any, Any]]) -> None:
    counted = read_counts(COUNTS)["walking"]["tones"]["on_beat"]
    measured = sum(arrangement.bass_tones(n, p.chords, p.sheet.bars) for p, n in lines)
    for beat in range(4):
        assert arrangement.total_variation(measured[beat], counted[beat]) < 0.12, beat
    assert arrangement.total_variation(measured, _normalised(counted)) < 0.1


def test_intervals_are_as_counted(lines: list[tuple[Any, Any]]) -> None:
    counted = read_counts(COUNTS)["walking"]["intervals"]["into_beat"]
    measured = sum(arrangement.bass_intervals(n, p.sheet.bars) for p, n in lines)
    for beat in range(4):
        assert arrangement.total_variation(measured[beat], counted[beat]) < 0.1, beat


def test_new_chords_begin_with_their_roots(lines: list[tuple[Any, Any]]) -> None:
    measured = sum(arrangement.new_chord_tones(n, p.chords) for p, n in lines)
    assert 0.6 < measured[0] / measured.sum() < 0.8  # counted .65


@pytest.mark.parametrize("text", [32 * "Ebm | ", 4 * "Cm | Cm | F | F | Ab | Ab | Bb | Bb | "])
def test_held_chords_have_their_root_on_each_bar(chart: Maker, jazz_plan: Maker, text: str) -> None:
    plan = jazz_plan(chart(text.strip(" |")))
    for energy in (0.7, 0.1):  # walking, and partly in two
        calm = replace(plan, energy=np.full(len(plan.sheet.bars), energy))
        roots = held = 0
        for seed in range(3):
            notes = write_walking_bass(calm, BASS, np.random.default_rng(seed))
            pitches = {float(beat): int(pitch) for beat, _, pitch, _ in notes}
            for bar in plan.sheet.bars[1:-1]:
                chord = plan.chord_at(bar.beat)
                if chord.beat < bar.beat:
                    held += 1
                    roots += pitches.get(float(bar.beat), 0) % 12 == chord.root
        assert 0.75 < roots / held < 1.0


def test_changes_are_approached_by_step_or_fifth(lines: list[tuple[Any, Any]]) -> None:
    measured = sum(arrangement.approaches(n, p.chords) for p, n in lines)
    share = dict(zip(INTERVALS, measured / measured.sum(), strict=True))
    assert share["+1"] == pytest.approx(0.23, abs=0.06)  # from a semitone below
    assert share["-1"] == pytest.approx(0.20, abs=0.06)
    assert share["5-7"] == pytest.approx(0.20, abs=0.06)
    assert share["-2"] == pytest.approx(0.13, abs=0.06)


def test_range_and_direction(lines: list[tuple[Any, Any]]) -> None:
    pitches, kept, turns, tritones, steps = [], 0, 0, 0, 0
    for _, notes in lines:
        on_beats = notes[notes[:, 0] % 1 == 0]
        pitches.append(on_beats[:, 2])
        walked = np.diff(on_beats[:, 2])
        walked = walked[np.diff(on_beats[:, 0]) == 1]
        for before, after in pairwise(on_beats[:, 2]):
            tritones += abs(after - before) == 6
            steps += 1
        for before, after in pairwise(walked):
            if before and after:
                kept, turns = kept + (before * after > 0), turns + (before * after < 0)
    low, middle, high = np.percentile(np.concatenate(pitches), [5, 50, 95])
    assert 32 <= low <= 37  # counted 33
    assert 40 <= middle <= 44  # counted 42
    assert 48 <= high <= 53  # counted 52
    assert 0.5 < kept / (kept + turns) < 0.64  # counted .57
    assert tritones / steps < 0.02  # by chance .05


def test_one_note_a_beat_and_skips_by_tempo(chart: Maker, jazz_plan: Maker) -> None:
    shares = []
    for bpm in (120.0, 250.0):
        plan = jazz_plan(chart(AABA, 4, bpm=bpm))
        notes = write_walking_bass(plan, BASS, np.random.default_rng(0))
        on_beat = notes[:, 0] % 1 == 0
        beats = len(plan.sheet.beats) - 1
        assert 0.86 < on_beat.sum() / beats < 0.95  # 9 to 13 % are counted empty
        first = np.isin(np.array([bar.beat for bar in plan.sheet.bars]), notes[on_beat, 0])
        assert first.mean() > 0.92  # fewest of them on beat 1
        ends = notes[:-1, 0] + notes[:-1, 1]
        assert np.all(ends < notes[1:, 0] + 0.1)
        assert np.mean(ends > notes[1:, 0] - 0.15) > 0.9  # legato
        shares.append((~on_beat).sum() / beats)
    assert shares[0] == pytest.approx(0.24, abs=0.05)
    assert shares[1] == pytest.approx(0.10, abs=0.04)


def test_in_two_where_the_first_chorus_is_calm(chart: Maker, jazz_plan: Maker) -> None:
    plan = jazz_plan(chart(AABA, 4))
    assert not two_beat_bars(plan)
    energy = np.where(plan.chorus == 0, 0.3, 0.7)
    calm = replace(plan, energy=energy)
    bars = two_beat_bars(calm)
    assert bars == frozenset(range(16))
    notes = write_walking_bass(calm, BASS, np.random.default_rng(0))
    inside = notes[notes[:, 0] < 4 * 16]
    counted = {bar: int(np.sum(inside[:, 0] // 4 == bar)) for bar in range(16)}
    assert set(counted.values()) == {2}
    tones = [
        tone_index(int(pitch) - (plan.chord_at(place).root or 0), plan.chord_at(place).quality)
        for place, _, pitch, _ in inside
    ]
    assert np.mean([TONES[tone] in ("root", "5th", "3rd") for tone in tones]) > 0.8
    assert len(two_beat_bars(calm, 0.25)) == 32
    assert len(two_beat_bars(calm, 1.0)) == 32  # of the first chorus only


def test_slash_chords_and_ends(chart: Maker, jazz_plan: Maker) -> None:
    plan = jazz_plan(chart("C | G/B | Am | C/G | F | C/E | Dm | G7 | C | C"))
    for seed in range(5):
        notes = write_walking_bass(plan, BASS, np.random.default_rng(seed))
        by_place = {place: pitch % 12 for place, _, pitch, _ in notes}
        for chord in plan.chords:
            if chord.bass is not None:
                assert by_place[chord.beat] == chord.bass
        assert by_place[0.0] == 0
        assert notes[-1, 2] % 12 == 0
        assert notes[-1, 0] == 36
        assert notes[-1, 1] > 3.5


@pytest.mark.parametrize(("numerator", "denominator"), [(3, 4), (5, 4), (7, 4), (6, 8), (12, 8)])
def test_other_metres(chart: Maker, jazz_plan: Maker, numerator: int, denominator: int) -> None:
    sheet = chart(POP, 2, numerator=numerator, denominator=denominator)
    plan = jazz_plan(sheet)
    places = {chord.beat for chord in plan.chords}
    roots = []
    for seed in range(6):
        notes = write_walking_bass(plan, BASS, np.random.default_rng(seed))
        on_beat = notes[np.abs(notes[:, 0] - np.round(notes[:, 0])) < 0.01]
        assert len(on_beat) > 0.8 * (len(sheet.beats) - 1 - sheet.bars[0].beats)
        roots += [
            pitch % 12 == plan.chord_at(place).root
            for place, _, pitch, _ in on_beat
            if place in places
        ]
    assert np.mean(roots) > 0.58


def test_same_seed_same_line(chart: Maker, jazz_plan: Maker) -> None:
    plan = jazz_plan(chart(AABA, 2))
    first, again, other = (
        write_walking_bass(plan, BASS, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert first.shape != other.shape or not np.array_equal(first[:, 2], other[:, 2])
    chorus = [first[(first[:, 0] // 128 == number) & (first[:, 0] % 1 == 0)] for number in (0, 1)]
    pairs = [dict(zip(notes[:, 0] % 128, notes[:, 2], strict=True)) for notes in chorus]
    same = [pairs[0][place] == pairs[1][place] for place in pairs[0] if place in pairs[1]]
    assert np.mean(same) < 0.4


def test_without_chords_it_rests(chart: Maker, jazz_plan: Maker) -> None:
    plan = jazz_plan(chart(POP))
    silent = replace(plan, chords=(Chord(0, 64, None),))
    assert write_walking_bass(silent, BASS, np.random.default_rng(0)).shape == (0, 4)
    for quality in QUALITIES:
        sheet = chart(f"D{quality} | D{quality} | G{quality} | D{quality}")
        assert len(write_walking_bass(jazz_plan(sheet), BASS, np.random.default_rng(0))) > 8


@pytest.mark.parametrize(("figures", "plays"), [(1, True), (2, True), (5, False)])
def test_a_riff_that_repeats_is_played(
    chart: Maker, jazz_plan: Maker, figures: int, plays: bool
) -> None:
    """A figure of one or two bars; a line that is new in each bar is walked."""
    sheet = chart("Am7 | " * 15 + "Am7")
    riffs = [[(0, 33), (1.5, 36 + n), (2, 38 - n), (3.5, 31 + 2 * n)] for n in range(figures)]
    own = [(4 * bar + at, pitch) for bar in range(16) for at, pitch in riffs[bar % figures]]
    notes = [Note(float(sheet.time_at(beat)), 0.2, pitch) for beat, pitch in own]
    plan = jazz_plan(replace(sheet, bass=tuple(notes)))
    role = Role("bass", "walking_bass", ("bass_upright_pizz",))
    line = write_walking_bass(plan, role, np.random.default_rng(3))
    played = {(float(beat), int(pitch) % 12) for beat, _, pitch, _ in line}
    wanted = {(float(beat), pitch % 12) for beat, pitch in own}
    assert (len(played & wanted) / len(played | wanted) > 0.9) == plays
    assert line[:, 2].min() >= 28 and line[:, 2].max() <= 60
    walked = replace(role, settings={"riffs": False})
    assert len(write_walking_bass(plan, walked, np.random.default_rng(3))) >= 48


def _normalised(counted: list[list[float]]) -> np.ndarray:
    values = np.array(counted)
    return values / values.sum(axis=1, keepdims=True)
