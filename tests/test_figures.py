"""The song's own figures, bass and groove where no sure melody leads; chords that stay there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from audiotransfer.cover.band import Role
from audiotransfer.cover.bass import write_walking_bass
from audiotransfer.cover.comping import write_comping
from audiotransfer.cover.drums import KICK, SNARE, jazz_drums
from audiotransfer.cover.figures import groove, own_figures, riff_bars
from audiotransfer.cover.reharmonisation import reharmonise
from audiotransfer.cover.second_voice import write_second_voice
from audiotransfer.leadsheet import LeadSheet, Note, Section

Maker = Callable[..., Any]
BEAT, BARS = 0.5, 16
#: Places and pitches of a two-bar hook, and of the bass below it.
HOOK = [(0.0, 70), (0.5, 73), (1.5, 75), (3.0, 70), (4.0, 68), (5.5, 73), (6.0, 66)]
LINE = [(0.0, 40), (1.5, 43), (2.0, 45), (4.0, 40), (5.0, 47), (6.5, 38)]


def lead(confidence: float, bars: range = range(BARS), bar: float = 4 * BEAT) -> tuple[Note, ...]:
    return tuple(Note(bar * n + b * BEAT, 0.4, 76, 80, confidence) for n in bars for b in (0, 2))


def notes(figure: list[tuple[float, int]], seed: int = 0) -> tuple[Note, ...]:
    random = np.random.default_rng(seed)  # onsets as inexact as transcribed ones
    return tuple(
        Note((8 * pair + at) * BEAT + random.normal(0, 0.012) + 0.02, 0.2, pitch)
        for pair in range(BARS // 2)
        for at, pitch in figure
    )


@pytest.fixture
def song(chart: Maker) -> LeadSheet:
    """Sixteen bars of one chord with a hook, a bass line, a groove and an unsure lead."""
    hits = [(KICK, 0.0), (KICK, 2.5), (SNARE, 1.0), (SNARE, 3.0)]
    drums = [Note(4 * n * BEAT + at * BEAT, 0.1, key) for n in range(BARS) for key, at in hits]
    drums.append(Note(1.5 * BEAT, 0.1, KICK))  # once: no groove
    sheet: LeadSheet = chart(" | ".join(BARS * ["Ebm"]), bpm=120)
    sheet = replace(sheet, sections=(), melody=lead(0.4), others=notes(HOOK), bass=notes(LINE, 1))
    return replace(sheet, drums=tuple(drums))


def test_an_unsure_lead_leaves_its_bars_to_riffs(song: LeadSheet) -> None:
    assert riff_bars(song) == frozenset(range(BARS))
    assert riff_bars(replace(song, melody=lead(0.9))) == frozenset()
    assert riff_bars(replace(song, melody=())) == frozenset()
    # A third of the lead is unsure: only the section that it is in.
    halves = (Section(0, 48, "A"), Section(48, 16, "B"))
    mixed = replace(song, melody=lead(0.9, range(12)) + lead(0.4, range(12, 16)), sections=halves)
    assert riff_bars(mixed) == frozenset(range(12, 16))


def test_comping_plays_the_songs_own_hook(song: LeadSheet, jazz_plan: Maker) -> None:
    role = Role("comping", "comping", ("piano_grand",), settings={"lowest": 47})
    plan = replace(jazz_plan(song), riffs=riff_bars(song))
    played = write_comping(plan, role, np.random.default_rng(0))
    places = {(round(float(at) % 8, 2), int(pitch)) for at, _, pitch, _ in played[: -4 * 8]}
    assert set(HOOK) <= places
    figures = own_figures(plan, 47, 84)
    own = {(round(float(at), 2), int(pitch)) for at, _, pitch, _ in figures}
    others = np.array([at for at, _, pitch, _ in played if (round(at, 2), int(pitch)) not in own])
    # Chords stand beside the hook: none is struck at one of its notes.
    assert len(others) and np.abs(others[:, None] - figures[:, 0]).min() > 0.25
    high = own_figures(replace(plan, sheet=replace(song, others=notes([(0.0, 100)]))), 47, 84)
    assert not len(high)  # too few notes for a figure
    assert own_figures(plan, 47, 72)[:, 2].max() <= 72
    without = replace(plan, riffs=frozenset())
    drawn = write_comping(without, role, np.random.default_rng(0))
    assert not set(HOOK) <= {(round(float(at) % 8, 2), int(pitch)) for at, _, pitch, _ in drawn}


def test_the_bass_keeps_its_line_where_no_melody_leads(song: LeadSheet, jazz_plan: Maker) -> None:
    role = Role("bass", "walking_bass", ("bass_upright_pizz",))
    # A riff of four bars: the second half of every other one differs.
    bass = tuple(note for n, note in enumerate(notes(LINE, 1)) if n % 12 not in (8, 9))
    plan = jazz_plan(replace(song, bass=bass))
    led = write_walking_bass(replace(plan, riffs=riff_bars(song)), role, np.random.default_rng(0))
    assert len(led) == len(bass)
    assert {int(pitch) % 12 for pitch in led[:, 2]} == {note.pitch % 12 for note in bass}
    assert len(write_walking_bass(plan, role, np.random.default_rng(0))) > len(bass)
    still = replace(song, bass=notes([(at, 39) for at, _ in LINE]))  # a pedal: it walks above it
    plan = replace(jazz_plan(still), riffs=riff_bars(song))
    assert len({int(p) for p in write_walking_bass(plan, role, np.random.default_rng(0))[:, 2]}) > 3


def test_the_drummer_keeps_the_songs_groove(song: LeadSheet, jazz_plan: Maker) -> None:
    plan = replace(jazz_plan(song), riffs=riff_bars(song))
    assert groove(plan, (KICK, SNARE))[0] == {KICK: [0.0, 2.5], SNARE: [1.0, 3.0]}
    role = Role("drums", "jazz_drums", ("kit_jazz_sticks",))
    hits = jazz_drums(plan, role, np.random.default_rng(0))
    for key, places in ((KICK, {0.0, 2.5}), (SNARE, {1.0, 3.0})):
        struck = hits[(hits[:, 2] == key) & (hits[:, 0] < 4 * (BARS - 1))]
        assert set(np.round(struck[:, 0] % 4, 2).tolist()) == places
        assert struck[:, 3].mean() < 84  # accents beside the ride
    assert not groove(replace(plan, riffs=frozenset()), (KICK, SNARE))


def test_no_second_voice_is_made_up_beside_riffs(song: LeadSheet, jazz_plan: Maker) -> None:
    role = Role("second", "second_voice", ("guitar_jazz",))
    plan = jazz_plan(song, np.array([[float(n), 0.2, 75.0, 80.0] for n in range(4 * BARS)]))
    assert len(write_second_voice(plan, role, np.random.default_rng(0)))
    led = replace(plan, riffs=riff_bars(song))
    assert not len(write_second_voice(led, role, np.random.default_rng(0)))


def test_a_static_song_keeps_its_chord(chart: Maker) -> None:
    sheet = chart(" | ".join(4 * ["C", "C", "G7", "C"]))
    melody = np.zeros((0, 4))
    random = np.random.default_rng
    free = [reharmonise(sheet, melody, 1.0, random(seed))[1] for seed in range(8)]
    assert any(free)
    for seed in range(8):
        _, changed = reharmonise(sheet, melody, 1.0, random(seed), kept=range(12))
        assert not changed & set(range(12))
