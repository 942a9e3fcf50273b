"""Rendering of training songs: tuning of soundfonts, arrangements, ensembles, whole corpora."""

from __future__ import annotations

import itertools
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pretty_midi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from audiotransfer.audio.reading import read_audio
from audiotransfer.data.rendering import composing, rendering
from audiotransfer.data.rendering.arrangement import (
    Arrangement,
    bass_line,
    drum_part,
    read_arrangement,
)
from audiotransfer.data.rendering.composing import RenderSettings, compose, in_split
from audiotransfer.data.rendering.ensembles import (
    TARGETS,
    UNSEEN_KIT,
    UNSEEN_PROGRAMS,
    InstrumentPool,
    humanise,
    random_instruments,
    target_ensemble,
)
from audiotransfer.data.rendering.rendering import (
    FINISHED,
    SAMPLED,
    STEMS,
    _render_target,
    finished,
    render_corpus,
    render_song,
    shared_out,
)
from audiotransfer.data.rendering.singers import line_of, melody_of
from audiotransfer.errors import AudioTransferError
from audiotransfer.synthesis import synthesizer as synthesizer_module
from audiotransfer.synthesis.additive import AdditiveInstrument
from audiotransfer.synthesis.catalogue import describe
from audiotransfer.synthesis.synthesizer import Part, Synthesizer, default_soundfont, sustains

Sound = NDArray[np.float32]
RATE = 22050  # half of what songs have: quick, and all partials that matter are below its Nyquist


def part(
    notes: list[tuple[float, float, float, float]],
    program: int = 0,
    stem: str = "other",
    drums: bool = False,
) -> Part:
    return Part(stem, program, drums, np.array(notes, dtype=np.float64).reshape(-1, 4))


@pytest.fixture(scope="module")
def synthesizer() -> Synthesizer:
    return Synthesizer(RATE)


@pytest.fixture(scope="module")
def font() -> Path:
    return default_soundfont()


def write_score(path: Path, seed: int, seconds: float = 8.0, complete: bool = False) -> None:
    """A small song at 120 bpm: chords on the beat, a melody; bass and drums where complete."""
    random = np.random.default_rng(seed)
    midi = pretty_midi.PrettyMIDI(initial_tempo=120.0)
    chords, lead = pretty_midi.Instrument(4), pretty_midi.Instrument(73)
    bass, drums = pretty_midi.Instrument(33), pretty_midi.Instrument(0, is_drum=True)
    for beat in np.arange(0.0, seconds, 0.5):
        root = int(random.integers(48, 60))
        for interval in (0, 4, 7):
            chords.notes.append(pretty_midi.Note(80, root + interval, beat, beat + 0.45))
        lead.notes.append(pretty_midi.Note(90, root + 19, beat + 0.25, beat + 0.45))
        bass.notes.append(pretty_midi.Note(90, root - 12, beat, beat + 0.4))
        drums.notes.append(pretty_midi.Note(90, 36, beat, beat + 0.1))
        drums.notes.append(pretty_midi.Note(70, 42, beat + 0.25, beat + 0.3))
    midi.instruments = [chords, lead, bass, drums] if complete else [chords, lead]
    path.parent.mkdir(parents=True, exist_ok=True)
    midi.write(str(path))


def write_groove(path: Path) -> None:
    midi = pretty_midi.PrettyMIDI(initial_tempo=100.0)
    drums = pretty_midi.Instrument(0, is_drum=True)
    for step in range(16):
        at = step * 0.3
        drums.notes.append(pretty_midi.Note(80, (36, 22, 38, 42)[step % 4], at, at + 0.1))
    midi.instruments = [drums]
    path.parent.mkdir(parents=True, exist_ok=True)
    midi.write(str(path))


@pytest.fixture
def toy(tmp_path: Path, font: Path) -> RenderSettings:
    for number in range(5):
        write_score(tmp_path / "scores" / f"{number}.mid", number, complete=number % 2 == 0)
    for number in range(3):
        write_groove(tmp_path / "grooves" / f"{number}_jazz_beat_4-4.mid")
    return RenderSettings(
        scores={str(tmp_path / "scores"): 1.0},
        grooves=str(tmp_path / "grooves"),
        soundfonts=[str(font)],
        target_banks={str(font): 1.0},
        songs=2,
        seconds=1.5,
        seed=3,
        hold_out=0.4,
        workers=1,
    )


# --- notes to sound

