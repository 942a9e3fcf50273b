"""Excerpts for transcription: the truth is where the sound is, splits share nothing."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import symusic
import torch

from audiotransfer import recipes
from audiotransfer.audio.writing import write_audio
from audiotransfer.data.rendering.excerpts import ExcerptSettings, render_excerpt, render_excerpts
from audiotransfer.data.rendering.excerpts.accompaniment import (
    BASS_PATTERNS,
    CHORD_TONES,
    HARMONY_PATTERNS,
    accompaniment,
    bass_line,
)
from audiotransfer.data.rendering.excerpts.arranging import complete
from audiotransfer.data.rendering.excerpts.drum_patterns import (
    CLOSED,
    KICK,
    PATTERNS,
    RIDE,
    pattern_drums,
    patterns_for,
    performed_drums,
)
from audiotransfer.data.rendering.excerpts.invented import STYLES, invent
from audiotransfer.data.rendering.excerpts.pieces import (
    BASS,
    COUNTER,
    HARMONY,
    LEAD,
    Layer,
    Piece,
    Timeline,
    draw_timeline,
    monophonic,
    slowed,
)
from audiotransfer.data.rendering.excerpts.playing import play_section
from audiotransfer.data.rendering.excerpts.readers import READERS, SPLITS, names_in, split_of
from audiotransfer.data.rendering.excerpts.singing import VOICES, sing
from audiotransfer.data.rendering.excerpts.solo_singing import read_singing
from audiotransfer.data.rendering.excerpts.sound import SAMPLE_RATE, active_level, retuned
from audiotransfer.errors import AudioTransferError
from audiotransfer.synthesis.synthesizer import default_soundfont
from audiotransfer.training.config import load_config
from audiotransfer.transcription.activations import CHORD_QUALITIES

CONFIG = "transcription-excerpts"
SONGS = 24


def tune(tracks: dict[str, list[tuple[float, float, int]]], tempo: float = 100.0) -> bytes:
    """A MIDI file of notes (start and length in quarters, pitch) by track."""
    score = symusic.Score(480)
    score.tempos.append(symusic.Tempo(0, tempo))
    for name, notes in tracks.items():
        track = symusic.Track(name=name)
        for start, length, pitch in notes:
            track.notes.append(symusic.Note(int(start * 480), int(length * 480), pitch, 90))
        score.tracks.append(track)
    return bytes(score.dumps_midi())


@pytest.fixture(scope="module")
def pop(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Songs of 80 beats at 100 by twelve artists, two each, laid out as in POP909."""
    place = tmp_path_factory.mktemp("midi") / "pop_pop909.zip"
    beats = np.arange(81) * 0.6 + 0.3
    flags = np.where(np.arange(81) % 4 == 1, 3, np.where(np.arange(81) % 4 == 3, 1, 0))
    rows, arrays = ["song_id,name,artist,modify_times"], {}
    with zipfile.ZipFile(place, "w") as archive:
        for song in range(1, SONGS + 1):
            key = f"{song:03d}"
            rows.append(f"{song},Song {song},Artist {(song - 1) // 2},1")
            arrays |= {f"{key}_t": beats, f"{key}_f": flags}
            melody = [(0.5 + i, 0.9, 64 + (song + i) % 9) for i in range(78)]
            piano = [(0.5 + i, 1.8, p) for i in range(0, 78, 2) for p in (48, 52, 55)]
            data = tune({"MELODY": melody, "BRIDGE": melody[::3], "PIANO": piano})
            archive.writestr(f"pop_pop909/{key}.mid", data)
            labels = "".join(
                f"{beats[i]:.3f}\t{beats[i + 4]:.3f}\t{('C:maj', 'A:min7', 'N')[i // 4 % 3]}\n"
                for i in range(0, 77, 4)
            )
            archive.writestr(f"pop_pop909/annotations/{key}.chord_midi.txt", labels)
        archive.writestr("pop_pop909/index.csv", "\n".join(rows))
        file = io.BytesIO()
        np.savez(file, **arrays)
        archive.writestr("pop_pop909/beats.npz", file.getvalue())
    return str(place)


@pytest.fixture
def settings(pop: str) -> ExcerptSettings:
    return ExcerptSettings(
        {pop: 0.5, "invented": 0.5}, soundfonts=[str(default_soundfont())], seconds=6.0, excerpts=2
    )


