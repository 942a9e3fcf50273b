"""``audiotransfer transcribe``: lead sheets of MIDI files, written and corrected."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import symusic
import torch

from audiotransfer.leadsheet import read_lead_sheet

Run = Callable[..., tuple[int, str, str]]
FILES = ("tune.leadsheet.json", "tune.chords.txt", "tune.musicxml")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with tune.mid: C, G, C, G under a melody."""
    monkeypatch.chdir(tmp_path)
    score = symusic.Score(480)
    score.time_signatures.append(symusic.TimeSignature(0, 4, 4))
    score.tempos.append(symusic.Tempo(0, qpm=100.0))
    melody, chords = symusic.Track("tune", 73), symusic.Track("piano", 0)
    for bar in range(4):
        for tone in ((48, 60, 64, 67), (43, 59, 62, 67))[bar % 2]:
            chords.notes.append(symusic.Note(1920 * bar, 1900, tone, 60))
        for beat in range(4):
            melody.notes.append(symusic.Note(1920 * bar + 480 * beat, 450, 74 - beat % 3, 90))
    score.tracks.extend([melody, chords])
    score.dump_midi(str(tmp_path / "tune.mid"))
    return tmp_path


def test_three_files_are_written_beside_where_one_stands(run: Run, place: Path) -> None:
    code, out, err = run("transcribe", "tune.mid")
    assert (code, err) == (0, "") and out.split() == list(FILES)
    sheet = read_lead_sheet(place / FILES[0])
    assert sheet.title == "tune" and len(sheet.bars) == 4 and len(sheet.melody) == 16
    assert "| C | G | C | G |" in (place / FILES[1]).read_text()
    assert "<score-partwise" in (place / FILES[2]).read_text()


def test_a_corrected_chord_is_read_with_the_song(run: Run, place: Path) -> None:
    run("transcribe", "tune.mid", "-q")
    sheet = read_lead_sheet(place / FILES[0])
    text = (place / FILES[1]).read_text().replace("| C | G | C | G |", "| C | E-7 A7 | C | G |")
    (place / FILES[1]).write_text(text)
    chords = [(c.root, c.quality) for c in read_lead_sheet(place / FILES[1], sheet).chords]
    assert chords == [(0, ""), (4, "m7"), (9, "7"), (0, ""), (7, "")]


def test_files_are_overwritten_only_when_told_to(run: Run, place: Path) -> None:
    (place / FILES[2]).write_text("mine")
    code, out, err = run("transcribe", "tune.mid")
    assert (code, out, err.count("\n")) == (2, "", 1) and "tune.musicxml exists" in err
    assert not (place / FILES[0]).exists() and (place / FILES[2]).read_text() == "mine"
    assert run("transcribe", "tune.mid", "-f")[0] == 0
    assert (place / FILES[2]).read_text() != "mine"


def test_a_folder_that_is_named_is_made_and_json_tells_the_result(run: Run, place: Path) -> None:
    code, out, _ = run("transcribe", "tune.mid", "-o", "new/deep", "--json")
    told = json.loads(out)
    assert code == 0 and told["outputs"] == [f"new/deep/{name}" for name in FILES]
    assert (told["key"], told["metre"], told["tempo"], told["bars"]) == ("C major", "4/4", 100.0, 4)
    assert told["chords"] == ["C", "G", "C", "G"] and told["melody"] == 16


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("gone.mid", None, "does not exist"),
        ("song.wav", b"RIFF", "cannot be decoded"),
        ("text.mid", b"hello", "text.mid"),
        ("empty.mid", b"", "empty"),
        ("silent.mid", b"MThd\0\0\0\6\0\0\0\1\1\xe0MTrk\0\0\0\4\0\xff\x2f\0", "no notes"),
    ],
)
def test_what_is_no_score_is_refused(
    run: Run, place: Path, name: str, data: bytes | None, says: str
) -> None:
    if data is not None:
        (place / name).write_bytes(data)
    code, out, err = run("transcribe", name)
    assert (code, out, err.count("\n")) == (2, "", 1) and says in err
    assert sorted(path.name for path in place.iterdir()) == sorted(
        ["tune.mid", *([name] if data is not None else [])]
    )


def test_a_folder_is_refused(run: Run, place: Path) -> None:
    code, _, err = run("transcribe", str(place))
    assert code == 2 and "is a folder" in err