#: A whistle that this soundfont tunes a sixth low, a bell and drums, and noises from 115 on:
#: no pitch to hold them to.
NO_PITCH = {78, 112, *range(115, 128)}
NOTES = (60, 64, 69, 72)


def out_of_tune(sound: Sound, pitch: int) -> float:
    """Cents by which a comb of partials fits best, ±120, whichever octave the sample is in."""
    size = 1 << 17
    spectrum = np.abs(np.fft.rfft(sound.sum(0) * np.hanning(sound.shape[1]), size)) ** 0.5
    cents = np.arange(-120, 121)
    fit = np.zeros(len(cents))
    # Half multiples serve programs that sound an octave low; roots keep one partial from ruling.
    for partial in (0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 8):
        hertz = 440 * 2 ** ((pitch - 69) / 12 + cents / 1200) * partial
        fit += np.interp(hertz / RATE * size, np.arange(len(spectrum)), spectrum) / partial**0.5
    return float(cents[fit.argmax()])


def test_every_general_midi_program_is_in_tune(synthesizer: Synthesizer, font: Path) -> None:
    beat = round(0.6 * RATE)
    wrong = {}
    for program in sorted(set(range(128)) - NO_PITCH):
        notes = [(0.6 * i, 0.55, pitch, 100.0) for i, pitch in enumerate(NOTES)]
        sound = synthesizer.render([(part(notes, program), font)], 0.6 * len(NOTES))
        deviations = [
            out_of_tune(sound[:, i * beat + RATE // 20 : (i + 1) * beat - RATE // 20], pitch)
            for i, pitch in enumerate(NOTES)
        ]
        # One note in four may be a chorused sample (accordions), where a comb finds one reed.
        if abs(float(np.median(deviations))) > 20:
            wrong[program] = deviations
    assert not wrong


def test_the_tuning_measure_would_notice_a_quarter_tone(
    synthesizer: Synthesizer, font: Path
) -> None:
    sound = synthesizer.render([(part([(0, 0.9, 69, 100)], 73), font)], 0.9)[:, RATE // 20 :]
    length = sound.shape[1]
    sharp = np.stack(
        [np.interp(np.arange(0, length - 1, 2 ** (50 / 1200)), range(length), x) for x in sound]
    )
    assert out_of_tune(sharp, 69) - out_of_tune(sound, 69) == pytest.approx(50, abs=6)


@pytest.mark.parametrize("held", [0.01, 0.12, 0.3])
def test_repeated_notes_all_sound(synthesizer: Synthesizer, font: Path, held: float) -> None:
    """Also where a note ends with, or after, the start of the next of its pitch."""
    step, count = 0.12, 8
    notes = [(i * step, held, 60, 100) for i in range(count)]
    sound = synthesizer.render([(part(notes, 13), font)], count * step)
    frames = round(step * RATE)
    levels = [np.sqrt((sound[:, i * frames :][:, : frames // 2] ** 2).mean()) for i in range(count)]
    assert min(levels) > 0.5 * levels[0] > 1e-3


def test_a_note_starts_on_its_sample_and_stops(synthesizer: Synthesizer, font: Path) -> None:
    sound = synthesizer.render([(part([(0.25, 0.1, 69, 100)], 16), font)], 1.0)
    start = round(0.25 * RATE)
    assert sound.shape == (2, RATE) and sound.dtype == np.float32
    assert not sound[:, :start].any()
    assert np.abs(sound[:, start : start + RATE // 50]).max() > 1e-3
    assert np.abs(sound[:, -RATE // 10 :]).max() < 0.01 * np.abs(sound).max()


def test_notes_behind_the_end_are_left_out(synthesizer: Synthesizer, font: Path) -> None:
    inside = [(0.0, 5.0, 60, 100)]
    both = [*inside, (0.5, 1.0, 72, 100)]
    one, two = (synthesizer.render([(part(n), font)], 0.5) for n in (inside, both))
    assert one.any() and np.array_equal(one, two)
    nothing = synthesizer.render([(part([]), font)], 0.5)
    assert nothing.shape == one.shape and nothing.dtype == np.float32 and not nothing.any()
    assert synthesizer.render([(part([]), font)], 0.0).shape == (2, 0)


def test_parts_do_not_share_anything(synthesizer: Synthesizer, font: Path) -> None:
    """Seventeen parts, more than MIDI has channels, sum as if each played alone."""
    parts = [part([(0.02 * i, 0.2, 50 + i, 90)], 7 * i) for i in range(16)]
    parts.append(part([(0.1, 0.1, 38, 90)], 0, "drums", True))
    alone = sum(synthesizer.render([(p, font)], 0.5) for p in parts)
    together = synthesizer.render([(p, font) for p in parts], 0.5)
    assert np.abs(together).max() > 0.01
    assert np.abs(together - alone).max() < 1e-6


def test_a_rendering_leaves_nothing_behind(synthesizer: Synthesizer, font: Path) -> None:
    played = [(part([(0, 5.0, 60, 100)], 19), font)]
    first = synthesizer.render(played, 0.3)
    assert np.array_equal(first, synthesizer.render(played, 0.3))
    assert not synthesizer.render([(part([]), font)], 0.3).any()


def test_louder_velocity_is_louder(synthesizer: Synthesizer, font: Path) -> None:
    soft, loud = (
        np.abs(synthesizer.render([(part([(0, 0.3, 60, v)]), font)], 0.3)).max() for v in (40, 110)
    )
    assert loud > 2 * soft


def test_a_kit_that_is_missing_gives_the_nearest(synthesizer: Synthesizer, font: Path) -> None:
    def kit(program: int) -> Sound:
        return synthesizer.render([(part([(0, 0.3, 38, 100)], program, "drums", True), font)], 0.3)

    assert np.array_equal(kit(3), kit(0)) and np.array_equal(kit(44), kit(40))
    assert not np.allclose(kit(40), kit(0), atol=1e-3)  # brushes are no sticks


def test_soundfonts_that_are_none_are_refused(synthesizer: Synthesizer, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.sf2"
    damaged.write_bytes(b"RIFF no soundfont")
    for path in (tmp_path / "missing.sf2", damaged):
        with pytest.raises(AudioTransferError, match=path.name) as caught:
            synthesizer.render([(part([(0, 1, 60, 90)]), path)], 0.1)
        assert "\n" not in str(caught.value)


def test_without_a_soundfont_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthesizer_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(AudioTransferError, match="pip install pretty_midi"):
        default_soundfont()


# --- scores to arrangements


def test_a_score_becomes_stems(tmp_path: Path) -> None:
    write_score(tmp_path / "a.mid", 1, complete=True)
    arrangement = read_arrangement(tmp_path / "a.mid")
    assert [p.stem for p in arrangement.parts] == ["other", "other", "bass", "drums"]
    assert [p.program for p in arrangement.parts] == [4, 73, 33, 0]
    assert arrangement.beat == pytest.approx(0.5) and arrangement.seconds == pytest.approx(
        7.95, abs=0.05
    )
    chords = arrangement.parts[0].notes
    assert chords.shape == (48, 4)
    np.testing.assert_allclose(chords[::3, 0], np.arange(16) * 0.5, atol=2e-3)
    np.testing.assert_allclose(chords[:, 1], 0.45, atol=4e-3)
    assert set(chords[:, 3]) == {80}


def test_roland_drums_are_translated(tmp_path: Path) -> None:
    write_groove(tmp_path / "groove.mid")
    assert set(read_arrangement(tmp_path / "groove.mid").parts[0].notes[:, 2]) == {36, 38, 42}


@pytest.mark.parametrize("content", [b"", b"MThd", b"no score at all", None])
def test_what_is_no_score_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.mid"
    if content is None:
        pretty_midi.PrettyMIDI().write(str(path))
    else:
        path.write_bytes(content)
    for source in (path, path.read_bytes()):
        with pytest.raises(AudioTransferError, match=r"x\.mid"):
            read_arrangement(source, "x.mid")


def test_a_section_starts_at_zero_and_keeps_the_bars() -> None:
    arrangement = Arrangement((part([(t, 3.0, 60, 90) for t in np.arange(0, 20, 0.5)]),), beat=0.5)
    section = arrangement.section(4.75, 4.0)
    notes = section.parts[0].notes
    np.testing.assert_allclose(notes[:, 0], np.arange(0.25, 4.0, 0.5))
    assert (notes[:, 0] + notes[:, 1]).max() <= 4.0 + 1e-9
    # Bars of two seconds began at 4 and begin at 6: 1.25 s into the section.
    assert section.downbeat == pytest.approx(1.25)
    assert arrangement.parts[0].notes[0, 1] == 3.0  # the arrangement itself stays
    assert arrangement.section(100.0, 4.0).parts == ()


# --- jazz

DRUM_NOTES = list(range(35, 82))


def test_jazz_drums_are_mapped() -> None:
    hits = part([(i * 0.1, 0.1, n, 100) for i, n in enumerate(DRUM_NOTES)], 25, "drums", True)
    jazz = TARGETS["jazz"].play(hits)
    played = dict(zip(DRUM_NOTES, jazz.notes[:, 2], strict=True))
    assert jazz.program == 40 and jazz.drums  # brushes
    assert played[42] == 51 and played[46] == 59  # hi-hats, closed and open, to two rides
    assert played[35] == played[36] == 36 and played[40] == played[38] == 38
    assert played[55] == played[57] == 49
    assert played[44] == 44 and played[51] == 51 and played[54] == 54  # pedal, ride, tambourine
    loudness = dict(zip(DRUM_NOTES, jazz.notes[:, 3], strict=True))
    assert loudness[36] == loudness[35] == 75 and loudness[38] == 100  # the kick is feathered
    assert hits.notes[1, 3] == 100  # the original stays


def test_what_dies_away_is_struck_and_what_is_held_is_held() -> None:
    assert {p for p in range(128) if sustains(p)} == {
        *range(16, 24), *range(40, 45), *range(48, 55), *range(56, 96)
    }  # fmt: skip
    for style, ensemble in TARGETS.items():
        plays = {p: ensemble.play(part([(0, 1, 60, 90)], p)).program for p in range(128)}
        assert {plays[p] for p in (0, 4, 11, 25, 30, 45, 46)} == {ensemble.struck}, style
        assert {plays[p] for p in (19, 40, 48, 56, 65, 73, 80, 89)} == {ensemble.held}, style
        bass = ensemble.play(part([(0, 1, 40, 90)], 38, "bass"))
        assert bass.program == ensemble.bass and bass.stem == "bass"
    with pytest.raises(AudioTransferError, match="polka"):
        target_ensemble("polka")


@given(
    notes=st.lists(
        st.tuples(st.floats(0, 60), st.floats(0.01, 4), st.integers(0, 127), st.integers(1, 127)),
        min_size=1,
        max_size=20,
    ),
    program=st.integers(0, 127),
    stem=st.sampled_from(["drums", "bass", "other"]),
    style=st.sampled_from(sorted(TARGETS)),
)
@settings(max_examples=60, deadline=None)
def test_ensembles_keep_onsets(
    notes: list[tuple[float, float, int, int]], program: int, stem: str, style: str
) -> None:
    """Onsets and durations stay; pitches too but for drums; all stays playable."""
    before = part([tuple(map(float, n)) for n in notes], program, stem, stem == "drums")
    after = target_ensemble(style).play(before)
    assert np.array_equal(after.notes[:, :2], before.notes[:, :2])
    assert (stem == "drums") or np.array_equal(after.notes, before.notes)
    assert after.stem == stem and after.notes[:, 3].min() >= 1 and after.notes[:, 3].max() <= 127


# --- arranging


def test_a_bass_line_plays_the_lowest_note_of_each_beat() -> None:
    chords = part([(i * 0.5, 0.4, p, 80) for i in range(8) for p in (60 + i, 64 + i, 72)])
    line = bass_line(Arrangement((chords,), beat=0.5))
    assert line is not None and line.stem == "bass" and not line.drums
    np.testing.assert_allclose(line.notes[:, 0], np.arange(8) * 0.5)
    assert np.array_equal(line.notes[:, 2] % 12, (60 + np.arange(8)) % 12)
    assert line.notes[:, 2].min() >= 28 and line.notes[:, 2].max() <= 47  # a bass's low strings
    assert (line.notes[:-1, 0] + line.notes[:-1, 1] <= line.notes[1:, 0]).all()  # one at a time
    assert bass_line(Arrangement((part([(0, 1, 38, 80)], 0, "drums", True),))) is None


def test_a_drum_part_keeps_the_arrangements_beat() -> None:
    groove = Arrangement(
        (part([(i * 0.6, 0.1, 36 + 2 * (i % 2), 90) for i in range(8)], 0, "drums", True),), 0.6
    )
    arrangement = Arrangement((part([(0, 1, 60, 90)]),), beat=0.5, downbeat=0.75)
    drums = drum_part(arrangement, groove, 10.0)
    np.testing.assert_allclose(np.sort(drums.notes[:, 0]), np.arange(0.25, 10.0, 0.5), atol=1e-9)
    kicks = drums.notes[drums.notes[:, 2] == 36, 0]
    assert np.isclose(kicks, 0.75).any()  # the groove's one falls on the arrangement's


def test_humanised_notes_deviate_by_a_few_milliseconds() -> None:
    stiff = part([(i * 0.5, 0.4, 60, 90) for i in range(400)])
    played = humanise(stiff, np.random.default_rng(0))
    shift = played.notes[:, 0] - stiff.notes[:, 0]
    assert played.notes[:, 0].min() >= 0
    assert 0.002 < shift.std() < 0.006 and np.abs(shift).max() < 0.03
    assert played.notes[:, 3].min() >= 20 and played.notes[:, 3].max() <= 127
    assert np.array_equal(played.notes[:, 1:3], stiff.notes[:, 1:3])


@pytest.mark.parametrize("unseen", [False, True])
def test_unseen_instruments_are_never_drawn_in_training(unseen: bool) -> None:
    random = np.random.default_rng(1)
    arrangement = Arrangement(
        (
            part([(0, 1, 60, 90)]),
            part([(0, 1, 40, 90)], 33, "bass"),
            part([(0, 1, 38, 90)], 0, "drums", True),
        )
    )
    for _ in range(60):
        other, bass, drums = random_instruments(arrangement, InstrumentPool(unseen), random).parts
        assert (other.program in UNSEEN_PROGRAMS) == unseen
        assert (bass.program in UNSEEN_PROGRAMS) == unseen and bass.program // 8 == 4
        assert (drums.program == UNSEEN_KIT) == unseen


# --- songs


@pytest.mark.parametrize("count", [2, 3, 10, 101])
@pytest.mark.parametrize("hold_out", [0.05, 0.12, 0.4])
def test_a_score_is_in_one_split_only(count: int, hold_out: float) -> None:
    names = tuple(f"{i}.mid" for i in range(count))
    train, test = (in_split(names, split, hold_out) for split in ("train", "test"))
    assert sorted(train + test) == sorted(names) and not set(train) & set(test)
    assert train and test


def test_splits_of_whole_corpora_share_no_score(toy: RenderSettings) -> None:
    found: dict[str, set[str]] = {}
    for split in ("train", "test"):
        random = np.random.default_rng(0)
        drawn = [compose(replace(toy, split=split), i, random)[1] for i in range(25)]
        found[split] = set(drawn)
    assert len(found["train"]) == 3 and len(found["test"]) == 2  # every score gets its turn
    assert not found["train"] & found["test"]


def test_a_song_is_a_function_of_seed_and_index(toy: RenderSettings) -> None:
    def song(seed: int, index: int) -> tuple[Arrangement, str]:
        return compose(toy, index, np.random.default_rng((seed, index)))

    (one, name), (again, same_name), (other, _) = song(1, 0), song(1, 0), song(2, 0)
    assert name == same_name and len(one.parts) == len(again.parts)
    for a, b in zip(one.parts, again.parts, strict=True):
        assert (a.stem, a.program) == (b.stem, b.program) and np.array_equal(a.notes, b.notes)
    assert not (
        len(one.parts) == len(other.parts)
        and all(
            np.array_equal(a.notes, b.notes) for a, b in zip(one.parts, other.parts, strict=True)
        )
    )


def test_missing_parts_are_added(toy: RenderSettings, tmp_path: Path) -> None:
    for number in (0, 2, 4):
        write_score(tmp_path / "scores" / f"{number}.mid", number)  # no bass, no drums any more
    composing.list_midi.cache_clear()
    stems = [
        {p.stem for p in compose(toy, i, np.random.default_rng(i))[0].parts} for i in range(40)
    ]
    for stem in ("bass", "drums"):
        assert 0.6 < np.mean([stem in found for found in stems]) < 1.0


def test_a_song_is_rendered_for_every_ensemble(toy: RenderSettings) -> None:
    synthesizer = Synthesizer(rendering.SAMPLE_RATE)
    toy = replace(toy, targets=["jazz", "classical"], invented_share=0.5)
    sides, about, notes = render_song(toy, 1, synthesizer)
    again, same, _ = render_song(toy, 1, synthesizer)
    assert about == same
    assert list(sides) == ["source", "target/jazz", "target/classical", FINISHED]
    frames = round(toy.seconds * rendering.SAMPLE_RATE)
    mixes = sides.pop(FINISHED)
    stems = set(sides["source"])
    assert stems == set(notes) >= {"drums", "other"}
    for side, sounds in sides.items():
        assert set(sounds) == stems
        for stem, sound in sounds.items():
            assert np.array_equal(sound, again[side][stem])
            assert sound.shape == (2, frames)
            assert sound.dtype == np.float32 and np.isfinite(sound).all()
            level, source = (np.sqrt((x**2).mean()) for x in (sound, sides["source"][stem]))
            assert level == pytest.approx(source, rel=1e-2) and level > 0.01
        assert np.abs(sum(sounds.values())).max() <= 0.95 + 1e-4
    assert set(mixes) == {"jazz", "classical"}
    for mix in mixes.values():
        assert mix.shape == (2, frames) and mix.dtype == np.float32
        assert np.sqrt((mix**2).mean()) == pytest.approx(0.1, rel=1e-3) or np.abs(mix).max() < 0.951
    other = [sounds["other"] for sounds in sides.values()]
    assert not any(np.allclose(a, b, atol=1e-2) for a, b in itertools.pairwise(other))
    for stem, played in notes.items():
        assert played.shape[1] == 5 and played[:, 0].max() < toy.seconds, stem


def test_a_finished_mix_went_through_the_ensembles_effects() -> None:
    random = np.random.default_rng(0)
    played = {s: 0.1 * random.standard_normal((2, 40000)).astype(np.float32) for s in STEMS}
    source = {s: 0.1 * random.standard_normal((2, 40000)).astype(np.float32) for s in STEMS}
    for style in TARGETS:
        one, louder = finished(style, played, source), {s: 2 * x for s, x in played.items()}
        assert np.sqrt((one**2).mean()) == pytest.approx(0.1, rel=1e-3)
        # Effects hear levels relative to the song's, whatever that is.
        scaled = finished(style, louder, {s: 2 * x for s, x in source.items()})
        assert np.allclose(one, scaled, atol=1e-4)
    plain = sum(played.values()) * (0.1 / np.sqrt((sum(played.values()) ** 2).mean()))
    assert np.allclose(finished("jazz", played, source), plain, atol=1e-4)
    assert not np.allclose(finished("rock", played, source), plain, atol=1e-2)


@pytest.mark.parametrize("program", [0, 66])
def test_additive_instruments_are_in_tune_and_sustain_or_not(program: int) -> None:
    for seed in range(6):
        random = np.random.default_rng(seed)
        instrument = AdditiveInstrument(program, RATE, random)
        sound = instrument.render(part([(0.1, 1.2, 69, 100)], program), 1.5)
        assert sound.shape == (2, round(1.5 * RATE)) and not sound[:, : RATE // 10].any()
        spectrum = np.abs(np.fft.rfft(sound.sum(0) * np.hanning(sound.shape[1])))
        hertz = np.arange(len(spectrum)) * RATE / sound.shape[1]
        strong = hertz[spectrum > 0.1 * spectrum.max()]
        # Vibrato and a detuned voice reach 15 cents; 440 Hz and its multiples otherwise.
        away = np.abs(strong - 440 * np.round(strong / 440)) / np.maximum(strong, 1)
        assert away.max() < 2 ** (20 / 1200) - 1 + 1 / 440
        starts = (round(0.3 * RATE), round(1.1 * RATE))
        early, late = (np.abs(sound[:, at : at + RATE // 8]).mean() for at in starts)
        assert late > 0.25 * early if sustains(program) else late < 0.6 * early


def test_a_corpus_resumes_and_says_what_it_holds(toy: RenderSettings, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    told: list[tuple[int, int]] = []
    songs = render_corpus(toy, folder, lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)] and [s["id"] for s in songs] == ["train-3-0000", "train-3-0001"]
    for song in songs:
        place = folder / str(song["id"])
        assert json.loads((place / "song.json").read_text()) == song
        for stem in song["stems"]:  # type: ignore[attr-defined]
            assert (place / "source" / f"{stem}.wav").is_file()
            assert (place / "target" / "jazz" / f"{stem}.wav").is_file()
        with np.load(place / "notes.npz") as notes:
            assert sorted(notes) == song["stems"]
    kept = folder / "train-3-0000" / "source" / "other.wav"
    stamp = kept.stat().st_mtime_ns
    (folder / "train-3-0001" / "song.json").unlink()  # a render that was killed in the middle
    assert render_corpus(toy, folder) == songs
    assert kept.stat().st_mtime_ns == stamp


def test_targets_that_a_corpus_lacks_are_added(toy: RenderSettings, tmp_path: Path) -> None:
    both = replace(toy, targets=["jazz", "rock"], seconds=3.0)
    render_corpus(both, tmp_path / "at once")
    render_corpus(replace(both, targets=["jazz"]), tmp_path / "added")
    assert render_corpus(both, tmp_path / "added")[0]["target_bank"]
    added = sorted(tmp_path.glob("added/*/target/rock/*.wav"))
    assert len(added) >= 4
    for path in added:
        other = tmp_path / "at once" / path.relative_to(tmp_path / "added")
        one, two = (read_audio(p)[0].numpy() for p in (path, other))
        # The level is taken from a file of 16 bit, and the gain against clipping differs.
        assert np.corrcoef(one.ravel(), two.ravel())[0, 1] > 0.9999
        source = read_audio(path.parents[2] / "source" / path.name)[0].numpy()
        assert abs(20 * np.log10(np.std(one) / np.std(source))) < 0.1
    stamps = [path.stat().st_mtime_ns for path in added]
    (added[0].parents[2] / "finished" / "jazz.wav").unlink()  # a render that was killed
    render_corpus(both, tmp_path / "added")
    assert [path.stat().st_mtime_ns for path in added] == stamps
    assert (added[0].parents[2] / "finished" / "jazz.wav").is_file()


def test_targets_of_a_song_are_played_by_one_bank(toy: RenderSettings, tmp_path: Path) -> None:
    out = tmp_path / "out"
    one = replace(toy, songs=1, targets=["jazz", "rock"])
    before = render_corpus(replace(one, targets=["jazz"]), out)[0]["target_bank"]
    sampled = replace(one, target_banks={SAMPLED: 1.0})
    with pytest.raises(AudioTransferError, match=f"played by {before}, and by sampled"):
        render_corpus(sampled, out)
    for side in ("finished", "target"):
        shutil.rmtree(out / "train-3-0000" / side)
    assert render_corpus(sampled, out)[0]["target_bank"] == "sampled"
    assert json.loads((out / "train-3-0000" / "song.json").read_text())["target_bank"] == "sampled"


def test_targets_are_not_added_to_another_score(toy: RenderSettings, tmp_path: Path) -> None:
    render_corpus(toy, tmp_path / "out")
    card = tmp_path / "out" / "train-3-0000" / "song.json"
    card.write_text(json.dumps({**json.loads(card.read_text()), "score": "another.mid"}))
    with pytest.raises(AudioTransferError, match=r"another\.mid"):
        render_corpus(replace(toy, targets=["jazz", "rock"]), tmp_path / "out")


@pytest.mark.parametrize("style", sorted(TARGETS))
def test_sampled_instruments_get_the_notes_of_their_range(style: str) -> None:
    ensemble = TARGETS[style]
    for program, name in ensemble.sampled.items():
        instrument = describe(name)
        keys = np.arange(0, 128)
        notes = np.column_stack([keys, np.ones(128), keys, np.full(128, 90)]).astype(float)
        part = Part("other", program, instrument.drums, notes)
        sampled, others = shared_out(ensemble, [part])
        assert len(sampled) == 1 and sampled[0].program == program
        if instrument.drums:
            assert len(sampled[0].notes) == 128 and not others
            continue
        inside = sampled[0].notes[:, 2]
        assert (inside.min(), inside.max()) == (instrument.low_key, instrument.high_key)
        assert sorted([*inside, *others[0].notes[:, 2]]) == list(keys)
    unknown = Part("other", 119, False, np.array([[0.0, 1.0, 60.0, 90.0]]))
    assert shared_out(ensemble, [unknown])[0] == []


def test_a_sampled_instrument_is_as_loud_as_the_soundfonts(toy: RenderSettings) -> None:
    synthesizer = Synthesizer(rendering.SAMPLE_RATE)
    settings = replace(toy, target_banks={"sampled": 1.0}, seconds=1.0)
    note = np.array([[0.0, 0.8, 60.0, 90.0]])
    struck, held = (Part("other", program, False, note) for program in (0, 48))
    (style,) = [s for s in ("rock",) if TARGETS[s].held not in TARGETS[s].sampled]

    def rms(parts: list[Part], bank: str) -> float:
        return float(np.std(_render_target(style, parts, bank, settings, synthesizer)))

    both = rms([struck, held], "sampled")
    font = rms([struck, held], toy.soundfonts[0])
    assert 0.8 < both / font < 1.25


def test_a_melody_is_sung(toy: RenderSettings, synthesizer: Synthesizer) -> None:
    """Without styles' versions a voice is a stem; the rest stays what it was without one."""
    settings = replace(toy, targets=[], seconds=7.0, sung_share=1.0)
    sides, about, _ = render_song(settings, 0, synthesizer)
    plain, same, _ = render_song(replace(settings, sung_share=0.0), 0, synthesizer)
    assert about == same and set(sides["source"]) == {*plain["source"], "vocals"}
    voice = sides["source"]["vocals"]
    assert voice.shape == (2, 7 * RATE) and np.isfinite(voice).all()
    assert 0.01 < np.sqrt((voice**2).mean()) < 0.3
    styled, _, _ = render_song(replace(toy, sung_share=1.0), 0, synthesizer)
    assert "vocals" not in styled["source"]


def test_the_part_that_is_sung_has_one_note_at_a_time() -> None:
    random = np.random.default_rng(0)
    starts = np.arange(16) * 0.5
    tune = np.column_stack([starts, np.full(16, 0.4), 65 + np.arange(16) % 5, np.full(16, 90)])
    chords = np.concatenate([tune - [0, 0, 12, 0], tune - [0, 0, 8, 0]])
    bass, lead = Part("bass", 33, False, tune), Part("other", 40, False, tune)
    parts = [Part("other", 0, False, chords), bass, lead]
    assert melody_of(parts) == 2
    assert melody_of(parts[:2]) is None
    doubled = np.concatenate([tune, tune[:3] - [0, 0, 4, 0], [[7.9, 3.0, 70, 90]]])
    lines = [line_of(Part("other", 40, False, doubled), 8.0, random) for _ in range(12)]
    for line in lines:
        assert (line[1:, 0] >= line[:-1, 1] - 1e-9).all() and (line[:, 1] <= 8.0).all()
        assert set(line[:, 2]) <= {65.0, 66.0, 67.0, 68.0, 69.0, 70.0}
    assert len({len(line) for line in lines}) > 1  # phrases are left out


def test_workers_render_what_one_process_renders(toy: RenderSettings, tmp_path: Path) -> None:
    alone = render_corpus(toy, tmp_path / "alone")
    assert render_corpus(replace(toy, workers=2), tmp_path / "shared") == alone
    for path in (tmp_path / "alone").rglob("*.wav"):
        twin = tmp_path / "shared" / path.relative_to(tmp_path / "alone")
        assert path.read_bytes() == twin.read_bytes()


def test_zipped_scores_are_the_same_scores(toy: RenderSettings, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "scores.zip", "w") as pack:
        for path in sorted((tmp_path / "scores").glob("*.mid")):
            pack.write(path, path.name)
    zipped = replace(toy, scores={str(tmp_path / "scores.zip"): 1.0})
    one, name = compose(toy, 0, np.random.default_rng(4))
    two, zipped_name = compose(zipped, 0, np.random.default_rng(4))
    assert name == zipped_name
    assert all(np.array_equal(a.notes, b.notes) for a, b in zip(one.parts, two.parts, strict=True))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scores": {"nowhere": 1.0}}, "nowhere"),
        ({"scores": {}}, "no scores"),
        ({"soundfonts": ["no.sf2"]}, r"no\.sf2"),
        ({"soundfonts": []}, "no soundfont"),
        ({"target_banks": {"none.sf2": 1.0}}, r"none\.sf2"),
        ({"target_banks": {}}, "no target_banks"),
        ({"targets": ["polka"]}, "polka"),
        ({"grooves": "nogrooves"}, "nogrooves"),
        ({"split": "validation"}, "validation"),
        ({"hold_out": 1.0}, "no score"),
    ],
)
def test_a_corpus_that_cannot_be_is_refused_in_one_line(
    toy: RenderSettings, tmp_path: Path, change: dict[str, object], words: str
) -> None:
    with pytest.raises(AudioTransferError, match=words) as caught:
        render_corpus(replace(toy, **change), tmp_path / "out")  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("out/*/song.json"))


def test_scores_without_notes_are_passed_over(toy: RenderSettings, tmp_path: Path) -> None:
    for number in (0, 1, 2):
        (tmp_path / "scores" / f"{number}.mid").write_bytes(b"damaged")
    names = {compose(toy, i, np.random.default_rng(i))[1].split("/")[-1] for i in range(10)}
    assert names <= {"3.mid", "4.mid"} and names
    for number in (3, 4):
        (tmp_path / "scores" / f"{number}.mid").write_bytes(b"damaged")
    with pytest.raises(AudioTransferError, match="no score with enough notes"):
        compose(toy, 0, np.random.default_rng(0))


def test_a_damaged_groove_costs_no_song(toy: RenderSettings, tmp_path: Path) -> None:
    for path in (tmp_path / "grooves").glob("*.mid"):
        write_score(path, 1)  # a score in the place of a drum performance
    for index in range(10):
        arrangement, _ = compose(toy, index, np.random.default_rng(index))
        assert "other" in {p.stem for p in arrangement.parts}