def piece_of(*layers: Layer, beats: int = 64, collection: str = "toy", **others: Any) -> Piece:
    bars = np.arange(0, beats + 1, 4.0)
    return Piece(collection, "toy", layers, bars, 120.0, **others)


def level_at(sound: np.ndarray, hertz: float) -> float:
    """Magnitude of a windowed sound at a frequency."""
    time = np.arange(len(sound)) / SAMPLE_RATE
    return float(abs(np.sum(np.hanning(len(sound)) * sound * np.exp(-2j * np.pi * hertz * time))))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_lead_note_sounds_where_the_truth_says(seed: int, settings: ExcerptSettings) -> None:
    notes = np.array([(b * 2.0, 1.5, 60 + b * 5 % 17, 100.0) for b in range(7)])
    piece = piece_of(Layer(LEAD, notes, (73,)), known=frozenset({"lead", "notes"}))
    random = np.random.default_rng(seed)
    timeline = replace(draw_timeline(100.0, 64, random, 0.03), start=0.4)
    settings = replace(settings, sung=0.0, own_instruments=0.0)
    arrays = play_section(piece, timeline, settings, random)
    about = json.loads(str(arrays["about"]))
    sound = arrays["audio"] / 32768.0
    tuning = 2 ** (about["tuning_cents"] / 1200)
    assert len(arrays["lead"]) >= 4 and arrays["has_lead"] and not arrays["has_chords"]
    assert np.array_equal(arrays["lead"], arrays["notes"])
    for start, end, pitch in arrays["lead"][arrays["lead"][:, 1] < 5.9]:
        held = sound[int((start + 0.1) * SAMPLE_RATE) : int(end * SAMPLE_RATE)]
        hertz = tuning * 440.0 * 2 ** ((pitch - 69) / 12)
        around = [level_at(held, hertz * 2 ** (step / 12)) for step in (-1, 0, 1)]
        assert around[1] > 3 * max(around[0], around[2])
        begun = sound[int((start + 0.02) * SAMPLE_RATE) :][: SAMPLE_RATE // 10]
        before = sound[int((start - 0.11) * SAMPLE_RATE) :][: SAMPLE_RATE // 10]
        assert level_at(begun, hertz) > 3 * level_at(before, hertz)


def test_drifting_beats_are_where_the_drums_are(settings: ExcerptSettings) -> None:
    hits = np.array([(float(beat), KICK if beat % 2 == 0 else 38, 110.0) for beat in range(40)])
    random = np.random.default_rng(4)
    timeline = slowed(draw_timeline(130.0, 64, random, 0.03), 5.0, random)
    timeline = replace(timeline, start=0.25)
    settings = replace(settings, own_instruments=0.0)
    arrays = play_section(piece_of(drums=hits), timeline, settings, random)
    lengths = np.diff(arrays["beats"])
    assert lengths.std() > 0.02 * lengths.mean()
    assert np.all(np.isin(arrays["downbeats"], arrays["beats"][::4]))
    found = librosa.onset.onset_detect(
        y=arrays["audio"] / 32768.0, sr=SAMPLE_RATE, hop_length=128, units="time"
    )
    inner = arrays["beats"][(arrays["beats"] > 0.2) & (arrays["beats"] < 5.8)]
    for times in (inner, arrays["drums"][: len(inner), 0]):
        nearest = np.abs(times[:, None] - found[None]).min(axis=1)
        assert np.mean(nearest < 0.03) > 0.9


def test_the_truth_is_of_notes_that_sound_inside(settings: ExcerptSettings) -> None:
    for index in range(4):
        arrays = render_excerpt(settings, index)
        assert arrays["audio"].dtype == np.int16 and len(arrays["audio"]) == 6 * SAMPLE_RATE
        assert np.abs(arrays["audio"]).max() > 1000
        for name in ("lead", "notes", "bass"):
            rows = arrays[name]
            assert rows.dtype == np.float32 and rows.shape[1] == 3
            assert np.all(rows[:, 0] >= 0) and np.all(rows[:, 1] <= 6.001)
            assert np.all(rows[:, 1] > rows[:, 0])
        every = {tuple(row) for row in arrays["notes"].tolist()}
        assert {tuple(row) for row in arrays["lead"].tolist()} <= every
        assert np.all(np.diff(arrays["beats"]) > 0.2) and arrays["beats"][-1] < 6
        chords = arrays["chords"]
        assert np.all((chords[:, 1] >= -1) & (chords[:, 1] < 12))
        assert np.all((chords[:, 2] >= 0) & (chords[:, 2] < len(CHORD_QUALITIES)))


def test_the_same_seed_gives_the_same_excerpt(settings: ExcerptSettings) -> None:
    one, again, other = (render_excerpt(settings, index) for index in (3, 3, 4))
    assert all(np.array_equal(one[name], again[name]) for name in one)
    assert not np.array_equal(one["audio"], other["audio"])
    validation = render_excerpt(replace(settings, split="validation"), 3)
    assert not np.array_equal(one["audio"], validation["audio"])


def test_files_are_kept(settings: ExcerptSettings, tmp_path: Path) -> None:
    shown: list[tuple[int, int]] = []
    (first, second) = render_excerpts(settings, tmp_path, lambda *done: shown.append(done))
    assert shown == [(1, 2), (2, 2)] and first["split"] == "train"
    (tmp_path / "train" / f"{second['id']}.npz").unlink()
    kept = tmp_path / "train" / f"{first['id']}.npz"
    written = kept.stat().st_mtime_ns
    assert render_excerpts(settings, tmp_path) == [first, second]
    assert kept.stat().st_mtime_ns == written
    with np.load(kept) as arrays:
        assert {key: value for key, value in first.items() if key != "id"} == json.loads(
            str(arrays["about"])
        )


def test_the_config_renders(pop: str, tmp_path: Path) -> None:
    settings = load_config(CONFIG, [], ExcerptSettings)
    assert sum(settings.scores.values()) == pytest.approx(1.0)
    assert {Path(place).stem for place in settings.scores} == {*READERS, "invented"}
    singing = load_config("transcription-singing", [], ExcerptSettings)
    assert set(singing.scores) == {"singing"} and singing.seed != settings.seed
    assert singing.singing and not any("eir_" in file for file in singing.singing)
    assert not any("TimGM6mb" in font for s in (settings, singing) for font in s.soundfonts)
    drumless = load_config("transcription-excerpts-drumless", [], ExcerptSettings)
    assert set(drumless.scores) < set(settings.scores) and drumless.seed != settings.seed
    assert drumless.soundfonts == settings.soundfonts and set(drumless.styles) <= set(STYLES)
    config = tmp_path / "toy.yaml"
    config.write_text(
        f"scores: {{{pop}: 1.0}}\nsoundfonts: [{default_soundfont()}]\nexcerpts: 1\nseconds: 5\n"
    )
    (made,) = recipes.render(str(config), [], tmp_path / "out")
    assert made["set"] == "pop909" and (tmp_path / "out/train" / f"{made['id']}.npz").is_file()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"scores": {"none.zip": 1.0}}, r"none\.zip"),
        ({"soundfonts": ["no.sf2"]}, r"no\.sf2"),
        ({"split": "trial"}, "trial"),
    ],
)
def test_errors_name_the_setting(
    change: dict[str, Any], named: str, settings: ExcerptSettings, tmp_path: Path
) -> None:
    with pytest.raises(AudioTransferError, match=named):
        render_excerpts(replace(settings, **change), tmp_path)


