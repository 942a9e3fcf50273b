"""Style transfer of MIDI files: the command line, and each note that must not change."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import symusic
import torch
from torch import nn

from audiotransfer.errors import AudioTransferError
from audiotransfer.midi import plotting
from audiotransfer.midi.grid import Grid
from audiotransfer.midi.score import note_table, read_score
from audiotransfer.pipeline.midi_options import STEMS, MidiExtras, MidiOptions
from audiotransfer.pipeline.midi_transfer import (
    MidiReport,
    transfer_midi,
    transfer_midi_files,
)
from audiotransfer.pipeline.options import StemChoice
from audiotransfer.styles import Card, StemEntry, Style, load_style, sha256, write_card
from audiotransfer.symbolic import transfer
from audiotransfer.symbolic.genre.conditional_networks import ConditionalGenerator
from audiotransfer.symbolic.genre.transfer import save_generator

STEP = 120
CHORD = (0, 4, 7)
Run = Callable[..., tuple[int, str, str]]


def band(bars: int = 9, metre: tuple[int, int] = (4, 4)) -> symusic.Score:
    """Chords, a melody behind the beat, a bass below every roll, drums, and all that is no note."""
    score = symusic.Score(4 * STEP)
    score.time_signatures.append(symusic.TimeSignature(0, *metre))
    score.tempos.append(symusic.Tempo(0, 90.0))
    score.tempos.append(symusic.Tempo(30 * STEP, 140.0))
    score.key_signatures.append(symusic.KeySignature(0, 2, 0))
    score.markers.append(symusic.TextMeta(50, "verse"))
    steps = bars * 16 * metre[0] // metre[1]
    parts = {
        "keys": (4, [(n * STEP, 4 * STEP, 60 + i, 70) for n in range(0, steps, 8) for i in CHORD]),
        "voice": (65, [(n * STEP + 11, STEP, 76 + n % 5, 40 + n % 60) for n in range(0, steps, 4)]),
        "sub": (38, [(n * STEP, STEP, 20, 100) for n in range(0, steps, 16)]),
        "kit": (0, [(n * STEP, 30, (36, 42)[n % 2], 90) for n in range(0, steps, 2)]),
    }  # fmt: skip
    for name, (program, notes) in parts.items():
        track = symusic.Track(name, program, name == "kit")
        for note in notes:
            track.notes.append(symusic.Note(*note))
        track.controls.append(symusic.ControlChange(3, 7, 99))
        score.tracks.append(track)
    score.tracks[1].lyrics.append(symusic.TextMeta(11, "oh"))
    score.tracks[1].pitch_bends.append(symusic.PitchBend(20, 512))
    return score


def write_style(folder: Path, *, changing: bool = True, drums: StemEntry | None = None) -> Path:
    """A style for scores whose tiny network changes some notes, or none."""
    torch.manual_seed(5)
    network = ConditionalGenerator(("jazz", "pop"), (4, 4), 1)
    if changing:
        nn.init.normal_(network.leave.weight, 0.0, 0.5)
    folder.mkdir(parents=True)
    save_generator(folder / "pitched.safetensors", network)
    pitched = StemEntry("symbolic", "pitched.safetensors", "pitched", options={"target": "pop"})
    card = Card(
        name=folder.name,
        description="some notes come and go",
        stems={"pitched": pitched, "drums": drums},
        weights={"pitched.safetensors": sha256(folder / "pitched.safetensors")},
        route="symbolic",
    )
    write_card(folder, card)
    return folder


@pytest.fixture(scope="module")
def swing(tmp_path_factory: pytest.TempPathFactory) -> Style:
    return load_style(write_style(tmp_path_factory.mktemp("styles") / "swing"), route="symbolic")


@pytest.fixture
def song(tmp_path: Path) -> Path:
    band().dump_midi(tmp_path / "song.mid")
    return tmp_path / "song.mid"


def play(song: Path, style: Style | None, name: str = "out.mid", **more: object) -> MidiReport:
    output = song.with_name(name)
    return transfer_midi(song, output, MidiOptions(style=style, **more))  # type: ignore[arg-type]


def events(score: symusic.Score, name: str) -> list[object]:
    return [[repr(event) for event in getattr(track, name)] for track in score.tracks]


# --- the job


def test_notes_change_and_nothing_else_does(song: Path, swing: Style) -> None:
    report = play(song, swing)
    before, after = read_score(song), read_score(report.output)
    for name in ("tempos", "time_signatures", "key_signatures", "markers"):
        assert list(map(repr, getattr(after, name))) == list(map(repr, getattr(before, name)))
    for name in ("controls", "pitch_bends", "lyrics"):
        assert events(after, name) == events(before, name)
    assert [(t.name, t.program) for t in after.tracks] == [
        (t.name, t.program) for t in before.tracks
    ]
    drums = [note_table(score, drums=True) for score in (before, after)]
    assert np.array_equal(*drums)
    tables = [note_table(score) for score in (before, after)]
    assert not np.array_equal(*tables)
    low = [table[table[:, 2] < 24] for table in tables]
    assert np.array_equal(*low)
    assert len(Grid.of(after).bars) == len(Grid.of(before).bars)


def test_the_report_counts(song: Path, swing: Style) -> None:
    report = play(song, swing, melody="change")
    before, after = read_score(song), read_score(report.output)
    assert (report.bars, report.tracks) == (9, 4)
    assert report.notes_in == before.note_num()
    assert report.notes_out == after.note_num()
    assert report.density_ratio == pytest.approx(report.notes_out / report.notes_in)
    pitched, drums = report.stems["pitched"], report.stems["drums"]
    assert (pitched.action, pitched.style, pitched.strength) == ("style", "swing", 1.0)
    assert drums.action == "keep"
    assert drums.notes_in == drums.notes_out == drums.notes_kept == 72
    rows = [set(map(tuple, note_table(s)[:, [0, 2, 4]].tolist())) for s in (before, after)]
    assert pitched.notes_kept == len(rows[0] & rows[1]) < pitched.notes_in
    assert report.seconds == pytest.approx(before.to("second").end())
    assert json.loads(json.dumps(report.to_dict()))["bars"] == 9


def test_strength_zero_is_the_song_and_more_is_further(song: Path, swing: Style) -> None:
    whole = note_table(read_score(song))
    kept = []
    for strength in (0.0, 0.3, 0.6, 1.0):
        report = play(song, swing, f"{strength}.mid", strength=strength, melody="change")
        kept.append(report.stems["pitched"].notes_kept)
        if not strength:
            assert np.array_equal(note_table(read_score(report.output)), whole)
    assert kept == sorted(kept, reverse=True)
    assert kept[0] == len(whole) > kept[1] > kept[3]


def test_the_same_again_is_the_same_bytes(song: Path, swing: Style) -> None:
    outputs = [Path(play(song, swing, name, seed=4).output) for name in ("a.mid", "b.mid")]
    assert outputs[0].read_bytes() == outputs[1].read_bytes()


@pytest.mark.parametrize("metre", [(3, 4), (6, 8), (5, 4), (7, 8), (4, 4)])
@pytest.mark.parametrize("bars", [1, 13])
def test_any_metre_and_length_keeps_its_bars(
    tmp_path: Path, swing: Style, metre: tuple[int, int], bars: int
) -> None:
    band(bars, metre).dump_midi(tmp_path / "song.mid")
    report = play(tmp_path / "song.mid", swing)
    after = read_score(report.output)
    assert report.bars == bars
    assert len(Grid.of(after).bars) == bars + 1
    assert (after.time_signatures[0].numerator, after.time_signatures[0].denominator) == metre


def test_a_network_that_passes_notes_on_changes_nothing(song: Path, tmp_path: Path) -> None:
    still = load_style(write_style(tmp_path / "still", changing=False), route="symbolic")
    report = play(song, still)
    assert report.stems["pitched"].notes_kept == report.stems["pitched"].notes_in
    assert report.density_ratio == 1.0


def test_stems_are_kept_muted_or_played_in_another_style(song: Path, swing: Style) -> None:
    muted = play(song, swing, "a.mid", stems={"drums": StemChoice("mute")})
    assert not len(note_table(read_score(muted.output), drums=True))
    kept = play(song, swing, "b.mid", stems={"pitched": StemChoice("keep")})
    assert kept.notes_in == kept.notes_out
    own = StemChoice("style", swing, 0.5)
    alone = play(song, None, "c.mid", stems={"pitched": own})
    assert alone.stems["pitched"].strength == 0.5
    assert alone.stems["drums"].action == "keep"
    empty = play(song, swing, "d.mid", stems={"drums": StemChoice("style", swing)})
    assert empty.notices == ["the style has nothing for drums: they stay as they are"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"stems": {"vocals": StemChoice("keep")}}, "unknown stem 'vocals'"),
        ({"stems": {stem: StemChoice("mute") for stem in STEMS}}, "are muted"),
        ({"strength": 1.5}, "strength 1.5"),
        ({"style": None}, "no style given"),
        ({"style": "no-such-style"}, "unknown style"),
        ({"device": "abacus"}, "unknown device"),
    ],
)
def test_wrong_requests(song: Path, swing: Style, options: dict[str, object], says: str) -> None:
    with pytest.raises(AudioTransferError, match=says):
        transfer_midi(song, song.with_name("a.mid"), MidiOptions(**{"style": swing, **options}))  # type: ignore[arg-type]
    assert not song.with_name("a.mid").exists()


def test_only_drums_stay_and_say_so(tmp_path: Path, swing: Style) -> None:
    score = band()
    score.tracks = [score.tracks[3]]
    score.dump_midi(tmp_path / "beat.mid")
    report = play(tmp_path / "beat.mid", swing)
    assert report.notes_in == report.notes_out == report.stems["drums"].notes_kept
    says_so = ["the style has nothing for drums: they stay as they are"]
    assert report.notices == [*says_so, f"{tmp_path / 'beat.mid'}: no note was changed"]
    with pytest.raises(AudioTransferError, match="no note would be left"):
        play(tmp_path / "beat.mid", swing, "b.mid", stems={"drums": StemChoice("mute")})


def test_drums_go_through_the_door_that_is_made_for_them(
    song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that offers `load_part` plays the drums of a style that names it."""

    class Louder:
        @staticmethod
        def load_part(path: Path, options: dict[str, object], device: str):
            def louder(notes, grid, strength=1.0, generator=None, progress=None):
                changed = notes[:-1].copy()
                changed[:, 3] += round(strength * options["more"])  # type: ignore[operator]
                return changed

            return louder

    real = transfer.importlib.import_module
    monkeypatch.setattr(
        transfer.importlib, "import_module", lambda name: Louder if "drums" in name else real(name)
    )
    entry = StemEntry("symbolic", "pitched.safetensors", "drums", options={"more": 20})
    style = load_style(write_style(tmp_path / "loud", drums=entry), route="symbolic")
    report = play(song, style, strength=0.5)
    assert report.stems["drums"].action == "style"
    before, after = (note_table(read_score(s), drums=True) for s in (song, report.output))
    assert np.array_equal(after[:-1, 3], before[:-1, 3] + 10)
    assert np.array_equal(after[-1], before[-1])  # the last one, and with it the last bar, stays


