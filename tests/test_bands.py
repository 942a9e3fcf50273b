"""The bands of the shipped styles, on lead sheets of several metres, without chords or melody."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from audiotransfer.cover.arranger import ArrangeOptions, arrange
from audiotransfer.cover.band import Band, Role, read_band
from audiotransfer.cover.pattern_drums import DRUM_KEYS
from audiotransfer.cover.patterns import PatternSet, phrases, steps
from audiotransfer.cover.plan import Plan
from audiotransfer.cover.voice_leading import VoicingRules, voicings
from audiotransfer.cover.writers import WRITERS
from audiotransfer.effects import read_chain
from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet import QUALITIES, Bar, Chord, Key, LeadSheet, Note, Section
from audiotransfer.styles import installed, load_style
from audiotransfer.styles.find import SHIPPED
from audiotransfer.synthesis.catalogue import describe, instrument_names

BANDS = ("classical", "rock", "electronic", "bossa")
METRES = ("4/4", "3/4", "6/8", "5/4", "2/4", "12/8", "7/8")
# C major, four bars and four bars: root, quality, bass.
CHANGES = [(0, "", None), (9, "m", None), (5, "", None), (7, "", None),
           (0, "", 4), (2, "m", None), (7, "7", None), (0, "", None)]  # fmt: skip
TUNE = [64, 67, 72, 71, 69, 67, 65, 62, 64, 60, 65, 69, 71, 74, 72, 67]


def lead_sheet(metre: str = "4/4", bars: int = 16, **changes: Any) -> LeadSheet:
    """Two sections of different energy; a chord a bar, two in every fourth bar; a melody."""
    numerator, denominator = map(int, metre.split("/"))
    length = Bar(0, numerator, denominator).beats
    chords = []
    for index in range(bars):
        root, quality, bass = CHANGES[index % len(CHANGES)]
        beats = length / 2 if index % 4 == 3 and length % 2 == 0 else length
        chords.append(Chord(index * length, beats, root, quality, bass))
        if beats < length:
            chords.append(Chord(index * length + beats, beats, 7, "7"))
    half = bars // 2 * length
    sheet = LeadSheet(
        beats=tuple((0.5 * np.arange(bars * length + 1)).tolist()),
        bars=tuple(Bar(index * length, numerator, denominator) for index in range(bars)),
        keys=(Key(0, 0),),
        sections=(Section(0, half, "A"), Section(half, bars * length - half, "B")),
        chords=tuple(chords),
        energy=tuple(np.linspace(0.2, 0.95, bars).tolist()),
    )
    return dataclasses.replace(sheet, **changes)


def plan_of(sheet: LeadSheet, band: Band, seed: int = 0, melody: bool = True) -> Plan:
    """A plan as planning makes them, from a lead sheet by hand."""
    beats = len(sheet.beats) - 1
    places = np.arange(0, beats, 0.5 if sheet.bars[0].division == 2 else 1 / 3)[::2]
    tune = np.array([(beat, 0.5, TUNE[i % 16] + 5, 80) for i, beat in enumerate(places)])
    ends = {section.beat + section.beats for section in sheet.sections}
    return Plan(
        sheet=sheet,
        band=band,
        chords=sheet.chords,
        melody=tune if melody else np.zeros((0, 4)),
        energy=np.array(sheet.energy),
        fills=frozenset(i for i, bar in enumerate(sheet.bars) if bar.beat + bar.beats in ends),
        chorus=np.zeros(len(sheet.bars), dtype=np.int64),
        swung=False,
        seed=seed,
    )


@functools.cache
def band_of(style: str) -> Band:
    return read_band(SHIPPED / f"{style}-midi" / "band.yaml")


def written(plan: Plan, seed: int = 0) -> dict[str, np.ndarray]:
    """The notes of each role but the lead, by its name."""
    return {
        role.name: WRITERS[role.writer](plan, role, np.random.default_rng([seed, index]))
        for index, role in enumerate(plan.band.roles)
        if role.name != "lead"
    }


def tones(chord: Chord) -> set[int]:
    assert chord.root is not None
    bass = chord.root if chord.bass is None else chord.bass
    return {(chord.root + tone) % 12 for tone in QUALITIES[chord.quality]} | {bass}


@pytest.mark.parametrize("style", BANDS)
@pytest.mark.parametrize("metre", METRES)
def test_every_band_writes_playable_notes_in_every_metre(style: str, metre: str) -> None:
    band = band_of(style)
    plan = plan_of(lead_sheet(metre), band)
    parts = written(plan)
    assert sum(len(notes) > 0 for notes in parts.values()) >= 3
    end = len(plan.sheet.beats) - 1
    for role in band.roles[1:]:
        notes, instrument = parts[role.name], describe(role.instruments[0])
        assert notes.shape[1:] == (4,) and (np.diff(notes[:, 0]) >= 0).all()
        assert (notes[:, 0] >= 0).all() and (notes[:, 1] > 0).all()
        assert (notes[:, 0] + notes[:, 1] <= end + 1e-6).all() or instrument.drums
        assert ((notes[:, 2] >= instrument.low_key) & (notes[:, 2] <= instrument.high_key)).all()
        assert ((notes[:, 3] >= 1) & (notes[:, 3] <= 127)).all()
        # Every bar of a metre without patterns of its own has notes as well.
    drums_or_bass = parts.get("drums", parts["bass"])
    bars = np.searchsorted([bar.beat for bar in plan.sheet.bars], drums_or_bass[:, 0] + 1e-6)
    assert len(set(bars.tolist())) >= len(plan.sheet.bars) - (8 if style == "classical" else 0)


@pytest.mark.parametrize("style", BANDS)
def test_a_seed_gives_the_same_notes_and_another_one_others(style: str) -> None:
    band = band_of(style)
    first, again = (written(plan_of(lead_sheet(), band, seed=3), 3) for _ in range(2))
    other = written(plan_of(lead_sheet(), band, seed=4), 4)
    for name, notes in first.items():
        np.testing.assert_array_equal(notes, again[name])
    changed = [name for name, notes in first.items() if not np.array_equal(notes, other[name])]
    assert len(changed) >= len(first) - 1  # the plucked cello may rest in both


@pytest.mark.parametrize("style", BANDS)
def test_no_chord_means_no_notes_but_drums_go_on(style: str) -> None:
    sheet = lead_sheet()
    chords = list(sheet.chords)
    chords[1] = dataclasses.replace(chords[1], root=None)
    parts = written(plan_of(dataclasses.replace(sheet, chords=tuple(chords)), band_of(style)))
    silent = (chords[1].beat, chords[1].beat + chords[1].beats)
    for name, notes in parts.items():
        sounding = (notes[:, 0] > silent[0] - 0.4) & (notes[:, 0] < silent[1] - 0.6)
        inside = notes[sounding & (notes[:, 0] >= silent[0])]
        assert (len(inside) > 0) == (name == "drums"), name
    nothing = dataclasses.replace(sheet, chords=(Chord(0.0, 64.0, None),))
    parts = written(plan_of(nothing, band_of(style), melody=False))
    assert [name for name, notes in parts.items() if len(notes)] == (
        [] if style == "classical" else ["drums"]
    )


@pytest.mark.parametrize("style", BANDS)
def test_harmony_parts_play_the_chords(style: str) -> None:
    """Of the chord that sounds, or, an eighth before a change, of the next one."""
    plan = plan_of(lead_sheet(), band_of(style))
    right = total = 0
    for name, notes in written(plan).items():
        if name not in ("drums", "bass") or (style == "classical" and name != "drums"):
            for start, _, pitch, _ in notes:
                near = tones(plan.chord_at(start)) | tones(plan.chord_at(start + 0.5))
                right, total = right + (pitch % 12 in near), total + 1
    assert total > 100 and right / total > (0.9 if style == "classical" else 0.999)


@pytest.mark.parametrize("style", BANDS)
def test_the_bass_has_the_root_of_new_chords(style: str) -> None:
    plan = plan_of(lead_sheet(), band_of(style), seed=1)
    parts = written(plan)
    notes = np.concatenate([parts[n] for n in ("bass", "plucked bass") if n in parts])
    hits = []
    for chord in plan.chords:
        near = notes[(notes[:, 0] > chord.beat - 0.6) & (notes[:, 0] < chord.beat + 0.6)]
        wanted = chord.root if chord.bass is None else chord.bass
        hits.append(bool((near[:, 2] % 12 == wanted).any()))
    assert np.mean(hits) >= 0.75


@pytest.mark.parametrize("style", BANDS)
def test_chords_rub_rarely_against_the_melody(style: str) -> None:
    """Chord notes a semitone from a melody note, at their onsets: 8 % at most."""
    plan = plan_of(lead_sheet(), band_of(style), seed=2)
    rubs = []
    for name, notes in written(plan).items():
        if name == "drums" or "bass" in name:
            continue
        for start, _, pitch, _ in notes:
            melody = plan.melody_at(start, start + 0.05)[:, 2]
            rubs.append(bool(np.isin(abs(melody - pitch), (1, 13)).any()))
    assert np.mean(rubs) <= 0.08


@pytest.mark.parametrize("style", ["rock", "electronic", "bossa"])
def test_loud_bars_are_played_louder_and_sections_end_with_fills(style: str) -> None:
    sheet = lead_sheet(bars=32)
    plan = plan_of(dataclasses.replace(sheet, energy=(0.2,) * 16 + (0.9,) * 16), band_of(style))
    for name, notes in written(plan).items():
        soft, loud = (notes[(notes[:, 0] >= a) & (notes[:, 0] < a + 60), 3] for a in (0, 64))
        assert loud.mean() > soft.mean() + 8, name
    role = band_of(style).role("drums")
    role = dataclasses.replace(role, settings={**role.settings, "vary": 0.0})
    drums = WRITERS[role.writer](plan, role, np.random.default_rng(0))

    def onsets(bar: int) -> set[tuple[float, float]]:
        inside = drums[(drums[:, 0] >= 4 * bar) & (drums[:, 0] < 4 * bar + 4)]
        return {(start % 4, key) for start, _, key, _ in inside}

    assert len(onsets(9) ^ onsets(11)) < len(onsets(15) ^ onsets(13))  # the last has the fill
    if style != "bossa":
        assert (0, 49) in onsets(16)  # a crash begins the next section


def test_the_bass_is_struck_with_the_kick() -> None:
    parts = written(plan_of(lead_sheet(bars=64), band_of("rock")))
    bass = set(np.round(parts["bass"][:, 0], 2))
    kicks = parts["drums"][parts["drums"][:, 2] == 36]
    assert np.mean([beat in bass for beat in np.round(kicks[:, 0], 2)]) > 0.85


def test_riffs_are_the_songs_own_bass_line_in_bass_and_guitar() -> None:
    sheet = lead_sheet(bars=32)
    line = [(beat, (36, 36, 39, 41)[i % 4]) for i, beat in enumerate(np.arange(0, 128, 0.5))]
    roots = {chord.beat: chord.root for chord in sheet.chords}
    own = []
    root = 0
    for beat, pitch in line:
        root = roots.get(float(beat), root)
        own.append(Note(float(sheet.time_at(beat)), 0.2, int(pitch + (root or 0))))
    plan = plan_of(dataclasses.replace(sheet, bass=tuple(own)), band_of("rock"), seed=2)
    parts = written(plan)
    spans = 0
    for phrase in phrases(plan):
        a, b = 4 * phrase.start, 4 * phrase.end
        wanted = {
            (float(s), (n.pitch % 12)) for (s, _), n in zip(line, own, strict=True) if a <= s < b
        }
        bass, guitar = (
            {(start, pitch % 12) for start, _, pitch, _ in parts[name] if a <= start < b}
            for name in ("bass", "riff guitar")
        )
        spans += bass == wanted
        assert (bass == wanted) == (wanted <= guitar)
    assert 0 < spans < len(phrases(plan))  # half of the phrases


def test_led_voices_have_no_parallels_and_stay_below_the_melody() -> None:
    """With the melody above: in the whole song at most one step of all pairs is parallel."""
    plan = plan_of(lead_sheet(bars=32), band_of("classical"))
    led = voicings(plan, VoicingRules(((36, 55), (48, 67), (57, 76)), bass=True))
    assert (np.diff(led.pitches, axis=1) > 0).all()
    top = [plan.melody_at(span.beat, span.end)[0, 2] for span in led.spans]
    voices = np.column_stack([led.pitches, top])
    parallels = 0
    for low in range(4):
        for high in range(low + 1, 4):
            gap = (voices[:, high] - voices[:, low]) % 12
            ways = np.sign(np.diff(voices[:, [low, high]], axis=0))
            together = (ways[:, 0] == ways[:, 1]) & (ways[:, 0] != 0)
            parallels += int((together & np.isin(gap[1:], (0, 7)) & (np.diff(gap) == 0)).sum())
    assert parallels <= 1
    assert (voices[:, 2] <= voices[:, 3]).mean() > 0.95
    # Voices move little: no more than a third on average.
    assert abs(np.diff(led.pitches[:, 1:], axis=0)).mean() < 3
    for span, pitches in zip(led.spans, led.pitches, strict=True):
        assert {int(pitch) % 12 for pitch in pitches} <= tones(span.chord)


def test_a_quartets_inner_voices_stay_below_a_low_melody() -> None:
    """Also where it goes below the second violin's range for one beat of a bar, on long notes."""
    tune = [(72, 69, 62, 70), (74, 72, 62, 69)] * 8
    melody = [Note(2.0 * bar + 0.5 * n, 0.5, p, 80) for bar, four in enumerate(tune)
              for n, p in enumerate(four)]  # fmt: skip
    band = band_of("classical")
    sheet = lead_sheet(melody=tuple(melody))
    above = sounding = 0.0
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        arrangement = arrange(sheet, band, 1.0, generator, ArrangeOptions(swing=0.0))
        parts = {part.name: part.notes for part in arrangement.parts}
        start, length, pitch, _ = parts["lead"].T
        for begin, seconds, own, _ in parts["second violin"]:
            both = np.minimum(start + length, begin + seconds) - np.maximum(start, begin)
            both[both < 0.05] = 0  # parts begin some milliseconds apart
            above += both[pitch < own].sum()
            sounding += both.clip(0).sum()
    assert sounding > 30
    assert above / sounding < 0.01