def test_a_file_of_drums_has_a_lead_sheet_and_a_notice(run: Run, place: Path) -> None:
    score = symusic.Score(480)
    kit = symusic.Track("kit", 0, True)
    kit.notes.extend([symusic.Note(480 * beat, 60, 38, 80) for beat in range(8)])
    score.tracks.append(kit)
    score.dump_midi(str(place / "kit.mid"))
    code, out, err = run("transcribe", "kit.mid")
    assert code == 0 and len(out.split()) == 3 and "no pitched notes" in err


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds of a band, C Am F G7 in 4/4 at 96 beats a minute, as a file at 48 kHz."""
    from audiotransfer.audio.writing import write_audio
    from audiotransfer.synthesis.ensemble import Ensemble, EnsemblePart

    beat = 60 / 96
    chords = [(48, 52, 55), (45, 48, 52), (41, 45, 48), (43, 47, 50, 53)]
    piano, bass, lead, kit = [], [], [], []
    for bar, tones in enumerate(chords):
        start = 0.3 + 4 * beat * bar
        piano += [
            (start + 2 * half * beat, 1.8 * beat, p + 12, 70) for half in (0, 1) for p in tones
        ]
        bass += [(start + i * beat, 0.9 * beat, tones[0] - 12, 85) for i in range(4)]
        lead += [(start + i * beat, 0.9 * beat, tones[i % 3] + 24, 90) for i in range(4)]
        kit += [(start + i * beat, 0.2, (36, 38)[i % 2], 90) for i in range(4)]
        kit += [(start + i * beat / 2, 0.1, 42, 70) for i in range(8)]
    parts = [
        EnsemblePart(name, instrument, np.array(sorted(notes), dtype=float))
        for name, instrument, notes in (
            ("lead", "trumpet", lead),
            ("chords", "piano_grand", piano),
            ("bass", "bass_electric", bass),
            ("drums", "kit_rock", kit),
        )
    ]
    path = tmp_path_factory.mktemp("recording") / "song.wav"
    write_audio(path, torch.from_numpy(Ensemble(48_000).render(parts, 11.0)), 48_000)
    return path


def test_a_recording_is_transcribed_corrected_and_read_back(
    run: Run, place: Path, recording: Path
) -> None:
    code, out, err = run("transcribe", str(recording))
    assert code == 0, err
    names = ["song.leadsheet.json", "song.chords.txt", "song.musicxml", "song.mid"]
    assert out.split() == names
    sheet = read_lead_sheet(place / names[0])
    assert sheet.title == "song" and sheet.chords and 10.0 < sheet.seconds < 14.0
    # One chord is edited in the text, and read into the transcription.
    text = (place / names[1]).read_text()
    bars = [line for line in text.splitlines() if line.startswith("|")]
    cells = bars[0].strip("| ").split(" | ")
    edited = text.replace(bars[0], f"| {' | '.join(['Ebm7b5', *cells[1:]])} |")
    (place / names[1]).write_text(edited)
    corrected = read_lead_sheet(place / names[1], sheet)
    first = corrected.chords[0]
    assert (first.root, first.quality, first.confidence) == (3, "m7b5", 1.0)
    assert corrected.beats == sheet.beats and corrected.melody == sheet.melody
    # The MIDI file lasts as long, and its notes are the lead sheet's.
    score = symusic.Score.from_file(str(place / names[3])).to("second")
    tracks = {track.name: track for track in score.tracks}
    assert len(tracks["drums"].notes) == len(sheet.drums)
    assert abs(tracks["bass"].notes[0].time - sheet.bass[0].start) < 0.002


def test_a_song_is_transcribed_once(
    run: Run, place: Path, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from audiotransfer.pipeline import recording_sheet

    run("transcribe", str(recording), "--formats", "json", "-q")
    first = (place / "song.leadsheet.json").read_text()
    monkeypatch.delattr(recording_sheet, "Transcriber")
    assert run("transcribe", str(recording), "--formats", "json", "-f", "-q")[0] == 0
    assert (place / "song.leadsheet.json").read_text() == first
    with pytest.raises(NameError):
        run("transcribe", str(recording), "-f", "--no-cache")


def test_a_part_of_a_recording_and_chosen_formats(run: Run, place: Path, recording: Path) -> None:
    code, out, _ = run(
        "transcribe",
        str(recording),
        "--start",
        "2",
        "--end",
        "9.5",
        "--formats",
        "midi,json",
        "--json",
    )
    told = json.loads(out)
    assert code == 0 and told["outputs"] == ["song.cut.leadsheet.json", "song.cut.mid"]
    assert set(told["confidence"]) == {"beats", "chords", "lead"}
    assert read_lead_sheet(place / "song.cut.leadsheet.json").seconds < 9.0
    code, _, err = run("transcribe", str(recording), "--formats", "midi,pdf")
    assert code == 2 and "'pdf' is no format" in err


def test_options_of_recordings_and_midi_files_that_make_no_sense(run: Run, place: Path) -> None:
    assert "is a MIDI file already" in run("transcribe", "tune.mid", "--formats", "midi")[2]
    assert "is a MIDI file" in run("transcribe", "tune.mid", "--start", "3")[2]
    assert run("transcribe", "tune.mid", "--formats", "chords")[1].split() == ["tune.chords.txt"]


@pytest.mark.parametrize(
    ("kind", "says"), [("silence", "it is silent"), ("short", "5.0 s"), ("noise", "")]
)
def test_recordings_without_music_are_told(run: Run, place: Path, kind: str, says: str) -> None:
    from audiotransfer.audio.writing import write_audio

    seconds = 5 if kind == "short" else 12
    noise = torch.randn(1, 22_050 * seconds, generator=torch.Generator().manual_seed(0))
    write_audio(place / "a.wav", noise * (0.0 if kind == "silence" else 0.1), 22_050)
    code, _, err = run("transcribe", "a.wav")
    assert says in err and err.count("\n") == 1
    # What was found is written, and a notice tells about it; of silence there is nothing.
    assert code == (2 if kind == "silence" else 0)
    assert (place / "a.mid").exists() == (kind != "silence")