def test_a_stem_that_no_score_has(tmp_path: Path) -> None:
    with pytest.raises(AudioTransferError, match="the stem 'bass'; there are pitched, drums"):
        transfer.load(tmp_path, {"weights": "a"}, "bass", "cpu", "auto")


@pytest.mark.parametrize("notes", [1, 100_000])
def test_one_note_and_a_hundred_thousand(tmp_path: Path, swing: Style, notes: int) -> None:
    random = np.random.default_rng(2)
    score, track = symusic.Score(4 * STEP), symusic.Track("much", 0, False)
    bounds = ((0, 64 * STEP), (0, 500), (20, 110), (1, 128))
    values = [random.integers(*between, notes) for between in bounds]
    types = (np.int32, np.int32, np.int8, np.int8)
    columns = [value.astype(kind) for value, kind in zip(values, types, strict=True)]
    track.notes = symusic.Note.from_numpy(*columns, "tick")
    score.tracks.append(track)
    score.dump_midi(tmp_path / "much.mid")
    report = play(tmp_path / "much.mid", swing)
    assert report.notes_in == notes
    assert read_score(report.output).note_num() == report.notes_out > 0


@pytest.mark.parametrize("tempo", [1.0, 60_000_000.0])
def test_absurd_tempos_are_kept(tmp_path: Path, swing: Style, tempo: float) -> None:
    score = band()
    score.tempos = [symusic.Tempo(0, tempo)]
    score.dump_midi(tmp_path / "song.mid")
    before = read_score(tmp_path / "song.mid")
    after = read_score(play(tmp_path / "song.mid", swing).output)
    assert after.tempos[0].mspq == before.tempos[0].mspq