def test_patterns_follow_metre_energy_and_seed() -> None:
    band = band_of("rock")
    sets = [
        PatternSet(("x---", "X.x."), energy=(0.0, 0.5)),
        PatternSet(("xxxxxxxx",), energy=(0.5, 1.0), gate=0.5),
        PatternSet(("x..",), metre="3/4"),
    ]

    def places(metre: str, bar: int) -> list[float]:
        plan = plan_of(lead_sheet(metre), band)
        start = plan.sheet.bars[bar].beat
        return [round(step.beat - start, 3) for step in steps(plan, sets, 0.0) if step.bar == bar]

    assert places("4/4", 1) in ([0], [0, 2])
    assert places("4/4", 14) == [half / 2 for half in range(8)]
    assert places("3/4", 1) == [0]
    assert places("5/4", 14) == [0, 3, 3.5, 4, 4.5]  # three and two
    assert places("2/4", 0) == [0] and places("2/4", 1) in ([], [0])  # halves of 4/4 in turn
    assert places("6/8", 1) == [0, 1]  # a bar in three on each beat
    assert {tuple(places_of) for seed in range(8) for places_of in [
        [s.beat for s in steps(plan_of(lead_sheet(), band, seed), sets, 0.0) if s.bar == 0]
    ]} == {(0,), (0, 2)}  # fmt: skip
    held = steps(plan_of(lead_sheet(), band), [PatternSet(("..x-|--x.",))])
    assert [step.beats for step in held[:2]] == [4, 1]  # over the bar line