def test_splits_share_no_artist(pop: str) -> None:
    names = [names_in(pop, split) for split in SPLITS]
    assert sum(map(len, names)) == SONGS and all(names)
    artists = [{(int(Path(name).stem) - 1) // 2 for name in part} for part in names]
    assert not (artists[0] & artists[1] or artists[0] & artists[2] or artists[1] & artists[2])
    assert split_of(map(str, range(200))) == split_of(map(str, reversed(range(200))))


def test_pop_songs_keep_their_beats_and_chords(pop: str) -> None:
    piece = READERS["pop_pop909"](pop, "pop_pop909/001.mid")
    assert piece.tempo == pytest.approx(100.0)
    assert piece.bars[:3].tolist() == [1.0, 5.0, 9.0]
    lead = piece.layer(LEAD)
    # Half a quarter at 100 is 0.3 s, which is where beat 0 is.
    assert lead is not None and lead.notes[:4, 0] == pytest.approx([0, 1, 2, 3], abs=1e-6)
    assert piece.chords[:3].tolist() == [[0, 0, 0], [4, 9, 4], [8, -1, 0]]


def test_sections_and_transposition() -> None:
    notes = np.array([(b, 1.0, 60.0, 90.0) for b in range(16)])
    chords = np.array([(0.0, 0.0, 0.0), (6.0, 9.0, 1.0), (12.0, -1.0, 0.0)])
    piece = piece_of(Layer(LEAD, notes), beats=16, chords=chords).section(5.0, 14.0).transposed(4)
    assert piece.bars.tolist() == [3.0, 7.0, 9.0]
    assert piece.spans() == [(0.0, 3.0), (3.0, 7.0), (7.0, 9.0)]
    assert piece.chords.tolist() == [[0, 4, 0], [1, 1, 1], [7, -1, 0]]
    assert piece.layers[0].notes[0].tolist() == [0, 1, 64, 90] and len(piece.layers[0].notes) == 9


def test_a_counter_line_is_silent_where_the_lead_rests(settings: ExcerptSettings) -> None:
    lead = np.array([(0.0, 4.0, 70.0, 90.0), (12.0, 4.0, 70.0, 90.0)])
    counter = np.array([(b, 1.0, 55.0, 80.0) for b in range(16)])
    piano = Layer(HARMONY, counter.copy())
    piece = piece_of(Layer(LEAD, lead), Layer(COUNTER, counter), piano, beats=16)
    found = [
        layer.notes[:, 0]
        for seed in range(12)
        if (layer := complete(piece, 100.0, settings, np.random.default_rng(seed)).layer(COUNTER))
    ]
    assert 3 < len(found) < 12
    for starts in found:
        assert (
            starts.tolist() == [0, 1, 2, 3, 4, 12, 13, 14, 15]
            or not ((starts > 4) & (starts < 12)).any()
        )


@pytest.mark.parametrize("pattern", BASS_PATTERNS)
def test_basses_follow_chords(pattern: str) -> None:
    chords = np.array([(0.0, 0.0, 0.0), (8.0, 9.0, 1.0), (16.0, -1.0, 0.0), (24.0, 5.0, 3.0)])
    line = bass_line(piece_of(chords=chords), pattern, np.random.default_rng(5))
    starts, pitches = line.notes[:, 0], line.notes[:, 2].astype(int)
    assert line.role == BASS and len(starts) >= 10
    assert not ((starts >= 16) & (starts < 24)).any()
    assert np.array_equal(line.notes, monophonic(line.notes))
    assert pitches.min() >= 24 and pitches.max() <= 62
    roots = np.array([0, 9, -1, 5])[np.clip(starts // 8, 0, 3).astype(int)]
    downbeats = (starts % 4 == 0) & (roots >= 0)
    if pattern not in ("riff", "acid", "syncopated", "offbeat"):
        assert np.array_equal(pitches[downbeats] % 12, roots[downbeats])
    assert np.mean(pitches % 12 == roots) > 0.2


@pytest.mark.parametrize("pattern", HARMONY_PATTERNS)
def test_accompaniments_play_the_chords(pattern: str) -> None:
    chords = np.array([(0.0, 0.0, 0.0), (8.0, 9.0, 4.0), (16.0, -1.0, 0.0), (24.0, 5.0, 3.0)])
    part = accompaniment(piece_of(chords=chords, beats=32), pattern, np.random.default_rng(6))
    assert len(part.notes) >= 9
    for start, length, pitch, _ in part.notes:
        row = chords[np.searchsorted(chords[:, 0], start + 1e-6, side="right") - 1]
        assert row[1] >= 0 and length > 0
        assert (pitch - row[1]) % 12 in CHORD_TONES[int(row[2])]


@pytest.mark.parametrize("name", PATTERNS)
def test_drum_patterns_fill_their_bars(name: str) -> None:
    beats, _ = PATTERNS[name]
    bars = np.arange(9) * float(beats)
    piece = Piece("toy", "toy", (), bars, 100.0, 3 if beats == 2 else 2)
    hits = pattern_drums(piece, name, np.random.default_rng(7), fills=0.0)
    assert np.all((hits[:, 0] >= 0) & (hits[:, 0] < bars[-1]))
    assert {int(hit // beats) for hit in hits[:, 0]} == set(range(8))
    if beats != 4:
        assert name in patterns_for(beats, piece.division)
    assert "rock" not in patterns_for(3, 2) and "waltz" not in patterns_for(4, 2)


def test_performances_begin_with_bars() -> None:
    performance = np.array([(b, KICK if b % 4 == 0 else 42, 90.0) for b in range(12)], float)
    bars = np.array([2.0, 6.0, 10.0, 13.0, 17.0])
    piece = Piece("toy", "toy", (), bars, 100.0)
    hits = performed_drums(piece, performance, np.random.default_rng(1))
    assert hits[hits[:, 1] == KICK, 0].tolist() == [2.0, 6.0, 10.0, 13.0]
    assert hits[:, 0].tolist() == list(range(17))


def test_invented_pieces_are_of_their_styles() -> None:
    pieces = [invent(np.random.default_rng(seed), bars=12) for seed in range(60)]
    assert {piece.style for piece in pieces} == set(STYLES) - {"song"}
    pieces += [invent(np.random.default_rng(seed), 12, {"song": 1.0}) for seed in range(3)]
    assert {piece.style for piece in pieces[60:]} == {"song"}
    leads = [piece.layer(LEAD) for piece in pieces]
    assert any(piece.bass_leads for piece in pieces) and any(lead is None for lead in leads)
    for piece, lead in zip(pieces, leads, strict=True):
        style = STYLES[piece.style]
        assert np.all(np.diff(piece.bars) == style.bar) and piece.division == style.division
        assert style.tempo[0] <= piece.tempo <= style.tempo[1]
        assert np.all(np.diff(piece.chords[:, 0]) > 0)
        if lead is not None:
            assert np.all(lead.notes[:-1, 0] + lead.notes[:-1, 1] <= lead.notes[1:, 0] + 1e-6)


def test_melodies_of_songs_begin_on_beats() -> None:
    def on_beats(style: str) -> float:
        pieces = [invent(np.random.default_rng(seed), 24, {style: 1.0}) for seed in range(8)]
        leads = [lead.notes[:, 0] for piece in pieces if (lead := piece.layer(LEAD))]
        return float(np.mean([np.mean(starts % 1 < 1e-6) for starts in leads]))

    assert on_beats("song") > on_beats("pop") + 0.05
    with pytest.raises(AudioTransferError, match="sung"):
        invent(np.random.default_rng(0), 12, {"sung": 1.0})


def test_few_or_no_drums_and_tempi_within_limits(settings: ExcerptSettings) -> None:
    settings = replace(settings, drumless=1.0, tempi=[95.0, 125.0], plain=1.0)
    for index in range(3):
        arrays = render_excerpt(settings, index)
        assert 90 < json.loads(str(arrays["about"]))["tempo"] < 130
        assert set(arrays["drums"][:, 1]) <= {CLOSED, RIDE}
    piece = piece_of(
        Layer(LEAD, np.array([(0.0, 1.0, 70.0, 90.0)])),
        Layer(HARMONY, np.array([(0.0, 1.0, 44.0, 90.0)])),
        chords=np.array([(0.0, 0.0, 0.0), (8.0, 5.0, 0.0)]),
        collection="pop909",
    )
    for seed in range(8):
        made = complete(piece, 100.0, settings, np.random.default_rng(seed))
        assert [layer.role for layer in made.layers[:2]] == [LEAD, HARMONY]
        assert len(made.layers) <= 3 and len(made.layers[1].notes) > 2
        drummed = complete(
            piece, 100.0, replace(settings, drumless=0.0), np.random.default_rng(seed)
        )
        assert len(drummed.drums)
    with pytest.raises(AudioTransferError, match="80 tries"):
        render_excerpt(replace(settings, tempi=[20.0, 21.0]), 0)


def test_time_swings_within_the_beat() -> None:
    timeline = Timeline(np.array([0.0, 0.5, 1.1]), swing=0.6)
    assert timeline.at(np.array([0.0, 0.5, 1.0, 1.5, 2.0])) == pytest.approx(
        [0, 0.3, 0.5, 0.86, 1.1]
    )
    assert timeline.at(np.array([3.0])) == pytest.approx([1.7])
    rigid = draw_timeline(120.0, 8, np.random.default_rng(0))
    assert np.diff(rigid.times) == pytest.approx(0.5)


@pytest.mark.parametrize("voice", VOICES, ids=lambda voice: voice.name)
def test_voices_sing_the_notes(voice: Any) -> None:
    middle = (voice.low + voice.high) // 2
    notes = np.array([(0.3, 0.9, middle), (0.9, 1.6, middle + 4), (2.0, 2.9, middle - 3.0)])
    sound = sing(notes, 3.2, SAMPLE_RATE, voice, np.random.default_rng(8))
    f0, _, _ = librosa.pyin(
        sound, sr=SAMPLE_RATE, fmin=librosa.midi_to_hz(middle - 9),
        fmax=librosa.midi_to_hz(middle + 9), frame_length=2048, hop_length=512,
    )  # fmt: skip
    times = np.arange(len(f0)) * 512 / SAMPLE_RATE
    for start, end, pitch in notes:
        inside = (times > start + 0.2) & (times < end - 0.15) & np.isfinite(f0)
        assert inside.sum() >= 5
        assert np.median(librosa.hz_to_midi(f0[inside])) == pytest.approx(pitch, abs=0.6)
    rest = sound[int(1.75 * SAMPLE_RATE) : int(1.85 * SAMPLE_RATE)]
    assert np.sqrt(np.mean(rest**2)) < 0.1 * active_level(sound)


@pytest.fixture(scope="module")
def singer(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, np.ndarray]:
    """A recording of 7 s that is 30 cents sharp, and its notes."""
    place = tmp_path_factory.mktemp("voice") / "voice.wav"
    pitches = [60, 64, 62, 67, 65, 60, 62, 59, 60]
    starts = 0.3 + 0.7 * np.arange(len(pitches))
    notes = np.column_stack([starts, starts + 0.6, pitches])
    voice = replace(VOICES[2], vibrato=0.1)
    sharp = notes + np.array([0.0, 0.0, 0.3])
    sound = sing(sharp, 7.0, SAMPLE_RATE, voice, np.random.default_rng(9))
    write_audio(place, torch.from_numpy(sound[None] * 0.5), SAMPLE_RATE)
    return str(place), notes


def test_a_singers_notes_are_found(singer: tuple[str, np.ndarray]) -> None:
    found, notes = read_singing(singer[0]), singer[1]
    assert found.tuning_cents == pytest.approx(30, abs=15)
    held = [
        found.notes[(found.notes[:, 0] < start + 0.35) & (found.notes[:, 1] > start + 0.35)]
        for start in notes[:, 0]
    ]
    right = [
        len(rows) == 1 and abs(rows[0, 2] - pitch) < 0.5 and abs(rows[0, 0] - start) < 0.1
        for rows, (start, _, pitch) in zip(held, notes, strict=True)
    ]
    assert np.mean(right) > 0.85


def test_a_band_plays_with_a_singer(singer: tuple[str, np.ndarray], tmp_path: Path) -> None:
    settings = ExcerptSettings(
        {"singing": 1.0}, singing=[singer[0]], soundfonts=[str(default_soundfont())],
        excerpts=2, seconds=6.0, own_instruments=0.0,
    )  # fmt: skip
    for number, about in enumerate(render_excerpts(settings, tmp_path)):
        assert about["set"] == "singing" and about["tuning_cents"] == pytest.approx(30, abs=15)
        arrays = render_excerpt(settings, number)
        assert len(arrays["lead"]) >= 4 and len(arrays["sung"]) and len(arrays["bass"])
        sound = arrays["audio"] / 32768.0
        right = []
        for start, end, pitch in arrays["lead"]:
            held = sound[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)]
            hertz = 440.0 * 2 ** ((np.round(pitch) + about["tuning_cents"] / 100 - 69) / 12)
            around = [
                sum(level_at(held, hertz * h * 2 ** (step / 12)) for h in (1, 2, 3))
                for step in (-1, 0, 1)
            ]
            right.append(int(np.argmax(around)) == 1)
        assert np.mean(right) > 0.7
    with pytest.raises(AudioTransferError, match="singing"):
        render_excerpts(replace(settings, singing=[]), tmp_path)


def test_retuning_moves_pitch_and_time_together() -> None:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    moved = retuned(np.sin(2 * np.pi * 440 * time).astype(np.float32), 40.0, 20000)
    assert len(moved) == 20000
    raised = 440 * 2 ** (40 / 1200)
    assert level_at(moved[4000:16000], raised) > 3 * level_at(moved[4000:16000], 440.0)