def test_many_files_and_a_bad_one(song: Path, tmp_path: Path, swing: Style) -> None:
    bad = tmp_path / "bad.mid"
    bad.write_bytes(b"MThd")
    outputs = [tmp_path / name for name in ("a.mid", "b.mid", "a.mid")]
    told = []
    outcomes = transfer_midi_files(
        [song, bad, song], outputs, MidiOptions(style=swing), done=told.append
    )
    assert outcomes == told
    assert outcomes[0].report is not None and outputs[0].is_file()
    assert "bad.mid is a damaged" in str(outcomes[1].error)
    assert "is the output of" in str(outcomes[2].error)


# --- what stands beside it


def test_sound_and_plot_stand_beside(tmp_path: Path, swing: Style) -> None:
    song = tmp_path / "song.mid"
    band(2).dump_midi(song)
    wanted = MidiExtras(render=True, plot=True, suffix=".flac")
    report = play(song, swing, extras=wanted)
    assert {Path(path).name for path in report.files.values()} == {"out.mid.flac", "out.png"}
    audio, rate = soundfile.read(report.files["audio"])
    assert (rate, audio.shape[1]) == (44100, 2)
    assert len(audio) / rate == pytest.approx(report.seconds + 1.5, abs=0.5)
    assert 0.01 < np.abs(audio).max() <= 0.91
    assert Path(report.files["plot"]).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("taken", ["out.mid.wav", "out.png", "out.mid"])