def test_sections_of_one_name_mostly_have_one_pattern() -> None:
    sets = [PatternSet(("x...", "xx..", "xxx."))]
    sheet = lead_sheet(sections=tuple(Section(16 * i, 16, "AB"[i % 2]) for i in range(4)))
    same = 0
    for seed in range(40):
        plan = dataclasses.replace(
            plan_of(sheet, band_of("rock"), seed), fills=frozenset((3, 7, 11))
        )
        counts = np.bincount([step.bar for step in steps(plan, sets, 0.0)])
        assert len(set(counts[:4])) == 1
        same += counts[0] == counts[8]
    assert 20 < same < 40


def test_phrases_end_with_sections_and_after_eight_bars() -> None:
    plan = plan_of(lead_sheet(bars=24), band_of("rock"))
    assert [(p.start, p.end) for p in phrases(plan)] == [(0, 8), (8, 12), (12, 20), (20, 24)]


@pytest.mark.parametrize(
    ("writer", "settings", "said"),
    [
        ("pattern_drums", {"patterns": [{"bars": [{"kick": "x.x"}]}]}, "'x.x' of kick"),
        ("pattern_drums", {"patterns": [{"bars": [{"gong": "x..."}]}]}, "'gong' is unknown"),
        ("pattern_chords", {"patterns": [{"bars": ["x-"], "metre": "four"}]}, "'four'"),
        ("pattern_chords", {"patterns": [{"bars": ["q..."]}]}, "symbol 'q'"),
        ("pattern_bass", {"patterns": [{"bars": ["x..."]}]}, "symbol 'x'"),
        ("pattern_bass", {"patern": []}, "settings: key patern is unknown; nearest is patterns"),
        ("melody", {"range": {}}, "settings: key range is unknown; nearest is ranges"),
        ("comping", {"fulness": 1.0}, "settings: key fulness is unknown; nearest is fullness"),
        ("comping", {"sizes": [1.0]}, "settings: sizes is [1.0]"),
        ("comping", {"of_instrument": {"guitar_jazz": {"low": 1}}}, "settings: key low is unknown"),
        ("walking_bass", {"skip": 1.0}, "settings: key skip is unknown; nearest is skips"),
        ("second_voice", {"lowest": "C4"}, "settings: lowest is 'C4'"),
        ("pattern_chords", {"patterns": [], "voices": [[60, 48]]}, "voices[0] is [60, 48]"),
        ("strings", {"patterns": [], "register": [70, 50]}, "register is [70, 50]"),
        ("jazz_drums", {"fill": ["S"]}, "settings: key fill is unknown; nearest is fills"),
    ],
)
def test_a_wrong_pattern_is_refused_by_name(
    writer: str, settings: dict[str, Any], said: str
) -> None:
    role = Role("riff", writer, ("guitar_jazz",), settings=settings)
    with pytest.raises(AudioTransferError) as caught:
        WRITERS[writer](plan_of(lead_sheet(), band_of("rock")), role, np.random.default_rng(0))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("writer", "settings", "says"),
    [("melodie", {}, "'melodie'; nearest is melody"), ("comping", {"sizes": [1.0]}, "sizes is")],
)
def test_a_bands_errors_name_its_file(writer: str, settings: dict[str, Any], says: str) -> None:
    role = Role("riff", writer, ("guitar_jazz",), settings=settings)
    band = Band((role,), folder=Path("mine"))
    with pytest.raises(AudioTransferError) as caught:
        arrange(lead_sheet(), band)
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"{Path('mine', 'band.yaml')}: role riff")