def test_nothing_is_written_over(song: Path, swing: Style, taken: str) -> None:
    song.with_name(taken).write_text("mine")
    before = {path.name for path in song.parent.iterdir()}
    wanted = MidiExtras(render=True, plot=True)
    with pytest.raises(AudioTransferError, match=f"{taken} exists"):
        play(song, swing, extras=wanted)
    assert {path.name for path in song.parent.iterdir()} == before


def test_no_soundfont_is_one_line(song: Path, swing: Style) -> None:
    with pytest.raises(AudioTransferError, match=r"soundfont gone\.sf2 does not exist"):
        play(song, swing, extras=MidiExtras(render=True, soundfont=Path("gone.sf2")))
    assert not song.with_name("out.mid").exists()


def test_a_score_of_hours_is_not_rendered(tmp_path: Path, swing: Style) -> None:
    score = band()
    score.tempos = [symusic.Tempo(0, 4.0)]
    score.tracks[0].notes.append(symusic.Note(490 * 4 * STEP, 10, 60, 64))
    score.dump_midi(tmp_path / "slow.mid")
    with pytest.raises(AudioTransferError, match=r"would sound for 2\.0 hours, more than 2"):
        play(tmp_path / "slow.mid", swing, extras=MidiExtras(render=True))
    assert not (tmp_path / "out.mid").exists()


def test_plots_show_both_in_the_colours_of_tracks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.collections import PolyCollection
    from matplotlib.figure import Figure

    figures: list[Figure] = []
    drawn = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *a, **k: (figures.append(self), drawn(self, *a, **k))
    )
    before, after = band(30), band(30)
    after.tracks[0].notes = after.tracks[0].notes[:3]
    plotting.plot_scores({"before": before, "after": after}, tmp_path / "a.png", "a song")
    (figure,) = figures
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["before", "after"] * 2
    assert {axis.get_ylabel() for axis in figure.axes} == {"pitch"}
    assert figure.axes[-1].get_xlabel() == "bar"
    bars = [
        next(c for c in axis.collections if isinstance(c, PolyCollection)) for axis in figure.axes
    ]
    first = note_table(before)
    first = first[first[:, 0] < 24 * 16 * STEP]
    assert len(bars[0].get_paths()) == len(first)
    assert len({tuple(c[:3]) for c in bars[0].get_facecolor()}) == 3  # three pitched tracks
    assert len(bars[1].get_paths()) == len(first[first[:, 4] > 0]) + 3
    # Both rows have the same scale, though the second has fewer bars.
    assert len({axis.get_xlim()[1] - axis.get_xlim()[0] for axis in figure.axes}) == 1
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["keys", "voice", "sub", "kit"]


@pytest.mark.filterwarnings("error")
def test_plots_have_names_of_all_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    figures: list[Figure] = []
    drawn = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *a, **k: (figures.append(self), drawn(self, *a, **k))
    )
    score = band(1)
    names = ["$\\foo$ and $x_$", "_underlined", "メロディ", "\0\n"]
    for track, name in zip(score.tracks, names, strict=True):
        track.name = name
    plotting.plot_scores({"$\\frac$": score}, tmp_path / "a.png", "$\\sqrt$")
    labels = [text.get_text() for text in figures[0].legends[0].get_texts()]
    assert labels == [*names[:3], "track 4"]
    assert figures[0].axes[0].get_title(loc="left") == "$\\frac$"


# --- the command line


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with a score, a recording and the styles swing (scores) and still."""
    write_style(tmp_path / "styles" / "swing")
    stems = dict.fromkeys(("drums", "bass", "other", "vocals"))
    (tmp_path / "styles" / "still").mkdir()
    write_card(tmp_path / "styles" / "still", Card("still", "nothing changes", stems, {}))
    (tmp_path / "styles" / "both").mkdir()
    write_card(tmp_path / "styles" / "both", Card("swing", "nothing changes", stems, {}))
    folder = tmp_path / "here"
    folder.mkdir()
    band().dump_midi(folder / "song.mid")
    soundfile.write(folder / "noise.wav", np.full((4000, 2), 0.1), 44100)
    monkeypatch.setenv("AUDIOTRANSFER_STYLES", str(tmp_path / "styles"))
    monkeypatch.chdir(folder)
    return folder


def test_scores_wait_for_nothing_that_only_recordings_need() -> None:
    code = "import sys, audiotransfer.pipeline.midi_transfer as _; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"scipy", "numba"} & set(done.stdout.split())


def test_a_score_becomes_a_score_by_default(run: Run, place: Path) -> None:
    assert run("song.mid", "--style", "swing") == (0, "song.swing.mid\n", "")
    assert len(Grid.of(read_score(place / "song.swing.mid")).bars) == 10
    code, out, err = run("song.mid", "--style", "swing")
    assert (code, out) == (2, "") and "song.swing.mid exists" in err
    code, out, _ = run(
        "song.mid", "--style", "swing", "-f", "--json", "--plot", "--melody", "change"
    )
    (done,) = json.loads(out)["done"]
    assert (done["output"], done["bars"], done["tracks"]) == ("song.swing.mid", 9, 4)
    assert done["files"] == {"plot": "song.swing.png"}
    assert done["stems"]["pitched"]["notes_in"] > done["stems"]["pitched"]["notes_kept"]


def test_karaoke_and_riff_are_midi_files_alone_and_in_folders(run: Run, place: Path) -> None:
    data = (place / "song.mid").read_bytes()
    album = place / "album"
    album.mkdir()
    (album / "words.KAR").write_bytes(data)
    riff = b"RMIDdata" + len(data).to_bytes(4, "little") + data
    (album / "wrapped.rmi").write_bytes(b"RIFF" + len(riff).to_bytes(4, "little") + riff)
    code, out, err = run("album", "--style", "swing", "--strength", "0")
    assert (code, out.split()) == (0, ["words.swing.mid", "wrapped.swing.mid"])
    assert err.count("no note was changed") == len(err.splitlines()) == 2
    made = [(place / name).read_bytes() for name in out.split()]
    assert made[0] == made[1]
    assert run("album/words.KAR", "--style", "swing", "-o", "x.kar")[:2] == (0, "x.kar\n")
    code, _, err = run("album/words.KAR", "--style", "swing", "-o", "x.rmi")
    assert code == 2 and "-o x.rmi is no MIDI file by its name; end it in .mid" in err
    assert run("x.kar", "--separator", "none", "--style", "still")[0] == 2


def test_what_was_left_out_of_a_damaged_file_is_said(run: Run, place: Path) -> None:
    data = (place / "song.mid").read_bytes()
    (place / "cut.mid").write_bytes(data[:-40])
    code, out, err = run("cut.mid", "--style", "swing")
    assert (code, out) == (0, "cut.swing.mid\n")
    (line,) = err.splitlines()
    assert line.startswith("audiotransfer: cut.mid: it is cut off in track 4, after tick ")


def test_scores_and_recordings_go_together(run: Run, place: Path) -> None:
    album = place / "album"
    album.mkdir()
    band(2).dump_midi(album / "two.MID")
    (place / "bad.mid").write_bytes(b"MThd....")
    words = ("song.mid", "noise.wav", "bad.mid", "album", "--style", "swing", "-o", ".")
    code, out, err = run(*words, "--separator", "none", "--stem", "pitched=keep")
    assert code == 1
    assert out.split() == ["./song.swing.mid", "./two.swing.mid", "./noise.swing.wav"] or (
        out.split() == ["song.swing.mid", "two.swing.mid", "noise.swing.wav"]
    )
    says = ("song.mid: no note was changed", "bad.mid is a damaged", "two.MID: no note was changed")
    told = [line for line in err.splitlines() if "noise.wav" not in line and ".mid" in line.lower()]
    assert all(said in line for said, line in zip(says, told, strict=True))


def test_a_folder_whose_other_kind_the_style_does_not_know(run: Run, place: Path) -> None:
    (place / "made").mkdir()
    code, out, err = run(".", "--style", "still", "--separator", "none", "-o", "made")
    assert (code, out) == (0, "made/noise.still.wav\n")
    assert err.startswith("audiotransfer: 1 MIDI file is left out: style 'still' is for recordings")


def test_a_file_that_the_style_does_not_know_does_not_end_the_others(run: Run, place: Path) -> None:
    words = ("--style", "still", "--separator", "none", "-o", "made/")
    code, out, err = run("song.mid", "noise.wav", *words)
    assert (code, out) == (1, "made/noise.still.wav\n")
    (line,) = [line for line in err.splitlines() if "song.mid" in line]
    assert line.startswith("audiotransfer: song.mid: style 'still' is for recordings")
    code, out, err = run("song.mid", *words)
    assert (code, out) == (2, "") and "is for recordings" in err
    code, out, err = run("song.mid", "noise.wav", "--style", "stil", *words[2:])
    assert (code, out, err.count("\n")) == (2, "", 1) and "did you mean still?" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("song.mid", "--style", "swing", "-o", "song.wav"), "--render adds sound"),
        (("song.mid", "--style", "swing", "-o", "song.mid/a.mid"), "song.mid cannot be made"),
        (("song.mid", "--style", "swing", "--stem", "vocals=keep"), "unknown stem 'vocals'"),
        (("song.mid", "--style", "swing", "--strength", "2"), "strength 2 is out of range"),
        (("song.mid", "--style", "swing", "--render", "--soundfont", "a.sf2"), "a.sf2 does not"),
        (("song.mid", "--style", "swin"), "did you mean swing?"),
        (("song.mid",), "no style given"),
        (("words.mid", "--style", "swing"), "words.mid is no MIDI file"),
        (("gone.mid", "--style", "swing"), "gone.mid does not exist"),
    ],
)
def test_one_line_and_nothing_written(run: Run, place: Path, words, says: str) -> None:
    (place / "words.mid").write_text("do re mi")
    before = {path.name for path in place.iterdir()}
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.splitlines()) == 1
    assert {path.name for path in place.iterdir()} == before


def test_options_that_say_nothing_about_the_only_kind_are_named(run: Run, place: Path) -> None:
    words = ("--style", "swing", "--separator", "none", "-f")
    code, _, err = run("song.mid", *words, "--gain", "drums=3", "--format", "flac")
    assert code == 0
    assert err == (
        "audiotransfer: --separator, --gain: for recordings only; MIDI files go without\n"
        "audiotransfer: --format: needs --render with MIDI files\n"
    )
    code, _, err = run("noise.wav", *words, "--plot")
    assert code == 0
    assert err == "audiotransfer: --plot: for MIDI files only; a recording has no notes\n"