def test_a_wrong_key_of_a_band_is_refused_by_name(tmp_path: Path) -> None:
    for text, said in (
        ("roles: []\nroom: {decay: 1}", "key room.decay is unknown; nearest is room.decay_seconds"),
        ("roles: []\nharmony: {seventh: false}", "key harmony.seventh is unknown"),
        ("roles: [{name: a, writer: b}]", "key roles[0].instruments is missing"),
        ("roles: [", "cannot be read"),
        ("- 1", "band.yaml"),
    ):
        (tmp_path / "band.yaml").write_text(text)
        with pytest.raises(AudioTransferError) as caught:
            read_band(tmp_path / "band.yaml")
        assert said in str(caught.value)


def test_every_shipped_band_is_whole() -> None:
    """Its file is there, its instruments, writers and effects exist, its levels are sane."""
    found = {style.card.name: style for style in installed() if style.card.band}
    assert {*BANDS, "jazz"} <= set(found)
    for name, style in found.items():
        band = read_band(style.folder / style.card.band)
        assert band.role("lead").writer == "melody" and band.description
        for role in band.roles:
            assert role.writer in WRITERS
            assert role.ducked_by is None or band.role(role.ducked_by)
            assert abs(role.level_db) <= 8 and abs(role.pan) <= 1
            read_chain(role.effects)
            for instrument in role.instruments if name in BANDS else ():
                assert describe(instrument)


@pytest.mark.parametrize("style", BANDS)
def test_at_low_strength_all_own_notes_are_played_in_range(style: str) -> None:
    others = tuple(Note(0.5 * i, 0.4, pitch) for i, pitch in enumerate(range(24, 100, 4)))
    made = arrange(lead_sheet(others=others), band_of(style), 0.1)
    assert sum(len(part.notes) for part in made.parts) == len(others)
    for part in made.parts:
        keys = describe(part.instrument)
        assert ((part.notes[:, 2] >= keys.low_key) & (part.notes[:, 2] <= keys.high_key)).all()
        wanted = {(n.start, n.pitch % 12) for n in others}
        assert {(round(start * 2) / 2, pitch % 12) for start, _, pitch, _ in part.notes} <= wanted


@pytest.mark.parametrize("style", BANDS)
def test_a_song_is_arranged_with_its_melody(style: str) -> None:
    sheet = lead_sheet()
    plan = plan_of(sheet, band_of(style))
    tune = tuple(
        Note(float(sheet.time_at(beat)), 0.25, int(pitch)) for beat, _, pitch, _ in plan.melody
    )
    sheet = dataclasses.replace(sheet, melody=tune, bass=(Note(0.0, 0.5, 36),))
    made = arrange(sheet, band_of(style), 1.0, torch.Generator().manual_seed(1))
    parts = {part.name: part for part in made.parts}
    lead = parts["lead"].notes
    kept = [
        bool(((abs(lead[:, 0] - n.start) < 0.1) & ((lead[:, 2] - n.pitch) % 12 == 0)).any())
        for n in tune
    ]
    assert np.mean(kept) >= 0.95
    if style == "rock":
        assert parts["riff guitar"].effects[0]["effect"] == "amplifier"
    if style == "electronic":
        assert parts["pad"].ducked_by == "drums"
    if style != "bossa":
        assert made.reharmonised <= {15} and len(QUALITIES[made.sheet.chords[-1].quality]) == 3


def test_the_guides_example_is_a_style_that_plays(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[1] / "docs" / "guides" / "bands.md").read_text("utf-8")
    for kind, name in (("json", "card.json"), ("yaml", "band.yaml")):
        text = guide.split(f"```{kind}\n")[1].split("```")[0]
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert all(f"`{name}`" in guide for name in (*instrument_names(), *DRUM_KEYS))
    style = load_style(tmp_path, route="symbolic")
    assert style.band is not None
    for metre in ("4/4", "3/4", "6/8"):
        made = arrange(lead_sheet(metre), read_band(style.band))
        assert [part.name for part in made.parts] == ["guitar", "bass"]
